// Tangent, the inverse circular and hyperbolic functions, sinc: elementwise.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "autodiff/kernels/arcs.hpp"
#include "autodiff/kernels/tangents.hpp"
#include "autodiff/ops/elementwise.hpp"

namespace wengert {
namespace {

using std::numbers::pi;

[[gnu::init_priority(library_ops)]] const Unary tan_op(
    {.name = "tan",
     .reference = [](double x) { return std::sin(x) / std::cos(x); },
     .low = -1.2,
     .high = 1.2,
     .points = {{0, 0, 1},
                {2, -2.185039863261519, 5.774399204041917},
                {1024, -0.16056393283879805, 1.025780776528662},
                {infinity, nan, nan},
                {nan, nan, nan}}},
    [](auto x) { return simd::tan(x); }, [](Var t, Var, Var y) { return t * (1 + square(y)); });

// 1 / (1 + x^2), the derivative of atan: its own derivative is a product in which nothing vanishes before it does.
Var inverse_quadratic(Var x);
[[gnu::init_priority(library_ops)]] const Unary inverse_quadratic_op(
    {.name = "inverse_quadratic",
     .reference = [](double x) { return 1 / (1 + x * x); },
     .points = {{0, 1, 0}, {infinity, 0, nan}, {nan, nan, nan}}},
    [](auto x) { return decltype(x)(1) / (decltype(x)(1) + x * x); },
    [](Var t, Var x, Var y) { return t * (-2 * (x * y * y)); });
Var inverse_quadratic(Var x) { return record(inverse_quadratic_op, {x}); }

[[gnu::init_priority(library_ops)]] const Unary atan_op(
    {.name = "atan",
     .reference = [](double x) { return std::atan(x); },
     .points = {{0, 0, 1}, {infinity, pi / 2, 0}, {-infinity, -pi / 2, 0}, {nan, nan, nan}}},
    [](auto x) { return xsimd::atan(x); }, [](Var t, Var x, Var) { return t * inverse_quadratic(x); });

// The derivatives of asin, asinh, acosh and atanh, for the same reason: 1 / sqrt(1 - x^2), 1 / sqrt(1 + x^2),
// 1 / sqrt(x^2 - 1) and 1 / (1 - x^2), without a square that overflows or hides what is near 1.
Var asin_slope(Var x);
[[gnu::init_priority(library_ops)]] const Unary asin_slope_op(
    {.name = "asin_slope",
     .reference = [](double x) { return 1 / std::sqrt(1 - x * x); },
     .low = -0.9,
     .high = 0.9,
     .points = {{0, 1, 0}, {1, infinity, infinity}, {-1, infinity, -infinity}, {2, nan, nan}}},
    [](auto x) {
      using B = decltype(x);
      return B(1) / xsimd::sqrt((B(1) - x) * (B(1) + x));
    },
    [](Var t, Var x, Var y) { return t * (x * y * y * y); });
Var asin_slope(Var x) { return record(asin_slope_op, {x}); }

Var asinh_slope(Var x);
[[gnu::init_priority(library_ops)]] const Unary asinh_slope_op(
    {.name = "asinh_slope",
     .reference = [](double x) { return 1 / std::hypot(1, x); },
     .points = {{0, 1, 0}, {1e15, 1e-15, -1e-30}, {infinity, 0, nan}, {nan, nan, nan}}},
    [](auto x) {
      using B = decltype(x);
      const B size = xsimd::abs(x), far(1e10F), bounded = simd::min(size, far);
      return B(1) / xsimd::select(size > far, size, xsimd::sqrt(simd::fma(bounded, bounded, B(1))));
    },
    [](Var t, Var x, Var y) { return -(t * (x * y * y * y)); });
Var asinh_slope(Var x) { return record(asinh_slope_op, {x}); }

Var acosh_slope(Var x);
[[gnu::init_priority(library_ops)]] const Unary acosh_slope_op(
    {.name = "acosh_slope",
     .reference = [](double x) { return 1 / std::sqrt(x * x - 1); },
     .low = 1.2,
     .high = 4,
     .points = {{1, infinity, -infinity}, {0.5, nan, nan}, {-2, nan, nan}, {1e15, 1e-15, -1e-30}, {infinity, 0, nan}}},
    [](auto x) {
      using B = decltype(x);
      const B far(1e10F), bounded = simd::min(x, far);
      const B root = xsimd::select(x > far, x, xsimd::sqrt((bounded - B(1)) * (bounded + B(1))));
      return xsimd::select(x < B(1), B(static_cast<typename B::value_type>(nan)), B(1) / root);
    },
    [](Var t, Var x, Var y) { return -(t * (x * y * y * y)); });
Var acosh_slope(Var x) { return record(acosh_slope_op, {x}); }

Var atanh_slope(Var x);
[[gnu::init_priority(library_ops)]] const Unary atanh_slope_op(
    {.name = "atanh_slope",
     .reference = [](double x) { return 1 / (1 - x * x); },
     .low = -0.9,
     .high = 0.9,
     .points = {{0, 1, 0}, {1, infinity, infinity}, {-1, infinity, -infinity}, {nan, nan, nan}}},
    [](auto x) {
      using B = decltype(x);
      return B(1) / ((B(1) - x) * (B(1) + x));
    },
    [](Var t, Var x, Var y) { return t * (2 * (x * y * y)); });
Var atanh_slope(Var x) { return record(atanh_slope_op, {x}); }

[[gnu::init_priority(library_ops)]] const Unary asin_op(
    {.name = "asin",
     .reference = [](double x) { return std::asin(x); },
     .low = -0.9,
     .high = 0.9,
     .points = {{0, 0, 1}, {1, pi / 2, infinity}, {-1, -pi / 2, infinity}, {1.5, nan, nan}, {nan, nan, nan}},
     .accuracy = {.ulp = {2, 8, 16}}},
    [](auto x) { return simd::asin(x); }, [](Var t, Var x, Var) { return t * asin_slope(x); });

[[gnu::init_priority(library_ops)]] const Unary acos_op(
    {.name = "acos",
     .reference = [](double x) { return std::acos(x); },
     .low = -0.9,
     .high = 0.9,
     .points = {{0, pi / 2, -1}, {1, 0, -infinity}, {-1, pi, -infinity}, {1.5, nan, nan}, {nan, nan, nan}},
     .accuracy = {.ulp = {2, 8, 16}}},
    [](auto x) { return simd::acos(x); }, [](Var t, Var x, Var) { return -(t * asin_slope(x)); });

[[gnu::init_priority(library_ops)]] const Unary asinh_op(
    {.name = "asinh",
     .reference = [](double x) { return std::asinh(x); },
     .points = {{0, 0, 1},
                {-1e30, -69.77069997038132, 1e-30},
                {infinity, infinity, 0},
                {-infinity, -infinity, 0},
                {nan, nan, nan}},
     .accuracy = {.ulp = {2, 8, 16}}},
    [](auto x) {
      return simd::in_double(x, [](simd::Batch<double> z) {
        return xsimd::select(z == simd::Batch<double>(0), z, xsimd::asinh(z));  // keeps the sign of zero
      });
    },
    [](Var t, Var x, Var) { return t * asinh_slope(x); });

[[gnu::init_priority(library_ops)]] const Unary acosh_op(
    {.name = "acosh",
     .reference = [](double x) { return std::acosh(x); },
     .low = 1.2,
     .high = 4,
     .points =
         {{1, 0, infinity}, {1e30, 69.77069997038132, 1e-30}, {0.5, nan, nan}, {-2, nan, nan}, {infinity, infinity, 0}},
     .accuracy = {.ulp = {2, 8, 16}}},
    [](auto x) {
      return simd::in_double(x, [](simd::Batch<double> z) {
        return xsimd::select(z < simd::Batch<double>(1), simd::Batch<double>(nan), xsimd::acosh(z));
      });
    },
    [](Var t, Var x, Var) { return t * acosh_slope(x); });

[[gnu::init_priority(library_ops)]] const Unary atanh_op(
    {.name = "atanh",
     .reference = [](double x) { return std::atanh(x); },
     .low = -0.9,
     .high = 0.9,
     .points = {{0, 0, 1}, {1, infinity, infinity}, {-1, -infinity, infinity}, {1.5, nan, -0.8}, {nan, nan, nan}},
     .accuracy = {.ulp = {2, 8, 16}}},
    [](auto x) { return simd::atanh(x); }, [](Var t, Var x, Var) { return t * atanh_slope(x); });

// The derivatives of sin(pi x) / (pi x), whose closed forms lose all digits at 0. With u = pi x,
// g_k(u) = d^k/du^k (sin u / u) obeys u g_k = sin(u + k pi/2) - k g_(k-1): upwards where u >= k, downwards from an
// order that no longer matters elsewhere.
struct SincOrder {
  int order = 0;  // of the derivative
  static constexpr int largest = 25;

