// Questions about numbers and what is made of the answers, elementwise and over axes: 1 where it holds, 0 elsewhere.
#include "autodiff/ops/elementwise.hpp"
#include "autodiff/ops/known.hpp"

#include <algorithm>
#include <cmath>

#include "autodiff/ops/axes.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

[[gnu::init_priority(library_ops)]] const Unary isnan_op(
    {.name = "isnan",
     .reference = [](double x) { return std::isnan(x) ? 1.0 : 0.0; },
     .points = {{nan, 1, 0}, {infinity, 0, 0}, {-0.0, 0, 0}}},
    [](auto x) { return simd::indicator<typename decltype(x)::value_type>(xsimd::isnan(x)); });

template <class T>
auto infinite(simd::Batch<T> x) {
  return xsimd::abs(x) == simd::Batch<T>(std::numeric_limits<T>::infinity());
}
[[gnu::init_priority(library_ops)]] const Unary isinf_op(
    {.name = "isinf",
     .reference = [](double x) { return std::isinf(x) ? 1.0 : 0.0; },
     .points = {{nan, 0, 0}, {infinity, 1, 0}, {-infinity, 1, 0}, {0, 0, 0}}},
    [](auto x) {
      using T = typename decltype(x)::value_type;
      return simd::indicator<T>(infinite<T>(x));
    });

[[gnu::init_priority(library_ops)]] const Unary isfinite_op(
    {.name = "isfinite",
     .reference = [](double x) { return std::isfinite(x) ? 1.0 : 0.0; },
     .points = {{nan, 0, 0}, {infinity, 0, 0}, {-infinity, 0, 0}, {0, 1, 0}, {-1e30, 1, 0}}},
    [](auto x) {
      using T = typename decltype(x)::value_type;
      return simd::indicator<T>(!(infinite<T>(x) || xsimd::isnan(x)));
    });

[[gnu::init_priority(library_ops)]] const Unary logical_not_instance(
    {.name = "logical_not",
     .reference = [](double x) { return x == 0 ? 1.0 : 0.0; },
     .points = {{0, 1, 0}, {-0.0, 1, 0}, {0.5, 0, 0}, {nan, 0, 0}}},
    [](auto x) { return simd::indicator<typename decltype(x)::value_type>(x == decltype(x)(0)); });

template <class Combine>
Binary connective(std::string name, double (*reference)(double, double), std::array<double, 3> of_none_one_both,
                  Combine combine) {
  const auto at = [&](double a, double b, std::size_t held) {
    return EdgeCase{
        {Sample{.shape = {1}, .values = {a}}, Sample{.shape = {1}, .values = {b}}}, {}, {of_none_one_both[held]}};
  };
  const auto value = [combine](auto a, auto b) {
    using B = decltype(a);
    return simd::indicator<typename B::value_type>(combine(!(a == B(0)), !(b == B(0))));
  };
  return Binary(
      {.name = std::move(name),
       .reference = reference,
       .examples = {{{Sample{.shape = {4}, .values = {0, 0, 1, 1}}, Sample{.shape = {4}, .values = {0, 2, 0, 3}}}},
                    {{Sample{.shape = {2, 1}, .values = {0, -1}}, Sample{.shape = {2}, .values = {1, 0}}}}},
       .edge_cases = {at(0, -0.0, 0), at(nan, 0, 1), at(0, -infinity, 1), at(nan, nan, 2), at(1e-30, -2, 2)}},
      value);
}
[[gnu::init_priority(library_ops)]] const Binary logical_and_instance = connective(
    "logical_and", [](double a, double b) { return a != 0 && b != 0 ? 1.0 : 0.0; }, {0, 0, 1},
    [](auto a, auto b) { return a && b; });
[[gnu::init_priority(library_ops)]] const Binary logical_or_instance = connective(
    "logical_or", [](double a, double b) { return a != 0 || b != 0 ? 1.0 : 0.0; }, {0, 1, 1},
    [](auto a, auto b) { return a || b; });
[[gnu::init_priority(library_ops)]] const Binary logical_xor_instance = connective(
    "logical_xor", [](double a, double b) { return (a != 0) != (b != 0) ? 1.0 : 0.0; }, {0, 1, 0},
    [](auto a, auto b) { return (a && !b) || (b && !a); });

// A finite replacement beyond the dtype's range is its largest number.
template <class T>
T within_range(double value) {
  const double most = static_cast<double>(std::numeric_limits<T>::max());
  return static_cast<T>(std::isinf(value) || std::isnan(value) ? value : std::clamp(value, -most, most));
}
[[gnu::init_priority(library_ops)]] const UnaryWith<NanToNumOptions> nan_to_num_op(
    {.name = "nan_to_num",
     .reference =
         [](const NanToNumOptions& with, double x) {
           return std::isnan(x) ? with.nan : std::isinf(x) ? (x > 0 ? with.posinf : with.neginf) : x;
         },
     .tried = {{.posinf = 7, .neginf = -8}, {.nan = 5, .posinf = infinity, .neginf = -infinity}},
     .points = {{{.nan = 3}, nan, 3, 0},
                {{.nan = nan}, nan, nan, 0},
                {{.posinf = 7, .neginf = -8}, infinity, 7, 0},
                {{.posinf = 7, .neginf = -8}, -infinity, -8, 0},
                {{.posinf = infinity}, infinity, infinity, 0},
                {{}, nan, 0, 0},
                {{}, -0.0, -0.0, 1}}},
    [](const NanToNumOptions& with, auto x) {
      using B = decltype(x);
      using T = typename B::value_type;
      const B inf(std::numeric_limits<T>::infinity());
      const B below = xsimd::select(x == -inf, B(within_range<T>(with.neginf)), x);
      const B above = xsimd::select(x == inf, B(within_range<T>(with.posinf)), below);
      return xsimd::select(xsimd::isnan(x), B(within_range<T>(with.nan)), above);
    },
    [](const NanToNumOptions&, Var t, Var x, Var) { return where(isfinite(x), t, 0); });

}  // namespace

const Op& logical_not_op() { return logical_not_instance; }
const Op& logical_and_op() { return logical_and_instance; }
const Op& logical_or_op() { return logical_or_instance; }
const Op& logical_xor_op() { return logical_xor_instance; }

Var isnan(Operand x) { return record(isnan_op, {x}); }
Var isinf(Operand x) { return record(isinf_op, {x}); }
Var isfinite(Operand x) { return record(isfinite_op, {x}); }
Var logical_not(Operand x) { return record(logical_not_op(), {x}); }
Var logical_and(Operand a, Operand b) { return record(logical_and_op(), {a, b}); }
Var logical_or(Operand a, Operand b) { return record(logical_or_op(), {a, b}); }
Var logical_xor(Operand a, Operand b) { return record(logical_xor_op(), {a, b}); }
Var nan_to_num(Operand x, NanToNumOptions options) { return record(nan_to_num_op, {x}, to_attributes(options)); }

Var any(Operand x, Axes axes, Reduce options) {
  const AxisList over = axes_of(x, axes, "any");
  const Scope scope(x, "any");
  return greater(sum(not_equal(x, 0), over, options), 0);
}
Var all(Operand x, Axes axes, Reduce options) {
  const AxisList over = axes_of(x, axes, "all");
  const Scope scope(x, "all");
  return equal(sum(equal(x, 0), over, options), 0);
}

}  // namespace wengert
