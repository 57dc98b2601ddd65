// log, log1p, log2, log10 and atanh on SIMD batches: x = 2^e (1 + f) with .695 <= 1 + f < 1.391, e ln 2 + log(1 + f).
#pragma once
#include "autodiff/kernels/bits.hpp"
#include "autodiff/kernels/two_words.hpp"

namespace wengert::simd {
namespace detail {

template <class T>
struct ExponentAndRest {
  Batch<T> e, f;
};

// Of normal x > 0. On AVX-512 0 and infinity have infinite exponents and negative numbers a rest of NaN, so that
// logarithms need no choice; elsewhere their results are chosen by log_where().
template <class T>
ExponentAndRest<T> take_apart(Batch<T> x) {
  using B = Batch<T>;
#if defined(__AVX512F__)
  B e, m;
  if constexpr (sizeof(T) == 4) {
    m = _mm512_getmant_ps(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_nan);
    e = _mm512_getexp_ps(x);
  } else {
    m = _mm512_getmant_pd(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_nan);
    e = _mm512_getexp_pd(x);
  }
  const auto large = m > B(T(1.390625));
  return {xsimd::select(large, e + B(1), e), xsimd::select(large, m * B(T(0.5)), m) - B(1)};
#else
  constexpr T two_to_fraction = static_cast<T>(Word<T>{1} << fraction_bits<T>);
  constexpr Word<T> fraction = (Word<T>{1} << fraction_bits<T>)-1;
  const Words<T> low = words(B(T(0.6953125))), counted = words(x) + (words(B(1)) - low);
  const B large(two_to_fraction), bias(T(std::numeric_limits<T>::max_exponent - 1));
  const B e = from_words<T>((counted >> fraction_bits<T>) | words(large)) - (large + bias);
  return {e, from_words<T>((counted & fraction) + low) - B(1)};
#endif
}
template <class T>
Batch<T> log_where([[maybe_unused]] Batch<T> x, Batch<T> value) {
#if defined(__AVX512F__)
  return value;
#else
  using B = Batch<T>;
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const B none = xsimd::select(x == B(0), B(-infinity), B(std::numeric_limits<T>::quiet_NaN()));
  return xsimd::select(x < B(infinity), xsimd::select(x > B(0), value, none), x);
#endif
}

// ln 2 in two words, both above 0, so that infinite exponents do not cancel; its multiples by exponents are exact in
// the first.
template <class T>
inline constexpr T ln2_high = static_cast<T>(sizeof(T) == 4 ? 0x1.62ep-1 : 0x1.62e42feep-1);
template <class T>
inline constexpr T ln2_low = static_cast<T>(sizeof(T) == 4 ? 0x1.0bfbe8e7bcd5ep-15 : 0x1.a39ef35793c76p-33);

// e ln 2 + log(1 + f), where `low` is e times the second word of ln 2. The polynomials have the least largest relative
// error; by Remez' exchange in 60 digits. f32: f - f^2/2 + f^3 p(f).
inline Batch<float> log_of(const ExponentAndRest<float>& x, Batch<float> low) {
  using B = Batch<float>;
  constexpr std::array<float, 9> p{0.3333331711f, -0.2499989963f, 0.2000171358f,  -0.1667435921f, 0.1423446101f,
                                   -0.122935214f, 0.1164564283f,  -0.1229529868f, 0.08129442994f};  // 8.1e-10
  const B square = x.f * x.f, tail = fma(x.f, polynomial_by_pairs(x.f, square, p), B(-0.5f));
  return fma(x.e, B(ln2_high<float>), x.f + fma(square, tail, low));
}
// f64: with s = f / (2 + f) it is f - (f^2/2 - s (f^2/2 + s^2 p(s^2))), as in fdlibm, or 2 s + s^3 p(s^2).
inline constexpr std::array<float, 4> beyond_ratio_f32{0.6666666517f, 0.4000044742f, 0.2853000582f,
                                                       0.2372273326f};  // 7.7e-12
inline constexpr std::array<double, 7> beyond_ratio_f64{
    0x1.55555555555ccp-1, 0x1.999999996c2bdp-2, 0x1.24924953ca35fp-2, 0x1.c71c434b52ac1p-3,
    0x1.74694d0f1e28ap-3, 0x1.39527b5b3c342p-3, 0x1.3224f8cb5b892p-3};  // 2.6e-18
inline Batch<double> log_of(const ExponentAndRest<double>& x, Batch<double> low) {
  using B = Batch<double>;
  const B s = quotient(x.f, B(2) + x.f), square = s * s, half = B(0.5) * x.f;
  const B sum = fma(half, x.f, square * polynomial_by_pairs(square, square * square, beyond_ratio_f64));
  return fma(x.e, B(ln2_high<double>), x.f + fnma(half, x.f, fma(s, sum, low)));
}

// f / (2 + f) in two words
template <class T>
TwoWords<T> ratio_of(Batch<T> f) {
  const TwoWords<T> under = sum_of(Batch<T>(2), f);
  const Batch<T> inverted = inverse(under.high), ratio = f * inverted;
  return {ratio, inverted * fnma(ratio, under.low, fnma(ratio, under.high, f))};
}

// Of a base b, in two words each: 1 / log b, and the logarithm of 2, whose multiples by exponents are exact in the
// first.
template <class T>
struct Base {
  T scale, scale_low, of_2, of_2_low;
};
// e log 2 + (2 s + s^3 p(s^2)) / log b
template <class T>
Batch<T> log_to(const Base<T>& base, Batch<T> x) {
  using B = Batch<T>;
  const auto [e, f] = take_apart(x + B(0));
  const TwoWords<T> s = ratio_of(f), first = product_of(s, B(2 * base.scale));
  const B square = s.high * s.high, scaled = fma(s.high, B(2 * base.scale_low), first.low);
  B p;
  if constexpr (sizeof(T) == 4)
    p = polynomial<T>(square, beyond_ratio_f32);
  else
    p = polynomial_by_pairs(square, square * square, beyond_ratio_f64);
  const B low = fma(e, B(base.of_2_low), fma(s.high * square * p, B(base.scale), scaled));
  const TwoWords<T> sum = sum_of(e * B(base.of_2), first.high, low);
  const auto finite = xsimd::abs(e) < B(std::numeric_limits<T>::infinity());  // not of 0 and infinity on AVX-512
  return log_where(x, xsimd::select(finite, sum.high + sum.low, e + f));
}

}  // namespace detail

template <class T>
Batch<T> log(Batch<T> x) {
  const Batch<T> unsigned_zero = x + Batch<T>(0);
  const detail::ExponentAndRest<T> parts = detail::take_apart(unsigned_zero);
  return detail::log_where(x, detail::log_of(parts, parts.e * Batch<T>(detail::ln2_low<T>)));
}

template <class T>
Batch<T> log2(Batch<T> x) {
  constexpr detail::Base<T> two = sizeof(T) == 4
                                      ? detail::Base<T>{T(0x1.715476p+0), T(0x1.4ae0cp-26), 1, 0}
                                      : detail::Base<T>{T(0x1.71547652b82fep+0), T(0x1.777d0ffda0d24p-56), 1, 0};
  return detail::log_to(two, x);
}
template <class T>
Batch<T> log10(Batch<T> x) {
  constexpr detail::Base<T> ten =
      sizeof(T) == 4 ? detail::Base<T>{T(0x1.bcb7b2p-2), T(-0x1.5b235ep-27), T(0x1.344p-2), T(0x1.3509f8p-18)}
                     : detail::Base<T>{T(0x1.bcb7b1526e50ep-2), T(0x1.95355baaafad3p-57), T(0x1.34413509f78p-2),
                                       T(0x1.fef311f12b358p-46)};
  return detail::log_to(ten, x);
}

// 1 + f is taken from x rather than from 1 + x, so that nothing of x is lost: f = x 2^-e + (2^-e - 1). It is rounded
// for x in [.39, .5] alone, where that adds about 1.37 times as much to the logarithm.
template <class T>
Batch<T> log1p(Batch<T> x) {
  using B = Batch<T>;
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const B e = detail::take_apart(B(1) + x).e;
  const B scaled = detail::scale(x, -e), shift = detail::scale(B(1), -e) - B(1), f = scaled + shift;
  const B lost = scaled - (f - shift);
  const B value = detail::log_of({e, f}, fma(e, B(detail::ln2_low<T>), B(T(1.37)) * lost));
  const B none = xsimd::select(x == B(-1), B(-infinity), B(std::numeric_limits<T>::quiet_NaN()));
  // Keeps the sign of zero.
  return xsimd::select((x < B(infinity)) && !(x == B(0)), xsimd::select(x > B(-1), value, none), x);
}

namespace detail {

// e where 2^e is near (1 + x) / (1 - x), and k = 2^e: atanh(x) = e/2 log 2 + atanh(s), where s, the difference of 1 + x
// and k (1 - x) over their sum, lies between -.18 and .17. With 1 + k and 1 - k, which are exact up to k = 2^52, a
// difference or a sum is one operation and is rounded once; where x is small e is 0 and s is x.
struct TangentParts {
  Batch<double> e, k;
};
inline TangentParts tangent_parts_of(Batch<double> x) {
  using B = Batch<double>;
#if defined(__AVX512F__)
  const B ratio = (B(1) + x) * B(_mm512_rcp14_pd(B(1) - x));
#else
  const B ratio = (B(1) + x) / (B(1) - x);
#endif
  const B e = take_apart(ratio).e;
  return {e, scale(B(1), e)};
}
// atanh(x) to 2e-11 for 0 <= x < 1 of f32
inline Batch<double> short_atanh_of(Batch<double> x) {
  using B = Batch<double>;
  constexpr std::array<double, 4> p{0.33333332585, 0.20000223715, 0.1426500291, 0.1186136663};
  const auto [e, k] = tangent_parts_of(x);
  const B over = B(1) + k, under = B(1) - k, s = quotient(fma(x, over, under), fma(x, under, over)), square = s * s;
  return fma(e, B(0.34657359027997265471), fma(s * square, polynomial(square, p), s));
}
// atanh(x) for 0 <= x < 1. From 1/2 on 1 - x is exact.
inline Batch<double> atanh_of(Batch<double> x) {
  using B = Batch<double>;
  const auto [e, k] = tangent_parts_of(x);
  const B over = B(1) + k, under = B(1) - k, left = B(1) + x, right = B(1) - x;
  const auto large = x >= B(0.5);
  const B difference = xsimd::select(large, fnma(k, right, left), fma(x, over, under));
  const B sum = xsimd::select(large, fma(k, right, left), fma(x, under, over));
  const B inverted = inverse(sum), s = difference * inverted, square = s * s, half = B(0.5) * s;
  const B low = fma(fnma(s, sum, difference), inverted, e * B(ln2_low<double> / 2));
  const B beyond = fma(half * square, polynomial_by_pairs(square, square * square, beyond_ratio_f64), low);
  return fma(e, B(ln2_high<double> / 2), s + beyond);
}
// value, infinity or NaN, with the sign of x.
template <class T>
Batch<T> atanh_where(Batch<T> x, Batch<T> value) {
  using B = Batch<T>;
  const B size = xsimd::abs(x), infinity(std::numeric_limits<T>::infinity());
  const B none = xsimd::select(size == B(1), infinity, B(std::numeric_limits<T>::quiet_NaN()));
  return xsimd::select(size < B(1), value, none) ^ (x & B(T(-0.0)));
}

}  // namespace detail

// Within 1.4 ulp in f64; f32 is computed in f64 and rounded once.
inline Batch<float> atanh(Batch<float> x) {
  return detail::atanh_where(
      x, in_double(Batch<float>(xsimd::abs(x)), [](Batch<double> z) { return detail::short_atanh_of(z); }));
}
inline Batch<double> atanh(Batch<double> x) { return detail::atanh_where(x, detail::atanh_of(xsimd::abs(x))); }

}  // namespace wengert::simd
