// Matrix products on register tiles over xsimd, and OpenBLAS for large ones.
//
// Contract: an element of a product is one chain of fused multiply-adds over k, ascending, from zero. Which tile,
// remainder or thread computes it never shows in its bits. OpenBLAS, whose chains are its own, takes over by n and k
// (never by the number of rows m), see uses_blas().
#pragma once
#include "autodiff/dtype.hpp"

namespace wengert {

// Element (i, j) lies at data[i * row + j * column].
template <class T>
struct Strided {
  T* data;
  Index row, column;

  Strided at(Index i, Index j) const { return {data + i * row + j * column, row, column}; }
  Strided transposed() const { return {data, column, row}; }
};

// Whether an [m,k] x [k,n] product is handed to OpenBLAS: both n and k are large enough for its packing to pay.
// Measured beside register tiles, which lose from about 768 on.
constexpr bool uses_blas(Index n, Index k) { return n >= 768 && k >= 768; }

// out[m,n] = a[m,k] b[k,n]; the rows of b and of out are contiguous (b.column == 1, out.column == 1). One thread.
template <class T>
void multiply_tiles(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out);

// The same by OpenBLAS on the calling thread; a and b have contiguous rows or contiguous columns.
template <class T>
void multiply_blas(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out);

// The same over all threads. `packed` holds pack_size(n, k, b) elements.
template <class T>
void multiply(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out, T* packed);
template <class T>
Index pack_size(Index n, Index k, Strided<const T> b) {
  return b.column == 1 || uses_blas(n, k) ? 0 : n * k;
}

// out = a b where the sum over k runs over rows of a batch (a weight's gradient): k is cut into `groups` > 1 groups
// that are added in the tree of combine(). `packed` holds n * k elements unless b.column is 1, `partials` groups * m *
// n.
template <class T>
void multiply_grouped(Index groups, Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out,
                      T* partials, T* packed);

}  // namespace wengert
