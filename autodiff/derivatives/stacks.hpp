// Axes in front: of slices of a batch, of tangents side by side.
#pragma once
#include "autodiff/var.hpp"

namespace wengert {

// [...] -> [count, ...], where there is no such axis yet
Var with_slices(Operand x, bool has_slices, Index count);

// A stack of tangents of a node of this type in full, [count, its shape]; zeros where it is null.
Var in_full(Operand stack, Tape& tape, const Type& type, Index count);

// [a, b, ...] -> [b, a, ...]
Var first_axes_swapped(Operand x);

}  // namespace wengert
