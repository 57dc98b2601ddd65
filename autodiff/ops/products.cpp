// prod: products over axes.
#include <algorithm>

#include "autodiff/ops/axes.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// x with extents of 1 at `axes`, or without these axes.
Var finish(Var x, const AxisList& axes, bool keepdims) {
  if (keepdims || axes.empty()) return x;
  Shape shape;
  for (int axis = -x.rank(); axis < 0; ++axis)
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) shape.append(x.shape()[axis]);
  return reshape(x, shape);
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

}  // namespace

Var prod(Operand x, Axes axes, Reduce options) { return product(x, axes_of(x, axes, "prod"), options); }

}  // namespace wengert
