// Elementary functions of one operand, elementwise.
#include "autodiff/ops/elementwise.hpp"
#include "autodiff/ops/known.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numbers>

namespace wengert {
namespace {

[[gnu::init_priority(library_ops)]] const Unary abs_instance(
    {.name = "abs",
     .reference = [](double x) { return std::abs(x); },
     .kinks = {0},
     .points = {{0, 0, 0}, {-infinity, infinity, -1}}},
    [](auto x) { return xsimd::abs(x); }, [](Var t, Var x, Var) { return t * sign(x); });

[[gnu::init_priority(library_ops)]] const Unary sign_instance(
    {.name = "sign",
     .reference = [](double x) { return x > 0   ? 1.0
                                        : x < 0 ? -1.0
                                                : 0.0; },
     .kinks = {0},
     .points = {{0, 0, 0}, {nan, nan, 0}}},
    [](auto x) {
      using B = decltype(x);
      const B value = xsimd::select(x > B(0), B(1), xsimd::select(x < B(0), B(-1), B(0)));
      return xsimd::select(xsimd::isnan(x), x, value);
    });

[[gnu::init_priority(library_ops)]] const Unary square_instance(
    {.name = "square", .reference = [](double x) { return x * x; }, .points = {{0, 0, 0}}},
    [](auto x) { return x * x; }, [](Var t, Var x, Var) { return t * (2.0 * x); });

[[gnu::init_priority(library_ops)]] const Unary sqrt_instance(
    {.name = "sqrt",
     .reference = [](double x) { return std::sqrt(x); },
     .low = 0.3,
     .points = {{0, 0, infinity}, {-1, nan, nan}}},
    [](auto x) { return xsimd::sqrt(x); }, [](Var t, Var, Var y) { return t * (0.5 / y); });

[[gnu::init_priority(library_ops)]] const Unary rsqrt_instance(
    {.name = "rsqrt",
     .reference = [](double x) { return 1 / std::sqrt(x); },
     .low = 0.3,
     .points =
         {{0, infinity, -infinity}, {-0.0, -infinity, infinity}, {4, 0.5, -0.0625}, {infinity, 0, 0}, {-1, nan, nan}},
     .accuracy = {.ulp = {2, 8, 16}}},
    [](auto x) { return decltype(x)(1) / xsimd::sqrt(x); }, [](Var t, Var, Var y) { return t * (-0.5 * (y * y * y)); });

[[gnu::init_priority(library_ops)]] const Unary reciprocal_instance(
    {.name = "reciprocal",
     .reference = [](double x) { return 1 / x; },
     .low = 0.5,
     .points =
         {{0, infinity, -infinity}, {-0.0, -infinity, -infinity}, {-2, -0.5, -0.25}, {infinity, 0, 0}, {nan, nan, nan}},
     .accuracy = {.ulp = {2, 4, 8}}},
    [](auto x) { return decltype(x)(1) / x; }, [](Var t, Var, Var y) { return -(t * square(y)); });

[[gnu::init_priority(library_ops)]] const Unary exp_instance(
    {.name = "exp",
     .reference = [](double x) { return std::exp(x); },
     .points = {{0, 1, 1}, {-infinity, 0, 0}, {infinity, infinity, infinity}, {nan, nan, nan}}},
    [](auto x) { return simd::exp(x); }, [](Var t, Var, Var y) { return t * y; });

[[gnu::init_priority(library_ops)]] const Unary expm1_op(
    {.name = "expm1",
     .reference = [](double x) { return std::expm1(x); },
     .points = {{0, 0, 1}, {1e-6, 1.0000005000001667e-6, 1.0000010000005}, {-infinity, -1, 0}}},
    [](auto x) { return simd::expm1(x); }, [](Var t, Var x, Var) { return t * exp(x); });  // y + 1 loses it below 0

[[gnu::init_priority(library_ops)]] const Unary exp2_op(
    {.name = "exp2",
     .reference = [](double x) { return std::exp2(x); },
     .points = {{0, 1, std::numbers::ln2},
                {-3, 0.125, 0.125 * std::numbers::ln2},
                {-infinity, 0, 0},
                {infinity, infinity, infinity},
                {nan, nan, nan}},
     .accuracy = {.ulp = {2, 8, 16}}},
    [](auto x) { return simd::exp2(x); }, [](Var t, Var, Var y) { return t * (std::numbers::ln2 * y); });

[[gnu::init_priority(library_ops)]] const Unary log_instance(
    {.name = "log",
     .reference = [](double x) { return std::log(x); },
     .low = 0.3,
     .points = {{1, 0, 1}, {0, -infinity, infinity}, {-1, nan, -1}, {infinity, infinity, 0}}},
    [](auto x) { return simd::log(x); }, [](Var t, Var x, Var) { return t / x; });

[[gnu::init_priority(library_ops)]] const Unary log2_op(
    {.name = "log2",
     .reference = [](double x) { return std::log2(x); },
     .low = 0.3,
     .points = {{1, 0, std::numbers::log2e},
                {8, 3, 0.125 * std::numbers::log2e},
                {0, -infinity, infinity},
                {-1, nan, -std::numbers::log2e},
                {infinity, infinity, 0}},
     .accuracy = {.ulp = {2, 8, 16}}},
    [](auto x) { return simd::log2(x); }, [](Var t, Var x, Var) { return t * (std::numbers::log2e / x); });

[[gnu::init_priority(library_ops)]] const Unary log10_op(
    {.name = "log10",
     .reference = [](double x) { return std::log10(x); },
     .low = 0.3,
     .points = {{1, 0, std::numbers::log10e},
                {100, 2, 0.01 * std::numbers::log10e},
                {0, -infinity, infinity},
                {-1, nan, -std::numbers::log10e},
                {infinity, infinity, 0}},
     .accuracy = {.ulp = {2, 8, 16}}},
    [](auto x) { return simd::log10(x); }, [](Var t, Var x, Var) { return t * (std::numbers::log10e / x); });

[[gnu::init_priority(library_ops)]] const Unary log1p_op(
    {.name = "log1p",
     .reference = [](double x) { return std::log1p(x); },
     .low = -0.7,
     .points = {{0, 0, 1}, {1e-6, 9.999995000003333e-7, 0.999999000001}, {-1, -infinity, infinity}}},
    [](auto x) { return simd::log1p(x); }, [](Var t, Var x, Var) { return t / (1 + x); });

[[gnu::init_priority(library_ops)]] const Unary sin_op(
    {.name = "sin",
     .reference = [](double x) { return std::sin(x); },
     .low = -10,
     .high = 10,
     .points = {{0, 0, 1},
                {infinity, nan, nan},
                {1024, -0.15853338004399595, 0.9873536182198484},
                {4194304, 0.975129394941707, 0.22163633077774125}}},
    [](auto x) { return simd::sin(x); }, [](Var t, Var x, Var) { return t * cos(x); });

[[gnu::init_priority(library_ops)]] const Unary cos_op(
    {.name = "cos",
     .reference = [](double x) { return std::cos(x); },
     .low = -10,
     .high = 10,
     .points = {{0, 1, 0}, {-infinity, nan, nan}, {1024, 0.9873536182198484, 0.15853338004399595}}},
    [](auto x) { return simd::cos(x); }, [](Var t, Var x, Var) { return -(t * sin(x)); });

// 1 / cosh(x)^2, the derivative of tanh: 1 - tanh(x)^2 has no digit left where tanh is near 1.
Var sech2(Var x);
[[gnu::init_priority(library_ops)]] const Unary sech2_op(
    {.name = "sech2",
     .reference = [](double x) { return 1 / (std::cosh(x) * std::cosh(x)); },
     .points = {{0, 1, 0}, {infinity, 0, 0}, {-infinity, 0, 0}, {20, 1.6993417021166355e-17, -3.398683404233271e-17}}},
    [](auto x) {
      using B = decltype(x);
      const B e = simd::exp(B(-2) * xsimd::abs(x)), root = B(1) + e;
      return simd::quotient(B(4) * e, root * root);
    },
    [](Var t, Var x, Var y) { return t * (-2 * (tanh(x) * y)); });
Var sech2(Var x) { return record(sech2_op, {x}); }

[[gnu::init_priority(library_ops)]] const Unary tanh_op(
    {.name = "tanh",
     .reference = [](double x) { return std::tanh(x); },
     .points = {{0, 0, 1}, {infinity, 1, 0}, {-40, -1, 7.219405551381661e-35}, {nan, nan, nan}}},
    [](auto x) { return simd::tanh(x); }, [](Var t, Var x, Var) { return t * sech2(x); });

[[gnu::init_priority(library_ops)]] const Unary sinh_op(
    {.name = "sinh",
     .reference = [](double x) { return std::sinh(x); },
     .points = {{0, 0, 1}, {-infinity, -infinity, infinity}, {nan, nan, nan}}},
    [](auto x) { return xsimd::sinh(x); }, [](Var t, Var x, Var) { return t * cosh(x); });

[[gnu::init_priority(library_ops)]] const Unary cosh_op(
    {.name = "cosh",
     .reference = [](double x) { return std::cosh(x); },
     .points = {{0, 1, 0}, {-infinity, infinity, -infinity}, {nan, nan, nan}}},
    [](auto x) { return xsimd::cosh(x); }, [](Var t, Var x, Var) { return t * sinh(x); });

struct ClipArguments {
  double low = 0, high = 0;
  void check() const {
    if (!(low <= high)) reject(fmt::format("needs low <= high, got {} and {}", low, high));
  }
  template <class Visit>
  void fields(Visit&& visit) {
    visit("low", low), visit("high", high);
  }
};
[[gnu::init_priority(library_ops)]] const UnaryWith<ClipArguments> clip_op(
    {.name = "clip",
     .reference = [](const ClipArguments& to, double x) { return std::min(std::max(x, to.low), to.high); },
     .tried = {{-1, 0.5}},
     .kinks = {-1, 0.5},
     .points = {{{-1, 0.5}, -1, -1, 1}, {{-1, 0.5}, 0.5, 0.5, 1}, {{-1, 0.5}, nan, nan, 0}},
     .refused = {{{1, 0}, "needs low <= high, got 1 and 0"}, {{nan, 0}, "needs low <= high, got nan and 0"}}},
    [](const ClipArguments& to, auto x) {
      using B = decltype(x);
      using T = typename B::value_type;
      return simd::min(simd::max(x, B(static_cast<T>(to.low))), B(static_cast<T>(to.high)));
    },
    [](const ClipArguments& to, Var t, Var x, Var) { return t * (greater_equal(x, to.low) * less_equal(x, to.high)); });

}  // namespace

const Op& sign_op() { return sign_instance; }
const Op& exp_op() { return exp_instance; }
const Op& log_op() { return log_instance; }
const Op& abs_op() { return abs_instance; }
const Op& square_op() { return square_instance; }
const Op& sqrt_op() { return sqrt_instance; }
const Op& rsqrt_op() { return rsqrt_instance; }
const Op& reciprocal_op() { return reciprocal_instance; }

Var abs(Operand x) { return record(abs_op(), {x}); }
Var sign(Operand x) { return record(sign_op(), {x}); }
Var square(Operand x) { return record(square_op(), {x}); }
Var sqrt(Operand x) { return record(sqrt_op(), {x}); }
Var exp(Operand x) { return record(exp_op(), {x}); }
Var rsqrt(Operand x) { return record(rsqrt_op(), {x}); }
Var reciprocal(Operand x) { return record(reciprocal_op(), {x}); }
Var exp2(Operand x) { return record(exp2_op, {x}); }
Var log2(Operand x) { return record(log2_op, {x}); }
Var log10(Operand x) { return record(log10_op, {x}); }
Var expm1(Operand x) { return record(expm1_op, {x}); }
Var log(Operand x) { return record(log_op(), {x}); }
Var log1p(Operand x) { return record(log1p_op, {x}); }
Var sin(Operand x) { return record(sin_op, {x}); }
Var cos(Operand x) { return record(cos_op, {x}); }
Var tanh(Operand x) { return record(tanh_op, {x}); }
Var sinh(Operand x) { return record(sinh_op, {x}); }
Var cosh(Operand x) { return record(cosh_op, {x}); }
Var clip(Operand x, double low, double high) { return record(clip_op, {x}, to_attributes(ClipArguments{low, high})); }

}  // namespace wengert
