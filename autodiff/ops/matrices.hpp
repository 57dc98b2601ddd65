// The base of ops on matrices, the last two axes; leading axes are a batch.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "autodiff/kernels/lapack.hpp"
#include "autodiff/op.hpp"
#include "autodiff/parallel.hpp"

namespace wengert {

inline Shape batch_of(const Shape& matrices) { return matrices.leading(matrices.rank() - 2); }

// A matrix transposed; (x + x')/2.
Var transposed(Var x);
Var symmetric(Var x);
// [...] -> [..., 1, 1]
Var as_matrices(Var x);
// 1/x, but 0 where x is within rounding of 0: `extent` eps times the largest magnitude of values [..., 1, k]. (No
// division by it, whose derivatives would be infinite.)
Var reciprocal_or_zero(Var x, Var values, Index extent);

// [K, S] -> [K, shape], where the stack's extents of 1 stand for equal tangents, and shape has at least `rank` axes
Var full_stack(Var stack, const Shape& shape, int rank);
inline Var full_stack(Var stack, const Shape& shape) { return full_stack(stack, shape, shape.rank()); }

// With leading ones up to `rank` axes, so that a batch in front of one operand (vmap) stays in front of the other's.
Operand with_rank(const Operand& x, int rank);

// Refuses an operand that is no batch of float matrices of a size that LAPACK's 32 bits take.
void require_matrices(const Signature& s, int operand);
void require_square(const Signature& s, int operand);

// The rows of an op on matrices one by one, whose output has `fewer` axes less: the batch axes of the operand.
inline Rows rows_of_batch(int axis, int fewer = 0) {
  return axis < -2 ? Rows{RowRule::keeps, axis + fewer} : Rows{RowRule::mixes, 0};
}

// "matrix 1 of [3, 2, 2]", or the shape alone where it is one matrix
std::string name_of_matrix(Index i, const Shape& shape);

// Matrices go to LAPACK through these: a denormal number is 0, as everywhere.
template <class T>
void copy_flushed(const T* from, Index count, T* to) {
  for (Index i = 0; i < count; ++i) to[i] = from[i] + T(0);
}
// from [rows, columns] -> to [columns, rows]
template <class T>
void copy_transposed(const T* from, Index rows, Index columns, T* to) {
  constexpr Index tile = 16;
  for (Index first = 0; first < rows; first += tile)
    for (Index j = 0; j < columns; ++j)
      for (Index i = first; i < std::min(rows, first + tile); ++i) to[j * rows + i] = from[i * columns + j] + T(0);
}
template <class T>
bool all_finite(const T* x, Index count) {
  return std::all_of(x, x + count, [](T value) { return std::isfinite(value); });
}
template <class T>
void fill_nan(T* x, Index count) {
  std::fill_n(x, count, std::numeric_limits<T>::quiet_NaN());
}

// The sign that makes the first entry positive that has at least 9/10 of the largest magnitude; entries `step` apart.
// (Not the largest itself: which of two equal ones that is would be up to rounding.)
template <class T>
T sign_of(const T* x, Index count, Index step) {
  T largest = 0;
  for (Index i = 0; i < count; ++i) largest = std::max(largest, std::abs(x[i * step]));
  for (Index i = 0; i < count; ++i)
    if (std::abs(x[i * step]) >= T(0.9) * largest) return x[i * step] < 0 ? T(-1) : T(1);
  return 1;
}

// Matrices are dealt with in runs of neighbours, which threads share out; each run has a Work of its own in scratch
// memory. `flops` are those of one matrix.
inline Index runs_of(Index count, double flops) {
  constexpr double least = 1 << 16;  // of a run
  constexpr Index most = 16;
  const double worth = std::min(static_cast<double>(count) * flops / least, static_cast<double>(most));
  return std::clamp<Index>(static_cast<Index>(worth), 1, std::max<Index>(count, 1));
}
template <class Work, class... Sizes>
std::size_t bytes_of(Sizes... sizes) {
  Parts parts;
  const Work work(parts, sizes...);
  return parts.bytes();
}
template <class Work, class... Sizes>
std::size_t scratch_of_matrices(Index count, double flops, Sizes... sizes) {
  return static_cast<std::size_t>(runs_of(count, flops)) * bytes_of<Work>(sizes...);
}
// f(work, i) for each i in [0, count). What it refuses of several matrices is the first one.
template <class Work, class F, class... Sizes>
void each_matrix(void* scratch, Index count, double flops, F&& f, Sizes... sizes) {
  const Index runs = runs_of(count, flops);
  const std::size_t bytes = bytes_of<Work>(sizes...);
  parallel_for(runs, [&](Index run) {
    Parts parts(static_cast<std::byte*>(scratch) + static_cast<std::size_t>(run) * bytes);
    Work work(parts, sizes...);
    for (Index i = count * run / runs; i < count * (run + 1) / runs; ++i) f(work, i);
  });
}

}  // namespace wengert
