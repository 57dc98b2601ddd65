// How far the elementwise functions are from the truth, in units of the last place (ulp), and what they make of
// infinities, NaN and signed zeros. Largest error measured with AVX-512 and g++ 12, rounded up:
//
//              f32    f64   over
//   exp       0.9    1.0    all finite results
//   expm1     1.2    1.2    all finite results
//   log       0.9    0.8    all normal numbers
//   log1p     0.9    0.8    (-1, largest)
//   log2      0.6    0.6    all normal numbers
//   log10     0.6    0.6    all normal numbers
//   sin, cos  1.5    1.5    |x| <= 1e6; relative, also beside their zeros
//   tan       0.51   1.6    |x| <= 1e8
//   asin      0.51   0.8
//   acos      0.51   0.8
//   atanh     0.51   1.5
//   tanh      1.4    1.4
//   erf       1.2    1.4
//   erfc      0.6    1.3    all normal results
//   erfinv    0.51   2.0
//   lgamma    0.51   2.4    (0, largest); relative, also beside its zeros
//   digamma   0.52   1.6    (0, largest); so too
//   sigmoid   2.5    2.4
//   sqrt      0.5    0.5
#define BOOST_TEST_MODULE simd
#include <algorithm>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <numbers>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/autodiff/ulps.hpp"

using namespace wengert;
using namespace wengert::testing;
using Types = boost::mpl::list<float, double>;

namespace {

using Op1 = Var (*)(Operand);
using Truth = long double (*)(long double);

template <class T>
constexpr T inf = std::numeric_limits<T>::infinity();

template <class T>
std::vector<T> computed(Op1 op, const std::vector<T>& x) {
  Tape tape(dtype_of<T>);
  const Var y = op(tape.input(Array::of<T>({static_cast<Index>(x.size())}, std::span<const T>(x))));
  return {y.data<T>().begin(), y.data<T>().end()};
}

// The largest error of op in ulp of the true value, or in units of `absolute` where that is the larger unit.
template <class T>
double error_in_ulp(Op1 op, Truth truth, const std::vector<T>& x, double absolute = 0) {
  const std::vector<T> y = computed(op, x);
  long double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double wanted = truth(x[i]), unit = std::max(ulp<T>(wanted), static_cast<long double>(absolute));
    const long double error = std::abs(static_cast<long double>(y[i]) - wanted) / unit;
    if (!(error <= worst)) worst = error;
  }
  return static_cast<double>(worst);
}

long double logistic(long double x) { return 1 / (1 + std::exp(-x)); }
// By Halley's method.
long double inverted_erf(long double x) {
  const long double size = std::abs(x);
  long double y = size < 0.9L ? size : std::sqrt(-std::log((1 - size) * (1 + size)));
  for (int i = 0; i < 8; ++i) {
    const long double over = size < 0.5L ? std::erf(y) - size : (1 - size) - std::erfc(y);
    const long double step = over * std::exp(y * y) / (2 * std::numbers::inv_sqrtpi_v<long double>);
    y -= step / (1 + step * y);
  }
  return std::copysign(y, x);
}

template <class T>
struct Function {
  const char* name;
  Op1 op;
  Truth truth;
  double bound;
  std::vector<std::vector<T>> ranges;
};

