// Gamma and Bessel functions of one operand, elementwise; but for lgamma and digamma of positive numbers lane by lane
// through Boost.Math in double (f32 too).
#include <boost/math/special_functions/bessel.hpp>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <boost/math/special_functions/polygamma.hpp>
#include <numbers>

#include "autodiff/kernels/gammas.hpp"
#include "autodiff/ops/composite.hpp"
#include "autodiff/ops/elementwise.hpp"

namespace wengert {
namespace {

// Kernels never throw, and padding puts lanes on poles: every error becomes an infinity or NaN.
namespace policies = boost::math::policies;
constexpr auto ignored = policies::ignore_error;
using Quiet =
    policies::policy<policies::domain_error<ignored>, policies::pole_error<ignored>, policies::overflow_error<ignored>,
                     policies::evaluation_error<ignored>, policies::rounding_error<ignored>,
                     policies::indeterminate_result_error<ignored>, policies::promote_double<false>>;

// f of every lane, in double.
template <class T, class F>
simd::Batch<T> each(simd::Batch<T> x, F f) {
  return simd::each(x, [&](T lane) { return f(static_cast<double>(lane)); });
}

// value, and f of the lanes where x is negative, in double.
template <class T>
simd::Batch<T> left_by_lane(simd::Batch<T> value, simd::Batch<T> x, double (*f)(double)) {
  return simd::patch(value, x, x < simd::Batch<T>(0),
                     [f](T lane) { return static_cast<T>(f(static_cast<double>(lane))); });
}

bool is_pole(double x) { return x <= 0 && x == std::floor(x); }  // of the gamma function; -infinity too

double lgamma_of(double x) {
  if (std::isnan(x)) return x;
  return is_pole(x) || x == infinity ? infinity : boost::math::lgamma(x, Quiet());
}

double digamma_of(double x) {
  if (std::isnan(x) || x == infinity) return x;
  if (x == 0) return std::copysign(infinity, -x);
  if (is_pole(x)) return nan;
  if (x < 0)
    return static_cast<double>(boost::math::digamma(static_cast<long double>(x), Quiet()));  // 1 - x is rounded
  return boost::math::digamma(x, Quiet());
}

double polygamma_of(int n, double x) {
  if (n == 0) return digamma_of(x);
  if (std::isnan(x) || x == -infinity) return nan;
  if (x == infinity) return 0;
  if (is_pole(x)) return n % 2 == 1 ? infinity : -infinity;
  const double y = x < 0 || n > 2 ? static_cast<double>(boost::math::polygamma(n, static_cast<long double>(x), Quiet()))
                                  : boost::math::polygamma(n, x, Quiet());
  return std::isinf(y) && n % 2 == 0 ? std::copysign(y, std::nearbyint(x) - x) : y;  // it overflows without a sign
}

// d^n digamma / dx^n for x > 0: the first terms of its series, then Euler and Maclaurin's formula. (References.)
double polygamma_reference(int n, double x) {
  constexpr double bernoulli[] = {1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66};  // B_2, B_4, ...
  const double sign = n % 2 == 1 ? 1 : -1, factorial = std::tgamma(n + 1.0), z = x + 25;
  double total = n == 0 ? -std::log(z) : std::tgamma(n) / std::pow(z, n);
  for (int j = 0; j < 25; ++j) total += factorial / std::pow(x + j, n + 1);
  total += 0.5 * factorial / std::pow(z, n + 1);
  for (int i = 1; i <= 5; ++i)  // B_2i (2i + n - 1)! / ((2i)! z^(2i + n))
    total += bernoulli[i - 1] * std::tgamma(2 * i + n) / std::tgamma(2 * i + 1) / std::pow(z, 2 * i + n);
  return sign * total;
}

[[gnu::init_priority(library_ops)]] const Unary lgamma_op(
    {.name = "lgamma",
     .reference = [](double x) { return std::lgamma(x); },
     .low = 0.3,
     .high = 6,
     .points = {{1, 0, -std::numbers::egamma},
                {2, 0, 1 - std::numbers::egamma},
                {0, infinity, -infinity},
                {-1, infinity, nan},
                {-1.5, 0.860047015376481, 0.7031566406452432},
                {10000, 82099.71749644238, 9.210290371142849},
                {infinity, infinity, infinity},
                {-infinity, infinity, nan},
                {nan, nan, nan}}},
    [](auto x) { return left_by_lane(simd::lgamma(x), x, lgamma_of); },
    [](Var t, Var x, Var) { return t * digamma(x); });

[[gnu::init_priority(library_ops)]] const Unary digamma_op(
    {.name = "digamma",
     .reference = [](double x) { return polygamma_reference(0, x); },
     .low = 0.3,
     .high = 6,
     .points = {{1, -std::numbers::egamma, std::numbers::pi* std::numbers::pi / 6},
                {0, -infinity, infinity},
                {-0.0, infinity, infinity},
                {-1, nan, infinity},
                {-1.5, 0.7031566406452432, 9.379246644989124},
                {infinity, infinity, 0},
                {-infinity, nan, nan},
                {nan, nan, nan}}},
    [](auto x) { return left_by_lane(simd::digamma(x), x, digamma_of); },
    [](Var t, Var x, Var) { return t * polygamma(1, x); });

// An elementwise op of one operand and whole numbers.
template <class Arguments>
struct Family : OpWith<Arguments, ElementwiseOp> {
  explicit Family(std::string name)
      : OpWith<Arguments, ElementwiseOp>({.name = std::move(name), .linearity = Linearity::elementwise}) {}
  virtual double exact(double x, const Arguments& arguments) const = 0;
  Array reference(std::span<const Array> in, const Attributes& attributes, const Type& out) const final {
    const Arguments arguments = Family::arguments(attributes);
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) result.set(i, exact(in[0].at(i), arguments));
    return result;
  }
  static EdgeCase point(Attributes attributes, double x, double y, double slope) {
    return {{Sample{.shape = {1}, .values = {x}}}, attributes, {y}, {{slope}}};
  }
};

struct PolygammaArguments {
  Index order = 0;  // of the derivative of digamma
  template <class Visit>
  void fields(Visit&& visit) {
    visit("order", order);
  }
};
struct Polygamma final : Family<PolygammaArguments> {
  static constexpr int largest = 150;  // n! is near the largest double

