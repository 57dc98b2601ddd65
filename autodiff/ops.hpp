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
#include <concepts>
#include <initializer_list>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

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

// a to the power b. A number b has its own derivatives (any order of x^2 at 0); for a Var they are PyTorch's: by a, 0
// at b = 0; by b, 0 at a = 0 <= b and NaN for a < 0.
Var pow(Operand a, Operand b);
Var atan2(Operand y, Operand x);      // the angle of (x, y) in [-pi, pi]; 0, with derivatives 0, at (0, 0)
Var hypot(Operand a, Operand b);      // sqrt(a^2 + b^2) without overflow; derivatives NaN at (0, 0)
Var logaddexp(Operand a, Operand b);  // log(exp(a) + exp(b)); equal infinities share the derivative, 1/2 each

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
Var sinh(Operand x);
Var cosh(Operand x);
Var atan(Operand x);
Var erf(Operand x);
Var clip(Operand x, double low, double high);  // to [low, high]; derivative 1 on the closed interval; NaN propagates
Var lgamma(Operand x);                         // log |Gamma(x)|; infinity at 0, -1, ...
Var digamma(Operand x);
Var polygamma(int n, Operand x);  // derivative n of digamma, 0 <= n <= 150
// The modified Bessel function exp(-|x|) I_n(x) for 0 <= n <= 25. Its derivatives are accurate at any x; at 0, where
// exp(-|x|) has a kink, they are the means of both sides.
Var ive(int order, Operand x);
Var i0e(Operand x);
Var i1e(Operand x);

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
Var mean(Operand x, std::span<const int> axes, Reduce options = {});
inline Var mean(Operand x, int axis, Reduce options = {}) { return mean(x, {axis}, options); }
// The largest and the smallest; NaN propagates, ties share the derivative equally. Over nothing: Error.
Var max(Operand x);
Var max(Operand x, std::initializer_list<int> axes, Reduce options = {});
Var max(Operand x, std::span<const int> axes, Reduce options = {});
inline Var max(Operand x, int axis, Reduce options = {}) { return max(x, {axis}, options); }
Var min(Operand x);
Var min(Operand x, std::initializer_list<int> axes, Reduce options = {});
Var min(Operand x, std::span<const int> axes, Reduce options = {});
inline Var min(Operand x, int axis, Reduce options = {}) { return min(x, {axis}, options); }
// The index along an axis of the first largest and smallest element, or of the first NaN: i32, without derivative.
// Without an axis, the index into flatten(x). x of any dtype. Over nothing: Error.
Var argmax(Operand x);
Var argmax(Operand x, int axis, Reduce options = {});
Var argmin(Operand x);
Var argmin(Operand x, int axis, Reduce options = {});
// The product, 1 over nothing; its derivatives of any order stay right where factors are 0.
Var prod(Operand x);
Var prod(Operand x, std::initializer_list<int> axes, Reduce options = {});
Var prod(Operand x, std::span<const int> axes, Reduce options = {});
inline Var prod(Operand x, int axis, Reduce options = {}) { return prod(x, {axis}, options); }
// log(sum(exp(x))) without overflow. Where all are -infinity, -infinity with derivative 0; so over nothing.
Var logsumexp(Operand x);
Var logsumexp(Operand x, std::initializer_list<int> axes, Reduce options = {});
Var logsumexp(Operand x, std::span<const int> axes, Reduce options = {});
inline Var logsumexp(Operand x, int axis, Reduce options = {}) { return logsumexp(x, {axis}, options); }
// exp(x) / sum(exp(x)) along an axis, and its logarithm; both NaN where all are -infinity.
Var softmax(Operand x, int axis);
Var log_softmax(Operand x, int axis);
// Sums of the elements up to each, in x's shape; with reverse, from each on.
struct Cumulate {
  bool reverse = false;
};
Var cumsum(Operand x, int axis, Cumulate options = {});
// The sum of squared distances from the mean over (count - ddof), NaN where that is not above 0; and its square root,
// with derivative 0 at 0.
struct Deviations {
  int ddof = 1;
  bool keepdims = false;
};
Var variance(Operand x, Deviations options = {});
Var variance(Operand x, std::initializer_list<int> axes, Deviations options = {});
inline Var variance(Operand x, int axis, Deviations options = {}) { return variance(x, {axis}, options); }
Var stddev(Operand x, Deviations options = {});
Var stddev(Operand x, std::initializer_list<int> axes, Deviations options = {});
inline Var stddev(Operand x, int axis, Deviations options = {}) { return stddev(x, {axis}, options); }
// sqrt(sum(x^2)); derivative 0 at 0. Squares may overflow, as in PyTorch.
Var norm(Operand x);
Var norm(Operand x, std::initializer_list<int> axes, Reduce options = {});
inline Var norm(Operand x, int axis, Reduce options = {}) { return norm(x, {axis}, options); }
// (x - mean) / sqrt(variance + eps) * gain + bias over the last `axes` axes, with variance's ddof = 0. gain and bias:
// numbers, or Vars of these axes' shape. (Ba, Kiros, Hinton, "Layer normalization", 2016.)
struct LayerNormOptions {
  int axes = 1;
  double eps = 1e-5;
};
Var layer_norm(Operand x, Operand gain, Operand bias, LayerNormOptions options = {});
// The adjoint of broadcast_to: sums over the axes along which `shape` is stretched to x's shape.
Var sum_to(Operand x, const Shape& shape);