  template <class Visit>
  void fields(Visit&& visit) {
    visit("order", order);
  }
  void check() const {
    if (order < 0 || order > largest)
      reject("derivatives go from order 0 to " + std::to_string(largest) + ", got " + std::to_string(order));
  }
};
Var sinc(Var x, SincOrder at);
double sinc_derivative(int order, double x) {
  using Real = long double;
  if (!std::isfinite(x)) return nan;
  if (x == 0 && order % 2 == 1) return 0;
  const Real size = std::abs(x), u = std::numbers::pi_v<Real> * size, half = 2 * size - 2 * std::floor(size);
  const int quadrant = static_cast<int>(std::nearbyint(half)) + (std::fmod(std::floor(size), Real(2)) == 1 ? 2 : 0);
  const Real rest = std::numbers::pi_v<Real> / 2 * (half - std::nearbyint(half));
  const std::array<Real, 4> turned{std::sin(rest), std::cos(rest), -std::sin(rest), -std::cos(rest)};
  const auto sine = [&](int k) { return turned[static_cast<std::size_t>((quadrant + k) % 4)]; };  // sin(u + k pi/2)
  Real g = 0;
  if (u >= order) {
    g = sine(0) / u;
    for (int k = 1; k <= order; ++k) g = (sine(k) - static_cast<Real>(k) * g) / u;
  } else {
    for (int k = order + 60; k > order; --k) g = (sine(k) - u * g) / static_cast<Real>(k);
  }
  return static_cast<double>(std::pow(std::numbers::pi_v<Real>, Real(order)) * (x < 0 && order % 2 == 1 ? -g : g));
}
// The function by Taylor's series.
double sinc_series(int order, double x) {
  long double total = 0, power = 1;  // the derivative of (-1)^m (pi x)^2m / (2m + 1)!, term by term
  const long double p = std::numbers::pi_v<long double>;
  for (int n = 0; n < 80; ++n) {  // n powers of x are left
    const int of = n + order;
    if (of % 2 == 0) total += (of % 4 == 0 ? power : -power) / static_cast<long double>(of + 1);
    power *= p * static_cast<long double>(x) / static_cast<long double>(n + 1);
  }
  return static_cast<double>(total * std::pow(p, static_cast<long double>(order)));
}

// sin(pi x) / (pi x): 2 x is a whole number of quarter turns and a rest, exactly.
simd::Batch<double> sinc_of(simd::Batch<double> x) {
  using B = simd::Batch<double>;
  const B near = xsimd::select(xsimd::abs(x) > B(0x1p53), B(0), x);  // whole numbers beyond, but for what is none
  const B n = xsimd::nearbyint(B(2) * near), rest = simd::fma(B(-0.5), n, near) + (x - x);
  const B angle = B(pi) * rest, low = simd::fma(rest, B(pi), -angle) + rest * B(1.2246467991473532e-16);
  const B square = angle * angle, half = B(0.5) * n;
  const B s = simd::fma(angle * square, simd::detail::polynomial<double>(square, simd::detail::sine_f64), angle);
  const B c = simd::fma(square * square, simd::detail::polynomial<double>(square, simd::detail::cosine_f64),
                        simd::fma(B(-0.5), square, B(1)));
  const auto whole = half == xsimd::floor(half);
  const B size = xsimd::select(whole, s + low * c, c - low * s);
  const B quadrant = n - B(4) * xsimd::floor(B(0.25) * n);
  const B value = xsimd::select(quadrant >= B(2), -size, size) / (B(pi) * x);
  return xsimd::select(x == B(0), B(1), value);
}
[[gnu::init_priority(library_ops)]] const UnaryWith<SincOrder> sinc_op(
    {.name = "sinc",
     .reference = [](const SincOrder& at, double x) { return sinc_series(at.order, x); },
     .tried = {{0}, {1}, {2}, {5}},
     .points = {{{0}, 0, 1, 0},
                {{1}, 0, 0, -pi* pi / 3},
                {{2}, 0, -pi* pi / 3, 0},
                {{3}, 0, 0, pi* pi* pi* pi / 5},
                {{0}, 1, 0, -1},
                {{0}, -0.5, 2 / pi, 4 / pi},
                {{0}, 1e6, 0, 1e-6},
                {{0}, 1e30, 0, 1e-30},
                {{0}, infinity, nan, nan},
                {{1}, 2.5, -0.16 / pi, 0.128 / pi - 0.4 * pi},
                {{0}, nan, nan, nan}},
     .refused = {{{-1}, "derivatives go from order 0 to 25, got -1"}, {{26}, "from order 0 to 25, got 26"}},
     .accuracy = {.ulp = {4, 8, 16}}},
    [](const SincOrder& at, auto x) {
      if (at.order == 0) return simd::in_double(x, sinc_of);
      return simd::each(x, [&](auto lane) { return sinc_derivative(at.order, static_cast<double>(lane)); });
    },
    [](const SincOrder& at, Var t, Var x, Var) { return t * sinc(x, {at.order + 1}); });
Var sinc(Var x, SincOrder at) { return record(sinc_op, {x}, to_attributes(at)); }

}  // namespace

Var tan(Operand x) { return record(tan_op, {x}); }
Var atan(Operand x) { return record(atan_op, {x}); }
Var asin(Operand x) { return record(asin_op, {x}); }
Var acos(Operand x) { return record(acos_op, {x}); }
Var asinh(Operand x) { return record(asinh_op, {x}); }
Var acosh(Operand x) { return record(acosh_op, {x}); }
Var atanh(Operand x) { return record(atanh_op, {x}); }
Var sinc(Operand x) { return record(sinc_op, {x}, to_attributes(SincOrder{})); }

}  // namespace wengert
