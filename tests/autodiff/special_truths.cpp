#include <algorithm>
#include <array>
#include <boost/math/special_functions/bessel.hpp>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <boost/math/special_functions/polygamma.hpp>
#include <numbers>

#include "tests/autodiff/truths.hpp"

namespace wengert::testing {
namespace {

// exp(-scale x^2) for a power of 2 as scale, whatever x^2 is rounded by
Real gaussian(Real x, Real scale) {
  if (std::abs(x) > 200) return 0;
  const Real square = x * x, error = std::fma(x, x, -square);
  return std::exp(-scale * square) * (1 - scale * error);
}
Real normal_density(Real x) { return gaussian(x, 0.5L) * 0.39894228040143267793994605993438187L; }
Real normal_cdf(Real x) {
  const Real scale = 0.70710678118654752440084436210484904L, z = -x * scale, error = std::fma(-x, scale, -z);
  return 0.5L * (std::erfc(z) - 1.12837916709551257389615890312154517L * gaussian(z, 1) * error);
}
namespace policies = boost::math::policies;
using Quiet =
    policies::policy<policies::domain_error<policies::ignore_error>, policies::pole_error<policies::ignore_error>,
                     policies::overflow_error<policies::ignore_error>,
                     policies::evaluation_error<policies::ignore_error>>;
Result polygamma(int n, Real x) {
  const Real y = n == 0 ? boost::math::digamma(x, Quiet()) : boost::math::polygamma(n, x, Quiet());
  // On the left the reflection adds a derivative of pi cot(pi x): zeros between the poles.
  const Real scale = x < 0 ? std::pow(std::numbers::pi_v<Real>, Real(n + 1)) * std::tgamma(Real(n + 1)) : 0;
  return {y, scale};
}
bool is_pole(Real x) { return x <= 0 && x == std::floor(x); }

// exp(-|x|) I_n(x) and derivatives where x is small: Taylor's series of I_n.
Result bessel_series(int n, int k, Real x) {
  const Real size = std::abs(x);
  Real total = 0, magnitudes = 0, binomial = 1;
  for (int j = k; j >= 0; --j) {  // derivative j of I_n, k - j of exp(-x)
    Real derivative = 0;
    for (int m = 0; m < 30; ++m) {
      const int power = 2 * m + n;
      if (power < j) continue;
      Real term = 1 / std::tgamma(Real(m + 1)) / std::tgamma(Real(m + n + 1)) * std::pow(Real(2), -Real(power));
      for (int i = 0; i < j; ++i) term *= power - i;
      derivative += term * std::pow(size, Real(power - j));
    }
    total += binomial * ((k - j) % 2 == 1 ? -derivative : derivative);
    magnitudes += binomial * derivative;
    binomial = binomial * j / (k - j + 1);
  }
  return {total * std::exp(-size) * (x < 0 && (n + k) % 2 == 1 ? -1 : 1), k > 0 ? magnitudes * std::exp(-size) : 0};
}

// exp(-|x|) I_n(x) and derivatives by the integral over [0, pi] of exp(x (cos a - 1)) (cos a - 1)^k cos(n a) / pi, by
// the trapezoid rule, which is exact to rounding.
Result bessel(int n, int k, Real x) {
  if (x == 0 && (n + k) % 2 == 1) return {0};  // the mean of both sides
  const Real size = std::abs(x);
  if (n > 0 && size < 1) return bessel_series(n, k, x);
  const Real points = std::floor(64 + 2 * (n + k) + 10 * std::sqrt(size));
  Real total = 0, magnitudes = 0;
  for (Real i = 0; i <= points; ++i) {
    const Real half = std::numbers::pi_v<Real> * i / points / 2, rate = -2 * std::sin(half) * std::sin(half);
    if (size * rate < -80) break;
    const Real weight = i == 0 || i == points ? 0.5L : 1;
    const Real term = weight * std::exp(size * rate) * std::pow(rate, Real(k)) * std::cos(2 * n * half);
    total += term;
    magnitudes += std::abs(term);
  }
  const bool has_zeros = k > 0 && 4 * size > n * n;
  return {total / points * (x < 0 && (n + k) % 2 == 1 ? -1 : 1), has_zeros ? magnitudes / points : 0};
}

// By Newton's method from Boost's, with erfc on the outside.
Real erfinv(Real x) {
  if (!(std::abs(x) <= 1)) return std::numeric_limits<Real>::quiet_NaN();
  if (std::abs(x) == 1) return std::copysign(std::numeric_limits<Real>::infinity(), x);
  Real y = boost::math::erf_inv(std::abs(x), Quiet());
  for (int i = 0; i < 2; ++i) {
    const Real over = std::abs(x) < 0.5L ? std::erf(y) - std::abs(x) : (1 - std::abs(x)) - std::erfc(y);
    y -= over / (1.12837916709551257389615890312154517L * gaussian(y, 1));
  }
  return x < 0 ? -y : y;
}
Real erfinv_slope(Real y) { return 0.886226925452758013649083741670572592L / gaussian(y, 1); }

// Derivative k of sin(pi x) / (pi x): Taylor's series, and where that cancels the recurrence.
Result sinc(int k, Real x) {
  const Real pi = std::numbers::pi_v<Real>, size = std::abs(x), u = pi * size, factor = std::pow(pi, Real(k));
  const Real odd = x < 0 && k % 2 == 1 ? -1 : 1;
  if (k == 0 ? size == 0 : u < 6) {
    Real total = 0, power = 1;
    for (int n = 0; n < 60; ++n) {
      const int of = n + k;
      if (of % 2 == 0) total += (of % 4 == 0 ? power : -power) / Real(of + 1);
      power *= u / Real(n + 1);
    }
    return {odd * factor * total, u < 1 ? 0 : factor / Real(k + 1)};
  }
  const Real whole = std::nearbyint(size), sign_of = std::fmod(whole, Real(2)) == 0 ? 1 : -1;
  const Real s = sign_of * std::sin(pi * (size - whole)), c = sign_of * std::cos(pi * (size - whole));
  const std::array<Real, 4> turned{s, c, -s, -c};
  Real g = s / u;
  for (int j = 1; j <= k; ++j) g = (turned[static_cast<std::size_t>(j % 4)] - Real(j) * g) / u;
  return {odd * factor * g, factor * std::min(1 / Real(k + 1), 2 / u)};
}

// tanh(softplus(x)), 1 - its square, and the two terms of its second derivative.
struct MishCurve {
  Real y, bend, s, grown, shrunk;
  explicit MishCurve(Real x) {
    const Real soft = std::max<Real>(x, 0) + std::log1p(std::exp(-std::abs(x)));
    y = std::tanh(soft);
    bend = sech2(soft);
    s = logistic(x);
    grown = bend * bell(x);
    shrunk = 2 * bend * y * s * s;
  }
};

// sigmoid(v) and its slope by v, with v = 2 sqrt(2/pi) (x + 0.044715 x^3); v', v'' and tanh(v/2) v'^2.
struct GeluCurve {
  Real v, y, b, slope, bend, turn;
  explicit GeluCurve(Real x) {
    const Real linear = 1.595769121605730711759784239737527L, cubic = 0.0713548162726002487763387522798635L;
    v = x * (linear + cubic * x * x);
    y = logistic(v);
    b = bell(v);
    slope = linear + 3 * cubic * x * x;
    bend = 6 * cubic * x;
    turn = std::tanh(v / 2) * slope * slope;
  }
};

}  // namespace

Truths special_truths() {
  return {
      {"erf", unary([](Real x) {
         const Real slope = 1.12837916709551257389615890312154517L * gaussian(x, 1);
         return Results{std::erf(x), slope, -2 * x * slope};
       })},
      {"gaussian",
       [](const Attributes& a, const Reals& x) {
         const Real s = a.reals[0], y = gaussian(x[0], s);
         return Results{
             y, -2 * s * x[0] * y, {2 * s * (2 * s * x[0] * x[0] - 1) * y, 2 * s * (2 * s * x[0] * x[0] + 1) * y}};
       }},
      {"normal_cdf", unary([](Real x) {
         return Results{normal_cdf(x), normal_density(x), -x * normal_density(x)};
       })},
      {"gelu", unary([](Real x) {
         const Real p = normal_density(x);
         return Results{x * normal_cdf(x),
                        {normal_cdf(x) + x * p, normal_cdf(x) + std::abs(x) * p},
                        {(2 - x * x) * p, (2 + x * x) * p}};
       })},
      {"relu", unary([](Real x) {
         return Results{std::max<Real>(x, 0), x > 0 ? Real(1) : 0, 0};
       })},
      {"sigmoid", unary([](Real x) {
         return Results{logistic(x), bell(x), -bell(x) * std::tanh(x / 2)};
       })},
      {"sigmoid_slope", unary([](Real x) {
         const Real y = bell(x), t = std::tanh(x / 2);
         return Results{y, -y * t, {y * (t * t - 2 * y), y * (t * t + 2 * y)}};
       })},
      {"silu", unary([](Real x) {  // 1 - sigmoid(x) is rounded: the second derivative has an absolute error of its size
         const Real s = logistic(x), slope = x * logistic(-x);
         return Results{x * s, {s * (1 + slope), s * (1 + std::abs(slope))}, {bell(x) * (2 - x * std::tanh(x / 2)), s}};
       })},
      {"softplus", unary([](Real x) {
         return Results{std::max<Real>(x, 0) + std::log1p(std::exp(-std::abs(x))), logistic(x), bell(x)};
       })},
      {"lgamma", unary([](Real x) {
         if (is_pole(x)) return Results{};
         const Real size = x < 0 ? 1 + std::abs(x * std::log(-x)) : 0;  // of the terms of the reflection
         return Results{{std::lgamma(x), size}, polygamma(0, x), polygamma(1, x)};
       })},
      {"digamma", unary([](Real x) {
         return is_pole(x) ? Results{} : Results{polygamma(0, x), polygamma(1, x), polygamma(2, x)};
       })},
      {"polygamma",
       [](const Attributes& a, const Reals& x) {
         const int n = static_cast<int>(a.integers[0]);
         return is_pole(x[0]) ? Results{} : Results{polygamma(n, x[0]), polygamma(n + 1, x[0]), polygamma(n + 2, x[0])};
       }},
      {"ive",
       [](const Attributes& a, const Reals& x) {
         const int n = static_cast<int>(a.integers[0]), k = static_cast<int>(a.integers[1]);
         return Results{bessel(n, k, x[0]), bessel(n, k + 1, x[0]), bessel(n, k + 2, x[0])};
       }},
      {"erfc", unary([](Real x) {
         const Real slope = -1.12837916709551257389615890312154517L * gaussian(x, 1);
         return Results{std::erfc(x), slope, -2 * x * slope};
       })},
      {"erfinv", unary([](Real x) {
         const Real y = erfinv(x), slope = erfinv_slope(y);
         return Results{y, slope, 2 * y * slope * slope};
       })},
      {"erfinv_slope", unary([](Real x) {
         const Real y = erfinv(x), slope = erfinv_slope(y);
         return Results{slope, 2 * y * slope * slope, (2 + 8 * y * y) * slope * slope * slope};
       })},
      {"sinc",
       [](const Attributes& a, const Reals& x) {
         const int k = static_cast<int>(a.integers[0]);
         Result value = sinc(k, x[0]);
         if (k == 0) value.scale = 0;
         return Results{value, sinc(k + 1, x[0]), sinc(k + 2, x[0])};
       }},
      {"log_sigmoid", unary([](Real x) {
         return Results{std::min<Real>(x, 0) - std::log1p(std::exp(-std::abs(x))), logistic(-x), -bell(x)};
       })},
      {"logit", unary([](Real x) {
         const Real none = std::numeric_limits<Real>::quiet_NaN();
         if (x < 0 || x > 1) return Results{none, none, none};
         const Real middle = std::log1p((2 * x - 1) / (1 - x)), outside = std::log(x) - std::log1p(-x);
         const Real slope = 1 / (x * (1 - x));
         return Results{std::abs(x - 0.5L) < 0.25L ? middle : outside, slope, (2 * x - 1) * slope * slope};
       })},
      {"logit_slope", unary([](Real x) {
         const Real y = 1 / (x * (1 - x)), odd = 2 * x - 1, first = 2 * y * y, second = 2 * odd * odd * y * y * y;
         return Results{y, odd * y * y, {first + second, first + std::abs(second)}};
       })},
      {"elu",
       [](const Attributes& a, const Reals& x) {
         const Real slope = a.reals[0] * std::exp(x[0]);
         return x[0] > 0 ? Results{x[0], 1, 0} : Results{a.reals[0] * std::expm1(x[0]), slope, slope};
       }},
      {"leaky_relu",
       [](const Attributes& a, const Reals& x) {
         return x[0] > 0 ? Results{x[0], 1, 0} : Results{a.reals[0] * x[0], a.reals[0], 0};
       }},
      {"tanh_softplus", unary([](Real x) {
         const MishCurve c(x);
         return Results{c.y, c.bend * c.s, {c.grown - c.shrunk, c.grown + c.shrunk}};
       })},
      {"mish", unary([](Real x) {
         const MishCurve c(x);
         const Real first = x * c.bend * c.s, size = 2 * c.bend * c.s + std::abs(x) * (c.grown + c.shrunk);
         return Results{
             x * c.y, {c.y + first, c.y + std::abs(first)}, {2 * c.bend * c.s + x * (c.grown - c.shrunk), size}};
       })},
      {"tanh_cdf_bell", unary([](Real x) {
         const GeluCurve c(x);
         const Real t = std::tanh(c.v / 2), first = c.b * t * c.bend, square = c.b * c.slope * c.slope;
         return Results{c.b,
                        -c.b * t * c.slope,
                        {-first + square * (t * t - 2 * c.b), std::abs(first) + square * (t * t + 2 * c.b)}};
       })},
      {"tanh_cdf", unary([](Real x) {
         const GeluCurve c(x);
         return Results{c.y, c.b * c.slope, {c.b * (c.bend - c.turn), c.b * (std::abs(c.bend) + std::abs(c.turn))}};
       })},
      {"gelu_tanh", unary([](Real x) {
         const GeluCurve c(x);
         const Real first = x * c.b * c.slope, size = std::abs(x) * (std::abs(c.bend) + std::abs(c.turn));
         return Results{x * c.y,
                        {c.y + first, c.y + std::abs(first)},
                        {c.b * (2 * c.slope + x * (c.bend - c.turn)), c.b * (2 * c.slope + size)}};
       })},
  };
}

}  // namespace wengert::testing
