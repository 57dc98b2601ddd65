// The error function, its complement and inverse, gelu, and what their derivatives are made of: Gaussians and the
// normal distribution function. Arguments are squared and scaled with the rounding error carried along, since exp(-x^2)
// magnifies it by x^2.
#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <numbers>

#include "autodiff/ops/elementwise.hpp"

namespace wengert {
namespace {

constexpr double normal_density_at_0 = 0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2;

// exp(-scale x^2), where scale is a power of 2
template <class T>
simd::Batch<T> gaussian_of(simd::Batch<T> x, T scale) {
  using B = simd::Batch<T>;
  const B bounded = simd::min(simd::max(x, B(T(-40))), B(T(40)));  // 0 from there on, and no infinity on the way
  const B high = bounded * bounded, low = simd::fma(bounded, bounded, -high);
  const B value = simd::exp(B(-scale) * high);
  return value * (B(1) - B(scale) * low);  // no denormal number on the way
}

// erf, in f32: x + x p(x^2) below 1, then 1 - exp(-x q(x)). The polynomials have the least largest relative error of
// erf, 1.2e-9 and 3.6e-10; by Remez' exchange in 60 digits.
inline simd::Batch<float> erf_of(simd::Batch<float> x) {
  using B = simd::Batch<float>;
  constexpr std::array<float, 7> p{0.1283791657f,   -0.3761262582f,    0.1128358514f,  -0.02685381167f,
                                   0.005188327211f, -0.0008010189599f, 7.853848399e-5f};
  constexpr std::array<float, 7> q{1.128697155f,    0.6349583094f,     0.1065490845f,  -0.02402549352f,
                                   0.003764653389f, -0.0003523306246f, 1.413369894e-5f};
  const B size = simd::detail::at_most(xsimd::abs(x), 3.95f), square = size * size;  // 1 from there on
  const B near = simd::fma(size, simd::detail::polynomial_by_pairs(square, square * square, p), size);
  const B exponent = simd::neg(size) * simd::detail::polynomial_by_pairs(size, square, q);
  return xsimd::select(size < B(1), near, B(1) - simd::exp(exponent)) ^ (x & B(-0.0f));
}
inline simd::Batch<double> erf_of(simd::Batch<double> x) {  // xsimd's is 68 ulp off
  return simd::each(x, [](double lane) { return std::erf(lane); });
}

// P(Z > u) exp(u^2/2) for u >= 0 and Z of N(0, 1), Mills' ratio over sqrt(2 pi): t times a polynomial in
// t = 1 / (1 + .3 u), fitted to 4e-9 up to u = 14.6.
template <class T>
simd::Batch<T> mills_ratio(simd::Batch<T> u) {
  using B = simd::Batch<T>;
  constexpr std::array<T, 10> c{T(2.2197061307e-1), T(1.6457948543e-1),  T(8.6549710090e-2),  T(2.7760336374e-2),
                                T(1.8160320827e-3), T(-2.4234922262e-3), T(-5.6969356350e-4), T(2.8060402900e-4),
                                T(7.6685937659e-5), T(-4.0283026888e-5)};
  const B t = B(1) / simd::fma(u, B(T(0.3)), B(1));
  return t * simd::detail::polynomial<T>(simd::fma(t, B(2), B(-1)), c);
}

// P(Z <= x), in f32.
inline simd::Batch<float> normal_cdf_of(simd::Batch<float> x) {
  using B = simd::Batch<float>;
  const B tail = gaussian_of(x, 0.5f) * mills_ratio<float>(simd::min(xsimd::abs(x), B(14.6f)));
  return xsimd::select(x > B(0), B(1) - tail, tail);
}

// erfc, in f32: of the same ratio, in f64.
inline simd::Batch<float> erfc_of(simd::Batch<float> x) {
  return simd::in_double(x, [](simd::Batch<double> z) {
    using B = simd::Batch<double>;
    const B u = simd::min(B(std::numbers::sqrt2) * xsimd::abs(z), B(14.6));
    const B tail = B(2) * gaussian_of(z, 1.0) * mills_ratio<double>(u);
    return xsimd::select(z < B(0), B(2) - tail, tail);
  });
}
inline simd::Batch<double> erfc_of(simd::Batch<double> x) {
  return simd::each(x, [](double lane) { return std::erfc(lane); });
}

// In f64: erfc(-x / sqrt 2) / 2 with the first term of Taylor's series for what -x / sqrt 2 was rounded by.
inline double normal_cdf_of(double x) {
  constexpr double scale = 0.70710678118654752440, rest = -4.833646656726457e-17;  // of 1 / sqrt 2
  const double z = -x * scale;
  const double value = 0.5 * std::erfc(z), error = std::fma(-x, scale, -z) - x * rest;
  if (!(std::abs(z) < 28) || value == 0) return value;
  return value * (1 - std::numbers::inv_sqrtpi * (std::exp(-z * z) / value) * error);
}
inline simd::Batch<double> normal_cdf_of(simd::Batch<double> x) {
  return simd::patch(x, x, x == x || xsimd::isnan(x), [](double lane) { return normal_cdf_of(lane); });
}

struct GaussianArguments {
  double scale = 1;  // or 1/2
  template <class Visit>
  void fields(Visit&& visit) {
    visit("scale", scale);
  }
};
// exp(-scale x^2)
[[gnu::init_priority(library_ops)]] const UnaryWith<GaussianArguments> gaussian_op(
    {.name = "gaussian",
     .reference = [](const GaussianArguments& with, double x) { return std::exp(-with.scale * x * x); },
     .tried = {{1}, {0.5}},
     .points = {{{1}, 0, 1, 0}, {{1}, 1e30, 0, 0}, {{1}, -infinity, 0, nan}, {{1}, nan, nan, nan}}},
    [](const GaussianArguments& with, auto x) {
      using T = typename decltype(x)::value_type;
      return gaussian_of<T>(x, static_cast<T>(with.scale));
    },
    [](const GaussianArguments& with, Var t, Var x, Var y) { return t * (-2 * with.scale * (x * y)); });
Var gaussian(Var x, double scale) { return record(gaussian_op, {x}, to_attributes(GaussianArguments{scale})); }

[[gnu::init_priority(library_ops)]] const Unary erf_op(
    {.name = "erf",
     .reference = [](double x) { return std::erf(x); },
     .points = {{0, 0, 2 * std::numbers::inv_sqrtpi}, {infinity, 1, 0}, {-infinity, -1, 0}}},
    [](auto x) { return erf_of(x); },
    [](Var t, Var x, Var) { return t * (2 * std::numbers::inv_sqrtpi * gaussian(x, 1)); });

[[gnu::init_priority(library_ops)]] const Unary erfc_op(
    {.name = "erfc",
     .reference = [](double x) { return std::erfc(x); },
     .points = {{0, 1, -2 * std::numbers::inv_sqrtpi},
                {5, 1.5374597944280349e-12, -1.5670866531017337e-11},
                {-5, 1.9999999999984626, -1.5670866531017337e-11},
                {infinity, 0, 0},
                {-infinity, 2, 0},
                {nan, nan, nan}}},
    [](auto x) { return erfc_of(x); },
    [](Var t, Var x, Var) { return t * (-2 * std::numbers::inv_sqrtpi * gaussian(x, 1)); });

namespace policies = boost::math::policies;
using Quiet =
    policies::policy<policies::domain_error<policies::ignore_error>, policies::overflow_error<policies::ignore_error>,
                     policies::evaluation_error<policies::ignore_error>, policies::promote_double<false>>;
template <class Real>
Real erfinv_of(Real x) {
  if (x == 0) return x;  // with its sign
  if (std::abs(x) == 1) return x * std::numeric_limits<Real>::infinity();
  return std::abs(x) < 1 ? boost::math::erf_inv(x, Quiet()) : std::numeric_limits<Real>::quiet_NaN();
}

// By Newton's method. (References.)
double inverted_erf(double x) {
  long double y = 0;
  for (int i = 0; i < 60; ++i)
    y -= (std::erf(y) - static_cast<long double>(x)) * std::exp(y * y) / (2 * std::numbers::inv_sqrtpi_v<long double>);
  return static_cast<double>(y);
}

// sqrt(pi) / 2 exp(erfinv(x)^2), the derivative of erfinv: the square, up to 34, magnifies the rounding of erfinv.
Var erfinv_slope(Var x);
[[gnu::init_priority(library_ops)]] const Unary erfinv_slope_op(
    {.name = "erfinv_slope",
     .reference = [](double x) { return std::exp(std::pow(inverted_erf(x), 2)) / std::numbers::inv_sqrtpi / 2; },
     .low = -0.9,
     .high = 0.9,
     .points = {{0, 0.5 / std::numbers::inv_sqrtpi, 0},
                {1, infinity, infinity},
                {-1, infinity, -infinity},
                {1.5, nan, nan},
                {nan, nan, nan}}},
    [](auto x) {
      return simd::each(x, [](auto lane) {
        const long double y = erfinv_of(static_cast<long double>(lane));
        return 0.886226925452758013649083741670572592L * std::exp(y * y);
      });
    },
    [](Var t, Var x, Var y) { return t * (2 * (erfinv(x) * y * y)); });
Var erfinv_slope(Var x) { return record(erfinv_slope_op, {x}); }

[[gnu::init_priority(library_ops)]] const Unary erfinv_op(
    {.name = "erfinv",
     .reference = inverted_erf,
     .low = -0.9,
     .high = 0.9,
     .points = {{0, 0, 0.5 / std::numbers::inv_sqrtpi},
                {0.5, 0.4769362762044699, 1.1125848189719496},
                {1, infinity, infinity},
                {-1, -infinity, infinity},
                {1.5, nan, nan},
                {nan, nan, nan}}},
    [](auto x) { return simd::each(x, [](auto lane) { return erfinv_of(static_cast<double>(lane)); }); },
    [](Var t, Var x, Var) { return t * erfinv_slope(x); });

// Phi, the distribution function of N(0, 1)
[[gnu::init_priority(library_ops)]] const Unary normal_cdf_op(
    {.name = "normal_cdf",
     .reference = [](double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); },
     .points = {{0, 0.5, normal_density_at_0}, {infinity, 1, 0}, {-infinity, 0, 0}, {nan, nan, nan}},
     .accuracy = {.ulp = {6, 8, 16}}},
    [](auto x) { return normal_cdf_of(x); },
    [](Var t, Var x, Var) { return t * (normal_density_at_0 * gaussian(x, 0.5)); });
Var normal_cdf(Var x) { return record(normal_cdf_op, {x}); }

[[gnu::init_priority(library_ops)]] const Unary gelu_op(
    {.name = "gelu",
     .reference = [](double x) { return 0.5 * x * std::erfc(-x / std::numbers::sqrt2); },
     .points = {{0, 0, 0.5}, {20, 20, 1}, {-10, -7.619853024160526e-23, -7.618400096464814e-22}},
     .accuracy = {.ulp = {6, 8, 16}}},
    [](auto x) { return x * normal_cdf_of(x); },
    [](Var t, Var x, Var) { return t * (normal_cdf(x) + x * (normal_density_at_0 * gaussian(x, 0.5))); });

}  // namespace

Var erf(Operand x) { return record(erf_op, {x}); }
Var erfc(Operand x) { return record(erfc_op, {x}); }
Var erfinv(Operand x) { return record(erfinv_op, {x}); }
Var gelu(Operand x) { return record(gelu_op, {x}); }

}  // namespace wengert
