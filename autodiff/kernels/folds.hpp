// Folds: the lanes of a register are reduced to one number, the upper half onto the lower half until one is left. As
// many registers as one has lanes are reduced together, to a register of such numbers, by a third of the instructions.
#pragma once
#include <array>
#include <utility>

#include "autodiff/kernels/simd.hpp"

namespace wengert::simd {

// The fold of x by f(lower, upper) in lane 0; in the others the operands of f may come in another order.
template <class T, class F>
Batch<T> fold_with(Batch<T> x, F f) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    x = f(x, Batch<T>(_mm512_shuffle_f32x4(x, x, 0x4e)));
    x = f(x, Batch<T>(_mm512_shuffle_f32x4(x, x, 0xb1)));
    x = f(x, Batch<T>(_mm512_permute_ps(x, 0x4e)));
    return f(x, Batch<T>(_mm512_permute_ps(x, 0xb1)));
  } else {
    x = f(x, Batch<T>(_mm512_shuffle_f64x2(x, x, 0x4e)));
    x = f(x, Batch<T>(_mm512_shuffle_f64x2(x, x, 0xb1)));
    return f(x, Batch<T>(_mm512_permute_pd(x, 0x55)));
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    x = f(x, Batch<T>(_mm256_permute2f128_ps(x, x, 1)));
    x = f(x, Batch<T>(_mm256_permute_ps(x, 0x4e)));
    return f(x, Batch<T>(_mm256_permute_ps(x, 0xb1)));
  } else {
    x = f(x, Batch<T>(_mm256_permute2f128_pd(x, x, 1)));
    return f(x, Batch<T>(_mm256_permute_pd(x, 0x5)));
  }
#else
  alignas(alignment) std::array<T, Batch<T>::size> all;
  for (std::size_t half = all.size() / 2; half > 0; half /= 2) {
    store(all.data(), x);
    for (std::size_t j = 0; j < half; ++j) std::swap(all[j], all[j + half]);
    x = f(x, load(all.data()));
  }
  return Batch<T>(x.get(0));
#endif
}

// The sum of all lanes, upper half onto lower half until one is left.
template <class T>
T fold(Batch<T> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m256 half =
        _mm256_add_ps(_mm512_castps512_ps256(x), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)));
    const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    const __m128 two = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
#endif
  return fold_with<T>(x, [](Batch<T> a, Batch<T> b) { return a + b; }).get(0);
}

