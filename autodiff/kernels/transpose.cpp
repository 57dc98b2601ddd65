#include "autodiff/kernels/transpose.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "autodiff/kernels/simd.hpp"

namespace wengert {

#if defined(__AVX512F__)
namespace {

// A block of at most 16 x 16, in registers: pairs of rows, fours, then quarters of registers.
inline void transpose_block(Index rows, Index columns, const float* from, Index from_row, float* to, Index to_row) {
  const simd::Part<float> across(columns), down(rows);
  __m512 a[16], b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    a[i] = i < rows ? static_cast<__m512>(across.load(from + i * from_row)) : _mm512_setzero_ps();
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
  const auto pairs = [](__m512 x, __m512 y, bool high) {
    const __m512d p = _mm512_castps_pd(x), q = _mm512_castps_pd(y);
    return _mm512_castpd_ps(high ? _mm512_unpackhi_pd(p, q) : _mm512_unpacklo_pd(p, q));
  };
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4) {
    a[i] = pairs(b[i], b[i + 2], false);
    a[i + 1] = pairs(b[i], b[i + 2], true);
    a[i + 2] = pairs(b[i + 1], b[i + 3], false);
    a[i + 3] = pairs(b[i + 1], b[i + 3], true);
  }
  // Quarter q of a[4 i + j] now holds rows 4 i ... 4 i + 3 of column 4 q + j.
#pragma GCC unroll 16
  for (int j = 0; j < 4; ++j) {
    const __m512 even_top = _mm512_shuffle_f32x4(a[j], a[4 + j], 0x88);
    const __m512 odd_top = _mm512_shuffle_f32x4(a[j], a[4 + j], 0xdd);
    const __m512 even_bottom = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0x88);
    const __m512 odd_bottom = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0xdd);
    b[j] = _mm512_shuffle_f32x4(even_top, even_bottom, 0x88);
    b[8 + j] = _mm512_shuffle_f32x4(even_top, even_bottom, 0xdd);
    b[4 + j] = _mm512_shuffle_f32x4(odd_top, odd_bottom, 0x88);
    b[12 + j] = _mm512_shuffle_f32x4(odd_top, odd_bottom, 0xdd);
  }
#pragma GCC unroll 16
  for (int j = 0; j < 16; ++j)
    if (j < columns) down.store(to + j * to_row, b[j]);
}

// The same of at most 8 x 8: pairs of rows, then quarters of registers.
inline void transpose_block(Index rows, Index columns, const double* from, Index from_row, double* to, Index to_row) {
  const simd::Part<double> across(columns), down(rows);
  __m512d a[8], b[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i)
    a[i] = i < rows ? static_cast<__m512d>(across.load(from + i * from_row)) : _mm512_setzero_pd();
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm512_unpacklo_pd(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_pd(a[i], a[i + 1]);
  }
  // Quarter q of b[2 i + j] holds rows 2 i and 2 i + 1 of column 2 q + j.
#pragma GCC unroll 8
  for (int j = 0; j < 2; ++j) {
    const __m512d even_top = _mm512_shuffle_f64x2(b[j], b[2 + j], 0x88);
    const __m512d odd_top = _mm512_shuffle_f64x2(b[j], b[2 + j], 0xdd);
    const __m512d even_bottom = _mm512_shuffle_f64x2(b[4 + j], b[6 + j], 0x88);
    const __m512d odd_bottom = _mm512_shuffle_f64x2(b[4 + j], b[6 + j], 0xdd);
    a[j] = _mm512_shuffle_f64x2(even_top, even_bottom, 0x88);
    a[4 + j] = _mm512_shuffle_f64x2(even_top, even_bottom, 0xdd);
    a[2 + j] = _mm512_shuffle_f64x2(odd_top, odd_bottom, 0x88);
    a[6 + j] = _mm512_shuffle_f64x2(odd_top, odd_bottom, 0xdd);
  }
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j)
    if (j < columns) down.store(to + j * to_row, a[j]);
}

}  // namespace
#endif

template <class T>
void transpose_matrix(Index rows, Index columns, const T* from, Index from_row, T* to, Index to_row) {
#if defined(__AVX512F__)
  constexpr bool in_registers = std::is_floating_point_v<T>;
  constexpr Index block = in_registers ? simd::lanes<T> : 16;
#else
  constexpr Index block = 16;
#endif
  for (Index r = 0; r < rows; r += block)
    for (Index c = 0; c < columns; c += block) {
      const Index height = std::min(block, rows - r), width = std::min(block, columns - c);
      const T* source = from + r * from_row + c;
      T* target = to + c * to_row + r;
#if defined(__AVX512F__)
      if constexpr (in_registers) {
        transpose_block(height, width, source, from_row, target, to_row);
        continue;
      }
#endif
      for (Index j = 0; j < width; ++j)
        for (Index i = 0; i < height; ++i) target[j * to_row + i] = source[i * from_row + j];
    }
}

template void transpose_matrix<float>(Index, Index, const float*, Index, float*, Index);
template void transpose_matrix<double>(Index, Index, const double*, Index, double*, Index);
template void transpose_matrix<std::int32_t>(Index, Index, const std::int32_t*, Index, std::int32_t*, Index);

}  // namespace wengert
