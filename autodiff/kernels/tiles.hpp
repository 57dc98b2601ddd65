// Register tiles: a few rows and vectors of a product, whose sums stay in registers for all of k. products.cpp cuts
// products into them.
#pragma once
#include <array>

#include "autodiff/kernels/products.hpp"
#include "autodiff/kernels/simd.hpp"

namespace wengert::tiles {

using simd::Batch;
using simd::lanes;

// Rows of a tile of so many registers a row: 6 x 4 and 12 x 2 use what they load most; with 16 registers 4 x 2 leaves
// room for the operands.
template <class T, int Vectors>
inline constexpr int tile_rows = sizeof(Batch<T>) < 64 ? 4
                                 : Vectors == 4        ? 6
                                 : Vectors == 2        ? 12
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

// Left operands whose elements of one column lie side by side (row == 1): then one pointer reaches all rows of a tile.
enum class Left { strided, beside };

// out[Rows, Vectors * lanes] of one chain each. The loops are unrolled by hand of the compiler: at -O2 it would not.
template <int Rows, int Vectors, bool Whole, Left L, class T>
void tile(Index k, Strided<const T> a, const T* b, Index b_row, T* out, Index out_row, bool resume,
          const RowOf<Vectors, Whole, T>& row) {
  const Index a_row = L == Left::beside ? 1 : a.row;
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
      const Batch<T> left(a.data[i * a_row + p * a.column]);
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
template <int Vectors, bool Whole, Left L, class T>
void panel_of(Index last, Index m, Index k, Strided<const T> a, const T* b, Index b_row, T* out, Index out_row,
              bool resume) {
  constexpr int full = tile_rows<T, Vectors>;
  const RowOf<Vectors, Whole, T> row{simd::Part<T>(last)};
  Index i = 0;
  const auto tiles = [&]<int Rows>(std::integral_constant<int, Rows>) {
    for (; i + Rows <= m; i += Rows)
      tile<Rows, Vectors, Whole, L>(k, a.at(i, 0), b, b_row, out + i * out_row, out_row, resume, row);
  };
  tiles(std::integral_constant<int, full>());
  if constexpr (full > 8) tiles(std::integral_constant<int, 8>());
  if constexpr (full > 4) tiles(std::integral_constant<int, 4>());
  tiles(std::integral_constant<int, 2>());
  tiles(std::integral_constant<int, 1>());
}
template <int Vectors, bool Whole, class T>
void panel(Index last, Index m, Index k, Strided<const T> a, const T* b, Index b_row, T* out, Index out_row,
           bool resume = false) {
  if (a.row == 1)
    panel_of<Vectors, Whole, Left::beside>(last, m, k, a, b, b_row, out, out_row, resume);
  else
    panel_of<Vectors, Whole, Left::strided>(last, m, k, a, b, b_row, out, out_row, resume);
}

// All rows of a panel of n columns, no more than most_vectors registers hold.
template <class T>
void any_panel(Index m, Index n, Index k, Strided<const T> a, const T* b, Index b_row, T* out, Index out_row,
               bool resume = false) {
  const Index vectors = (n + lanes<T> - 1) / lanes<T>, last = n - (vectors - 1) * lanes<T>;
  const auto run = [&]<int Vectors>(std::integral_constant<int, Vectors>) {
    if (vectors != Vectors) return;
    if (last == lanes<T>)
      panel<Vectors, true>(last, m, k, a, b, b_row, out, out_row, resume);
    else
      panel<Vectors, false>(last, m, k, a, b, b_row, out, out_row, resume);
  };
  run(std::integral_constant<int, 1>());
  run(std::integral_constant<int, 2>());
  if constexpr (most_vectors<T> == 4) {
    run(std::integral_constant<int, 3>());
    run(std::integral_constant<int, 4>());
  }
}

}  // namespace wengert::tiles
