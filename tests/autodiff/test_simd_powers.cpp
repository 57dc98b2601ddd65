// How far powers are from the truth, and what comes of special bases and exponents. Largest error measured with AVX-512
// and g++ 12, over all normal results: 0.5 ulp in f32, 0.57 in f64.
#define BOOST_TEST_MODULE simd_powers
#include <algorithm>
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/autodiff/ulps.hpp"

using namespace wengert;
using namespace wengert::testing;
using Types = boost::mpl::list<float, double>;

namespace {

template <class T>
std::vector<T> powers(const std::vector<T>& a, const std::vector<T>& b) {
  Tape tape(dtype_of<T>);
  const auto input = [&](const std::vector<T>& x) {
    return tape.input(Array::of<T>({static_cast<Index>(x.size())}, std::span<const T>(x)));
  };
  const Var y = pow(input(a), input(b));
  return {y.data<T>().begin(), y.data<T>().end()};
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(powers_are_rounded_once, T, Types) {
  using Limits = std::numeric_limits<T>;
  // Small powers; bases of all sizes, and close to 1, whose powers are as large or as small as numbers are.
  std::vector<T> a = range<T>(0.01, 100), b = range<T>(-9, 9);
  std::reverse(b.begin(), b.end());
  const double most = std::log(static_cast<double>(Limits::max()));
  const std::vector<T> logs = range<T>(-most, most), sizes = range<T>(-0.98 * most, 0.98 * most),
                       near = range<T>(0.6, 1.5);
  for (std::size_t i = 0; i < logs.size(); ++i)
    for (const T base : {std::exp(sizes[logs.size() - 1 - i]), near[i / 2], 1 + (near[i] - 1) / 1024}) {
      a.push_back(base);
      b.push_back(base == 1 ? T(1) : logs[i] / std::log(base));
    }
  const std::vector<T> general = powers(a, b);
  double worst = 0;
  const auto compare = [&](T power, T base, long double exponent) {
    const long double wanted = std::pow(static_cast<long double>(base), exponent);
    if (wanted < static_cast<long double>(Limits::min()) || wanted > static_cast<long double>(Limits::max())) return;
    worst = std::max(worst, static_cast<double>(std::abs(static_cast<long double>(power) - wanted) / ulp<T>(wanted)));
  };
  for (std::size_t i = 0; i < a.size(); ++i) compare(general[i], a[i], b[i]);
  Tape tape(dtype_of<T>);
  const Var number = pow(tape.input(Array::of<T>({static_cast<Index>(a.size())}, std::span<const T>(a))), 1.7);
  for (std::size_t i = 0; i < a.size(); ++i) compare(number.data<T>()[i], a[i], 1.7);
  BOOST_TEST_MESSAGE("pow " << name_of(dtype_of<T>) << ": " << worst << " ulp");
  BOOST_TEST(worst <= (sizeof(T) == 4 ? 0.5001 : 0.57));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(special_cases_of_powers_are_those_of_c, T, Types) {
  using Limits = std::numeric_limits<T>;
  constexpr T whole = static_cast<T>(std::int64_t{1} << (Limits::digits - 1));  // from where on every number is whole
  std::vector<T> of;
  for (const T x : {T(0),
                    T(0.25),
                    T(0.5),
                    1 - Limits::epsilon() / 2,
                    T(1),
                    1 + Limits::epsilon(),
                    T(1.5),
                    T(2),
                    T(3),
                    T(4),
                    T(7.5),
                    T(10),
                    T(127),
                    T(150.5),
                    T(1022),
                    T(1074),
                    whole / 2 + T(0.5),
                    whole - 1,
                    whole,
                    whole + 1,
                    2 * whole,
                    Limits::min(),
                    Limits::min() / 2,
                    Limits::max(),
                    Limits::infinity(),
                    Limits::quiet_NaN()})
    of.insert(of.end(), {x, -x});
  std::vector<T> a, b;
  for (const T x : of)
    for (const T y : of) {
      a.push_back(x);
      b.push_back(y);
    }
  const auto flushed = [](T x) { return std::abs(x) < Limits::min() ? std::copysign(T(0), x) : x; };
  const std::vector<T> got = powers(a, b);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const T wanted = flushed(std::pow(flushed(a[i]), flushed(b[i])));
    const bool same = std::isnan(wanted) ? std::isnan(got[i])
                      : std::isfinite(wanted) && wanted != 0
                          ? std::abs(got[i] - wanted) <= Limits::epsilon() * std::abs(wanted)
                          : got[i] == wanted && std::signbit(got[i]) == std::signbit(wanted);
    BOOST_TEST(same,
               a[i] << "^" << b[i] << " in " << name_of(dtype_of<T>) << ": got " << got[i] << ", wanted " << wanted);
  }
}