  Polygamma() : Family("polygamma") {}
  Type infer(const Signature& s) const override {
    if (const Index order = arguments(s).order; order < 0 || order > largest)
      reject(fmt::format("the order goes from 0 to {}, got {}", largest, order));
    return ElementwiseOp::infer(s);
  }
  void block(Index n, const void* const* in, void* out, Dtype dtype, const Attributes& attributes) const override {
    const int order = static_cast<int>(arguments(attributes).order);
    const auto value = [order](auto x) { return each(x, [=](double lane) { return polygamma_of(order, lane); }); };
    detail::map_block<1>(value, n, in, out, dtype);
  }
  Var local_jvp(const Call& c, int, Var t) const override { return t * polygamma(arguments(c).order + 1, c.in(0)); }
  std::vector<Example> examples() const override {
    const Sample sample{{3, 5}, 0.5, 5};
    return {{{sample}, with({0})}, {{sample}, with({1})}, {{sample}, with({2})}, {{Sample{{7}, 1, 5}}, with({4})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    const Attributes one = with({1}), two = with({2});
    return {point(one, 1, std::numbers::pi * std::numbers::pi / 6, -2.404113806319188570800),
            point(one, 0, infinity, -infinity),
            point(one, -1, infinity, -infinity),
            point(one, -1.5, 9.379246644989124, -0.23620405164172740),
            point(one, infinity, 0, 0),
            point(one, -infinity, nan, nan),
            point(one, 1e4, 1.0000500016666667e-4, -1.000100005e-8),
            point(two, 0, -infinity, infinity),
            point(two, infinity, 0, 0),
            point(two, nan, nan, nan)};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2}}}, with({-1}), "the order goes from 0 to 150, got -1"},
            {{{Dtype::f32, {2}}}, with({151}), "the order goes from 0 to 150, got 151"},
            {{{Dtype::i32, {2}}}, with({1}), "needs f32 or f64"}};
  }
  double exact(double x, const PolygammaArguments& a) const override {
    return polygamma_reference(static_cast<int>(a.order), x);
  }
};
[[gnu::init_priority(library_ops)]] const Polygamma polygamma_op;

