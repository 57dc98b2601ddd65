// The truth about every elementwise op, in long double: what tests/autodiff/test_ulp.cpp measures errors against.
#pragma once
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "autodiff/attributes.hpp"

namespace wengert::testing {

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
using Truths = std::map<std::string, Truth>;

// Of all ops, by name.
const Truths& truths();

// Their parts: arithmetic, elementary functions, functions of several operands; functions of statistics and physics,
// activations.
Truths elementary_truths();
Truths special_truths();

inline Real sign(Real x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
inline Real logistic(Real x) { return x > 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
inline Real bell(Real x) { return 1 / (2 + std::exp(x) + std::exp(-x)); }  // its derivative
inline Real sech2(Real x) { return x * x > 1e7L ? 0 : 1 / (std::cosh(x) * std::cosh(x)); }

// Truths of one operand, of two, and of masks.
template <class F>
Truth unary(F f) {
  return [f](const Attributes&, const Reals& x) -> Results { return f(x[0]); };
}
template <class F>
Truth binary(F f) {
  return [f](const Attributes&, const Reals& x) -> Results { return f(x[0], x[1]); };
}
template <class F>
Truth comparison(F f) {
  return [f](const Attributes&, const Reals& x) -> Results { return {f(x[0], x[1]) ? Real(1) : Real(0)}; };
}

}  // namespace wengert::testing
