#include "autodiff/kernels/products.hpp"

#include <algorithm>
#include <array>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/kernels/simd.hpp"

namespace wengert {
namespace {

using simd::Batch;
using simd::lanes;

// Rows of a tile of so many registers a row. With 32 registers 6 x 4 uses what it loads most; 8 x 2 and 8 x 1 serve the
// columns that are left. With 16 registers 4 x 2 leaves room for the operands.
template <class T, int Vectors>
inline constexpr int tile_rows = sizeof(Batch<T>) < 64 ? 4
                                 : Vectors == 4        ? 6
                                                       : 8;

// out[Rows, Vectors * lanes] of one chain each. The loops are unrolled by hand of the compiler: at -O2 it would not.
template <int Rows, int Vectors, class T>
void tile(Index k, Strided<const T> a, const T* b, Index b_row, T* out, Index out_row, bool resume) {
  std::array<std::array<Batch<T>, Vectors>, Rows> sum;
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v)
      sum[static_cast<std::size_t>(i)][static_cast<std::size_t>(v)] =
          resume ? simd::load(out + i * out_row + v * lanes<T>) : Batch<T>(0);
  for (Index p = 0; p < k; ++p) {
    std::array<Batch<T>, Vectors> right;
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) right[static_cast<std::size_t>(v)] = simd::load(b + p * b_row + v * lanes<T>);
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
      simd::store(out + i * out_row + v * lanes<T>, sum[static_cast<std::size_t>(i)][static_cast<std::size_t>(v)]);
}

// All rows of a panel of Vectors * lanes columns.
template <int Vectors, class T>
void panel(Index m, Index k, Strided<const T> a, const T* b, Index b_row, T* out, Index out_row, bool resume = false) {
  constexpr int full = tile_rows<T, Vectors>;
  Index i = 0;
  for (; i + full <= m; i += full) tile<full, Vectors>(k, a.at(i, 0), b, b_row, out + i * out_row, out_row, resume);
  if (full > 4 && i + 4 <= m) {
    tile<4, Vectors>(k, a.at(i, 0), b, b_row, out + i * out_row, out_row, resume);
    i += 4;
  }
  if (i + 2 <= m) {
    tile<2, Vectors>(k, a.at(i, 0), b, b_row, out + i * out_row, out_row, resume);
    i += 2;
  }
  if (i < m) tile<1, Vectors>(k, a.at(i, 0), b, b_row, out + i * out_row, out_row, resume);
}

// Fewer columns than a register holds: b's rows are padded piece by piece, and out's rows strip by strip, where the
// sums wait between pieces.
template <class T>
void narrow(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out) {
  constexpr Index width = lanes<T>, piece = 256, strip = 16;
  alignas(alignment) std::array<T, static_cast<std::size_t>(width * piece)> padded;
  alignas(alignment) std::array<T, static_cast<std::size_t>(width * strip)> rows;
  for (Index begin = 0; begin < k || begin == 0; begin += piece) {
    const Index count = std::min(piece, k - begin);
    std::fill_n(padded.data(), count * width, T(0));
    for (Index p = 0; p < count; ++p) std::copy_n(b.data + (begin + p) * b.row, n, padded.data() + p * width);
    for (Index i = 0; i < m; i += strip) {
      const Index height = std::min(strip, m - i);
      if (begin > 0) {
        rows.fill(0);
        for (Index r = 0; r < height; ++r) std::copy_n(out.data + (i + r) * out.row, n, rows.data() + r * width);
      }
      panel<1>(height, count, a.at(i, begin), padded.data(), width, rows.data(), width, begin > 0);
      for (Index r = 0; r < height; ++r) std::copy_n(rows.data() + r * width, n, out.data + (i + r) * out.row);
    }
  }
}

}  // namespace

template <class T>
void multiply_tiles(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out) {
  constexpr Index width = lanes<T>;
  if (n < width) return narrow(m, n, k, a, b, out);
  Index j = 0;
  constexpr Index piece = 256;
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
        panel<2>(m, count, a.at(0, begin), packed.data(), 2 * width, out.data + j, out.row, begin > 0);
      }
  }
  if constexpr (sizeof(Batch<T>) == 64)
    for (; j + 4 * width <= n; j += 4 * width) panel<4>(m, k, a, b.data + j, b.row, out.data + j, out.row);
  for (; j + 2 * width <= n; j += 2 * width) panel<2>(m, k, a, b.data + j, b.row, out.data + j, out.row);
  if (j + width <= n) {
    panel<1>(m, k, a, b.data + j, b.row, out.data + j, out.row);
    j += width;
  }
  // The last columns: a whole register that ends with the row computes some of them again, to the same bits.
  if (j < n) panel<1>(m, k, a, b.data + n - width, b.row, out.data + n - width, out.row);
}

namespace {

// Below this many multiply-adds a product is not worth waking the team for.
constexpr Index serial_work = Index{1} << 16;

template <class T>
void pack_rows(Index n, Index k, Strided<const T> b, T* packed) {
  constexpr Index piece = 16;
  for (Index j = 0; j < n; j += piece)
    for (Index p = 0; p < k; ++p)
      for (Index q = j; q < std::min(n, j + piece); ++q) packed[p * n + q] = b.data[p * b.row + q * b.column];
}

}  // namespace

template <class T>
void multiply(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out, T* packed) {
  if (m == 0 || n == 0) return;
  if (b.column != 1) {
    pack_rows(n, k, b, packed);
    b = {packed, n, 1};
  }
  // Blocks are small enough to share out evenly and to keep their rows of a and out in the second-level cache.
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
void multiply_grouped(Index groups, Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out,
                      T* partials, T* packed) {
  if (b.column != 1) {
    pack_rows(n, k, b, packed);
    b = {packed, n, 1};
  }
  const auto group = [&](Index g) {
    const Index begin = group_begin(g, groups, k), end = group_begin(g + 1, groups, k);
    multiply_tiles(m, n, end - begin, a.at(0, begin), b.at(begin, 0), Strided<T>{partials + g * m * n, n, 1});
  };
  if (m * n * k < serial_work)
    for (Index g = 0; g < groups; ++g) group(g);
  else
    parallel_for(groups, group);
  combine(partials, groups, m * n);
  for (Index i = 0; i < m; ++i) std::copy_n(partials + i * n, n, out.data + i * out.row);
}

#define WENGERT_INSTANTIATE(T)                                                                          \
  template void multiply_tiles<T>(Index, Index, Index, Strided<const T>, Strided<const T>, Strided<T>); \
  template void multiply<T>(Index, Index, Index, Strided<const T>, Strided<const T>, Strided<T>, T*);   \
  template void multiply_grouped<T>(Index, Index, Index, Index, Strided<const T>, Strided<const T>, Strided<T>, T*, T*)
WENGERT_INSTANTIATE(float);
WENGERT_INSTANTIATE(double);
#undef WENGERT_INSTANTIATE

}  // namespace wengert
