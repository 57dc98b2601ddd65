#include "autodiff/kernels/products.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/kernels/tiles.hpp"
#include "autodiff/kernels/transpose.hpp"

namespace wengert {
namespace {

using simd::lanes;

// Few columns of a product whose first factor is given transposed (a weight's gradient): as rows of the transposed
// product, which fill their registers. The chains are the same.
template <class T>
void flat(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out) {
  constexpr Index block = 64;
  alignas(alignment) std::array<T, static_cast<std::size_t>(block * lanes<T>)> rows;
  for (Index i = 0; i < m; i += block) {
    const Index height = std::min(block, m - i);
    multiply_tiles(n, height, k, b.transposed(), a.at(i, 0).transposed(), Strided<T>{rows.data(), block, 1});
    transpose_matrix(n, height, rows.data(), block, out.at(i, 0).data, out.row);
  }
}

// Very few columns (a network's output): a's rows go into lanes first, where the exchange of rows and columns is
// cheaper than tiles of which most lanes are empty. Then as above.
constexpr Index narrow_columns = 4, narrow_depth = 512;

template <class T>
constexpr bool exchanges_fast() {
#if defined(__AVX512F__)
  return sizeof(T) == 4;
#else
  return false;
#endif
}

template <class T>
void narrow(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out) {
  constexpr Index block = 32;
  alignas(alignment) std::array<T, static_cast<std::size_t>(block * narrow_depth)> columns;
  alignas(alignment) std::array<T, static_cast<std::size_t>(block * narrow_columns)> rows;
  for (Index i = 0; i < m; i += block) {
    const Index height = std::min(block, m - i);
    transpose_matrix(height, k, a.at(i, 0).data, a.row, columns.data(), block);
    multiply_tiles(n, height, k, b.transposed(), Strided<const T>{columns.data(), block, 1},
                   Strided<T>{rows.data(), block, 1});
    transpose_matrix(n, height, rows.data(), block, out.at(i, 0).data, out.row);
  }
}

// Elements of the result whose partial sums a level of the tree holds on the stack: 64 rows of 128 bytes.
template <class T>
inline constexpr Index deep_elements = 64 * 2 * 64 / static_cast<Index>(sizeof(T));

// Terms of a chain that are added at a time: a tile's rows of a stay in the L1 cache, and its sums wait seldom.
template <class T>
constexpr Index piece = 2048 / static_cast<Index>(sizeof(T));

// True for products that read rows so far apart that tiles would wait for memory: a MB of rows a page or more apart, or
// more than what a large L2 cache holds.
template <class T>
bool worth_copying(Index k, Strided<const T> a, Strided<const T> b) {
  constexpr Index page = 4096, megabyte = Index{1} << 20;
  const Index apart = std::max(b.row, a.column) * static_cast<Index>(sizeof(T));
  return apart * k > (apart >= page ? megabyte : 2 * megabyte);
}

// Copies of a's rows and b's columns as tiles read them: those of one tile side by side, one tile after the other. Rows
// lie far apart, often in pages of their own, so each is copied whole and those to come are asked for.
constexpr Index rows_ahead = 4;

template <bool ToWrite = false, class T>
void fetch_row(const T* row, Index count) {
  constexpr Index line = alignment / static_cast<Index>(sizeof(T));
  for (Index i = 0; i < count; i += line) __builtin_prefetch(row + i, ToWrite);
}

template <class T>
void copy_left(Index m, Index k, Strided<const T> a, T* packed) {
  constexpr Index height = tiles::tile_rows<T, 2>;
  if (a.column == 1) {
    for (Index i = 0; i < m; i += height)
      transpose_matrix(std::min(height, m - i), k, a.at(i, 0).data, a.row, packed + i * k, height);
    return;
  }
  const Index whole = a.row == 1 ? m / height * height : 0;
  for (Index p = 0; p < k; ++p) {
    const T* from = a.data + p * a.column;
    T* to = packed + p * height;
    if (p + rows_ahead < k) fetch_row(from + rows_ahead * a.column, m);
    for (Index i = 0; i < whole; i += height) std::copy_n(from + i, height, to + i * k);
    for (Index i = whole; i < m; ++i) to[i / height * height * k + i % height] = from[i * a.row];
  }
}

template <class T>
void copy_right(Index n, Index k, Strided<const T> b, T* packed) {
  constexpr Index width = 2 * lanes<T>;
  if (b.column != 1) {
    for (Index j = 0; j < n; j += width)
      transpose_matrix(std::min(width, n - j), k, b.at(0, j).data, b.column, packed + j * k, width);
    return;
  }
  const Index whole = n / width * width;
  for (Index p = 0; p < k; ++p) {
    const T* from = b.data + p * b.row;
    T* to = packed + p * width;
    if (p + rows_ahead < k) fetch_row(from + rows_ahead * b.row, n);
    for (Index j = 0; j < whole; j += width) std::copy_n(from + j, width, to + j * k);
    std::copy(from + whole, from + n, to + whole * k);
  }
}

// Room for copies of a few tiles' rows of a and of many columns of b. A thread keeps it: it is large for a stack.
template <class T>
struct Copies {
  static constexpr Index rows = 4 * tiles::tile_rows<T, 2>, columns = 512;

