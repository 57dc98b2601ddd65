// Axes as a caller names them, made ready for attributes: counted from the end, refused at the caller's line.
#pragma once
#include <span>

#include "autodiff/op.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/composite.hpp"

namespace wengert {

using Axes = SmallList<int, max_rank>;

// Ascending and each once, or Error in the name of `op`; all of them. (One axis: axis_of.)
Axes axes_of(const Operand& x, std::span<const int> axes, const char* op);
Axes all_axes(const Operand& x, const char* op = __builtin_FUNCTION());

// An array seen along an axis as [outside, extent, inside].
inline Index outside(const Shape& shape, int axis) { return shape.leading(axis + shape.rank()).size(); }
inline Index inside(const Shape& shape, int axis) { return shape.trailing(-1 - axis).size(); }

}  // namespace wengert
