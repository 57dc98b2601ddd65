#include "autodiff/ops/axes.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace wengert {

AxisList axes_of(const Operand& x, const Axes& axes, const char* op) {
  AxisList sorted;
  if (axes.are_all())
    for (int axis = -x.rank(op); axis < 0; ++axis) sorted.push_back(axis);
  for (int axis : axes.named()) {
    axis = axis_of(x, axis, op);
    if (std::find(sorted.begin(), sorted.end(), axis) != sorted.end())
      refuse(x, op, fmt::format("axis {} of shape {} is named twice", axis, to_string(x.shape())));
    sorted.push_back(axis);
  }
  sorted.sort();
  return sorted;
}

int new_axis(const Operand& x, int axis, const char* op) {
  const int rank = x.rank(op) + 1;
  try {
    return normalise_axis(axis, rank);
  } catch (const Error& error) {
    refuse(x, op, fmt::format("{} of the result, x has shape {}", error.what(), to_string(x.shape())));
  }
}

Shape with_one(const Shape& shape, int axis) {
  const int before = shape.rank() + 1 + axis;
  return shape.leading(before).followed_by({1}).followed_by(shape.trailing(shape.rank() - before));
}

}  // namespace wengert
