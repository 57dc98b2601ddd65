// Composites over axes: products, spreads, norms. They report the line of their caller.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "autodiff/ops/axes.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

using special_values::infinity;

// x with extents of 1 at `axes`, or without these axes.
Var finish(Var x, const AxisList& axes, bool keepdims) {
  if (keepdims || axes.empty()) return x;
  Shape shape;
  for (int axis = -x.rank(); axis < 0; ++axis)
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) shape.append(x.shape()[axis]);
  return reshape(x, shape);
}

// The square root, with derivatives 0 where x is 0.
Var root(Var x) {
  const Var zero = equal(x, 0);
  return where(zero, 0, sqrt(where(zero, 1, x)));
}

// One half of the factors times the other, until one is left. Derivatives need no division by a factor, and so are
// right, of any order, where factors are 0; they take as many operations as the product.
Var product_along(Var x, int axis) {
  if (x.extent(axis) == 0) {
    Shape shape = x.shape();
    shape.set(axis, 1);
    return x.tape().full(Type{x.dtype(), shape}, 1);
  }
  Var odd;
  while (x.extent(axis) > 1) {
    const Index n = x.extent(axis), half = n / 2;
    if (n % 2 == 1) {
      const Var last = slice(x, axis, n - 1);
      odd = odd.is_null() ? last : odd * last;
    }
    x = slice(x, axis, 0, half) * slice(x, axis, half, 2 * half);
  }
  return odd.is_null() ? x : x * odd;
}

Var product(const Operand& x, const AxisList& axes, Reduce options) {
  if (!is_float(x.dtype())) refuse(x, "prod", "x is i32: needs f32 or f64 (use cast)");
  const Scope scope(x, "prod");
  Var y = x.var();
  for (std::size_t i = axes.size(); i-- > 0;) y = product_along(y, axes[i]);
  return axes.empty() ? identity(y) : finish(y, axes, options.keepdims);
}

// The elements of x that go into each element of a reduction.
double count(const Operand& x, const AxisList& axes) {
  double product = 1;
  for (int axis : axes) product *= static_cast<double>(x.extent(axis));
  return product;
}

// x minus its mean. The mean is rounded, by more than a small spread about a large mean: what is left of it after a
// first subtraction is subtracted as well. The first one counts as a constant, since no shift changes the result.
Var from_mean_of(const Operand& x, std::span<const int> axes) {
  const Var shifted = sub(x, stop_gradient(mean(x, axes, {.keepdims = true})));
  return shifted - mean(shifted, axes, {.keepdims = true});
}

Var spread(const Operand& x, const AxisList& axes, Deviations options) {
  const Var from_mean = from_mean_of(x, axes);
  const double freedom = std::max(0.0, count(x, axes) - options.ddof);
  const Var total = sum(square(from_mean), axes, {.keepdims = options.keepdims});
  return freedom > 0 ? total / freedom : total * std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

Var prod(Operand x, Axes axes, Reduce options) { return product(x, axes_of(x, axes, "prod"), options); }

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

Var norm(Operand x, Axes axes, NormOptions options) {
  const AxisList over = axes_of(x, axes, "norm");
  const Scope scope(x, "norm");
  const Reduce reduce{.keepdims = options.keepdims};
  const double order = options.order;
  if (order == 2) return root(sum(square(x), over, reduce));
  if (order == 1) return sum(abs(x), over, reduce);
  if (order == 0) return sum(not_equal(x, 0), over, reduce);
  if (std::isinf(order)) return order > 0 ? max(abs(x), over, reduce) : min(abs(x), over, reduce);
  if (std::isnan(order)) refuse(x, "norm", "the order is NaN");
  // |x|^order, with derivatives 0 where x is 0; so too of the sum's root.
  const Var zero = equal(x, 0);
  const Var total = sum(where(zero, order > 0 ? 0 : infinity, pow(where(zero, 1, abs(x)), order)), over, reduce);
  const Var none = equal(total, 0);
  return where(none, order > 0 ? 0 : infinity, pow(where(none, 1, total), 1 / order));
}

Var any(Operand x, Axes axes, Reduce options) {
  const AxisList over = axes_of(x, axes, "any");
  const Scope scope(x, "any");
  return greater(sum(not_equal(x, 0), over, options), 0);
}
Var all(Operand x, Axes axes, Reduce options) {
  const AxisList over = axes_of(x, axes, "all");
  const Scope scope(x, "all");
  return equal(sum(equal(x, 0), over, options), 0);
}

Var layer_norm(Operand x, Operand gain, Operand bias, LayerNormOptions options) {
  if (options.axes < 1 || options.axes > x.rank())
    refuse(x, "layer_norm", fmt::format("cannot take the last {} axes of {}", options.axes, to_string(x.shape())));
  const Shape normalised = x.shape().trailing(options.axes);
  for (const Operand& weight : {gain, bias})
    if (!weight.is_number() && weight.shape() != normalised)
      refuse(x, "layer_norm",
             fmt::format("gain and bias must be numbers or of shape {} for x {}, got {}", to_string(normalised),
                         to_string(x.shape()), to_string(weight.shape())));
  const Scope scope(x, "layer_norm");
  const AxisList all = axes_of(x, Axes::all(), "layer_norm");
  const auto last = std::span<const int>(all).last(static_cast<std::size_t>(options.axes));
  const Var from_mean = from_mean_of(x, last);
  // One division a row.
  const Var inverse = 1 / sqrt(mean(square(from_mean), last, {.keepdims = true}) + options.eps);
  return from_mean * inverse * gain + bias;
}

}  // namespace wengert
