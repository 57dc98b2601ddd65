// The catalogue of ops. Each takes Operands (a Var or a number) and records one node, or a few, on their tape; on an
// eager tape the value is there at once. Names, arguments and conventions are NumPy's and PyTorch's.
//
//   Var y = matmul(x, w) + b;              // [32,68] x [68,256] + [256] -> [32,256]
//   Var h = where(y > 0, y, 0.1 * y);
//   Var loss = mean(square(h - target));
//
// Unless an op says otherwise: operands are f32 or f64, all of one dtype (numbers adapt, cast() converts), and shapes
// broadcast by NumPy's rule. Every op with a derivative has one of any order. A wrong shape, dtype or axis throws
// Error:
// "[add] shapes do not broadcast: [32, 68] and [70]  (triangles.cpp:41, in score)".
#pragma once
#include <initializer_list>
#include <limits>
#include <span>

#include "autodiff/var.hpp"

namespace wengert {

// Arithmetic, elementwise with broadcasting.
Var add(Operand a, Operand b);
Var sub(Operand a, Operand b);
Var mul(Operand a, Operand b);
Var div(Operand a, Operand b);
Var neg(Operand x);
inline Var operator+(Operand a, Operand b) { return add(a, b); }
inline Var operator-(Operand a, Operand b) { return sub(a, b); }
inline Var operator*(Operand a, Operand b) { return mul(a, b); }
inline Var operator/(Operand a, Operand b) { return div(a, b); }
inline Var operator-(Operand x) { return neg(x); }

// The larger and the smaller of two; NaN propagates, a tie shares the derivative equally.
Var maximum(Operand a, Operand b);
Var minimum(Operand a, Operand b);

// 1 where it holds and 0 elsewhere, in the operands' dtype; false on NaN, but not_equal is true. No derivative.
Var equal(Operand a, Operand b);
Var not_equal(Operand a, Operand b);
Var less(Operand a, Operand b);
Var less_equal(Operand a, Operand b);
Var greater(Operand a, Operand b);
Var greater_equal(Operand a, Operand b);
inline Var operator<(Operand a, Operand b) { return less(a, b); }
inline Var operator<=(Operand a, Operand b) { return less_equal(a, b); }
inline Var operator>(Operand a, Operand b) { return greater(a, b); }
inline Var operator>=(Operand a, Operand b) { return greater_equal(a, b); }

// a where the condition is not 0, b elsewhere.
Var where(Operand condition, Operand a, Operand b);

// x where y > 0, and 0 elsewhere whatever x is; no derivative by y. (The derivative of relu, in one pass.)
Var gate(Operand x, Operand y);

// Elementwise functions.
Var abs(Operand x);   // derivative 0 at 0
Var sign(Operand x);  // -1, 0 or 1; no derivative
Var square(Operand x);
Var sqrt(Operand x);
Var exp(Operand x);
Var expm1(Operand x);  // exp(x) - 1, accurate near 0
Var log(Operand x);
Var log1p(Operand x);  // log(1 + x), accurate near 0
Var sin(Operand x);
Var cos(Operand x);
Var tanh(Operand x);
Var erf(Operand x);
Var clip(Operand x, double low, double high);  // to [low, high]; derivative 1 on the closed interval; NaN propagates

// Activations.
Var relu(Operand x);  // derivative 0 at 0; NaN propagates
Var sigmoid(Operand x);
Var silu(Operand x);      // x sigmoid(x)
Var softplus(Operand x);  // log(1 + exp(x))
Var gelu(Operand x);      // x Phi(x), the exact one

// [..., m, k] x [..., k, n] -> [..., m, n]; leading axes broadcast. With transpose_a the first operand is given as
// [..., k, m], with transpose_b the second as [..., n, k].
struct MatmulOptions {
  bool transpose_a = false, transpose_b = false;
};
Var matmul(Operand a, Operand b, MatmulOptions options = {});

// Reductions over the given axes; without axes, over all. keepdims leaves extents of 1. A sum over nothing is 0, a mean
// over nothing NaN.
struct Reduce {
  bool keepdims = false;
};
Var sum(Operand x);
Var sum(Operand x, std::initializer_list<int> axes, Reduce options = {});
Var sum(Operand x, std::span<const int> axes, Reduce options = {});
inline Var sum(Operand x, int axis, Reduce options = {}) { return sum(x, {axis}, options); }
Var mean(Operand x);
Var mean(Operand x, std::initializer_list<int> axes, Reduce options = {});
inline Var mean(Operand x, int axis, Reduce options = {}) { return mean(x, {axis}, options); }
// The adjoint of broadcast_to: sums over the axes along which `shape` is stretched to x's shape.
Var sum_to(Operand x, const Shape& shape);

// Shapes. All of these take every dtype.
Var reshape(Operand x, const Shape& shape);  // as many elements, in C order
Var flatten(Operand x);                      // [n]
Var broadcast_to(Operand x, const Shape& shape);
Var transpose(Operand x);                                   // all axes in reverse order
Var transpose(Operand x, std::initializer_list<int> axes);  // axis i of the result is axes[i] of x
// Side by side along `axis`; on other axes an extent of 1 is stretched (so that one time serves all rows).
Var concat(std::initializer_list<Operand> parts, int axis);
Var concat(std::span<const Operand> parts, int axis);
// Elements start, start + step, ... below stop along one axis. Negative bounds count from the end, as in NumPy; a bound
// beyond the end is the end. step >= 1.
inline constexpr Index to_end = std::numeric_limits<Index>::max();
Var slice(Operand x, int axis, Index start, Index stop = to_end, Index step = 1);
// The adjoint of slice: zeros of the given extent along one axis, with x at start, start + step, ...
Var embed(Operand x, int axis, Index extent, Index start, Index step = 1);

// The same value in another dtype; to i32 it rounds towards zero and has no derivative.
Var cast(Operand x, Dtype dtype);
// The same value, without derivative.
Var stop_gradient(Operand x);
// The same value as a node of its own: what an operator of derivatives.hpp differentiates by.
Var identity(Operand x);

}  // namespace wengert
