// Elementwise ops, one row each:
//
//   const Unary tanh_op({.name = "tanh", .reference = [](double x) { return std::tanh(x); }},
//                       [](auto x) { return simd::tanh(x); },              // value, for a SIMD batch of any float type
//                       [](Var t, Var, Var y) { return t * (1 - square(y)); });   // t * dy/dx, in tape ops
//   Var tanh(Operand x) { return record(tanh_op, {x}); }
//
// Writing the derivative with y where that is possible lets the planner free x.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "autodiff/attributes.hpp"
#include "autodiff/kernels/exponentials.hpp"
#include "autodiff/kernels/logarithms.hpp"
#include "autodiff/kernels/simd.hpp"
#include "autodiff/kernels/sines.hpp"
#include "autodiff/op.hpp"
#include "autodiff/ops.hpp"

namespace wengert {

// The accuracy that an elementwise op promises over the whole range of its operands, in ulp of the true result, for its
// value, first and second derivatives; held by tests/autodiff/test_ulp.cpp. Beside zeros that are no simple numbers,
// where no relative bound is possible, ulp of the terms that cancel there. Results within 2^12 of the smallest normal
// number may be flushed to 0, within 2^4 of the largest overflow, with a factor on their way.
struct Accuracy {
  std::array<double, 3> ulp{4, 8, 16};
  double range = std::numeric_limits<double>::infinity();  // of operands' magnitudes; nothing is promised beyond
};

// The base of all elementwise ops: broadcasting, running block by block, splitting. Operands, 1 to 4 of them, have one
// float dtype. The constructor throws Error for another arity.
class ElementwiseOp : public Op {
 public:
  static constexpr int most_operands = 4;
  explicit ElementwiseOp(Traits traits);
  Type infer(const Signature& s) const override;
  void run(const Kernel& k) const override;
  bool fusable() const override { return true; }
  Rows rows(const Signature& s, const Type& out, int operand, int axis) const override;
  std::vector<InvalidInput> invalid_inputs() const override;
  virtual Accuracy accuracy() const { return {}; }
};

namespace detail {

// Applies `value` to n elements of Arity operands.
template <std::size_t Arity, class Value>
void map_block(const Value& value, Index n, const void* const* in, void* out, Dtype dtype) {
  dispatch_float(dtype, [&]<class T>() {
    std::array<const T*, Arity> typed;
    for (std::size_t i = 0; i < Arity; ++i) typed[i] = static_cast<const T*>(in[i]);
    simd::map<Arity>(n, typed, static_cast<T*>(out), value);
  });
}

// A function that runs a row's value.
using Block = std::function<void(Index n, const void* const* in, void* out, Dtype dtype, const Attributes& attributes)>;
template <std::size_t Arity, class Value>
Block block_of(Value value) {
  return [value](Index n, const void* const* in, void* out, Dtype dtype, const Attributes&) {
    map_block<Arity>(value, n, in, out, dtype);
  };
}

}  // namespace detail

// An edge case: y and dy/dx at x, by convention or where a formula is patched. Unless x is among the kinks, or y or
// the slope is not finite, the derivatives of all orders are compared with differences there.
struct Point {
  double x, y, slope;
};

using special_values::infinity;
using special_values::nan;

struct UnaryRow {
  std::string name;
  double (*reference)(double x);
  double low = -2, high = 2;       // range of the examples
  std::vector<double> kinks = {};  // where a derivative jumps: examples keep away
  std::vector<Point> points = {};  // edge cases
  double f32 = 2e-6, f64 = 1e-14;  // tolerance of a value, of the largest
  Accuracy accuracy = {};
};

struct NoDerivative {};

// y = value(x); local_jvp(t, x, y) = t * dy/dx, or none where the op has no derivative.
class Unary final : public ElementwiseOp {
 public:
  template <class Value, class LocalJvp = NoDerivative>
  Unary(UnaryRow row, Value value, LocalJvp local_jvp = {})
      : ElementwiseOp({.name = row.name,
                       .arity = 1,
                       .linearity = std::is_same_v<LocalJvp, NoDerivative> ? Linearity::none : Linearity::elementwise}),
        row_(std::move(row)),
        block_(detail::block_of<1>(value)) {
    if constexpr (!std::is_same_v<LocalJvp, NoDerivative>) local_jvp_ = local_jvp;
  }