  alignas(alignment) std::array<T, static_cast<std::size_t>(rows* piece<T>)> left;
  alignas(alignment) std::array<T, static_cast<std::size_t>(columns* piece<T>)> right;
};
template <class T>
Copies<T>& copies_of_thread() {
  thread_local const auto copies = std::make_unique_for_overwrite<Copies<T>>();
  return *copies;
}

// Some columns after the other, of them a piece of k after the other; sums wait in out, so that a chain goes on where
// it stopped. Tiles go along the rows of out, since these may lie pages apart.
template <class T>
void multiply_by_pieces(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out) {
  constexpr Index width = 2 * lanes<T>, height = tiles::tile_rows<T, 2>, rows = Copies<T>::rows;
  Copies<T>& copies = copies_of_thread<T>();
  const Index deep = even_part(k, piece<T>, 1), wide = even_part(n, Copies<T>::columns, width);
  const auto row_of_tiles = [&](Index i, Index bottom, Index side, Index end, Index count, bool resume) {
    const T* from = copies.left.data() + i % rows * count;
    for (Index j = side; j < end; j += width) {
      if (j + width < end)
        for (Index next = i; next < bottom; ++next) fetch_row<true>(out.at(next, j + width).data, width);
      tiles::any_panel(bottom - i, std::min(width, end - j), count, Strided<const T>{from, 1, height},
                       copies.right.data() + (j - side) * count, width, out.at(i, j).data, out.row, resume);
    }
  };
  for (Index side = 0; side < n; side += wide)
    for (Index begin = 0; begin < k; begin += deep) {
      const Index count = std::min(deep, k - begin), end = std::min(n, side + wide);
      copy_right(end - side, count, b.at(begin, side), copies.right.data());
      for (Index top = 0; top < m; top += rows) {
        const Index bottom = std::min(m, top + rows);
        copy_left(bottom - top, count, a.at(top, begin), copies.left.data());
        for (Index i = top; i < bottom; i += height)
          row_of_tiles(i, std::min(bottom, i + height), side, end, count, begin > 0);
      }
    }
}

// The tree over chains, of no more than deep_elements.
template <class T>
void multiply_by_chains(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out) {
  if (k <= deep_chain) return multiply_tiles(m, n, k, a, b, out);
  Index left = deep_chain;
  while (2 * left < k) left *= 2;
  multiply_by_chains(m, n, left, a, b, out);
  alignas(alignment) std::array<T, static_cast<std::size_t>(deep_elements<T>)> right;
  multiply_by_chains(m, n, k - left, a.at(0, left), b.at(left, 0), Strided<T>{right.data(), n, 1});
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) out.at(i, j).data[0] += right[static_cast<std::size_t>(i * n + j)];
}

// A deep product of any size, in parts. Where there are few rows of a, those of b are read in longer runs.
template <class T>
void multiply_deep(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out) {
  const Index rows = std::min<Index>(m, 64),
              columns = deep_elements<T> / std::max<Index>(rows, 8) / lanes<T> * lanes<T>;
  for (Index i = 0; i < m; i += rows)
    for (Index j = 0; j < n; j += columns)
      multiply_by_chains(std::min(rows, m - i), std::min(columns, n - j), k, a.at(i, 0), b.at(0, j), out.at(i, j));
}

}  // namespace

