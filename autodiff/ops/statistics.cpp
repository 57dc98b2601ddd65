// The variance and its root, over axes: composites, which report the line of their caller.
#include <algorithm>
#include <limits>

#include "autodiff/ops/axes.hpp"
#include "autodiff/ops/statistics.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// The elements of x that go into each element of a reduction.
double count(const Operand& x, const AxisList& axes) {
  double product = 1;
  for (int axis : axes) product *= static_cast<double>(x.extent(axis));
  return product;
}

Var spread(const Operand& x, const AxisList& axes, Deviations options) {
  const Var from_mean = from_mean_of(x, axes);
  const double freedom = std::max(0.0, count(x, axes) - options.ddof);
  const Var total = sum(square(from_mean), axes, {.keepdims = options.keepdims});
  return freedom > 0 ? total / freedom : total * std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

Var root(Var x) {
  const Var zero = equal(x, 0);
  return where(zero, 0, sqrt(where(zero, 1, x)));
}

// x minus its mean. The mean is rounded, by more than a small spread about a large mean: what is left of it after a
// first subtraction is subtracted as well. The first one counts as a constant, since no shift changes the result.
Var from_mean_of(const Operand& x, std::span<const int> axes) {
  const Var shifted = sub(x, stop_gradient(mean(x, axes, {.keepdims = true})));
  return shifted - mean(shifted, axes, {.keepdims = true});
}

Var variance(Operand x, Axes axes, Deviations options) {
  const AxisList over = axes_of(x, axes, "variance");
  const Scope scope(x, "variance");
  return spread(x, over, options);
}

Var stddev(Operand x, Axes axes, Deviations options) {
  const AxisList over = axes_of(x, axes, "stddev");
  const Scope scope(x, "stddev");
  return root(spread(x, over, options));
}

}  // namespace wengert
