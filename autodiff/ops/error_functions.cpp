// The error function, its complement and inverse, gelu, and what their derivatives are made of: Gaussians and the
// normal distribution function.
#include <cmath>
#include <numbers>

#include "autodiff/kernels/error_functions.hpp"
#include "autodiff/ops/elementwise.hpp"

namespace wengert {
namespace {

constexpr double normal_density_at_0 = 0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2;

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
      return simd::gaussian(x, static_cast<T>(with.scale));
    },
    [](const GaussianArguments& with, Var t, Var x, Var y) { return t * (-2 * with.scale * (x * y)); });
Var gaussian(Var x, double scale) { return record(gaussian_op, {x}, to_attributes(GaussianArguments{scale})); }

[[gnu::init_priority(library_ops)]] const Unary erf_op(
    {.name = "erf",
     .reference = [](double x) { return std::erf(x); },
     .points = {{0, 0, 2 * std::numbers::inv_sqrtpi}, {infinity, 1, 0}, {-infinity, -1, 0}}},
    [](auto x) { return simd::erf(x); },
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
    [](auto x) { return simd::erfc(x); },
    [](Var t, Var x, Var) { return t * (-2 * std::numbers::inv_sqrtpi * gaussian(x, 1)); });

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
    [](auto x) { return simd::erfinv_slope(x); }, [](Var t, Var x, Var y) { return t * (2 * (erfinv(x) * y * y)); });
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
    [](auto x) { return simd::erfinv(x); }, [](Var t, Var x, Var) { return t * erfinv_slope(x); });

// Phi, the distribution function of N(0, 1)
[[gnu::init_priority(library_ops)]] const Unary normal_cdf_op(
    {.name = "normal_cdf",
     .reference = [](double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); },
     .points = {{0, 0.5, normal_density_at_0}, {infinity, 1, 0}, {-infinity, 0, 0}, {nan, nan, nan}},
     .accuracy = {.ulp = {6, 8, 16}}},
    [](auto x) { return simd::normal_cdf(x); },
    [](Var t, Var x, Var) { return t * (normal_density_at_0 * gaussian(x, 0.5)); });
Var normal_cdf(Var x) { return record(normal_cdf_op, {x}); }

[[gnu::init_priority(library_ops)]] const Unary gelu_op(
    {.name = "gelu",
     .reference = [](double x) { return 0.5 * x * std::erfc(-x / std::numbers::sqrt2); },
     .points = {{0, 0, 0.5}, {20, 20, 1}, {-10, -7.619853024160526e-23, -7.618400096464814e-22}},
     .accuracy = {.ulp = {6, 8, 16}}},
    [](auto x) { return x * simd::normal_cdf(x); },
    [](Var t, Var x, Var) { return t * (normal_cdf(x) + x * (normal_density_at_0 * gaussian(x, 0.5))); });

}  // namespace

Var erf(Operand x) { return record(erf_op, {x}); }
Var erfc(Operand x) { return record(erfc_op, {x}); }
Var erfinv(Operand x) { return record(erfinv_op, {x}); }
Var gelu(Operand x) { return record(gelu_op, {x}); }

}  // namespace wengert
