// norm and layer_norm: composites, which report the line of their caller.
#include <fmt/format.h>

#include <cmath>

#include "autodiff/ops/axes.hpp"
#include "autodiff/ops/statistics.hpp"
#include "autodiff/tape.hpp"

namespace wengert {

using special_values::infinity;

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
