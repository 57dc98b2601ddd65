// Matrix products on register tiles over xsimd.
//
// Contract: an element of a product is one chain of fused multiply-adds over k, ascending, from zero; of more than
// longest_chain of them, chains of deep_chain terms, the last of which may be shorter, added in a fixed tree. Which
// tile, remainder or thread computes it never shows in its bits. OpenBLAS cannot keep that: on a SkylakeX kernel a
// block of one row sums in another order than the same row among others, so that a sample would depend on its batch. It
// is at hand (multiply_blas) for what has no rows to keep apart, and as a second opinion in tests.
#pragma once
#include <algorithm>

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
// exchange, its columns (b.column == 1 or b.row == 1). One thread, which keeps 1.1 MB for its large products.
template <class T>
void multiply_tiles(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out);

// The product by OpenBLAS on the calling thread, in its own order; a and b have contiguous rows or contiguous columns.
template <class T>
void multiply_blas(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out);

// Elements of a result: rows [top, bottom), columns [left, right).
struct Rectangle {
  Index top, bottom, left, right;

  Index height() const { return bottom - top; }
  Index width() const { return right - left; }
};

// Slices of a result [m, n], in runs of which threads share it evenly: some columns each, so that a thread reads its
// part of b alone; or, where there are more rows than columns, some rows.
class Slices {
 public:
  static constexpr Index rows = 12, columns = 16;  // of a slice: whole tiles, whole registers
  // `wide` is another number of columns of a slice.
  Slices(Index m, Index n, Index wide = columns) : m_(m), n_(n), size_(m > n ? rows : wide) {}
  Index count() const { return m_ == 0 || n_ == 0 ? 0 : (std::max(m_, n_) + size_ - 1) / size_; }
  // Slices [begin, end).
  Rectangle run(Index begin, Index end) const {
    if (m_ > n_) return {begin * size_, std::min(m_, end * size_), 0, n_};
    return {0, m_, begin * size_, std::min(n_, end * size_)};
  }

 private:
  Index m_, n_, size_;
};

// The most rows and columns of a product that a thread computes at a time: multiples of tile_block's, or all.
struct ProductBlock {
  Index rows, columns;
};
inline constexpr ProductBlock tile_block{12, 64}, large_block{528, 512};

// About equal parts of a size, in steps of `step`, which divides `most`: no larger than `most`, and few elements are
// seldom left to a part of their own.
inline Index even_part(Index size, Index most, Index step) {
  const Index count = std::max<Index>(1, (size + most - 1) / most), each = (size + count - 1) / count;
  return std::max<Index>(1, (each + step - 1) / step * step);
}

// Blocks whose rows of a and out stay in the L2 cache; of few rows some columns, so that these of b stay there. Where b
// outgrows it, multiply_tiles() copies it in pieces: the more rows and columns, the less often.
template <class T>
ProductBlock product_block(Index m, Index n, Index k);

// body(block) for each block of a rectangle.
template <class Body>
void for_each_block(const Rectangle& all, ProductBlock most, Body&& body) {
  const Index rows = even_part(all.height(), most.rows, tile_block.rows),
              columns = even_part(all.width(), most.columns, tile_block.columns);
  for (Index left = all.left; left < all.right; left += columns)  // the same columns of b as long as possible
    for (Index top = all.top; top < all.bottom; top += rows)
      body(Rectangle{top, std::min(all.bottom, top + rows), left, std::min(all.right, left + columns)});
}

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