namespace detail {

// Steps of fold_each(), of two registers to one: f of the halves of what is left of each, of whole blocks of 128 bits
// first, then within blocks.
#if defined(__AVX512F__)
inline constexpr int steps_between_blocks = 2;
template <class T, class F>
Batch<T> fold_blocks(Batch<T> a, Batch<T> b, int step, F f) {
  if constexpr (sizeof(T) == 4)
    return step == 0 ? f(Batch<T>(_mm512_shuffle_f32x4(a, b, 0x44)), Batch<T>(_mm512_shuffle_f32x4(a, b, 0xee)))
                     : f(Batch<T>(_mm512_shuffle_f32x4(a, b, 0x88)), Batch<T>(_mm512_shuffle_f32x4(a, b, 0xdd)));
  else
    return step == 0 ? f(Batch<T>(_mm512_shuffle_f64x2(a, b, 0x44)), Batch<T>(_mm512_shuffle_f64x2(a, b, 0xee)))
                     : f(Batch<T>(_mm512_shuffle_f64x2(a, b, 0x88)), Batch<T>(_mm512_shuffle_f64x2(a, b, 0xdd)));
}
template <class T, class F>
Batch<T> fold_in_blocks(Batch<T> a, Batch<T> b, int step, F f) {
  if constexpr (sizeof(T) == 4)
    return step == 0 ? f(Batch<T>(_mm512_shuffle_ps(a, b, 0x44)), Batch<T>(_mm512_shuffle_ps(a, b, 0xee)))
                     : f(Batch<T>(_mm512_shuffle_ps(a, b, 0x88)), Batch<T>(_mm512_shuffle_ps(a, b, 0xdd)));
  else
    return f(Batch<T>(_mm512_unpacklo_pd(a, b)), Batch<T>(_mm512_unpackhi_pd(a, b)));
}
#elif defined(__AVX2__)
inline constexpr int steps_between_blocks = 1;
template <class T, class F>
Batch<T> fold_blocks(Batch<T> a, Batch<T> b, int, F f) {
  if constexpr (sizeof(T) == 4)
    return f(Batch<T>(_mm256_permute2f128_ps(a, b, 0x20)), Batch<T>(_mm256_permute2f128_ps(a, b, 0x31)));
  else
    return f(Batch<T>(_mm256_permute2f128_pd(a, b, 0x20)), Batch<T>(_mm256_permute2f128_pd(a, b, 0x31)));
}
template <class T, class F>
Batch<T> fold_in_blocks(Batch<T> a, Batch<T> b, int step, F f) {
  if constexpr (sizeof(T) == 4)
    return step == 0 ? f(Batch<T>(_mm256_shuffle_ps(a, b, 0x44)), Batch<T>(_mm256_shuffle_ps(a, b, 0xee)))
                     : f(Batch<T>(_mm256_shuffle_ps(a, b, 0x88)), Batch<T>(_mm256_shuffle_ps(a, b, 0xdd)));
  else
    return f(Batch<T>(_mm256_unpacklo_pd(a, b)), Batch<T>(_mm256_unpackhi_pd(a, b)));
}
#endif

}  // namespace detail

// Lane i is the fold of all[i], with the operands of f in the order of lane 0 of fold_with(). A block is 128 bits.
template <class T, class F>
Batch<T> fold_each(std::array<Batch<T>, Batch<T>::size> all, F f) {
#if defined(__AVX2__)
  // Each step halves the number of registers. Steps of blocks leave one block of each register, of which the i-th one's
  // has to be block i / in_block; steps within blocks then bring its number to lane i % in_block of it.
  constexpr std::size_t count = Batch<T>::size, in_block = 16 / sizeof(T), blocks = count / in_block;
  std::array<Batch<T>, in_block> folded;
  for (std::size_t r = 0; r < in_block; ++r) {  // registers r, r + in_block, ...: one lane of each block
    std::array<Batch<T>, blocks> each;
    for (std::size_t b = 0; b < blocks; ++b) each[b] = all[r + b * in_block];
    std::size_t left = blocks;
    for (int step = 0; step < detail::steps_between_blocks; ++step, left /= 2)
      for (std::size_t b = 0; b + 1 < left; b += 2) each[b / 2] = detail::fold_blocks<T>(each[b], each[b + 1], step, f);
    folded[r] = each[0];
  }
  std::size_t left = in_block;
  for (int step = 0; left > 1; ++step, left /= 2)
    for (std::size_t r = 0; r + 1 < left; r += 2)
      folded[r / 2] = detail::fold_in_blocks<T>(folded[r], folded[r + 1], step, f);
  return folded[0];
#else
  alignas(alignment) std::array<T, Batch<T>::size> values;
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = fold_with<T>(all[i], f).get(0);
  return load(values.data());
#endif
}

// out[i] = the fold of line(i), a register, for i in [0, lines).
template <class T, class Line, class F>
void fold_lines(Index lines, const Line& line, F f, T* out) {
  constexpr std::size_t count = Batch<T>::size;
  Index i = 0;
  for (; i + lanes<T> <= lines; i += lanes<T>) {
    std::array<Batch<T>, count> all;
#pragma GCC unroll 16
    for (std::size_t j = 0; j < count; ++j) all[j] = line(i + static_cast<Index>(j));
    store(out + i, fold_each<T>(all, f));
  }
  for (; i < lines; ++i) out[i] = fold_with<T>(line(i), f).get(0);
}

}  // namespace wengert::simd
