// Units of the last place (ulp), and numbers to try functions with: what the tests of accuracy share.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace wengert::testing {

static_assert(std::numeric_limits<long double>::digits >= 64, "the oracle needs more digits than a double");

// The distance of neighbours at a value; at the smallest normal number for what is below it.
template <class T>
long double ulp(long double value) {
  int exponent = 0;
  std::frexp(std::max(std::abs(value), static_cast<long double>(std::numeric_limits<T>::min())), &exponent);
  return std::ldexp(1.0L, exponent - std::numeric_limits<T>::digits);
}

// Evenly spaced, or evenly spaced exponents with both signs.
template <class T>
std::vector<T> range(double low, double high, bool exponents = false) {
  constexpr int count = 40000;
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> uniform(exponents ? std::log(low) : low, exponents ? std::log(high) : high);
  std::vector<T> values;
  for (int i = 0; i < count; ++i) {
    const double x = uniform(random);
    values.push_back(static_cast<T>(exponents ? (i % 2 == 0 ? 1 : -1) * std::exp(x) : x));
  }
  return values;
}

}  // namespace wengert::testing
