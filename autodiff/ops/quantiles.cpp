// Quantiles: elements in order along some axes, and what lies between two of them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "autodiff/ops/axes.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// x in ascending order over some axes, which become the last one.
struct Ordered {
  Var lines;
  Index count;
  Shape shape;  // of a result
};

Ordered ordered(const Operand& x, const AxisList& axes, Reduce options, const char* op) {
  if (!is_float(x.dtype())) refuse(x, op, "x is i32: needs f32 or f64 (use cast)");
  std::vector<int> order;
  Shape kept, shape;
  Index count = 1;
  for (int axis = -x.rank(); axis < 0; ++axis) {
    if (std::find(axes.begin(), axes.end(), axis) != axes.end()) {
      count *= x.extent(axis);
      if (options.keepdims) shape.append(1);
      continue;
    }
    order.push_back(axis);
    kept.append(x.extent(axis));
    shape.append(x.extent(axis));
  }
  if (count == 0) refuse(x, op, fmt::format("there is no {} of nothing: shape {}", op, to_string(x.shape())));
  order.insert(order.end(), axes.begin(), axes.end());
  return {sort(reshape(transpose(x, order), kept.followed_by({count})), -1), count, shape};
}

// NaN, which is last in order, takes the place of any result.
Var at_place(const Ordered& o, double place) {
  const double below = std::floor(place), share = place - below;
  const Index first = static_cast<Index>(below);
  const auto element = [&](Index i) { return slice(o.lines, -1, i, i + 1); };
  const Var last = element(o.count - 1);
  const Var y = share == 0 ? element(first) : (1 - share) * element(first) + share * element(first + 1);
  return reshape(where(not_equal(last, last), last, y), o.shape);
}

double place_of_share(const Operand& x, const Ordered& o, double q) {
  if (!(q >= 0 && q <= 1)) refuse(x, "quantile", fmt::format("q lies from 0 to 1, got {:g}", q));
  return q * static_cast<double>(o.count - 1);
}

}  // namespace

Var quantile(Operand x, double q, Axes axes, Reduce options) {
  const AxisList over = axes_of(x, axes, "quantile");
  const Scope scope(x, "quantile");
  const Ordered o = ordered(x, over, options, "quantile");
  return at_place(o, place_of_share(x, o, q));
}

Var quantile(Operand x, std::span<const double> q, Axes axes, Reduce options) {
  const AxisList over = axes_of(x, axes, "quantile");
  if (q.empty()) refuse(x, "quantile", "needs at least one q");
  const Scope scope(x, "quantile");
  const Ordered o = ordered(x, over, options, "quantile");
  std::vector<Operand> parts;
  for (double each : q) parts.emplace_back(at_place(o, place_of_share(x, o, each)), x.where());
  return stack(parts, 0, x.where());
}

Var median(Operand x, Axes axes, Reduce options) {
  const AxisList over = axes_of(x, axes, "median");
  const Scope scope(x, "median");
  const Ordered o = ordered(x, over, options, "median");
  return at_place(o, static_cast<double>((o.count - 1) / 2));
}

}  // namespace wengert
