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
#include <optional>
#include <span>
#include <vector>

#include "autodiff/arguments.hpp"
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
Var xlogy(Operand x, Operand y);      // x log y; 0 with derivatives 0 at x = 0 where y <= 0
// The remainder of a after a whole multiple of b is taken, exactly: of a's sign, and of b's.
Var fmod(Operand a, Operand b);
Var remainder(Operand a, Operand b);
Var copysign(Operand a, Operand b);              // |a| with b's sign, + for NaN; derivative 0 at a = 0
Var lerp(Operand a, Operand b, Operand weight);  // a + weight (b - a)

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

// Masks of the same kind; what is not 0 counts as true, NaN too.
Var logical_and(Operand a, Operand b);
Var logical_or(Operand a, Operand b);
Var logical_xor(Operand a, Operand b);
Var logical_not(Operand x);
Var isnan(Operand x);
Var isinf(Operand x);
Var isfinite(Operand x);

// a where the condition is not 0, b elsewhere.
Var where(Operand condition, Operand a, Operand b);

// The adjoint of y = relu(x): g where y > 0, 0 elsewhere whatever g is; no derivative by y.
Var relu_backward(Operand g, Operand y);

// Elementwise functions.
Var abs(Operand x);   // derivative 0 at 0
Var sign(Operand x);  // -1, 0 or 1; no derivative
// Whole numbers, without derivative; round takes a half to its even neighbour.
Var floor(Operand x);
Var ceil(Operand x);
Var trunc(Operand x);
Var round(Operand x);
Var square(Operand x);
Var sqrt(Operand x);
Var rsqrt(Operand x);
Var reciprocal(Operand x);
Var exp(Operand x);
Var exp2(Operand x);
Var expm1(Operand x);  // exp(x) - 1, accurate near 0
Var log(Operand x);
Var log2(Operand x);
Var log10(Operand x);
Var log1p(Operand x);                  // log(1 + x), accurate near 0
Var logit(Operand x, double eps = 0);  // log(x / (1 - x)); with eps > 0 of x clipped to [eps, 1 - eps]
Var sin(Operand x);
Var cos(Operand x);
Var tan(Operand x);
Var asin(Operand x);
Var acos(Operand x);
Var atan(Operand x);
Var sinc(Operand x);  // sin(pi x) / (pi x)
Var sinh(Operand x);
Var cosh(Operand x);
Var tanh(Operand x);
Var asinh(Operand x);
Var acosh(Operand x);
Var atanh(Operand x);
Var erf(Operand x);
Var erfc(Operand x);  // 1 - erf(x), accurate where erf is near 1
Var erfinv(Operand x);
Var clip(Operand x, double low, double high);  // to [low, high]; derivative 1 on the closed interval; NaN propagates
// NaN and infinities replaced, with derivative 0 there; of a finite replacement, the nearest number of the dtype.
struct NanToNumOptions {
  double nan = 0;
  double posinf = std::numeric_limits<double>::max(), neginf = -std::numeric_limits<double>::max();
  template <class Visit>
  void fields(Visit&& visit) {
    visit("nan", nan), visit("posinf", posinf), visit("neginf", neginf);
  }
};
Var nan_to_num(Operand x, NanToNumOptions options = {});
Var lgamma(Operand x);  // log |Gamma(x)|; infinity at 0, -1, ...
Var digamma(Operand x);
Var polygamma(Integer n, Operand x);  // derivative n of digamma, 0 <= n <= 150
// The modified Bessel function exp(-|x|) I_n(x) for 0 <= n <= 25. Its derivatives are accurate at any x; at 0, where
// exp(-|x|) has a kink, they are the means of both sides.
Var ive(Integer order, Operand x);
Var i0e(Operand x);
Var i1e(Operand x);

// Activations.
Var relu(Operand x);  // derivative 0 at 0; NaN propagates
Var sigmoid(Operand x);
Var log_sigmoid(Operand x);
Var silu(Operand x);       // x sigmoid(x)
Var mish(Operand x);       // x tanh(softplus(x))
Var softplus(Operand x);   // log(1 + exp(x))
Var gelu(Operand x);       // x Phi(x), the exact one
Var gelu_tanh(Operand x);  // its approximation by tanh
Var elu(Operand x);
Var elu(Operand x, double alpha);  // alpha 1 where it is not given: x, or alpha (exp(x) - 1) where x <= 0
Var leaky_relu(Operand x);
Var leaky_relu(Operand x, double slope);  // slope 0.01 where it is not given: x, or slope x where x <= 0

