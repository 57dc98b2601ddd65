#include "autodiff/kernels/products.hpp"

#include <algorithm>
#include <array>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/kernels/simd.hpp"
#include "autodiff/kernels/transpose.hpp"

namespace wengert {
namespace {

using simd::Batch;
using simd::lanes;

// Rows of a tile of so many registers a row: 6 x 4 uses what it loads most; with 16 registers 4 x 2 leaves room for the
// operands.
template <class T, int Vectors>
inline constexpr int tile_rows = sizeof(Batch<T>) < 64 ? 4
                                 : Vectors == 4        ? 6
                                                       : 8;
template <class T>
inline constexpr int most_vectors = sizeof(Batch<T>) < 64 ? 2 : 4;

// Registers of one row, of which the last may hold fewer columns.
template <int Vectors, bool Whole, class T>
struct RowOf {
  simd::Part<T> last;

  Batch<T> load(const T* from, int v) const {
    return Whole || v + 1 < Vectors ? simd::load(from + v * lanes<T>) : last.load(from + v * lanes<T>);
  }
  void store(T* to, int v, Batch<T> value) const {
    if (Whole || v + 1 < Vectors)
      simd::store(to + v * lanes<T>, value);
    else
      last.store(to + v * lanes<T>, value);
  }
};

// out[Rows, Vectors * lanes] of one chain each. The loops are unrolled by hand of the compiler: at -O2 it would not.
template <int Rows, int Vectors, bool Whole, class T>
void tile(Index k, Strided<const T> a, const T* b, Index b_row, T* out, Index out_row, bool resume,
          const RowOf<Vectors, Whole, T>& row) {
  std::array<std::array<Batch<T>, Vectors>, Rows> sum;
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v)
      sum[static_cast<std::size_t>(i)][static_cast<std::size_t>(v)] =
          resume ? row.load(out + i * out_row, v) : Batch<T>(0);
  for (Index p = 0; p < k; ++p) {
    std::array<Batch<T>, Vectors> right;
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) right[static_cast<std::size_t>(v)] = row.load(b + p * b_row, v);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const Batch<T> left(a.data[i * a.row + p * a.column]);
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) {
        Batch<T>& s = sum[static_cast<std::size_t>(i)][static_cast<std::size_t>(v)];
        s = simd::fma<T>(left, right[static_cast<std::size_t>(v)], s);
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v)
      row.store(out + i * out_row, v, sum[static_cast<std::size_t>(i)][static_cast<std::size_t>(v)]);
}

// All rows of a panel of Vectors registers, the last of which holds `last` columns.
template <int Vectors, bool Whole, class T>
void panel(Index last, Index m, Index k, Strided<const T> a, const T* b, Index b_row, T* out, Index out_row,
           bool resume = false) {
  constexpr int full = tile_rows<T, Vectors>;
  const RowOf<Vectors, Whole, T> row{simd::Part<T>(last)};
  Index i = 0;
  for (; i + full <= m; i += full)
    tile<full, Vectors, Whole>(k, a.at(i, 0), b, b_row, out + i * out_row, out_row, resume, row);
  if (full > 4 && i + 4 <= m) {
    tile<4, Vectors, Whole>(k, a.at(i, 0), b, b_row, out + i * out_row, out_row, resume, row);
    i += 4;
  }
  if (i + 2 <= m) {
    tile<2, Vectors, Whole>(k, a.at(i, 0), b, b_row, out + i * out_row, out_row, resume, row);
    i += 2;
  }
  if (i < m) tile<1, Vectors, Whole>(k, a.at(i, 0), b, b_row, out + i * out_row, out_row, resume, row);
}

