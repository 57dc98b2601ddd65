// Axes as a caller names them, made ready for attributes: counted from the end, refused at the caller's line.
#pragma once
#include <span>

#include "autodiff/op.hpp"

namespace wengert {

using Axes = SmallList<int, max_rank>;

// One axis in [-rank, -1]; several, ascending and each once; all of them. Throws Error in the name of `op`.
int axis_of(const Operand& x, int axis, const char* op);
Axes axes_of(const Operand& x, std::span<const int> axes, const char* op);
Axes all_axes(const Operand& x);

// An array seen along an axis as [outside, extent, inside].
inline Index outside(const Shape& shape, int axis) { return shape.leading(axis + shape.rank()).size(); }
inline Index inside(const Shape& shape, int axis) { return shape.trailing(-1 - axis).size(); }

}  // namespace wengert
