// The parts of floating-point numbers, and quotients: what elementary functions are made of.
#pragma once
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "autodiff/kernels/simd.hpp"

namespace wengert::simd {
namespace detail {

template <class T>
using Word = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
template <class T>
struct WordsOf {
  using Type [[gnu::vector_size(sizeof(Batch<T>))]] = Word<T>;
};
// The bit patterns of a batch, with the shifts and the arithmetic of unsigned integers.
template <class T>
using Words = typename WordsOf<T>::Type;
template <class T>
Words<T> words(Batch<T> x) {
  return std::bit_cast<Words<T>>(x.data);
}
template <class T>
Batch<T> from_words(Words<T> words) {
  return Batch<T>(std::bit_cast<typename Batch<T>::register_type>(words));
}

template <class T>
inline constexpr int fraction_bits = std::numeric_limits<T>::digits - 1;
// x + shifter is a whole number, rounded to nearest, whose low bits are those of the sum's fraction: |x| < 2^22 or
// 2^51.
template <class T>
inline constexpr T shifter = T(1.5) * static_cast<T>(Word<T>{1} << fraction_bits<T>);

// 2^n from n + biased_shifter, for whole n of normal results.
template <class T>
inline constexpr T biased_shifter = shifter<T> + static_cast<T>(std::numeric_limits<T>::max_exponent - 1);
template <class T>
Batch<T> power_of_two(Batch<T> shifted) {
  return from_words<T>(words(shifted) << fraction_bits<T>);
}
// x 2^n for whole n up to twice the largest exponent; where x 2^(n/2) is a normal number it is rounded, and flushed,
// once.
template <class T>
Batch<T> scale(Batch<T> x, Batch<T> n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_scalef_ps(x, n);
  else
    return _mm512_scalef_pd(x, n);
#else
  const Batch<T> half = xsimd::floor(n * Batch<T>(T(0.5)));
  const Batch<T> shift(biased_shifter<T>);
  return x * power_of_two(half + shift) * power_of_two((n - half) + shift);
#endif
}
// a where a word is odd, b elsewhere.
template <class T>
Batch<T> choose_odd(Words<T> of, Batch<T> a, Batch<T> b) {
#if defined(__AVX512F__)
  const auto bits = std::bit_cast<__m512i>(of);
  if constexpr (sizeof(T) == 4)
    return _mm512_mask_mov_ps(b, _mm512_test_epi32_mask(bits, _mm512_set1_epi32(1)), a);
  else
    return _mm512_mask_mov_pd(b, _mm512_test_epi64_mask(bits, _mm512_set1_epi64(1)), a);
#else
  const Words<T> mask = Word<T>{0} - (of & Word<T>{1});
  return from_words<T>((words(a) & mask) | (words(b) & ~mask));
#endif
}

// c[0] + c[1] x + c[2] x^2 + ... by pairs: half as long a chain as Horner's.
template <class T, std::size_t N>
Batch<T> polynomial_by_pairs(Batch<T> x, Batch<T> square, const std::array<T, N>& c) {
  const auto pair = [&](std::size_t i) {
    return i + 1 < N ? fma(Batch<T>(c[i + 1]), x, Batch<T>(c[i])) : Batch<T>(c[i]);
  };
  Batch<T> sum = pair((N - 1) / 2 * 2);
  for (std::size_t i = (N - 1) / 2 * 2; i > 0; i -= 2) sum = fma(sum, square, pair(i - 2));
  return sum;
}

// 1 / b to 14 bits in f32, to 42 in f64, on AVX-512.
#if defined(__AVX512F__)
inline Batch<float> inverse_estimate(Batch<float> b) { return _mm512_rcp14_ps(b); }
inline Batch<double> inverse_estimate(Batch<double> b) {
  const Batch<double> y = _mm512_rcp14_pd(b), error = fnma(b, y, Batch<double>(1));
  return fma(y, fma(error, error, error), y);
}
#endif

// max(x, low), min(x, high). NaN is kept: of x86's instructions, the second operand.
template <class T>
Batch<T> at_least(Batch<T> x, T low) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_max_ps(Batch<T>(low), x);
  else
    return _mm512_max_pd(Batch<T>(low), x);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return _mm256_max_ps(Batch<T>(low), x);
  else
    return _mm256_max_pd(Batch<T>(low), x);
#else
  return xsimd::select(x < Batch<T>(low), Batch<T>(low), x);
#endif
}
template <class T>
Batch<T> at_most(Batch<T> x, T high) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_min_ps(Batch<T>(high), x);
  else
    return _mm512_min_pd(Batch<T>(high), x);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return _mm256_min_ps(Batch<T>(high), x);
  else
    return _mm256_min_pd(Batch<T>(high), x);
#else
  return xsimd::select(x > Batch<T>(high), Batch<T>(high), x);
#endif
}

}  // namespace detail

// a / b and 1 / b within .52 ulp, where neither they nor 1 / b leave the normal numbers; NaN for a NaN. By a step of
// Newton's method, since a division of eight or sixteen numbers takes 16 cycles.
template <class T>
Batch<T> quotient(Batch<T> a, Batch<T> b) {
#if defined(__AVX512F__)
  const Batch<T> y = detail::inverse_estimate(b), q = a * y;
  return fma(fnma(q, b, a), y, q);
#else
  return a / b;
#endif
}
template <class T>
Batch<T> inverse(Batch<T> b) {
#if defined(__AVX512F__)
  const Batch<T> y = detail::inverse_estimate(b);
  return fma(fnma(b, y, Batch<T>(1)), y, y);
#else
  return Batch<T>(1) / b;
#endif
}

// quotient() of many numbers and one.
template <class T>
class Divisor {
 public:
#if defined(__AVX512F__)
  explicit Divisor(Batch<T> b) : b_(b), inverse_(inverse(b)) {}
  Batch<T> under(Batch<T> a) const {
    const Batch<T> q = a * inverse_;
    return fma(fnma(q, b_, a), inverse_, q);
  }
#else
  explicit Divisor(Batch<T> b) : b_(b) {}
  Batch<T> under(Batch<T> a) const { return a / b_; }
#endif

 private:
  Batch<T> b_;
#if defined(__AVX512F__)
  Batch<T> inverse_;
#endif
};

}  // namespace wengert::simd
