// Ops that keep the value and change what it counts as: cast, stop_gradient, identity.
#include <cmath>
#include <cstring>

#include "autodiff/op.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/parallel.hpp"

namespace wengert {
namespace {

// x -> x in another dtype
struct Cast final : OpWith<CastArguments> {
  Cast() : OpWith({.name = "cast", .linearity = Linearity::linear, .selects = true}) {}
  bool supports(Dtype) const override { return false; }  // examples fix their dtypes

  Type infer(const Signature& s) const override { return {arguments(s).dtype, s.shape(0)}; }
  void run(const Kernel& k) const override {
    dispatch(k.signature.dtype(0), [&]<class From>() {
      dispatch(k.type.dtype, [&]<class To>() {
        parallel_pieces(k.out_shape().size(), Index{1} << 15, [&](Index begin, Index end) {
          const From* const x = k.in<From>(0);
          To* const out = k.out<To>();
          for (Index i = begin; i < end; ++i) out[i] = converted<To>(x[i]);
        });
      });
    });
  }
  Var vjp(const Call& c, int, Var g) const override { return cast(g, c.in(0).dtype()); }
  Rows rows(const Signature&, const Type&, int, int axis) const override { return {RowRule::pointwise, axis}; }
  std::vector<Example> examples() const override {
    const auto sample = [](Dtype dtype) { return Sample{.shape = {3, 4}, .dtype = dtype}; };
    return {{{sample(Dtype::f64)}, with({Dtype::f64})},
            {{sample(Dtype::f64)}, with({Dtype::f32})},
            {{sample(Dtype::f32)}, with({Dtype::f64})},
            {{sample(Dtype::f64)}, with({Dtype::i32})},
            {{sample(Dtype::i32)}, with({Dtype::f32})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    return {{{Sample{.shape = {4}, .values = {1.7, -1.7, 0.2, -0.2}, .dtype = Dtype::f64}},
             with({Dtype::i32}),
             {1, -1, 0, 0}},
            {{Sample{.shape = {4}, .values = {3e9, -infinity, nan, -2147483648.5}, .dtype = Dtype::f64}},
             with({Dtype::i32}),
             {2147483647, -2147483648.0, 0, -2147483648.0}}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) {
      const double x = in[0].at(i);
      result.set(i, arguments(a).dtype == Dtype::i32   ? std::trunc(x)
                    : arguments(a).dtype == Dtype::f32 ? static_cast<double>(static_cast<float>(x))
                                                       : x);
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Cast cast_instance;

struct Same : Op {
  Same(std::string name, Linearity linearity)
      : Op({.name = std::move(name),
            .linearity = linearity,
            .detached = linearity == Linearity::none,
            .selects = linearity == Linearity::linear,
            .view = true}) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }
  Type infer(const Signature& s) const override { return *s.in[0]; }
  void run(const Kernel& k) const override { std::memcpy(k.output, k.operands[0], k.type.bytes()); }
  Var vjp(const Call& c, int i, Var g) const override {
    return linearity() == Linearity::linear ? g : Op::vjp(c, i, g);
  }
  Rows rows(const Signature&, const Type&, int, int axis) const override { return {RowRule::pointwise, axis}; }
  std::vector<Example> examples() const override { return {{{Sample{{3, 4}}}}, {{Sample{{}}}}, {{Sample{{0}}}}}; }
  Array reference(std::span<const Array> in, const Attributes&, const Type&) const override { return in[0]; }
};
[[gnu::init_priority(library_ops)]] const Same stop_gradient_instance("stop_gradient", Linearity::none),
    identity_instance("identity", Linearity::linear);

}  // namespace

const Op& identity_op() { return identity_instance; }
const Op& stop_gradient_op() { return stop_gradient_instance; }
const Op& cast_op() { return cast_instance; }

Var cast(Operand x, Dtype dtype) { return record(cast_op(), {x}, Cast::with({dtype})); }
Var stop_gradient(Operand x) { return record(stop_gradient_op(), {x}); }
Var identity(Operand x) { return record(identity_op(), {x}); }

}  // namespace wengert