template <class T>
std::vector<Function<T>> functions() {
  const bool wide = sizeof(T) == 8;
  // The arguments of the largest and of the smallest normal result of exp.
  const double high = wide ? 709.78 : 88.72, low = wide ? -708.3 : -87.3, small = wide ? 1e-300 : 1e-37,
               large = 1 / small;
  return {
      {"exp",
       exp,
       std::exp,
       2,
       {range<T>(-1, 1), range<T>(low, high), range<T>(high - 1, high), range<T>(low, low + 1)}},
      {"expm1", expm1, std::expm1, 2.5, {range<T>(-1, 1), range<T>(-50, high), range<T>(1e-30, 1, true)}},
      {"log",
       log,
       std::log,
       1.5,
       {range<T>(0.5, 2), range<T>(1e-5, 100), range<T>(small * 1e3, small * 1e5), range<T>(0, large)}},
      {"log1p",
       log1p,
       std::log1p,
       1.5,
       {range<T>(-0.5, 1), range<T>(-0.999, 100), range<T>(1e-30, 0.9, true), range<T>(0, large)}},
      {"log2", log2, std::log2, 0.65, {range<T>(0.5, 2), range<T>(1e-5, 100), range<T>(0, large)}},
      {"log10", log10, std::log10, 0.65, {range<T>(0.5, 2), range<T>(1e-5, 100), range<T>(0, large)}},
      {"tan", tan, std::tan, wide ? 1.6 : 0.51, {range<T>(-0.8, 0.8), range<T>(-10, 10), range<T>(1e-30, 1e8, true)}},
      {"asin", asin, std::asin, wide ? 0.9 : 0.51, {range<T>(-1, 1), range<T>(1e-30, 1, true)}},
      {"acos", acos, std::acos, wide ? 0.9 : 0.51, {range<T>(-1, 1), range<T>(0.999, 1)}},
      {"atanh",
       atanh,
       std::atanh,
       wide ? 1.5 : 0.51,
       {range<T>(-1, 1), range<T>(1e-30, 1, true), range<T>(5e-7, 2e-6)}},
      {"sin", sin, std::sin, 4, {range<T>(-4, 4), range<T>(-1e3, 1e3), range<T>(-1e6, 1e6), range<T>(1e-30, 1, true)}},
      {"cos", cos, std::cos, 4, {range<T>(-4, 4), range<T>(-1e3, 1e3), range<T>(-1e6, 1e6), range<T>(1e-30, 1, true)}},
      {"tanh", tanh, std::tanh, 2, {range<T>(-1, 1), range<T>(-30, 30), range<T>(1e-30, 1, true)}},
      {"erf", erf, std::erf, 1.5, {range<T>(-1, 1), range<T>(0.9, 1.2), range<T>(-6, 6), range<T>(1e-30, 1, true)}},
      {"erfc",
       erfc,
       std::erfc,
       1.5,
       {range<T>(-1, 1), range<T>(-6, 6), range<T>(3, wide ? 26.5 : 9.1), range<T>(1e-30, 1, true)}},
      {"erfinv",
       erfinv,
       inverted_erf,
       wide ? 2.2 : 0.51,
       {range<T>(-1, 1), range<T>(0.8, 0.9), range<T>(1e-30, 1, true)}},
      {"lgamma",
       lgamma,
       std::lgamma,
       wide ? 2.6 : 0.51,
       {range<T>(0, 4), range<T>(0.99, 1.01), range<T>(1.99, 2.01), range<T>(3, 40), range<T>(small, 1),
        range<T>(40, large / 1e3)}},
      {"digamma",
       digamma,
       [](long double x) { return boost::math::digamma(x); },
       wide ? 1.8 : 0.52,
       {range<T>(0.01, 4), range<T>(1.46, 1.463), range<T>(3, 40), range<T>(40, large)}},
      {"sigmoid", sigmoid, logistic, 4, {range<T>(-5, 5), range<T>(low, high)}},
      {"sqrt", sqrt, std::sqrt, 0.5001, {range<T>(0, 10), range<T>(0, large)}},
  };
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(functions_are_accurate, T, Types) {
  for (const Function<T>& f : functions<T>()) {
    double worst = 0;
    for (const auto& values : f.ranges) {
      const double error = error_in_ulp(f.op, f.truth, values);
      if (!(error <= worst)) worst = error;
    }
    BOOST_TEST_MESSAGE(f.name << " " << name_of(dtype_of<T>) << ": " << worst << " ulp");
    BOOST_TEST(worst <= f.bound, f.name << " " << name_of(dtype_of<T>) << ": " << worst << " ulp");
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(sin_and_cos_beside_their_zeros, T, Types) {
  // The numbers next to multiples of pi/2: what is left after the reduction has few good digits.
  std::vector<T> near;
  const long double half_pi = 1.57079632679489661923132169163975144L;
  for (int n = 1; n < 640000; n += n < 2000 ? 1 : 97) {
    T x = static_cast<T>(n * half_pi);
    for (T value : {x, std::nextafter(x, T(0)), std::nextafter(x, inf<T>), -x}) near.push_back(value);
  }
  // In units of the last place of results, or of this where it is larger.
  const double absolute = sizeof(T) == 4 ? 1e-7 / 4 : 2e-16 / 4;
  for (const auto& [name, op, truth] :
       {std::tuple("sin", Op1(sin), Truth(std::sin)), std::tuple("cos", Op1(cos), Truth(std::cos))}) {
    BOOST_TEST_MESSAGE(name << " " << name_of(dtype_of<T>) << " beside zeros: " << error_in_ulp(op, truth, near)
                            << " ulp");
    BOOST_TEST(error_in_ulp(op, truth, near, absolute) <= 4, name);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(sin_and_cos_of_very_large_numbers, T, Types) {
  const std::vector<T> large = range<T>(1e5, sizeof(T) == 4 ? 1e30 : 1e200, true);
  // x86's long double functions reduce by all digits of pi; libm's own are the oracle here.
  std::vector<T> sines = computed<T>(sin, large), cosines = computed<T>(cos, large);
  double worst = 0;
  for (std::size_t i = 0; i < large.size(); ++i) {
    worst = std::max<double>(worst, std::abs(sines[i] - std::sin(large[i])));
    worst = std::max<double>(worst, std::abs(cosines[i] - std::cos(large[i])));
    BOOST_TEST_REQUIRE(std::isfinite(sines[i] + cosines[i]));
  }
  BOOST_TEST(worst <= (sizeof(T) == 4 ? 2e-7 : 4e-16));
}

namespace {

// y at x; NaN equals NaN, and zeros have signs.
template <class T>
void expect(const char* name, Op1 op, const std::vector<std::pair<T, T>>& points) {
  std::vector<T> x;
  for (const auto& point : points) x.push_back(point.first);
  const std::vector<T> y = computed(op, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const T wanted = points[i].second;
    const bool same =
        std::isnan(wanted) ? std::isnan(y[i]) : y[i] == wanted && std::signbit(y[i]) == std::signbit(wanted);
    BOOST_TEST(same,
               name << "(" << x[i] << ") in " << name_of(dtype_of<T>) << ": got " << y[i] << ", wanted " << wanted);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(infinities_nan_and_zeros, T, Types) {
  const T oo = inf<T>, nan = std::numeric_limits<T>::quiet_NaN(), zero = 0;
  expect<T>("exp", exp, {{oo, oo}, {-oo, 0}, {nan, nan}, {zero, 1}, {-zero, 1}, {-1000, 0}, {1000, oo}});
  expect<T>("expm1", expm1, {{oo, oo}, {-oo, -1}, {nan, nan}, {zero, zero}, {-1000, -1}});
  expect<T>("log", log, {{oo, oo}, {-1, nan}, {nan, nan}, {zero, -oo}, {-zero, -oo}, {1, zero}, {-oo, nan}});
  expect<T>("log1p", log1p, {{oo, oo}, {-1, -oo}, {-2, nan}, {nan, nan}, {zero, zero}, {-oo, nan}});
  expect<T>("log2", log2, {{oo, oo}, {-1, nan}, {nan, nan}, {zero, -oo}, {-zero, -oo}, {1, zero}, {8, 3}, {-oo, nan}});
  expect<T>("log10", log10,
            {{oo, oo}, {-1, nan}, {nan, nan}, {zero, -oo}, {-zero, -oo}, {1, zero}, {1000, 3}, {-oo, nan}});
  expect<T>("tan", tan, {{oo, nan}, {-oo, nan}, {nan, nan}, {zero, zero}, {-zero, -zero}});
  expect<T>("asin", asin, {{oo, nan}, {-oo, nan}, {nan, nan}, {zero, zero}, {-zero, -zero}, {2, nan}, {T(-1.5), nan}});
  expect<T>("acos", acos, {{oo, nan}, {-oo, nan}, {nan, nan}, {1, zero}, {2, nan}, {T(-1.5), nan}});
  expect<T>("atanh", atanh, {{1, oo}, {-1, -oo}, {T(1.5), nan}, {-oo, nan}, {nan, nan}, {zero, zero}, {-zero, -zero}});
  expect<T>("sin", sin, {{oo, nan}, {-oo, nan}, {nan, nan}, {zero, zero}, {-zero, -zero}});
  expect<T>("cos", cos, {{oo, nan}, {-oo, nan}, {nan, nan}, {zero, 1}, {-zero, 1}});
  expect<T>("tanh", tanh, {{oo, 1}, {-oo, -1}, {nan, nan}, {zero, zero}, {-zero, -zero}});
  expect<T>("erf", erf, {{oo, 1}, {-oo, -1}, {nan, nan}, {zero, zero}, {-zero, -zero}});
  expect<T>("erfinv", erfinv,
            {{1, oo}, {-1, -oo}, {T(1.5), nan}, {-oo, nan}, {nan, nan}, {zero, zero}, {-zero, -zero}});
  expect<T>("erfc", erfc, {{oo, 0}, {-oo, 2}, {nan, nan}, {zero, 1}, {-zero, 1}, {30, 0}, {-30, 2}, {T(1e-20), 1}});
  expect<T>("lgamma", lgamma,
            {{oo, oo}, {-oo, oo}, {nan, nan}, {zero, oo}, {-zero, oo}, {-3, oo}, {1, zero}, {2, zero}});
  expect<T>("digamma", digamma, {{oo, oo}, {-oo, nan}, {nan, nan}, {zero, -oo}, {-zero, oo}, {-3, nan}});
  expect<T>("sigmoid", sigmoid, {{oo, 1}, {-oo, 0}, {nan, nan}, {zero, T(0.5)}});
  expect<T>("sqrt", sqrt, {{oo, oo}, {-1, nan}, {nan, nan}, {zero, zero}, {-zero, -zero}});
  expect<T>("abs", abs, {{oo, oo}, {-oo, oo}, {nan, nan}, {-zero, zero}});
  expect<T>("relu", relu, {{oo, oo}, {-oo, zero}, {nan, nan}, {zero, zero}});
  expect<T>("sign", sign, {{oo, 1}, {-oo, -1}, {nan, nan}, {zero, zero}});
  expect<T>("square", square, {{oo, oo}, {-oo, oo}, {nan, nan}, {-zero, zero}});
  expect<T>("softplus", softplus, {{oo, oo}, {-oo, zero}, {nan, nan}});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(functions_that_keep_the_sign_of_zero, T, Types) {
  const T zero = 0;
  expect<T>("neg", neg, {{zero, -zero}, {-zero, zero}});
  expect<T>("expm1", expm1, {{-zero, -zero}});
  expect<T>("log1p", log1p, {{-zero, -zero}});
  expect<T>("silu", silu, {{-zero, -zero}});
  expect<T>("gelu", gelu, {{-zero, -zero}});
  for (Op1 odd : {Op1(tan), Op1(asin), Op1(asinh), Op1(atanh), Op1(erfinv), Op1(mish), Op1(gelu_tanh), Op1(floor),
                  Op1(ceil), Op1(trunc), Op1(round)})
    expect<T>("odd", odd, {{zero, zero}, {-zero, -zero}});
  expect<T>("ceil", ceil, {{T(-0.5), -zero}});
  expect<T>("round", round, {{T(-0.5), -zero}, {T(0.5), zero}});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_smallest_numbers_are_not_lost, T, Types) {
  std::vector<std::pair<T, T>> same;
  for (const T factor : {T(1), T(1.5), T(2), T(3), T(1e6)})
    for (const T x : {factor * std::numeric_limits<T>::min(), -factor * std::numeric_limits<T>::min()})
      same.emplace_back(x, x);
  for (Op1 op : {Op1(expm1), Op1(log1p), Op1(sin), Op1(tan), Op1(asin), Op1(tanh), Op1(asinh)})
    expect<T>("f(x) = x", op, same);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(exp_reaches_the_largest_number, T, Types) {
  // The arguments of the last finite results.
  const T last = std::nextafter(std::log(std::numeric_limits<T>::max()), T(0));
  const std::vector<T> y = computed<T>(exp, {last, sizeof(T) == 4 ? T(88.5) : T(709.5), T(-80)});
  BOOST_TEST(std::isfinite(y[0]), "exp(" << last << ") is " << y[0]);
  BOOST_TEST(std::isfinite(y[1]));
  BOOST_TEST(y[2] > 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(maximum_and_minimum_pass_nan_on, T, Types) {
  const T nan = std::numeric_limits<T>::quiet_NaN(), oo = inf<T>;
  const std::vector<T> a{nan, 1, nan, oo, -oo, 2, 1}, b{1, nan, nan, 1, 1, 1, 2};
  Tape tape(dtype_of<T>);
  const Var x = tape.input(Array::of<T>({7}, std::span<const T>(a))),
            y = tape.input(Array::of<T>({7}, std::span<const T>(b)));
  const auto high = maximum(x, y).value(), low = minimum(x, y).value();
  for (Index i = 0; i < 3; ++i) {
    BOOST_TEST(std::isnan(high.at(i)));
    BOOST_TEST(std::isnan(low.at(i)));
  }
  for (Index i = 3; i < 7; ++i) {
    BOOST_TEST(high.at(i) == std::max(x.value().at(i), y.value().at(i)));
    BOOST_TEST(low.at(i) == std::min(x.value().at(i), y.value().at(i)));
  }
  BOOST_TEST(std::isnan(clip(x, -1, 1).value().at(0)));
}