// [..., m, k] x [..., k, n] -> [..., m, n]; leading axes broadcast. With transpose_a the first operand is given as
// [..., k, m], with transpose_b the second as [..., n, k]. An operand of one axis is a vector, a row on the left and a
// column on the right, and its axis is not in the result: [m, k] x [k] -> [m].
struct MatmulOptions {
  bool transpose_a = false, transpose_b = false;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("transpose_a", transpose_a), visit("transpose_b", transpose_b);
  }
};
Var matmul(Operand a, Operand b, MatmulOptions options = {});

// Reductions over the given axes; without axes, over all. keepdims leaves extents of 1. A sum over nothing is 0, a mean
// over nothing NaN.
struct Reduce {
  bool keepdims = false;
};
Var sum(Operand x, Axes axes = Axes::all(), Reduce options = {});
Var mean(Operand x, Axes axes = Axes::all(), Reduce options = {});
// The largest and the smallest; NaN propagates, ties share the derivative equally. Over nothing: Error.
Var max(Operand x, Axes axes = Axes::all(), Reduce options = {});
Var min(Operand x, Axes axes = Axes::all(), Reduce options = {});
// The index along an axis of the first largest and smallest element, or of the first NaN: i32, without derivative.
// Without an axis, the index into flatten(x). x of any dtype. Over nothing: Error.
Var argmax(Operand x);
Var argmax(Operand x, Axis axis, Reduce options = {});
Var argmin(Operand x);
Var argmin(Operand x, Axis axis, Reduce options = {});
// The product, 1 over nothing; its derivatives of any order stay right where factors are 0.
Var prod(Operand x, Axes axes = Axes::all(), Reduce options = {});
// log(sum(exp(x))) without overflow. Where all are -infinity, -infinity with derivative 0; so over nothing.
Var logsumexp(Operand x, Axes axes = Axes::all(), Reduce options = {});
// exp(x) / sum(exp(x)) along an axis, and its logarithm; both NaN where all are -infinity.
Var softmax(Operand x, Axis axis);
Var log_softmax(Operand x, Axis axis);
// Sums of the elements up to each, in x's shape; with reverse, from each on.
struct Cumulate {
  bool reverse = false;
};
Var cumsum(Operand x, Axis axis, Cumulate options = {});
// Products of the elements up to each, with derivatives that are right where factors are 0; and log(cumsum(exp(x)))
// without overflow. Both take log2(n) passes.
Var cumprod(Operand x, Axis axis, Cumulate options = {});
Var logcumsumexp(Operand x, Axis axis, Cumulate options = {});
// Elements chosen along an axis, whose derivative moves with them, and their i32 indices.
struct Chosen {
  Var values, indices;
};
// The largest and the smallest up to each: of equal ones the last, as PyTorch's; NaN stays.
Chosen cummax(Operand x, Axis axis);
Chosen cummin(Operand x, Axis axis);
// x[i + 1] - x[i] along an axis, n times.
Var diff(Operand x, Axis axis = -1, Integer n = 1);
// The sum of squared distances from the mean over (count - ddof), NaN where that is not above 0; and its square root,
// with derivative 0 at 0.
struct Deviations {
  int ddof = 1;
  bool keepdims = false;
};
Var variance(Operand x, Axes axes = Axes::all(), Deviations options = {});
Var stddev(Operand x, Axes axes = Axes::all(), Deviations options = {});
// sum(|x|^order)^(1/order), the vector norm: of order infinity the largest |x|, of -infinity the smallest, of 0 the
// number of elements that are not 0. Derivative 0 at 0; powers may overflow, as in PyTorch.
struct NormOptions {
  double order = 2;
  bool keepdims = false;
};
Var norm(Operand x, Axes axes = Axes::all(), NormOptions options = {});
// 1 where any element, or every one, is not 0 (NaN is not), else 0. No derivative.
Var any(Operand x, Axes axes = Axes::all(), Reduce options = {});
Var all(Operand x, Axes axes = Axes::all(), Reduce options = {});
// Quantiles: the value that a share q of the elements lies below, linear between neighbours in order; several q along a
// new first axis. NaN where an element is NaN; the derivative goes to the neighbours. The median is one element: of an
// even number the lower of the two in the middle, as PyTorch's (NumPy's is quantile(x, 0.5)). Over nothing: Error.
Var quantile(Operand x, double q, Axes axes = Axes::all(), Reduce options = {});
Var quantile(Operand x, std::span<const double> q, Axes axes = Axes::all(), Reduce options = {});
Var median(Operand x, Axes axes = Axes::all(), Reduce options = {});
// (x - mean) / sqrt(variance + eps) * gain + bias over the last `axes` axes, with variance's ddof = 0. gain and bias:
// numbers, or Vars of these axes' shape. (Ba, Kiros, Hinton, "Layer normalization", 2016.)
struct LayerNormOptions {
  int axes = 1;
  double eps = 1e-5;
};
Var layer_norm(Operand x, Operand gain, Operand bias, LayerNormOptions options = {});
// The adjoint of broadcast_to: sums over the axes along which `shape` is broadcast to x's shape.
Var sum_to(Operand x, const Shape& shape);