struct IveArguments {
  Index order = 0, derivative = 0;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("order", order), visit("derivative", derivative);
  }
};
// exp(-|x|) I_n(x) and its derivatives. With s = sign(x): f_n' = (f_{n-1} + f_{n+1}) / 2 - s f_n, f_{-n} = f_n.
struct Ive final : Family<IveArguments> {
  static constexpr int largest = 25;  // order, and order of derivative

  Ive() : Family("ive") {}

  // Both ways lose digits in derivatives, up to (2 x)^k of them: they work with the 11 bits more of a long double.
  using Real = long double;

  // Derivative k where |x| is large: Hankel's expansion, term by term. (Abramowitz and Stegun, 9.7.1.)
  static double far(int n, int k, double size) {
    const Real x = size;
    Real term = 1, total = 0;
    for (int m = 0; m < 60; ++m) {
      Real derived = term;
      for (int i = 0; i < k; ++i) derived *= -(m + Real(0.5) + i) / x;
      total += derived;
      if (std::abs(derived) <= Real(1e-20) * std::abs(total)) break;
      const Real odd = 2 * m + 1;
      term *= -(Real(4) * n * n - odd * odd) / (8 * (m + 1) * x);
    }
    return static_cast<double>(total / std::sqrt(2 * std::numbers::pi_v<Real> * x));
  }
  // Elsewhere: the recurrence, from orders n - k to n + k. exp(-x) I_n(x) loses nothing before I_n overflows.
  static double near(int n, int k, double size) {
    std::array<Real, 2 * largest + 1> f;
    const Real x = size, scale = std::exp(-x);
    for (int i = 0; i <= 2 * k; ++i)
      f[static_cast<std::size_t>(i)] = scale * boost::math::cyl_bessel_i(std::abs(n - k + i), x, Quiet());
    for (int round = 1; round <= k; ++round)
      for (int i = 0; i <= 2 * (k - round); ++i) {
        const auto at = static_cast<std::size_t>(i);
        f[at] = (f[at] + f[at + 2]) / 2 - f[at + 1];
      }
    return static_cast<double>(f[0]);
  }
  // Higher derivatives in between: the integral over [0, pi] of exp(x (cos a - 1)) (cos a - 1)^k cos(n a) / pi, by the
  // trapezoid rule, which is exact to rounding. It loses exp(n^2 / (2 x)).
  static double integral(int n, int k, double size) {
    const Real x = size, points = std::floor(64 + 2 * (n + k) + 10 * std::sqrt(x));
    Real total = 0;
    for (Real i = 0; i <= points; ++i) {
      const Real half = std::numbers::pi_v<Real> * i / points / 2, rate = -2 * std::sin(half) * std::sin(half);
      if (x * rate < -80) break;
      const Real weight = i == 0 || i == points ? Real(0.5) : Real(1);
      total += weight * std::exp(x * rate) * std::pow(rate, Real(k)) * std::cos(2 * n * half);
    }
    return static_cast<double>(total / points);
  }
  static double value(int n, int k, double x) {
    if (std::isnan(x)) return x;
    const double size = std::abs(x), sign = x < 0 && (n + k) % 2 == 1 ? -1 : 1;
    if (size == infinity || (size == 0 && (n + k) % 2 == 1)) return 0;  // at 0, the mean of both sides
    if (size > 25 + n * n / 2) return sign * far(n, k, size);
    return sign * (k >= 2 && size >= 1 && 14 * size >= n * n ? integral(n, k, size) : near(n, k, size));
  }

