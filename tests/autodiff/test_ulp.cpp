// The errors of every elementwise op over the whole range of its operands, and of its first and second derivatives, in
// units of the last place against long double. The registry is walked: an op whose truth is not stated here fails, and
// what its errors may be stands in its own row (Accuracy). To see the table, or to try more points:
//
//   build/tests/test_ulp -- --table --points=200000
#define BOOST_TEST_MODULE accuracy
#include <fmt/format.h>

#include <algorithm>
#include <boost/math/special_functions/bessel.hpp>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/polygamma.hpp>
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <numbers>
#include <random>

#include "autodiff/autodiff.hpp"
#include "autodiff/ops/elementwise.hpp"

using namespace wengert;
using Types = boost::mpl::list<float, double>;

namespace {

using Real = long double;
static_assert(std::numeric_limits<Real>::digits >= 64, "the truth needs more digits than a double");

// The value, the first derivatives by each operand, the second ones by (0, 0), (0, 1), ..., (1, 1), ...: closed forms
// without cancellation. Only the value for an op without a derivative; nothing where there is no truth.
struct Result {
  Real value, scale;  // where the value has a zero that is no simple number, the size of what cancels there
  Result(Real v, Real cancelling = 0) : value(v), scale(cancelling) {}
};
using Results = std::vector<Result>;
using Reals = std::vector<Real>;
using Truth = std::function<Results(const Attributes&, const Reals&)>;

Real sign(Real x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
Real logistic(Real x) { return x > 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
Real bell(Real x) { return 1 / (2 + std::exp(x) + std::exp(-x)); }  // its derivative
Real sech2(Real x) { return x * x > 1e7L ? 0 : 1 / (std::cosh(x) * std::cosh(x)); }
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

Results lowered_pow(Real a, Real b, Real by) {
  if (a < 0 && by > 0 && (b != std::floor(b) || std::abs(b) > 1e6L)) return {};  // b - by is rounded
  const Real y = std::pow(a, b - by), log = std::log(a);
  const auto lower = [&](int k) { return std::pow(a, b - by - k); };
  const Real c = b - by;
  return {y,
          c * lower(1),
          y * log,
          c * (c - 1) * lower(2),
          {lower(1) * (1 + c * log), lower(1) * (1 + std::abs(c * log))},
          y * log * log};
}

const std::map<std::string, Truth>& truths() {
  const auto unary = [](auto f) { return [f](const Attributes&, const Reals& x) -> Results { return f(x[0]); }; };
  const auto binary = [](auto f) {
    return [f](const Attributes&, const Reals& x) -> Results { return f(x[0], x[1]); };
  };
  const auto comparison = [](auto f) {
    return [f](const Attributes&, const Reals& x) -> Results { return {f(x[0], x[1]) ? Real(1) : Real(0)}; };
  };
  static const std::map<std::string, Truth> all{
      {"abs", unary([](Real x) {
         return Results{std::abs(x), sign(x), 0};
       })},
      {"sign", unary([](Real x) { return Results{sign(x)}; })},
      {"neg", unary([](Real x) {
         return Results{-x, -1, 0};
       })},
      {"square", unary([](Real x) {
         return Results{x * x, 2 * x, 2};
       })},
      {"sqrt", unary([](Real x) {
         return Results{std::sqrt(x), 0.5L / std::sqrt(x), -0.25L / x / std::sqrt(x)};
       })},
      {"exp", unary([](Real x) {
         return Results{std::exp(x), std::exp(x), std::exp(x)};
       })},
      {"expm1", unary([](Real x) {
         return Results{std::expm1(x), std::exp(x), std::exp(x)};
       })},
      {"log", unary([](Real x) {
         return Results{std::log(x), 1 / x, -1 / x / x};
       })},
      {"log1p", unary([](Real x) {
         return Results{std::log1p(x), 1 / (1 + x), -1 / (1 + x) / (1 + x)};
       })},
      {"sin", unary([](Real x) {
         return Results{{std::sin(x), 0.25L}, {std::cos(x), 0.25L}, {-std::sin(x), 0.25L}};
       })},
      {"cos", unary([](Real x) {
         return Results{{std::cos(x), 0.25L}, {-std::sin(x), 0.25L}, {-std::cos(x), 0.25L}};
       })},
      {"tanh", unary([](Real x) {
         return Results{std::tanh(x), sech2(x), -2 * std::tanh(x) * sech2(x)};
       })},
      {"sech2", unary([](Real x) {
         const Real y = sech2(x), t = std::tanh(x);
         return Results{y, -2 * t * y, {y * (4 * t * t - 2 * y), y * (4 * t * t + 2 * y)}};
       })},
      {"sinh", unary([](Real x) {
         return Results{std::sinh(x), std::cosh(x), std::sinh(x)};
       })},
      {"cosh", unary([](Real x) {
         return Results{std::cosh(x), std::sinh(x), std::cosh(x)};
       })},
      {"atan", unary([](Real x) {
         const Real y = 1 / (1 + x * x);
         return Results{std::atan(x), y, -2 * x * y * y};
       })},
      {"inverse_quadratic", unary([](Real x) {
         const Real y = 1 / (1 + x * x);
         return Results{y, -2 * x * y * y, {(6 * x * x - 2) * y * y * y, (6 * x * x + 2) * y * y * y}};
       })},
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
      {"clip",
       [](const Attributes& a, const Reals& x) {
         return Results{std::clamp<Real>(x[0], a.reals[0], a.reals[1]),
                        x[0] >= a.reals[0] && x[0] <= a.reals[1] ? Real(1) : 0, 0};
       }},
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
      {"pow_number",
       [](const Attributes& a, const Reals& x) {
         const Real p = a.reals[0];
         return Results{std::pow(x[0], p), p == 0 ? 0 : p * std::pow(x[0], p - 1),
                        p * (p - 1) == 0 ? 0 : p * (p - 1) * std::pow(x[0], p - 2)};
       }},
      {"add", binary([](Real a, Real b) { return Results{a + b, 1, 1, 0, 0, 0}; })},
      {"sub", binary([](Real a, Real b) { return Results{a - b, 1, -1, 0, 0, 0}; })},
      {"mul", binary([](Real a, Real b) { return Results{a * b, b, a, 0, 1, 0}; })},
      {"div",
       binary([](Real a, Real b) { return Results{a / b, 1 / b, -a / b / b, 0, -1 / b / b, 2 * (a / b / b / b)}; })},
      {"maximum", binary([](Real a, Real b) {
         const Real share = (a > b ? 1 : 0) + (a == b ? 0.5L : 0);
         return Results{std::max(a, b), share, 1 - share, 0, 0, 0};
       })},
      {"minimum", binary([](Real a, Real b) {
         const Real share = (a < b ? 1 : 0) + (a == b ? 0.5L : 0);
         return Results{std::min(a, b), share, 1 - share, 0, 0, 0};
       })},
      {"gate", binary([](Real x, Real y) { return Results{y > 0 ? x : 0, y > 0 ? Real(1) : 0, 0, 0, 0, 0}; })},
      {"equal", comparison([](Real a, Real b) { return a == b; })},
      {"not_equal", comparison([](Real a, Real b) { return a != b; })},
      {"less", comparison([](Real a, Real b) { return a < b; })},
      {"less_equal", comparison([](Real a, Real b) { return a <= b; })},
      {"greater", comparison([](Real a, Real b) { return a > b; })},
      {"greater_equal", comparison([](Real a, Real b) { return a >= b; })},
      {"where",
       [](const Attributes&, const Reals& x) {
         const Real c = x[0] != 0 ? 1 : 0;
         return Results{c != 0 ? x[1] : x[2], 0, c, 1 - c, 0, 0, 0, 0, 0, 0};
       }},
      {"pow", binary([](Real a, Real b) { return lowered_pow(a, b, 0); })},
      {"pow_lowered", [](const Attributes& at, const Reals& x) { return lowered_pow(x[0], x[1], at.reals[0]); }},
      {"hypot", binary([](Real a, Real b) {
         const Real r = std::hypot(a, b), u = a / r, v = b / r;
         return Results{r, u, v, v * (v / r), -u * (v / r), u * (u / r)};
       })},
      {"hypot_part", binary([](Real a, Real b) {
         const Real r = std::hypot(a, b), u = a / r, v = b / r, uu = u * u, vv = v * v;
         return Results{u,
                        vv / r,
                        -u * v / r,
                        -3 * u * vv / r / r,
                        {v * (2 * uu - vv) / r / r, v * (2 * uu + vv) / r / r},
                        {u * (2 * vv - uu) / r / r, u * (2 * vv + uu) / r / r}};
       })},
      {"atan2", binary([](Real y, Real x) {
         if (x == 0 && y == 0) return Results{};
         const Real r = std::hypot(x, y), u = x / r, v = y / r, difference = (y - x) / r * ((y + x) / r) / r / r;
         return Results{std::atan2(y, x), u / r, -v / r, -2 * u * v / r / r, difference, 2 * u * v / r / r};
       })},
      {"atan2_part", binary([](Real a, Real b) {
         const Real r = std::hypot(a, b), u = a / r, v = b / r, uu = u * u, vv = v * v;
         return Results{u / r,
                        (b - a) / r * ((b + a) / r) / r / r,
                        -2 * u * v / r / r,
                        {2 * u * (uu - 3 * vv) / r / r / r, 6 / r / r / r},
                        {2 * v * (3 * uu - vv) / r / r / r, 6 / r / r / r},
                        {2 * u * (3 * vv - uu) / r / r / r, 6 / r / r / r}};
       })},
      {"logaddexp", binary([](Real a, Real b) {
         const Real slope = bell(a - b), most = std::max(a, b), more = std::log1p(std::exp(-std::abs(a - b)));
         return Results{{most + more, std::abs(most) + more}, logistic(a - b), logistic(b - a), slope, -slope, slope};
       })},
      {"logaddexp_share", binary([](Real a, Real b) {
         const Real slope = bell(a - b), bend = -slope * std::tanh((a - b) / 2);
         return Results{logistic(a - b), slope, -slope, {bend, slope}, {-bend, slope}, {bend, slope}};
       })},
  };
  return all;
}

Index points_wanted() {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  for (int i = 1; i < suite.argc; ++i)
    if (std::strncmp(suite.argv[i], "--points=", 9) == 0) return std::atoll(suite.argv[i] + 9);
  return 1500;
}
bool table_wanted() {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  return std::any_of(suite.argv, suite.argv + suite.argc, [](const char* a) { return std::string(a) == "--table"; });
}

// Magnitudes of every exponent with both signs; both sides of small whole numbers and of the borders of the normal
// numbers; even spacing where most functions live.
template <class T>
std::vector<T> points(Index count, std::uint64_t seed) {
  using Limits = std::numeric_limits<T>;
  std::mt19937_64 random(seed);
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  std::vector<T> all{T(0), Limits::min(), std::nextafter(Limits::min(), T(1)), Limits::max(), Limits::epsilon()};
  for (int n = 1; n <= 24; ++n)
    for (T x : {T(n) / 2, std::nextafter(T(n) / 2, T(0)), std::nextafter(T(n) / 2, T(100))}) all.push_back(x);
  for (Index i = 0; i < count; ++i) {
    const double kind = uniform(0, 1);
    if (kind < 0.4)
      all.push_back(std::ldexp(static_cast<T>(uniform(1, 2)),
                               static_cast<int>(uniform(Limits::min_exponent - 1, Limits::max_exponent))));
    else
      all.push_back(static_cast<T>(kind < 0.6 ? uniform(0, 2) : kind < 0.85 ? uniform(0, 40) : uniform(0, 800)));
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    if (std::abs(all[i]) < Limits::min()) all[i] = 0;
  std::vector<T> both;
  for (T x : all) both.insert(both.end(), {x, -x});
  return both;
}

// Operands: the points for one; for more of them, points shuffled against each other, and near ties.
template <class T>
std::vector<std::vector<T>> operands(int arity, Index count) {
  std::vector<std::vector<T>> columns;
  for (int k = 0; k < arity; ++k) {
    columns.push_back(points<T>(count, 17 + static_cast<std::uint64_t>(k)));
    if (k > 0) std::shuffle(columns.back().begin(), columns.back().end(), std::mt19937_64(5));
  }
  if (arity == 2)
    for (std::size_t i = 0; i < columns[0].size(); i += 7)
      columns[1][i] = i % 2 == 0 ? std::nextafter(columns[0][i], T(0)) : -columns[0][i];
  return columns;
}

struct Worst {
  double ulp = 0;
  std::string where = "";
};

template <class T>
class Sweep {
 public:
  Sweep(const ElementwiseOp& op, const Attributes& attributes)
      : op_(op), attributes_(attributes), columns_(operands<T>(op.arity(), points_wanted())) {}

  // The worst of value, first and second derivatives.
  std::array<Worst, 3> run() {
    Tape tape(dtype_of<T>);
    std::vector<Var> xs;
    std::vector<Operand> in;
    const Index n = static_cast<Index>(columns_[0].size());
    for (const auto& column : columns_)
      in.emplace_back(xs.emplace_back(tape.input(Array::of<T>({n}, std::span<const T>(column)))));
    std::vector<Var> results{tape.record(op_, in, attributes_, Where::current())};
    if (op_.linearity() != Linearity::none) {
      for (Var x : xs) results.push_back(grad(sum(results[0]), x));
      for (std::size_t i = 0; i < xs.size(); ++i)
        for (std::size_t j = i; j < xs.size(); ++j) results.push_back(grad(sum(results[1 + i]), xs[j]));
    }
    for (std::size_t at = 0; at < columns_[0].size(); ++at) compare(results, at);
    return worst_;
  }

 private:
  void compare(const std::vector<Var>& results, std::size_t at) {
    Reals x;
    for (const auto& column : columns_) {
      x.push_back(static_cast<Real>(column[at]));
      if (!(std::abs(x.back()) <= op_.accuracy().range)) return;
    }
    const Results wanted = truths().at(op_.name())(attributes_, x);
    if (wanted.empty()) return;
    BOOST_REQUIRE_MESSAGE(wanted.size() == results.size(),
                          op_.name() << ": " << wanted.size() << " truths for " << results.size() << " results");
    for (std::size_t r = 0; r < wanted.size(); ++r) {
      if (r > 0 && !std::isfinite(wanted[0].value)) return;
      if (r > 0 && !std::isfinite(wanted[r].value)) continue;  // a convention, stated among the specials
      const std::size_t order = r == 0 ? 0 : r <= x.size() ? 1 : 2;
      if (r > 0 && x.size() > 1 && !moderate(x, order)) return;
      const double error = error_of(results[r].template data<T>()[at], wanted[r]);
      if (!(error <= worst_[order].ulp))
        worst_[order] = {error, fmt::format("{} for {} at {}", results[r].template data<T>()[at],
                                            static_cast<double>(wanted[r].value), place(at))};
    }
  }
  // For derivatives by several operands: their sums and differences neither overflow nor are flushed, and for second
  // derivatives neither are their cubes.
  static bool moderate(const Reals& x, std::size_t order) {
    using Limits = std::numeric_limits<T>;
    const Real low = Limits::min() / Limits::epsilon() * 4, high = Limits::max() / 4;
    return std::all_of(x.begin(), x.end(), [&](Real a) {
      const Real size = order == 1 ? std::abs(a) : std::abs(a * a * a);
      return a == 0 || (size > low && size < high);
    });
  }
  std::string place(std::size_t at) const {
    std::string text;
    for (const auto& column : columns_) text += fmt::format("{}{}", text.empty() ? "" : ", ", column[at]);
    return text;
  }
  // In ulp. Where a factor on the way may have been flushed to 0 or have overflowed, what is left is no error: results
  // within 2^12 of the smallest normal number, or 2^4 of the largest.
  static double error_of(T got, const Result& truth) {
    using Limits = std::numeric_limits<T>;
    const Real wanted = truth.value, gap = std::abs(static_cast<Real>(got) - wanted);
    if (std::isnan(wanted)) return std::isnan(got) ? 0 : infinity;
    if (std::abs(wanted) > static_cast<Real>(Limits::max()) / 16)
      return !std::isfinite(got) && !(std::isinf(got) && std::signbit(got) != std::signbit(wanted))
                 ? 0
                 : error_in_ulp(got, wanted);
    if (gap <= static_cast<Real>(Limits::min()) * 4096) return 0;
    return error_in_ulp(got, wanted, truth.scale);
  }
  static double error_in_ulp(Real got, Real wanted, Real scale = 0) {
    int exponent = 0;
    std::frexp(std::max(std::abs(wanted), std::abs(scale)), &exponent);
    return static_cast<double>(std::abs(got - wanted) / std::ldexp(Real(1), exponent - std::numeric_limits<T>::digits));
  }

  const ElementwiseOp& op_;
  Attributes attributes_;
  std::vector<std::vector<T>> columns_;
  std::array<Worst, 3> worst_;
};

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(every_elementwise_op, T, Types) {
  int swept = 0;
  for (const Op* op : registry()) {
    const auto* elementwise = dynamic_cast<const ElementwiseOp*>(op);
    if (elementwise == nullptr) continue;
    BOOST_REQUIRE_MESSAGE(truths().count(op->name()) == 1, "[" << op->name() << "] has no truth to be compared with");
    std::vector<Attributes> done;
    for (const Example& example : op->examples()) {
      if (std::find(done.begin(), done.end(), example.attributes) != done.end()) continue;
      done.push_back(example.attributes);
      const std::array<Worst, 3> worst = Sweep<T>(*elementwise, example.attributes).run();
      const std::string attributes = to_string(example.attributes);
      const std::string name = op->name() + (attributes.empty() ? "" : " (" + attributes + ")");
      for (std::size_t order = 0; order < 3; ++order) {
        const double bound = elementwise->accuracy().ulp[order];
        BOOST_TEST(worst[order].ulp <= bound, name << " in " << name_of(dtype_of<T>) << ", derivative " << order << ": "
                                                   << worst[order].ulp << " ulp, " << worst[order].where);
      }
      if (table_wanted())
        fmt::print("{:<22} {}  {:>9.3g} {:>9.3g} {:>9.3g}   {}\n", name, name_of(dtype_of<T>), worst[0].ulp,
                   worst[1].ulp, worst[2].ulp, worst[0].where);
      ++swept;
    }
  }
  BOOST_TEST(swept > 50);
}