// The last n columns, of which there are no more than a panel holds.
template <class T>
void last_panel(Index m, Index n, Index k, Strided<const T> a, const T* b, Index b_row, T* out, Index out_row) {
  const Index vectors = (n + lanes<T> - 1) / lanes<T>, last = n - (vectors - 1) * lanes<T>;
  const auto run = [&]<int Vectors>(std::integral_constant<int, Vectors>) {
    if (vectors != Vectors) return;
    if (last == lanes<T>)
      panel<Vectors, true>(last, m, k, a, b, b_row, out, out_row);
    else
      panel<Vectors, false>(last, m, k, a, b, b_row, out, out_row);
  };
  run(std::integral_constant<int, 1>());
  run(std::integral_constant<int, 2>());
  if constexpr (most_vectors<T> == 4) {
    run(std::integral_constant<int, 3>());
    run(std::integral_constant<int, 4>());
  }
}

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
  constexpr Index width = lanes<T>, piece = 256;
  constexpr int wide = most_vectors<T>;
  if (k == 0) {  // factors of no elements may have no address
    for (Index i = 0; i < m; ++i) std::fill_n(out.data + i * out.row, n, T(0));
    return;
  }
  if (k > longest_chain) return multiply_deep(m, n, k, a, b, out);
  if (n < width && n < m && a.row == 1) return flat(m, n, k, a, b, out);
  if (exchanges_fast<T>() && n <= narrow_columns && m >= 16 && a.column == 1 && k <= narrow_depth)
    return narrow(m, n, k, a, b, out);
  Index j = 0;
  // Deep products go by pieces of k, with copies of b that lie together; sums wait in out, so that the chain goes on.
  if (k > piece && m >= 8) {
    alignas(alignment) std::array<T, static_cast<std::size_t>(2 * width * piece)> packed;
    for (; j + 2 * width <= n; j += 2 * width)
      for (Index begin = 0; begin < k; begin += piece) {
        const Index count = std::min(piece, k - begin);
        for (Index p = 0; p < count; ++p) {
          const T* from = b.data + (begin + p) * b.row + j;
          simd::store(packed.data() + p * 2 * width, simd::load(from));
          simd::store(packed.data() + p * 2 * width + width, simd::load(from + width));
        }
        panel<2, true>(width, m, count, a.at(0, begin), packed.data(), 2 * width, out.data + j, out.row, begin > 0);
      }
  }
  for (; j + wide * width <= n; j += wide * width)
    panel<wide, true>(width, m, k, a, b.data + j, b.row, out.data + j, out.row);
  if (j < n) last_panel(m, n - j, k, a, b.data + j, b.row, out.data + j, out.row);
}

namespace {

// Below this many multiply-adds a product is not worth waking the team for.
constexpr Index serial_work = Index{1} << 16;

// Rows of b side by side, where its columns are.
template <class T>
void pack_rows(Index n, Index k, Strided<const T> b, T* packed) {
  if (b.row == 1) return transpose_matrix(n, k, b.data, b.column, packed, n);
  for (Index p = 0; p < k; ++p)
    for (Index j = 0; j < n; ++j) packed[p * n + j] = b.data[p * b.row + j * b.column];
}

}  // namespace

template <class T>
void multiply(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out, T* packed) {
  if (m == 0 || n == 0) return;
  if (k == 0) return multiply_tiles(m, n, k, a, b, out);
  if (b.column != 1) {
    pack_rows(n, k, b, packed);
    b = {packed, n, 1};
  }
  // Blocks are small enough to share out evenly and to keep their rows of a and out in the L2 cache.
  const Index rows = 64, columns = m >= 2 * rows ? n : 4 * 2 * lanes<T>;
  const Index down = (m + rows - 1) / rows, across = (n + columns - 1) / columns;
  const auto block = [&](Index task) {
    const Index i = task / across * rows, j = task % across * columns;
    const Index height = std::min(rows, m - i), width = std::min(columns, n - j);
    multiply_tiles(height, width, k, a.at(i, 0), b.at(0, j), out.at(i, j));
  };
  if (m * n * k < serial_work)
    for (Index task = 0; task < down * across; ++task) block(task);
  else
    parallel_for(down * across, block);
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
  const Index all = count * n, rows = stack_rows, columns = stack_columns / n * n;
  for (Index s = 0; s < count; ++s)
    for (Index p = 0; p < k; ++p)
      for (Index j = 0; j < n; ++j) packed[p * all + s * n + j] = b.data[s * b_step + p * b.row + j * b.column];
  const Index down = (m + rows - 1) / rows, across = (all + columns - 1) / columns;
  const auto block = [&](Index task) {
    alignas(alignment) std::array<T, stack_rows * stack_columns> product;
    const Index i = task / across * rows, left = task % across * columns;
    const Index height = std::min(rows, m - i), width = std::min(columns, all - left);
    multiply_tiles(height, width, k, a.at(i, 0), Strided<const T>{packed + left, all, 1},
                   Strided<T>{product.data(), width, 1});
    T* to = out.at(i, 0).data + left / n * out_step;
    if (n == 1 && out.row == 1) return transpose_matrix(height, width, product.data(), width, to, out_step);
    for (Index s = 0; s < width / n; ++s)
      copy_columns(height, n, product.data() + s * n, width, to + s * out_step, out.row);
  };
  if (m * all * k < serial_work)
    for (Index task = 0; task < down * across; ++task) block(task);
  else
    parallel_for(down * across, block);
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
      const Index begin = group_begin(g, grouping.groups, k), end = group_begin(g + 1, grouping.groups, k);
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