  Type infer(const Signature& s) const override {
    const auto [order, derivative] = arguments(s);
    for (Index i : {order, derivative})
      if (i < 0 || i > largest)
        reject(fmt::format("order and order of derivative go from 0 to {}, got {}", largest, i));
    return ElementwiseOp::infer(s);
  }
  void block(Index n, const void* const* in, void* out, Dtype dtype, const Attributes& attributes) const override {
    const int order = static_cast<int>(arguments(attributes).order),
              derivative = static_cast<int>(arguments(attributes).derivative);
    const auto lanes = [=](auto x) { return each(x, [=](double lane) { return value(order, derivative, lane); }); };
    detail::map_block<1>(lanes, n, in, out, dtype);
  }
  Var local_jvp(const Call& c, int, Var t) const override {
    const auto [order, derivative] = arguments(c);
    return t * record(*this, {c.in(0)}, with({order, derivative + 1}));
  }
  std::vector<Example> examples() const override {
    const auto sample = [](double low, double high) { return Sample{{3, 5}, low, high, {0}}; };
    return {{{sample(-4, 4)}, with({.order = 0})},
            {{sample(-4, 4)}, with({.order = 1})},
            {{sample(-20, 60)}, with({.order = 0, .derivative = 1})},
            {{sample(-4, 4)}, with({.order = 3, .derivative = 2})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    const auto order = [](Index n) { return with({.order = n}); };
    const auto at_0 = [](Attributes attributes, double y, double slope) {  // exp(-|x|) has a kink there
      EdgeCase edge_case = point(attributes, 0, y, slope);
      edge_case.kink = true;
      return edge_case;
    };
    return {at_0(order(0), 1, 0),
            at_0(order(1), 0, 0.5),
            at_0(order(2), 0, 0),
            at_0(with({.order = 0, .derivative = 1}), 0, 1.5),
            point(order(0), 1, 0.46575960759364043, -0.25784919224393193),
            point(order(0), 1e4, 3.9894726746047314e-3, -1.9947862106984188e-7),
            point(order(1), -1e4, -3.9892731959836624e-3, -1.9944869852852435e-7),
            point(order(0), infinity, 0, 0),
            point(order(1), -infinity, 0, 0),
            point(order(0), nan, nan, nan)};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2}}}, with({.order = 26}), "order and order of derivative go from 0 to 25, got 26"},
            {{{Dtype::i32, {2}}}, with({.order = 1}), "needs f32 or f64"}};
  }
  // I_n(x) = (1/pi) integral over [0, pi] of exp(x cos a) cos(n a) da, by the trapezoid rule: exact to rounding.
  double exact(double x, const IveArguments& a) const override {
    constexpr int points = 256;
    const double s = x > 0 ? 1 : -1;
    double total = 0;
    for (int i = 0; i < points; ++i) {
      const double angle = 2 * std::numbers::pi * i / points, rate = std::cos(angle) - s;
      total += std::exp(x * rate) * std::pow(rate, static_cast<int>(a.derivative)) *
               std::cos(static_cast<int>(a.order) * angle);
    }
    return total / points;
  }
};
[[gnu::init_priority(library_ops)]] const Ive ive_op;

}  // namespace

Var lgamma(Operand x) { return record(lgamma_op, {x}); }
Var digamma(Operand x) { return record(digamma_op, {x}); }
Var polygamma(Integer n, Operand x) { return record(polygamma_op, {x}, Polygamma::with({n})); }
Var ive(Integer order, Operand x) { return record(ive_op, {x}, Ive::with({.order = order})); }
Var i0e(Operand x) { return ive(0, x); }
Var i1e(Operand x) { return ive(1, x); }

}  // namespace wengert