// Shapes. All of these take every dtype.
Var reshape(Operand x, const Shape& shape);  // as many elements, in C order
Var flatten(Operand x);                      // [n]
Var broadcast_to(Operand x, const Shape& shape);
Var transpose(Operand x);                                   // all axes in reverse order
Var transpose(Operand x, std::initializer_list<int> axes);  // axis i of the result is axes[i] of x
// Side by side along `axis`; on other axes an extent of 1 is stretched (so that one time serves all rows).
Var concat(std::initializer_list<Operand> parts, int axis, Where where = Where::current());
Var concat(std::span<const Operand> parts, int axis, Where where = Where::current());
// Parts of one shape side by side along a new axis, counted in the result.
Var stack(std::initializer_list<Operand> parts, int axis, Where where = Where::current());
Var stack(std::span<const Operand> parts, int axis, Where where = Where::current());
// Elements start, start + step, ... below stop along one axis. Negative bounds count from the end, as in NumPy; a bound
// beyond the end is the end. step >= 1.
inline constexpr Index to_end = std::numeric_limits<Index>::max();
Var slice(Operand x, int axis, Index start, Index stop = to_end, Index step = 1);
// The adjoint of slice: zeros of the given extent along one axis, with x at start, start + step, ...
Var embed(Operand x, int axis, Index extent, Index start, Index step = 1);
// The parts along one axis, of the given extents or of equal ones; Error when they do not make up the axis.
std::vector<Var> split(Operand x, std::initializer_list<Index> extents, int axis);
std::vector<Var> split(Operand x, std::span<const Index> extents, int axis);
std::vector<Var> split(Operand x, Index parts, int axis);
// Zeros before and after x along some axes: pad(x, {{.axis = -1, .after = 2}, {.axis = -2, .before = 1}}).
struct Padding {
  int axis = -1;
  Index before = 0, after = 0;
};
Var pad(Operand x, std::initializer_list<Padding> paddings);
Var flip(Operand x, std::initializer_list<int> axes);  // the order along the axes reversed
inline Var flip(Operand x, int axis) { return flip(x, {axis}); }
Var roll(Operand x, Index shift, int axis);                 // element i moves to i + shift, cyclically
Var tile(Operand x, std::initializer_list<Index> repeats);  // x repeated along its last axes, as NumPy's
Var swapaxes(Operand x, int a, int b);                      // x with two axes exchanged
Var unsqueeze(Operand x, int axis);                         // an extent of 1 more, at `axis` of the result
Var squeeze(Operand x, int axis);                           // without an axis, whose extent must be 1
Var squeeze(Operand x);                                     // without all extents of 1

// Indexing along one axis with i32 indices, which have no derivative. On an eager tape an index outside 0 .. extent - 1
// throws Error. x of any dtype.
// x[..., n, ...] at indices[..., m, ...] -> [..., m, ...]; the other axes broadcast. NumPy's take_along_axis.
Var take_along(Operand x, Operand indices, int axis);
// Its adjoint: x[..., m, ...] added to zeros[..., extent, ...] at the indices. An index may occur more than once: its
// elements are summed in ascending order, by one thread.
Var scatter_add(Operand x, Operand indices, int axis, Index extent);
// The same with one list of indices [m] for all that lies beside the axis: rows of a table, and table[indices] +=
// updates.
Var index_select(Operand x, int axis, Operand indices);
Var index_add(Operand x, int axis, Operand indices, Operand updates);
// 1 at the index and 0 elsewhere, in the tape's dtype: [...] -> [..., count].
Var one_hot(Operand indices, Index count);
// The i32 indices that sort x along an axis: ascending, equal elements in the order they came in, NaN last. And x in
// that order; its derivative moves with the elements.
Var argsort(Operand x, int axis);
Var sort(Operand x, int axis);

// Vectors: [m], [n] -> [m,n] and [n], [n] -> [].
Var outer(Operand a, Operand b);
Var dot(Operand a, Operand b);