template <class T>
void multiply_tiles(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out) {
  constexpr Index width = lanes<T>;
  if (k == 0) {  // factors of no elements may have no address
    for (Index i = 0; i < m; ++i) std::fill_n(out.data + i * out.row, n, T(0));
    return;
  }
  if (k > longest_chain) return multiply_deep(m, n, k, a, b, out);
  if (n < width && n < m && a.row == 1) return flat(m, n, k, a, b, out);
  if (exchanges_fast<T>() && n <= narrow_columns && m >= 16 && a.column == 1 && k <= narrow_depth)
    return narrow(m, n, k, a, b, out);
  if (b.column != 1 || (m >= 8 && worth_copying(k, a, b))) return multiply_by_pieces(m, n, k, a, b, out);
  Index j = 0;
  const auto panels = [&]<int Vectors>(std::integral_constant<int, Vectors>) {
    for (; j + Vectors * width <= n; j += Vectors * width)
      tiles::panel<Vectors, true>(width, m, k, a, b.data + j, b.row, out.data + j, out.row);
  };
  // Of few rows no two are left to a tile of their own, which would keep few sums going, if 8 make one.
  if (m < 48 && (m % 12 == 8 || m % 12 == 9)) panels(std::integral_constant<int, 2>());
  panels(std::integral_constant<int, tiles::most_vectors<T>>());
  if (j < n) tiles::any_panel(m, n - j, k, a, b.data + j, b.row, out.data + j, out.row);
}

namespace {

// Below this many multiply-adds a product is not worth waking the team for.
constexpr Index serial_work = Index{1} << 16;

// body(rectangle) on all threads, if there are so many multiply-adds, or on one.
template <class Body>
void share_out(const Slices& slices, Index work, Body&& body) {
  const Index all = slices.count(), shares = work < serial_work ? 1 : std::min<Index>(threads(), all);
  parallel_for(shares, [&](Index s) { body(slices.run(all * s / shares, all * (s + 1) / shares)); });
}

// Rows of b side by side, where its columns are.
template <class T>
void pack_rows(Index n, Index k, Strided<const T> b, T* packed) {
  if (b.row == 1) return transpose_matrix(n, k, b.data, b.column, packed, n);
  for (Index p = 0; p < k; ++p)
    for (Index j = 0; j < n; ++j) packed[p * n + j] = b.data[p * b.row + j * b.column];
}

}  // namespace

template <class T>
ProductBlock product_block(Index m, Index n, Index k) {
  constexpr Index cache = Index{1} << 20;  // bytes of L2
  if (m > 64 && n * k * static_cast<Index>(sizeof(T)) > cache) return large_block;
  return {72, m >= 128 ? n : 128};
}

// Large blocks copy b as they read it, and exchange rows and columns on the way.
template <class T>
Index pack_size(Index m, Index n, Index k, Strided<const T> b) {
  return b.column == 1 || (b.row == 1 && product_block<T>(m, n, k).rows == large_block.rows) ? 0 : n * k;
}

template <class T>
void multiply(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out, T* packed) {
  if (m == 0 || n == 0) return;
  if (k == 0) return multiply_tiles(m, n, k, a, b, out);
  if (pack_size(m, n, k, b) > 0) {
    pack_rows(n, k, b, packed);
    b = {packed, n, 1};
  }
  share_out(Slices(m, n), m * n * k, [&](const Rectangle& part) {
    for_each_block(part, product_block<T>(m, n, k), [&](const Rectangle& block) {
      multiply_tiles(block.height(), block.width(), k, a.at(block.top, 0), b.at(0, block.left),
                     out.at(block.top, block.left));
    });
  });
}

template <class T>
bool worth_stacking(Index m, Index n) {
  return n > 0 && n < lanes<T> && m >= 8;
}

