// Matrix products on register tiles over xsimd.
//
// Contract: an element of a product is one chain of fused multiply-adds over k, ascending, from zero; of more than
// longest_chain of them, chains of deep_chain terms, the last of which may be shorter, added in a fixed tree. Which
// tile, remainder or thread computes it never shows in its bits. OpenBLAS cannot keep that: on a SkylakeX kernel a
// block of one row sums in another order than the same row among others, so that a sample would depend on its batch. It
// is at hand (multiply_blas) for what has no rows to keep apart, and as a second opinion in tests.
#pragma once
#include "autodiff/dtype.hpp"
#include "autodiff/kernels/groups.hpp"

namespace wengert {

// Element (i, j) lies at data[i * row + j * column].
template <class T>
struct Strided {
  T* data;
  Index row, column;

  Strided at(Index i, Index j) const { return {data + i * row + j * column, row, column}; }
  Strided transposed() const { return {data, column, row}; }
};

// Rounding errors of a chain add up: long products are cut. The tree takes the largest power of two of whole chains
// that leaves some to its right: (chains 0 to 2^p - 1) + (the others), each part in the same way.
inline constexpr Index longest_chain = 4096, deep_chain = 512;

// out[m,n] = a[m,k] b[k,n]; the rows of out are contiguous (out.column == 1) and the rows of b or, at the cost of an
// exchange, its columns (b.column == 1 or b.row == 1). One thread, of whose stack large products take some 300 kB.
template <class T>
void multiply_tiles(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out);

// The product by OpenBLAS on the calling thread, in its own order; a and b have contiguous rows or contiguous columns.
template <class T>
void multiply_blas(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out);

// Rows and columns of a product that a thread computes at a time: small enough to share out evenly and to keep its rows
// of a and out in the L2 cache; of few rows some columns, so that each thread reads its part of b alone.
struct ProductBlock {
  Index rows, columns;
};
// The block of products whose operands outgrow that cache: more rows, so that b is not read too often.
inline constexpr ProductBlock large_block{132, 256};
template <class T>
ProductBlock product_block(Index m, Index n, Index k);

// The product over all threads. `packed` holds pack_size(m, n, k, b) elements.
template <class T>
void multiply(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out, T* packed);
template <class T>
Index pack_size(Index m, Index n, Index k, Strided<const T> b);

// Products of one a[m,k] with `count` thin b[k,n], each `b_step` elements after the one before, as one product with all
// their columns: out[m,n], `out_step` elements apart. `packed` holds count * k * n elements. The same chains.
template <class T>
void multiply_stack(Index count, Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Index b_step,
                    Strided<T> out, Index out_step, T* packed);
// True if that pays: the columns of one b would leave registers empty, and enough rows share the packing.
template <class T>
bool worth_stacking(Index m, Index n);

// out = a b where the sum over k runs over rows of a batch (a weight's gradient), in more than one group. `packed`
// holds n * k elements unless b.column is 1, `partials` a product for each slot of the grouping.
template <class T>
void multiply_grouped(const Grouping& grouping, Index m, Index n, Index k, Strided<const T> a, Strided<const T> b,
                      Strided<T> out, T* partials, T* packed);

}  // namespace wengert
