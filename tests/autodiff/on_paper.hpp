// What tests of derivatives share: tapes of f64, and numbers known on paper.
#pragma once
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <span>
#include <vector>

#include "autodiff/tape.hpp"
#include "tests/autodiff/helpers.hpp"

namespace wengert::testing {

using Numbers = std::vector<double>;

// Compares numbers with a bound on the absolute difference; infinities and NaN must agree.
inline void close(const Numbers& got, const Numbers& wanted, double bound = 1e-13) {
  BOOST_TEST_REQUIRE(got.size() == wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const bool same = std::isfinite(wanted[i]) ? std::abs(got[i] - wanted[i]) <= bound
                                               : got[i] == wanted[i] || (std::isnan(got[i]) && std::isnan(wanted[i]));
    BOOST_TEST(same, "entry " << i << ": got " << got[i] << ", wanted " << wanted[i]);
  }
}

struct F64 {
  Tape tape{Dtype::f64};
  Var in(const Shape& shape, const Numbers& values) {
    return tape.input(Array::of<double>(shape, std::span<const double>(values)));
  }
  Var number(double value) { return in({}, {value}); }
};

}  // namespace wengert::testing
