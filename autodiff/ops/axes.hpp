// Axes as a caller names them, made ready for attributes: counted from the end, refused at the caller's line.
#pragma once
#include <span>

#include "autodiff/op.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/composite.hpp"

namespace wengert {

// Ascending and each once, or Error in the name of `op`. (One axis: axis_of.)
AxisList axes_of(const Operand& x, const Axes& axes, const char* op);
// `axis` of an array that has one axis more than x.
int new_axis(const Operand& x, int axis, const char* op);
// `shape` with an extent of 1 more, as axis `axis` (counted from the end) of the result.
Shape with_one(const Shape& shape, int axis);

// The arguments of an op along one axis.
struct AxisArgument {
  Axis axis = -1;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("axis", axis);
  }
};

// An array seen along an axis as [outside, extent, inside].
inline Index outside(const Shape& shape, int axis) { return shape.leading(axis + shape.rank()).size(); }
inline Index inside(const Shape& shape, int axis) { return shape.trailing(-1 - axis).size(); }

}  // namespace wengert
