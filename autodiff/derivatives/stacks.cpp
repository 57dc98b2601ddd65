#include "autodiff/derivatives/stacks.hpp"

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert {

Var with_slices(Operand x, bool has_slices, Index count) {
  return has_slices ? x.var() : broadcast_to(x, x.shape().prepended(count));
}

Var in_full(Operand stack, Tape& tape, const Type& type, Index count) {
  const Shape shape = type.shape.prepended(count);
  if (stack.var().is_null()) return tape.full(Type{type.dtype, shape}, 0, stack.where());
  return stack.shape() == shape ? stack.var() : broadcast_to(stack, shape);
}

Var first_axes_swapped(Operand x) {
  const Shape& shape = x.shape();
  const Shape rest = shape.trailing(shape.rank() - 2);
  const Operand flat(reshape(x, {shape[0], shape[1], rest.size()}), x.where());
  const Operand swapped(transpose(flat, {1, 0, 2}), x.where());
  return reshape(swapped, rest.prepended(shape[0]).prepended(shape[1]));
}

}  // namespace wengert