  void block(Index n, const void* const* in, void* out, Dtype dtype, const Attributes& attributes) const override {
    block_(n, in, out, dtype, attributes);
  }
  Var local_jvp(const Call& c, int i, Var t) const override {
    return local_jvp_ ? local_jvp_(t, c.in(0), c.out()) : Op::local_jvp(c, i, t);
  }
  std::vector<Example> examples() const override {
    const auto sample = [&](Shape shape) { return Sample{shape, row_.low, row_.high, row_.kinks}; };
    return {{{sample({3, 5})}}, {{sample({37})}}, {{sample({})}}, {{sample({2, 0})}}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    std::vector<EdgeCase> all;
    for (const Point& p : row_.points)
      all.push_back({{Sample{.shape = {1}, .values = {p.x}}},
                     {},
                     {p.y},
                     linearity() == Linearity::none ? std::vector<std::vector<double>>{}
                                                    : std::vector<std::vector<double>>{{p.slope}},
                     std::find(row_.kinks.begin(), row_.kinks.end(), p.x) != row_.kinks.end()});
    return all;
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) result.set(i, row_.reference(in[0].at(i)));
    return result;
  }
  double tolerance(Dtype dtype) const override { return dtype == Dtype::f32 ? row_.f32 : row_.f64; }
  Accuracy accuracy() const override { return row_.accuracy; }

 private:
  UnaryRow row_;
  detail::Block block_;
  std::function<Var(Var, Var, Var)> local_jvp_;
};

// An edge case of an op with arguments.
template <class Arguments>
struct PointWith {
  Arguments arguments;
  double x, y, slope;
};

template <class Arguments>
struct UnaryRowWith {
  std::string name;
  double (*reference)(const Arguments& arguments, double x);
  std::vector<Arguments> tried;    // the examples' arguments
  double low = -2, high = 2;       // and their range
  std::vector<double> kinks = {};  // where a derivative jumps, whatever the arguments
  std::vector<PointWith<Arguments>> points = {};
  std::vector<std::pair<Arguments, std::string>> refused = {};  // what Arguments::check() says
  Accuracy accuracy = {};
};

// An elementwise op of one operand and of arguments that visit their fields (attributes.hpp), checked by their check()
// if they have one, which calls reject(): y = value(arguments, x); local_jvp(arguments, t, x, y) = t * dy/dx.
template <class Arguments>
class UnaryWith final : public OpWith<Arguments, ElementwiseOp> {
 public:
  template <class Value, class LocalJvp>
  UnaryWith(UnaryRowWith<Arguments> row, Value value, LocalJvp local_jvp)
      : OpWith<Arguments, ElementwiseOp>({.name = row.name, .linearity = Linearity::elementwise}),
        row_(std::move(row)),
        block_([value](Index n, const void* const* in, void* out, Dtype dtype, const Attributes& attributes) {
          const Arguments arguments = arguments_of<Arguments>(attributes);
          detail::map_block<1>([&](auto x) { return value(arguments, x); }, n, in, out, dtype);
        }),
        local_jvp_(local_jvp) {}