// Some columns of one matrix to another; the number of few is known when this is compiled.
template <class T>
void copy_columns(Index rows, Index n, const T* from, Index from_row, T* to, Index to_row) {
  const auto copy = [&](auto count) {
    for (Index r = 0; r < rows; ++r)
      for (Index j = 0; j < count; ++j) to[r * to_row + j] = from[r * from_row + j];
  };
  if (n == 2) return copy(std::integral_constant<Index, 2>());
  if (n == 3) return copy(std::integral_constant<Index, 3>());
  if (n == 4) return copy(std::integral_constant<Index, 4>());
  copy(n);
}

// A block of multiply_stack(): few enough to stay in the L2 cache.
constexpr Index stack_rows = 64, stack_columns = 128;

template <class T>
void multiply_stack(Index count, Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Index b_step,
                    Strided<T> out, Index out_step, T* packed) {
  const Index all = count * n, columns = stack_columns / n * n;
  for (Index s = 0; s < count; ++s)
    for (Index p = 0; p < k; ++p)
      for (Index j = 0; j < n; ++j) packed[p * all + s * n + j] = b.data[s * b_step + p * b.row + j * b.column];
  const auto block = [&](Index i, Index height, Index left, Index width) {
    alignas(alignment) std::array<T, stack_rows * stack_columns> product;
    multiply_tiles(height, width, k, a.at(i, 0), Strided<const T>{packed + left, all, 1},
                   Strided<T>{product.data(), width, 1});
    T* to = out.at(i, 0).data + left / n * out_step;
    if (n == 1 && out.row == 1) return transpose_matrix(height, width, product.data(), width, to, out_step);
    for (Index s = 0; s < width / n; ++s)
      copy_columns(height, n, product.data() + s * n, width, to + s * out_step, out.row);
  };
  share_out(Slices(m, all, (Slices::columns + n - 1) / n * n), m * all * k, [&](const Rectangle& part) {
    for (Index i = part.top; i < part.bottom; i += stack_rows)
      for (Index left = part.left; left < part.right; left += columns)
        block(i, std::min(stack_rows, part.bottom - i), left, std::min(columns, part.right - left));
  });
}

template <class T>
void multiply_grouped(const Grouping& grouping, Index m, Index n, Index k, Strided<const T> a, Strided<const T> b,
                      Strided<T> out, T* partials, T* packed) {
  if (b.column != 1) {
    pack_rows(n, k, b, packed);
    b = {packed, n, 1};
  }
  const auto share = [&](Index which) {
    sum_share(grouping, which, m * n, partials, [&](Index g, T* to) {
      const Index begin = grouping.begin(g, k), end = grouping.begin(g + 1, k);
      multiply_tiles(m, n, end - begin, a.at(0, begin), b.at(begin, 0), Strided<T>{to, n, 1});
    });
  };
  if (m * n * k < serial_work)
    for (Index which = 0; which < grouping.shares; ++which) share(which);
  else
    parallel_for(grouping.shares, share);
  combine(partials, grouping.shares, m * n);
  for (Index i = 0; i < m; ++i) std::copy_n(partials + i * n, n, out.data + i * out.row);
}

#define WENGERT_INSTANTIATE(T)                                                                                       \
  template void multiply_tiles<T>(Index, Index, Index, Strided<const T>, Strided<const T>, Strided<T>);              \
  template ProductBlock product_block<T>(Index, Index, Index);                                                       \
  template Index pack_size<T>(Index, Index, Index, Strided<const T>);                                                \
  template void multiply<T>(Index, Index, Index, Strided<const T>, Strided<const T>, Strided<T>, T*);                \
  template bool worth_stacking<T>(Index, Index);                                                                     \
  template void multiply_stack<T>(Index, Index, Index, Index, Strided<const T>, Strided<const T>, Index, Strided<T>, \
                                  Index, T*);                                                                        \
  template void multiply_grouped<T>(const Grouping&, Index, Index, Index, Strided<const T>, Strided<const T>,        \
                                    Strided<T>, T*, T*)
WENGERT_INSTANTIATE(float);
WENGERT_INSTANTIATE(double);
#undef WENGERT_INSTANTIATE

}  // namespace wengert
