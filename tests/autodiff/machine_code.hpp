// What the tests of machine code share: the bits of a plan that is code beside those of an eager tape, and values that
// are special to arithmetic.
#pragma once
#include <boost/test/unit_test.hpp>

#include <limits>

#include "autodiff/autodiff.hpp"
#include "autodiff/plan/code/small_graphs.hpp"
#include "autodiff/plan/forced.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/autodiff/plans.hpp"

namespace wengert::testing {

#if defined(__x86_64__)
inline constexpr bool served = true;  // the processor is one that code is made for
#else
inline constexpr bool served = false;
#endif
inline constexpr bool has_packs = plan::code::pack_bytes > 0;  // so that wide values are code as well

inline bool is_code(const Plan& plan) {
  const auto steps = plan.steps();
  return std::any_of(steps.begin(), steps.end(),
                     [](const Plan::StepInfo& step) { return step.kernel.starts_with("machine code"); });
}
inline std::string kernel_of(const PlanFunction& f, const Arrays& given, const CompileOptions& options = {}) {
  return compile(f, types_of(given), options).steps().at(0).kernel;
}

// The first element in which two arrays differ, but for one NaN and another; -1 where none does.
inline Index difference(const Array& a, const Array& b) {
  for (Index i = 0; i < a.size(); ++i) {
    const double x = a.at(i), y = b.at(i);
    if (std::isnan(x) && std::isnan(y)) continue;
    if (x != y || std::signbit(x) != std::signbit(y)) return i;
  }
  return a.type() == b.type() ? -1 : 0;
}
inline void check_bits(const Arrays& got, const Arrays& wanted, const std::string& what = "") {
  BOOST_TEST_REQUIRE(got.size() == wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const Index at = difference(got[i], wanted[i]);
    BOOST_TEST(at == -1, what << " output " << i << " at " << at << ": " << (at < 0 ? 0 : got[i].at(at)) << ", not "
                              << (at < 0 ? 0 : wanted[i].at(at)));
  }
}
// Values on an eager tape, whose loops are steps as well.
inline Arrays by_steps(const PlanFunction& f, const Arrays& given, Dtype dtype) {
  const plan::Force alone(plan::Way::steps_alone);
  return eagerly(f, given, dtype);
}
// The plan is code, if it has to be, and gives the bits of an eager tape, in every one of three runs.
inline void check(const PlanFunction& f, const Arrays& given, const std::string& what = "", bool code = served) {
  const Dtype dtype = given[0].dtype();
  Plan plan = compile(f, types_of(given), {}, dtype);
  BOOST_TEST((is_code(plan) || !code), what << " is no code");
  const Arrays wanted = by_steps(f, given, dtype);
  for (int i = 0; i < 3; ++i) check_bits(run(plan, given), wanted, what);
}

inline const std::vector<double> specials{0,
                                          -0.0,
                                          1,
                                          -1,
                                          0.5,
                                          -3.7,
                                          1e-30,
                                          1e30,
                                          0.1,
                                          2,
                                          1e-42,
                                          -1e-42,
                                          std::numeric_limits<double>::infinity(),
                                          -std::numeric_limits<double>::infinity(),
                                          std::numeric_limits<double>::quiet_NaN()};

// Every op that is an instruction or a few, choices by each kind of mask, and a derivative.
inline std::vector<Var> arithmetic_of(Var a, Var b) {
  return {a + b,
          a - b,
          a * b,
          a / b,
          -a,
          abs(a),
          sign(a),
          square(a),
          sqrt(a),
          rsqrt(a),
          reciprocal(a),
          maximum(a, b),
          minimum(a, b),
          relu(a),
          equal(a, b),
          not_equal(a, b),
          less(a, b),
          less_equal(a, b),
          greater(a, b),
          greater_equal(a, b),
          logical_and(a, b),
          logical_or(a, b),
          logical_xor(a, b),
          logical_not(a),
          where(a, b, a),
          where(less(a, b), a, b),
          where(logical_and(less(a, b), b), b, -a),
          grad(sum(relu(b) * a), b)};
}

inline Array array_of(Dtype dtype, const std::vector<double>& values) {
  Array array(dtype, {static_cast<Index>(values.size())});
  for (std::size_t i = 0; i < values.size(); ++i) array.set(static_cast<Index>(i), values[i]);
  return array;
}

}  // namespace wengert::testing