// Matrices on the last two axes, with leading axes as a batch.
Var diagonal(Operand x);           // [..., n, n] -> [..., n]
Var diag_embed(Operand x);         // [..., n] -> [..., n, n], zeros beside the diagonal
Var trace(Operand x);              // [..., n, n] -> [...]
Var tril(Operand x, Index k = 0);  // x where column - row <= k, else 0
Var triu(Operand x, Index k = 0);  // x where column - row >= k, else 0
// x with a x = b, or a' x = b with transpose: [..., n, n], [..., n, k] -> [..., n, k]; leading axes broadcast. Only the
// lower triangle of a is read (the upper with `upper`); a 0 on its diagonal gives infinities or NaN.
struct TriangularSolveOptions {
  bool upper = false, transpose = false;
};
Var triangular_solve(Operand a, Operand b, TriangularSolveOptions options = {});
// The lower triangular l with l l' = (a + a')/2, [..., n, n]: for a symmetric a its Cholesky factor, and derivatives by
// a are symmetric. On an eager tape a pivot that is not above 0 throws Error.
Var cholesky(Operand a);

// The same value in another dtype; to i32 it rounds towards zero, stays within the range (NaN becomes 0) and has no
// derivative.
Var cast(Operand x, Dtype dtype);
// The same value, without derivative.
Var stop_gradient(Operand x);
// The same value as a node of its own: what an operator of derivatives.hpp differentiates by.
Var identity(Operand x);

// No number of floating type is an axis, an index, an extent or a count: max(x, 0.0) does not compile (nor mean
// maximum(x, 0.0)).
template <class... N>
concept SomeReal = (std::floating_point<std::remove_cvref_t<N>> || ...);

template <SomeReal N>
Var sum(Operand, N, Reduce = {}) = delete;
template <SomeReal N>
Var mean(Operand, N, Reduce = {}) = delete;
template <SomeReal N>
Var max(Operand, N, Reduce = {}) = delete;
template <SomeReal N>
Var min(Operand, N, Reduce = {}) = delete;
template <SomeReal N>
Var argmax(Operand, N, Reduce = {}) = delete;
template <SomeReal N>
Var argmin(Operand, N, Reduce = {}) = delete;
template <SomeReal N>
Var prod(Operand, N, Reduce = {}) = delete;
template <SomeReal N>
Var logsumexp(Operand, N, Reduce = {}) = delete;
template <SomeReal N>
Var norm(Operand, N, Reduce = {}) = delete;
template <SomeReal N>
Var variance(Operand, N, Deviations = {}) = delete;
template <SomeReal N>
Var stddev(Operand, N, Deviations = {}) = delete;
template <SomeReal N>
Var cumsum(Operand, N, Cumulate = {}) = delete;
template <SomeReal N>
Var softmax(Operand, N) = delete;
template <SomeReal N>
Var log_softmax(Operand, N) = delete;
template <SomeReal N>
Var flip(Operand, N) = delete;
template <SomeReal N>
Var unsqueeze(Operand, N) = delete;
template <SomeReal N>
Var squeeze(Operand, N) = delete;
template <SomeReal N>
Var argsort(Operand, N) = delete;
template <SomeReal N>
Var sort(Operand, N) = delete;
template <SomeReal N>
Var tril(Operand, N) = delete;
template <SomeReal N>
Var triu(Operand, N) = delete;
template <SomeReal N>
Var one_hot(Operand, N) = delete;
template <SomeReal N>
Var polygamma(N, Operand) = delete;
template <SomeReal N>
Var ive(N, Operand) = delete;
template <SomeReal N>
Var concat(std::initializer_list<Operand>, N, Where = Where::current()) = delete;
template <SomeReal N>
Var concat(std::span<const Operand>, N, Where = Where::current()) = delete;
template <SomeReal N>
Var stack(std::initializer_list<Operand>, N, Where = Where::current()) = delete;
template <SomeReal N>
Var stack(std::span<const Operand>, N, Where = Where::current()) = delete;
template <class... N>
requires SomeReal<N...> Var slice(Operand, N...)
= delete;
template <class... N>
requires SomeReal<N...> Var embed(Operand, N...)
= delete;
template <class M, class N>
requires SomeReal<M, N> Var roll(Operand, M, N)
= delete;
template <class M, class N>
requires SomeReal<M, N> Var swapaxes(Operand, M, N)
= delete;
template <class M, class N>
requires SomeReal<M, N> std::vector<Var> split(Operand, M, N)
= delete;
template <SomeReal N>
std::vector<Var> split(Operand, std::initializer_list<Index>, N) = delete;
template <SomeReal N>
std::vector<Var> split(Operand, std::span<const Index>, N) = delete;
template <SomeReal N>
Var take_along(Operand, Operand, N) = delete;
template <class M, class N>
requires SomeReal<M, N> Var scatter_add(Operand, Operand, M, N)
= delete;
template <SomeReal N>
Var index_select(Operand, N, Operand) = delete;
template <SomeReal N>
Var index_add(Operand, N, Operand, Operand) = delete;

}  // namespace wengert
