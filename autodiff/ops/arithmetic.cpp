// Arithmetic, comparisons, and choices between two operands.
#include "autodiff/ops/elementwise.hpp"
#include "autodiff/ops/known.hpp"

namespace wengert {
namespace {

// Pairs that keep clear of ties.
std::vector<Example> without_ties() {
  return {
      {{Sample{.shape = {4}, .values = {1.2, -0.4, 0.3, 2}}, Sample{.shape = {4}, .values = {0.7, 0.1, -1.5, 2.5}}}},
      {{Sample{.shape = {2, 1}, .values = {0.5, -0.5}}, Sample{.shape = {3}, .values = {0.1, -1, 1.5}}}}};
}

[[gnu::init_priority(library_ops)]] const Binary add_instance(
    {.name = "add", .reference = [](double a, double b) { return a + b; }, .examples = broadcast_examples()},
    [](auto a, auto b) { return a + b; }, [](int, Var t, Var, Var, Var) { return t; });
[[gnu::init_priority(library_ops)]] const Binary sub_instance(
    {.name = "sub", .reference = [](double a, double b) { return a - b; }, .examples = broadcast_examples()},
    [](auto a, auto b) { return a - b; }, [](int i, Var t, Var, Var, Var) { return i == 0 ? t : neg(t); });
[[gnu::init_priority(library_ops)]] const Binary mul_instance(
    {.name = "mul",
     .reference = [](double a, double b) { return a * b; },
     .examples = broadcast_examples(),
     .edge_cases = {edge_case(0, infinity, nan), edge_case(0, 3, 0, {{3}, {0}})}},
    [](auto a, auto b) { return a * b; }, [](int i, Var t, Var a, Var b, Var) { return t * (i == 0 ? b : a); });
[[gnu::init_priority(library_ops)]] const Binary div_instance(
    {.name = "div",
     .reference = [](double a, double b) { return a / b; },
     .examples = broadcast_examples(0.5, 2),
     .edge_cases = {edge_case(1, 0, infinity), edge_case(0, 0, nan), edge_case(1, infinity, 0)}},
    [](auto a, auto b) { return a / b; },
    [](int i, Var t, Var, Var b, Var y) { return i == 0 ? t / b : -(t * y / b); });

[[gnu::init_priority(library_ops)]] const Unary neg_instance(
    {.name = "neg", .reference = [](double x) { return -x; }, .points = {{0, -0.0, -1}}},
    [](auto x) { return simd::neg(x); }, [](Var t, Var, Var) { return neg(t); });

[[gnu::init_priority(library_ops)]] const Binary maximum_instance(
    {.name = "maximum",
     .reference = [](double a, double b) { return a > b ? a : b; },
     .examples = without_ties(),
     .edge_cases = {edge_case(1, 1, 1, {{0.5}, {0.5}}, true), edge_case(nan, 1, nan), edge_case(1, nan, nan),
                    edge_case(-infinity, 2, 2, {{0}, {1}})},
     .selects = true},
    [](auto a, auto b) { return simd::max(a, b); },
    [](int i, Var t, Var a, Var b, Var) {
      const auto mine = i == 0 ? a : b, other = i == 0 ? b : a;
      return t * (0.5 * (greater(mine, other) + greater_equal(mine, other)));
    });
[[gnu::init_priority(library_ops)]] const Binary minimum_instance(
    {.name = "minimum",
     .reference = [](double a, double b) { return a < b ? a : b; },
     .examples = without_ties(),
     .edge_cases = {edge_case(1, 1, 1, {{0.5}, {0.5}}, true), edge_case(nan, 1, nan), edge_case(1, nan, nan),
                    edge_case(infinity, 2, 2, {{0}, {1}})},
     .selects = true},
    [](auto a, auto b) { return simd::min(a, b); },
    [](int i, Var t, Var a, Var b, Var) {
      const auto mine = i == 0 ? a : b, other = i == 0 ? b : a;
      return t * (0.5 * (less(mine, other) + less_equal(mine, other)));
    });

[[gnu::init_priority(library_ops)]] const Binary relu_backward_instance(
    {.name = "relu_backward",
     .reference = [](double x, double y) { return y > 0 ? x : 0; },
     .examples = without_ties(),
     .edge_cases = {edge_case(3, 0, 0, {{0}, {0}}, true), edge_case(nan, -1, 0, {{0}, {0}}), edge_case(3, nan, 0),
                    edge_case(nan, 1, nan)}},
    [](auto x, auto y) { return xsimd::select(y > decltype(y)(0), x, decltype(x)(0)); },
    [](int i, Var t, Var, Var y, Var) { return i == 0 ? relu_backward(t, y) : Var(); });

template <class Compare>
Binary comparison(std::string name, double (*reference)(double, double), double on_tie, double on_nan,
                  Compare compare) {
  const auto value = [compare](auto a, auto b) {
    using T = typename decltype(a)::value_type;
    return simd::indicator<T>(compare(a, b));
  };
  return Binary({.name = std::move(name),
                 .reference = reference,
                 .examples = without_ties(),
                 .edge_cases = {edge_case(1, 1, on_tie), edge_case(nan, 1, on_nan), edge_case(nan, nan, on_nan)}},
                value);
}

[[gnu::init_priority(library_ops)]] const Binary equal_instance = comparison(
    "equal", [](double a, double b) { return a == b ? 1.0 : 0.0; }, 1, 0, [](auto a, auto b) { return a == b; });
[[gnu::init_priority(library_ops)]] const Binary not_equal_instance = comparison(
    "not_equal", [](double a, double b) { return a != b ? 1.0 : 0.0; }, 0, 1, [](auto a, auto b) { return !(a == b); });
[[gnu::init_priority(library_ops)]] const Binary less_instance = comparison(
    "less", [](double a, double b) { return a < b ? 1.0 : 0.0; }, 0, 0, [](auto a, auto b) { return a < b; });
[[gnu::init_priority(library_ops)]] const Binary less_equal_instance = comparison(
    "less_equal", [](double a, double b) { return a <= b ? 1.0 : 0.0; }, 1, 0, [](auto a, auto b) { return a <= b; });
[[gnu::init_priority(library_ops)]] const Binary greater_instance = comparison(
    "greater", [](double a, double b) { return a > b ? 1.0 : 0.0; }, 0, 0, [](auto a, auto b) { return a > b; });
[[gnu::init_priority(library_ops)]] const Binary greater_equal_instance = comparison(
    "greater_equal", [](double a, double b) { return a >= b ? 1.0 : 0.0; }, 1, 0,
    [](auto a, auto b) { return a >= b; });

// condition, a, b -> a where the condition is not 0, b elsewhere
struct Where3 final : ElementwiseOp {
  Where3() : ElementwiseOp({.name = "where", .arity = 3, .linearity = Linearity::elementwise, .selects = true}) {}
  void block(Index n, const void* const* in, void* out, Dtype dtype, const Attributes&) const override {
    const auto choose = [](auto c, auto a, auto b) { return xsimd::select(c == decltype(c)(0), b, a); };
    detail::map_block<3>(choose, n, in, out, dtype);
  }
  Var local_jvp(const Call& c, int i, Var t) const override {
    if (i == 0) return {};  // flat almost everywhere
    return i == 1 ? where(c.in(0), t, 0) : where(c.in(0), 0, t);
  }
  std::vector<Example> examples() const override {
    const Sample condition{.shape = {2, 1}, .values = {1, 0}};
    return {{{condition, Sample{{2, 3}}, Sample{{3}}}},
            {{Sample{.shape = {3}, .values = {0, -2, 1}}, Sample{{}}, Sample{{2, 3}}}}};
  }
  std::vector<EdgeCase> edge_cases() const override {  // the branch not taken may be anything
    return {{{Sample{.shape = {2}, .values = {1, 0}}, Sample{.shape = {2}, .values = {3, nan}},
              Sample{.shape = {2}, .values = {infinity, 4}}},
             {},
             {3, 4},
             {{}, {1, 0}, {0, 1}}}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const auto at = [&](std::size_t operand, Index i) {
      return in[operand].at(broadcast_index(i, in[operand].shape(), out.shape));
    };
    for (Index i = 0; i < result.size(); ++i) result.set(i, at(0, i) != 0 ? at(1, i) : at(2, i));
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Where3 where_instance;

// a, b, weight -> a + weight (b - a), from the end that is nearer, so that 0 gives a and 1 gives b
struct Lerp final : ElementwiseOp {
  Lerp() : ElementwiseOp({.name = "lerp", .arity = 3, .linearity = Linearity::elementwise}) {}
  void block(Index n, const void* const* in, void* out, Dtype dtype, const Attributes&) const override {
    const auto blend = [](auto a, auto b, auto weight) {
      using B = decltype(a);
      const B gap = b - a;
      return xsimd::select(xsimd::abs(weight) < B(0.5F), simd::fma(weight, gap, a), simd::fma(weight - B(1), gap, b));
    };
    detail::map_block<3>(blend, n, in, out, dtype);
  }
  Var local_jvp(const Call& c, int i, Var t) const override {
    if (i == 2) return t * (c.in(1) - c.in(0));
    return t * (i == 1 ? c.in(2) : 1 - c.in(2));
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{2, 1}}, Sample{{2, 3}}, Sample{{3}}}}, {{Sample{{4}}, Sample{{}}, Sample{{4}}}}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    const auto at = [](double a, double b, double weight, double y, std::vector<std::vector<double>> gradient) {
      return EdgeCase{{Sample{.shape = {1}, .values = {a}}, Sample{.shape = {1}, .values = {b}},
                       Sample{.shape = {1}, .values = {weight}}},
                      {},
                      {y},
                      std::move(gradient)};
    };
    return {at(3, 0.1, 0, 3, {{1}, {0}, {-2.9}}),
            at(3, 0.1, 1, 0.1, {{0}, {1}, {-2.9}}),
            at(1, 2, 0.5, 1.5, {{0.5}, {0.5}, {1}}),
            at(1, 2, -3, -2, {{4}, {-3}, {1}}),
            at(nan, 1, 0, nan, {}),
            at(1, 2, infinity, infinity, {})};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const auto at = [&](std::size_t operand, Index i) {
      return in[operand].at(broadcast_index(i, in[operand].shape(), out.shape));
    };
    for (Index i = 0; i < result.size(); ++i) result.set(i, (1 - at(2, i)) * at(0, i) + at(2, i) * at(1, i));
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Lerp lerp_op;

}  // namespace

const Op& add_op() { return add_instance; }
const Op& mul_op() { return mul_instance; }
const Op& sub_op() { return sub_instance; }
const Op& div_op() { return div_instance; }
const Op& neg_op() { return neg_instance; }
const Op& maximum_op() { return maximum_instance; }
const Op& minimum_op() { return minimum_instance; }
const Op& equal_op() { return equal_instance; }
const Op& not_equal_op() { return not_equal_instance; }
const Op& less_op() { return less_instance; }
const Op& less_equal_op() { return less_equal_instance; }
const Op& greater_op() { return greater_instance; }
const Op& greater_equal_op() { return greater_equal_instance; }
const Op& relu_backward_op() { return relu_backward_instance; }
const Op& where_op() { return where_instance; }

Var add(Operand a, Operand b) { return record(add_op(), {a, b}); }
Var sub(Operand a, Operand b) { return record(sub_op(), {a, b}); }
Var mul(Operand a, Operand b) { return record(mul_op(), {a, b}); }
Var div(Operand a, Operand b) { return record(div_op(), {a, b}); }
Var neg(Operand x) { return record(neg_op(), {x}); }
Var maximum(Operand a, Operand b) { return record(maximum_op(), {a, b}); }
Var minimum(Operand a, Operand b) { return record(minimum_op(), {a, b}); }
Var equal(Operand a, Operand b) { return record(equal_op(), {a, b}); }
Var not_equal(Operand a, Operand b) { return record(not_equal_op(), {a, b}); }
Var less(Operand a, Operand b) { return record(less_op(), {a, b}); }
Var less_equal(Operand a, Operand b) { return record(less_equal_op(), {a, b}); }
Var greater(Operand a, Operand b) { return record(greater_op(), {a, b}); }
Var greater_equal(Operand a, Operand b) { return record(greater_equal_op(), {a, b}); }
Var relu_backward(Operand g, Operand y) { return record(relu_backward_op(), {g, y}); }
Var lerp(Operand a, Operand b, Operand weight) { return record(lerp_op, {a, b, weight}); }
Var where(Operand condition, Operand a, Operand b) { return record(where_op(), {condition, a, b}); }

}  // namespace wengert