// Shapes. All of these take every dtype.
Var reshape(Operand x, const Extents& shape);  // as many elements, in C order; of one extent -1 the rest
Var flatten(Operand x);                        // [n]
Var broadcast_to(Operand x, const Shape& shape);
Var transpose(Operand x);             // all axes in reverse order
Var transpose(Operand x, Axes axes);  // axis i of the result is axes[i] of x
// Constants of x's type. (Others are leaves of a tape: tape.zeros, ones, full, arange, linspace, eye.)
Var zeros_like(Operand x);
Var ones_like(Operand x);
Var full_like(Operand x, double value);
// Side by side along `axis`; on other axes an extent of 1 is broadcast (so that one time serves all rows).
Var concat(std::initializer_list<Operand> parts, Axis axis, Where where = Where::current());
Var concat(std::span<const Operand> parts, Axis axis, Where where = Where::current());
Var concat(std::span<const Var> parts, Axis axis, Where where = Where::current());  // what split() returns
// Parts of one shape side by side along a new axis, counted in the result.
Var stack(std::initializer_list<Operand> parts, Axis axis, Where where = Where::current());
Var stack(std::span<const Operand> parts, Axis axis, Where where = Where::current());
Var stack(std::span<const Var> parts, Axis axis, Where where = Where::current());
// Elements start, start + step, ... before stop along one axis, or several at once. Negative bounds count from the end,
// as in NumPy; a bound beyond an end is that end. A negative step goes backwards, and to_end to the first element.
inline constexpr Index to_end = std::numeric_limits<Index>::max();
Var slice(Operand x, Axis axis, Integer start, Integer stop = to_end, Integer step = 1);
struct AxisSlice {
  Axis axis = -1;
  std::optional<Index> start = {}, stop = {};  // from one end to the other
  Index step = 1;
};
Var slice(Operand x, std::initializer_list<AxisSlice> slices);
Var slice(Operand x, std::span<const AxisSlice> slices);
Var select(Operand x, Axis axis, Integer i);  // element i along an axis, which goes
// The adjoint of slice: zeros of the given extent along one axis, with g at start, start + step, ...
Var slice_backward(Operand g, Axis axis, Integer extent, Integer start, Integer step = 1);
// The parts along one axis, of the given extents or of equal ones; Error when they do not make up the axis.
std::vector<Var> split(Operand x, std::initializer_list<Index> extents, Axis axis);
std::vector<Var> split(Operand x, std::span<const Index> extents, Axis axis);
std::vector<Var> split(Operand x, Integer parts, Axis axis);
std::vector<Var> chunk(Operand x, Integer parts, Axis axis);  // as PyTorch's: the last parts may be smaller, or missing
// Elements before and after x along some axes: pad(x, {{.axis = -1, .after = 2}, {.axis = -2, .before = 1}}). They are
// `value`, or x mirrored at its outermost elements (by less than its extent), or these elements, or x from its other
// end.
struct Padding {
  Axis axis = -1;
  Index before = 0, after = 0;
};
enum class PadMode { constant, reflect, replicate, circular };
struct PadOptions {
  PadMode mode = PadMode::constant;
  double value = 0;
};
Var pad(Operand x, std::initializer_list<Padding> paddings, PadOptions options = {});
Var pad(Operand x, std::span<const Padding> paddings, PadOptions options = {});
Var flip(Operand x, Axes axes = Axes::all());               // the order along the axes reversed
Var roll(Operand x, Integer shift, Axis axis);              // element i moves to i + shift, cyclically
Var tile(Operand x, std::initializer_list<Index> repeats);  // x repeated along its last axes, as NumPy's
Var tile(Operand x, std::span<const Index> repeats);
Var repeat(Operand x, Integer count, Axis axis);                  // each element so many times in a row, as NumPy's
Var repeat(Operand x, std::span<const Index> counts, Axis axis);  // element i counts[i] times
Var moveaxis(Operand x, Axes from, Axes to);                      // x with axes from[i] at to[i], as NumPy's
// The coordinates of a grid over vectors, each in the grid's shape [n0, n1, ...]; with xy as plots want it, [n1, n0,
// ...].
struct MeshgridOptions {
  bool xy = false;
};
std::vector<Var> meshgrid(std::initializer_list<Operand> vectors, MeshgridOptions options = {});
std::vector<Var> meshgrid(std::span<const Operand> vectors, MeshgridOptions options = {});
Var swapaxes(Operand x, Axis a, Axis b);  // x with two axes exchanged
Var unsqueeze(Operand x, Axis axis);      // an extent of 1 more, at `axis` of the result
Var squeeze(Operand x, Axis axis);        // without an axis, whose extent must be 1
Var squeeze(Operand x);                   // without all extents of 1

