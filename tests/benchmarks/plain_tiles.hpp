// What a page of plain C++ reaches: register tiles on the compiler's own vectors, which read their operands where they
// lie. No blocking, no threads, no promise about the order of sums beyond ascending k.
//
// Includes nothing of ours, so that it shares no mistake with what it is compared with. Compile with
// -ffp-contract=fast: a product and a sum are to become one fused multiply-add.
#pragma once
#include <algorithm>
#include <cstring>

namespace plain {

#if defined(__AVX512F__)
inline constexpr long width = 16, registers = 32;
#else
inline constexpr long width = 8, registers = 16;
#endif
typedef float Vector __attribute__((vector_size(4 * width)));

inline Vector load(const float* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline void store(float* to, Vector v) { std::memcpy(to, &v, sizeof v); }

// A matrix whose element (i, j) lies at data[i * row + j * column].
struct Matrix {
  const float* data;
  long row, column;
};

// out[Rows, Vectors * width] = a[Rows, k] b[k, Vectors * width]; rows of b and out are contiguous.
template <int Rows, int Vectors>
void tile(long k, Matrix a, const float* b, long b_row, float* out, long out_row) {
  Vector sum[Rows][Vectors] = {};
  for (long p = 0; p < k; ++p) {
    Vector right[Vectors];
    for (int v = 0; v < Vectors; ++v) right[v] = load(b + p * b_row + v * width);
    for (int i = 0; i < Rows; ++i) {
      const Vector left = a.data[i * a.row + p * a.column] - Vector{};
      for (int v = 0; v < Vectors; ++v) sum[i][v] += left * right[v];
    }
  }
  for (int i = 0; i < Rows; ++i)
    for (int v = 0; v < Vectors; ++v) store(out + i * out_row + v * width, sum[i][v]);
}

template <int Vectors>
void panel(long m, long k, Matrix a, const float* b, long b_row, float* out, long out_row) {
  // As many sums as leave registers for the operands.
  constexpr int rows = static_cast<int>(registers == 32 ? (Vectors == 2 ? 12 : 16) : (Vectors == 2 ? 6 : 12));
  const auto at = [&](long i) { return Matrix{a.data + i * a.row, a.row, a.column}; };
  long i = 0;
  for (; i + rows <= m; i += rows) tile<rows, Vectors>(k, at(i), b, b_row, out + i * out_row, out_row);
  for (; i + 4 <= m; i += 4) tile<4, Vectors>(k, at(i), b, b_row, out + i * out_row, out_row);
  for (; i < m; ++i) tile<1, Vectors>(k, at(i), b, b_row, out + i * out_row, out_row);
}

// out[m,n] = a[m,k] b[k,n]. `scratch` holds k * n elements, for a b whose rows are not contiguous, and another
// (k + m) * width, for the columns that fill no vector.
inline void multiply(long m, long n, long k, Matrix a, Matrix b, float* out, float* scratch) {
  if (b.column != 1) {
    for (long j = 0; j < n; j += width)
      for (long p = 0; p < k; ++p)
        for (long q = j; q < std::min(n, j + width); ++q) scratch[p * n + q] = b.data[p * b.row + q * b.column];
    b = {scratch, n, 1};
  }
  long j = 0;
  for (; j + 2 * width <= n; j += 2 * width) panel<2>(m, k, a, b.data + j, b.row, out + j, n);
  for (; j + width <= n; j += width) panel<1>(m, k, a, b.data + j, b.row, out + j, n);
  if (j == n) return;
  float *right = scratch + k * n, *sums = right + k * width;
  for (long p = 0; p < k; ++p)
    for (long q = 0; q < width; ++q) right[p * width + q] = j + q < n ? b.data[p * b.row + j + q] : 0;
  panel<1>(m, k, a, right, width, sums, width);
  for (long i = 0; i < m; ++i) std::copy_n(sums + i * width, n - j, out + i * n + j);
}

}  // namespace plain