  Type infer(const Signature& s) const override {
    if constexpr (requires(const Arguments& a) { a.check(); }) arguments_of<Arguments>(s.attributes).check();
    return ElementwiseOp::infer(s);
  }
  void block(Index n, const void* const* in, void* out, Dtype dtype, const Attributes& attributes) const override {
    block_(n, in, out, dtype, attributes);
  }
  Var local_jvp(const Call& c, int, Var t) const override {
    return local_jvp_(arguments_of<Arguments>(c.attributes()), t, c.in(0), c.out());
  }
  std::vector<Example> examples() const override {
    std::vector<Example> all;
    for (const Arguments& arguments : row_.tried)
      for (const Shape& shape : {Shape{3, 5}, Shape{37}, Shape{}, Shape{2, 0}})
        all.push_back({{Sample{shape, row_.low, row_.high, row_.kinks}}, to_attributes(arguments)});
    return all;
  }
  std::vector<EdgeCase> edge_cases() const override {
    std::vector<EdgeCase> all;
    for (const PointWith<Arguments>& p : row_.points)
      all.push_back({{Sample{.shape = {1}, .values = {p.x}}},
                     to_attributes(p.arguments),
                     {p.y},
                     {{p.slope}},
                     std::find(row_.kinks.begin(), row_.kinks.end(), p.x) != row_.kinks.end()});
    return all;
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    std::vector<InvalidInput> all = ElementwiseOp::invalid_inputs();
    for (InvalidInput& invalid : all) invalid.attributes = to_attributes(row_.tried.at(0));
    for (const auto& [arguments, text] : row_.refused)
      all.push_back({{{Dtype::f32, {2}}}, to_attributes(arguments), text});
    return all;
  }
  Array reference(std::span<const Array> in, const Attributes& attributes, const Type& out) const override {
    const Arguments arguments = arguments_of<Arguments>(attributes);
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) result.set(i, row_.reference(arguments, in[0].at(i)));
    return result;
  }
  Accuracy accuracy() const override { return row_.accuracy; }

 private:
  UnaryRowWith<Arguments> row_;
  detail::Block block_;
  std::function<Var(const Arguments&, Var, Var, Var)> local_jvp_;
};

struct BinaryRow {
  std::string name;
  double (*reference)(double a, double b);
  std::vector<Example> examples;
  std::vector<EdgeCase> edge_cases = {};
  Accuracy accuracy = {};
  bool selects = false;  // see Op::Traits
};

// y = value(a, b); local_jvp(i, t, a, b, y) = t * dy/d(operand i), or none where the op has no derivative.
class Binary final : public ElementwiseOp {
 public:
  template <class Value, class LocalJvp = NoDerivative>
  Binary(BinaryRow row, Value value, LocalJvp local_jvp = {})
      : ElementwiseOp({.name = row.name,
                       .arity = 2,
                       .linearity = std::is_same_v<LocalJvp, NoDerivative> ? Linearity::none : Linearity::elementwise,
                       .selects = row.selects}),
        row_(std::move(row)),
        block_(detail::block_of<2>(value)) {
    if constexpr (!std::is_same_v<LocalJvp, NoDerivative>) local_jvp_ = local_jvp;
  }

  void block(Index n, const void* const* in, void* out, Dtype dtype, const Attributes& attributes) const override {
    block_(n, in, out, dtype, attributes);
  }
  Var local_jvp(const Call& c, int i, Var t) const override {
    return local_jvp_ ? local_jvp_(i, t, c.in(0), c.in(1), c.out()) : Op::local_jvp(c, i, t);
  }
  std::vector<Example> examples() const override { return row_.examples; }
  std::vector<EdgeCase> edge_cases() const override { return row_.edge_cases; }
  Accuracy accuracy() const override { return row_.accuracy; }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override;

 private:
  BinaryRow row_;
  detail::Block block_;
  std::function<Var(int, Var, Var, Var, Var)> local_jvp_;
};

// Examples and edge cases of two operands. Shapes that meet every way of broadcasting: equal, a bias, a column, both, a
// number; in each, values as a and b draw them.
std::vector<Example> broadcast_examples(const Sample& a, const Sample& b);
inline std::vector<Example> broadcast_examples(double low = -2, double high = 2) {
  return broadcast_examples({{}, low, high}, {{}, low, high});
}
// One element of each; the derivatives of y by a and by b, or none.
EdgeCase edge_case(double a, double b, double y, std::vector<std::vector<double>> gradient = {}, bool kink = false);

// Element i of `out` reads this element of an operand that was broadcast to it. (For references: plain and slow.)
Index broadcast_index(Index i, const Shape& from, const Shape& to);

}  // namespace wengert
