#include "autodiff/ops/sources.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "autodiff/parallel.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// A node of it holds a value from outside; it is never inferred or run.
class Leaf final : public Op {
 public:
  explicit Leaf(std::string name)
      : Op({.name = std::move(name), .arity = 0, .linearity = Linearity::none, .leaf = true}) {}
  Type infer(const Signature&) const override { reject("is a leaf: it is not recorded as a call"); }
  void run(const Kernel&) const override {}
  std::vector<Example> examples() const override { return {}; }
  Array reference(std::span<const Array>, const Attributes&, const Type& out) const override { return Array(out); }
};

// [] -> an array of one value
struct Full final : OpWith<FullArguments> {
  Full() : OpWith({.name = "full", .arity = 0, .linearity = Linearity::none}) {}
  Type infer(const Signature& s) const override {
    const auto [dtype, shape, value] = arguments(s);
    if (dtype == Dtype::i32 && static_cast<double>(converted<std::int32_t>(value)) != value)
      reject(fmt::format("an i32 holds whole numbers from -2^31 to 2^31 - 1, got {}", value));
    return {dtype, shape};
  }
  void run(const Kernel& k) const override {
    dispatch(k.type.dtype, [&]<class T>() {
      const T value = converted<T>(k.attributes().reals[0]);
      const auto fill = [&](Index begin, Index end) { std::fill(k.out<T>() + begin, k.out<T>() + end, value); };
      constexpr Index piece = Index{1} << 15;
      if (const Index size = k.out_shape().size(); size <= piece)
        fill(0, size);
      else
        parallel_pieces(size, piece, fill);
    });
  }
  std::vector<Example> examples() const override {
    return {{{}, with({Dtype::f64, {2, 3}, 0.25})}, {{}, with({Dtype::f32, {}, -3})}, {{}, with({Dtype::i32, {5}, 7})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    return {{{}, with({Dtype::f64, {0}, 1}), {}}, {{}, with({Dtype::i32, {1}, 2147483647}), {2147483647}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    const auto whole = [](double value) { return with({Dtype::i32, {2}, value}); };
    return {{{}, whole(3e9), "an i32 holds whole numbers from -2^31 to 2^31 - 1, got 3"},
            {{}, whole(0.5), "an i32 holds whole numbers from -2^31 to 2^31 - 1, got 0.5"},
            {{}, whole(special_values::nan), "an i32 holds whole numbers from -2^31 to 2^31 - 1, got nan"},
            {{}, {.integers = {3, 2}, .reals = {1}}, "no element type has the number 3"}};
  }
  Array reference(std::span<const Array>, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) result.set(i, arguments(a).value);
    return result;
  }
};

[[gnu::init_priority(library_ops)]] const Leaf input_leaf("input"), parameter_leaf("parameter");
[[gnu::init_priority(library_ops)]] const Full full_instance;

}  // namespace

const Op& input_op() { return input_leaf; }
const Op& parameter_op() { return parameter_leaf; }
const Op& full_op() { return full_instance; }

Var full_like(Operand x, double value) { return x.tape("full_like").full(x.type("full_like"), value, x.where()); }
Var zeros_like(Operand x) { return x.tape("zeros_like").full(x.type("zeros_like"), 0, x.where()); }
Var ones_like(Operand x) { return x.tape("ones_like").full(x.type("ones_like"), 1, x.where()); }

}  // namespace wengert