// Indexing along one axis with i32 indices, which have no derivative. On an eager tape an index outside 0 .. extent - 1
// throws Error. x of any dtype.
// x[..., n, ...] at indices[..., m, ...] -> [..., m, ...]; the other axes broadcast. NumPy's take_along_axis.
Var take_along(Operand x, Operand indices, Axis axis);
// Its adjoint: x[..., m, ...] added to zeros[..., extent, ...] at the indices. An index may occur more than once: its
// elements are summed in ascending order, by one thread.
Var scatter_add(Operand x, Operand indices, Axis axis, Integer extent);
// take_along and scatter_add with one list of indices [m] for all that lies beside the axis: rows of a table, and
// table[indices] += updates.
Var index_select(Operand x, Axis axis, Operand indices);
Var index_add(Operand x, Axis axis, Operand indices, Operand updates);
// 1 at the index and 0 elsewhere, in the tape's dtype: [...] -> [..., count].
Var one_hot(Operand indices, Integer count);
// The i32 indices that sort x along an axis: ascending, equal elements in the order they came in, NaN last. And x in
// that order; its derivative moves with the elements.
Var argsort(Operand x, Axis axis);
Var sort(Operand x, Axis axis);
// The k largest (or smallest) along an axis, in order: equal ones in the order they came in, NaN the largest.
struct TopkOptions {
  bool largest = true;
};
Chosen topk(Operand x, Integer k, Axis axis = -1, TopkOptions options = {});
// The places of values in ascending lists, i32: the number of elements below each (with right: not above). [..., n] and
// [..., m] -> [..., m], leading axes equal; or [n] for all.
struct SearchsortedOptions {
  bool right = false;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("right", right);
  }
};
Var searchsorted(Operand sorted, Operand values, SearchsortedOptions options = {});
// Counts of 0 .. count - 1 among i32 indices [n], or the sums of their weights: [count], in the tape's
// dtype or that of the weights.
Var bincount(Operand indices, Integer count);
Var bincount(Operand indices, Operand weights, Integer count);

// Vectors: [m], [n] -> [m,n] and [n], [n] -> [].
Var outer(Operand a, Operand b);
Var dot(Operand a, Operand b);

// Matrices on the last two axes, with leading axes as a batch.
Var diagonal(Operand x);             // [..., n, n] -> [..., n]
Var diag_embed(Operand x);           // [..., n] -> [..., n, n], zeros beside the diagonal
Var trace(Operand x);                // [..., n, n] -> [...]
Var tril(Operand x, Integer k = 0);  // x where column - row <= k, else 0
Var triu(Operand x, Integer k = 0);  // x where column - row >= k, else 0
// A triangle filled row by row, zeros beside it: [..., n (n + 1) / 2] -> [..., n, n].
struct FillTriangularOptions {
  bool upper = false;
};
Var fill_triangular(Operand x, FillTriangularOptions options = {});
// x with a x = b, or a' x = b with transpose: [..., n, n], [..., n, k] -> [..., n, k]; leading axes broadcast. Only the
// lower triangle of a is read (the upper with `upper`); a 0 on its diagonal gives infinities or NaN.
struct TriangularSolveOptions {
  bool upper = false, transpose = false;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("upper", upper), visit("transpose", transpose);
  }
};
Var triangular_solve(Operand a, Operand b, TriangularSolveOptions options = {});
// The lower triangular l with l l' = (a + a')/2, [..., n, n]: for a symmetric a its Cholesky factor, and derivatives by
// a are symmetric. On an eager tape a pivot that is not above 0 throws Error.
Var cholesky(Operand a);

// The value in another dtype; to i32 it rounds towards zero, stays within the range (NaN becomes 0) and has no
// derivative.
Var cast(Operand x, Dtype dtype);
// The value, without derivative.
Var stop_gradient(Operand x);
// The value as a node of its own, for the operators of derivatives.hpp to differentiate by.
Var identity(Operand x);

}  // namespace wengert
