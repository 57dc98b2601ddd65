// Elementwise functions on xsimd batches whose value at a lane depends on that lane alone, and the loop that applies
// them. xsimd's own functions are used where that holds, they are accurate and none of ours is faster (exponentials.hpp
// and its neighbours); max and min are not among those (xsimd drops NaN).
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <tuple>
#include <utility>

#include "autodiff/array.hpp"
#include "autodiff/kernels/xsimd.hpp"

namespace wengert::simd {

template <class T>
using Batch = xsimd::batch<T>;
template <class T>
inline constexpr Index lanes = static_cast<Index>(Batch<T>::size);
static_assert(sizeof(Batch<float>) == WENGERT_VECTOR_BYTES, "xsimd's vectors have another width than the compiler's");

template <class T>
Batch<T> load(const T* data) {
  return Batch<T>::load_unaligned(data);
}
template <class T>
void store(T* data, Batch<T> value) {
  value.store_unaligned(data);
}

// Copies n elements past the caches, to where a cache line starts; fence_streams() before another thread reads them.
template <class T>
void stream(const T* from, Index n, T* to) {
  Index i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) {
#if defined(__AVX512F__)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i), _mm512_loadu_si512(from + i));
#elif defined(__AVX2__)
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i)));
#else
    store<T>(to + i, load(from + i));
#endif
  }
  for (; i < n; ++i) to[i] = from[i];
}
inline void fence_streams() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// The first `count` lanes of a register, 0 < count <= lanes: what lies behind them in memory is neither read nor
// written.
template <class T>
class Part {
 public:
  explicit Part(Index count) : count_(count) {
#if defined(__AVX512F__)
    mask_ = static_cast<decltype(mask_)>((1U << count) - 1U);
#elif defined(__AVX2__)
    alignas(alignment) std::array<T, Batch<T>::size> flags{};
    for (Index i = 0; i < count; ++i) flags[static_cast<std::size_t>(i)] = T(-1);  // its highest bit is set
    mask_ = simd::load(flags.data());
#endif
  }
  Batch<T> load(const T* data) const {  // zeros in the other lanes
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
      return _mm512_maskz_loadu_ps(mask_, data);
    else
      return _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask_), data);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
      return _mm256_maskload_ps(data, _mm256_castps_si256(mask_));
    else
      return _mm256_maskload_pd(data, _mm256_castpd_si256(mask_));
#else
    alignas(alignment) std::array<T, Batch<T>::size> all{};
    for (Index i = 0; i < count_; ++i) all[static_cast<std::size_t>(i)] = data[i];
    return simd::load(all.data());
#endif
  }
  Batch<T> load(const T* data, [[maybe_unused]] T other) const {  // `other` in the other lanes
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
      return _mm512_mask_loadu_ps(Batch<T>(other), mask_, data);
    else
      return _mm512_mask_loadu_pd(Batch<T>(other), static_cast<__mmask8>(mask_), data);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
      return _mm256_blendv_ps(Batch<T>(other), load(data), mask_);
    else
      return _mm256_blendv_pd(Batch<T>(other), load(data), mask_);
#else
    alignas(alignment) std::array<T, Batch<T>::size> all;
    all.fill(other);
    for (Index i = 0; i < count_; ++i) all[static_cast<std::size_t>(i)] = data[i];
    return simd::load(all.data());
#endif
  }
  void store(T* data, Batch<T> value) const {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
      _mm512_mask_storeu_ps(data, mask_, value);
    else
      _mm512_mask_storeu_pd(data, static_cast<__mmask8>(mask_), value);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
      _mm256_maskstore_ps(data, _mm256_castps_si256(mask_), value);
    else
      _mm256_maskstore_pd(data, _mm256_castpd_si256(mask_), value);
#else
    alignas(alignment) std::array<T, Batch<T>::size> all;
    simd::store(all.data(), value);
    for (Index i = 0; i < count_; ++i) data[i] = all[static_cast<std::size_t>(i)];
#endif
  }

 private:
  [[maybe_unused]] Index count_;
#if defined(__AVX512F__)
  __mmask16 mask_;
#elif defined(__AVX2__)
  Batch<T> mask_;
#endif
};

// a * b + c with one rounding. xsimd 8.1 multiplies and adds where it has no kernel of its own, AVX-512 among them.
template <class T>
Batch<T> fma(Batch<T> a, Batch<T> b, Batch<T> c) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_fmadd_ps(a, b, c);
  else
    return _mm512_fmadd_pd(a, b, c);
#elif defined(__aarch64__)
  if constexpr (sizeof(T) == 4)
    return vfmaq_f32(c, a, b);
  else
    return vfmaq_f64(c, a, b);
#else
  return xsimd::fma(a, b, c);
#endif
}

// c - a * b with one rounding; fma(-a, b, c) would turn the sign by a subtraction.
template <class T>
Batch<T> fnma(Batch<T> a, Batch<T> b, Batch<T> c) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_fnmadd_ps(a, b, c);
  else
    return _mm512_fnmadd_pd(a, b, c);
#elif defined(__aarch64__)
  if constexpr (sizeof(T) == 4)
    return vfmsq_f32(c, a, b);
  else
    return vfmsq_f64(c, a, b);
#else
  return xsimd::fnma(a, b, c);
#endif
}

// Square roots of x >= 0 and quotients to about one part in 10^7 in f32: estimates of the processor, and a step of
// Newton's method. Many times faster than the exact ones, for what is an estimate itself.
template <class T>
Batch<T> quick_sqrt(Batch<T> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    using Limits = std::numeric_limits<T>;
    const Batch<T> bounded = xsimd::min(x, Batch<T>(Limits::max()));
    const Batch<T> y = _mm512_rsqrt14_ps(xsimd::max(bounded, Batch<T>(Limits::min()))), s = bounded * y;
    return fma<T>(fma<T>(-s, s, bounded), Batch<T>(T(0.5)) * y, s);
  }
#endif
  return xsimd::sqrt(x);
}
template <class T>
Batch<T> quick_quotient(Batch<T> a, Batch<T> b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const Batch<T> y = _mm512_rcp14_ps(b), q = a * y;
    return fma<T>(fma<T>(-q, b, a), y, q);
  }
#endif
  return a / b;
}

// 1 where the mask holds, 0 elsewhere.
template <class T, class Mask>
Batch<T> indicator(Mask mask) {
  return xsimd::select(mask, Batch<T>(1), Batch<T>(0));
}

// Replaces the lanes where `mask` holds by f of the operands' lanes, one scalar call each. Lanes are rarely replaced,
// so that it is no part of the loop that asks for it.
template <class T, class Mask, class F, class... Operands>
[[gnu::noinline]] Batch<T> patch_lanes(Batch<T> value, Mask mask, F f, Operands... x) {
  using Lanes = std::array<T, Batch<T>::size>;
  const auto stored = [](Batch<T> batch) {
    alignas(alignment) Lanes lanes;
    store(lanes.data(), batch);
    return lanes;
  };
  alignas(alignment) Lanes values = stored(value);
  const Lanes flags = stored(indicator<T>(mask));
  const std::array<Lanes, sizeof...(x)> points{stored(x)...};
  for (std::size_t i = 0; i < values.size(); ++i)
    if (flags[i] != 0) values[i] = std::apply([&](const auto&... lanes) { return f(lanes[i]...); }, points);
  return load(values.data());
}
template <class T, class Mask, class F>
Batch<T> patch(Batch<T> value, Batch<T> x, Mask mask, F f) {
  return xsimd::any(mask) ? patch_lanes(value, mask, f, x) : value;
}
template <class T, class Mask, class F>
Batch<T> patch(Batch<T> value, Batch<T> a, Batch<T> b, Mask mask, F f) {
  return xsimd::any(mask) ? patch_lanes(value, mask, f, a, b) : value;
}

// f of every lane, one scalar call each.
template <class T, class F>
[[gnu::noinline]] Batch<T> each(Batch<T> x, F f) {
  alignas(alignment) std::array<T, Batch<T>::size> lanes;
  store(lanes.data(), x);
  for (T& lane : lanes) lane = static_cast<T>(f(lane));
  return load(lanes.data());
}

// A batch of f32 in f64, and back.
using Wide = std::array<Batch<double>, 2>;
inline Wide widen(Batch<float> x) {
#if defined(__AVX512F__)
  const __m256i high = _mm512_extracti64x4_epi64(_mm512_castps_si512(x), 1);
  return {_mm512_cvtps_pd(_mm512_castps512_ps256(x)), _mm512_cvtps_pd(_mm256_castsi256_ps(high))};
#elif defined(__AVX2__)
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))};
#else
  alignas(alignment) std::array<float, Batch<float>::size> singles;
  alignas(alignment) std::array<double, Batch<float>::size> doubles;
  store(singles.data(), x);
  for (std::size_t i = 0; i < doubles.size(); ++i) doubles[i] = static_cast<double>(singles[i]);
  return {load(doubles.data()), load(doubles.data() + Batch<double>::size)};
#endif
}
inline Batch<float> narrow(const Wide& x) {
#if defined(__AVX512F__)
  const __m256 high = _mm512_cvtpd_ps(x[1]);
  const __m512i low = _mm512_castsi256_si512(_mm256_castps_si256(_mm512_cvtpd_ps(x[0])));
  return _mm512_castsi512_ps(_mm512_inserti64x4(low, _mm256_castps_si256(high), 1));
#elif defined(__AVX2__)
  return _mm256_set_m128(_mm256_cvtpd_ps(x[1]), _mm256_cvtpd_ps(x[0]));
#else
  alignas(alignment) std::array<double, Batch<float>::size> doubles;
  alignas(alignment) std::array<float, Batch<float>::size> singles;
  store(doubles.data(), x[0]);
  store(doubles.data() + Batch<double>::size, x[1]);
  for (std::size_t i = 0; i < doubles.size(); ++i) singles[i] = static_cast<float>(doubles[i]);
  return load(singles.data());
#endif
}

// f, a function of batches of f64: of f32, it is computed in f64 and rounded once. (A lambda: a pointer to a function
// is called, and its constants are loaded anew.)
template <class F>
Batch<double> in_double(Batch<double> x, F f) {
  return f(x);
}
template <class F>
Batch<float> in_double(Batch<float> x, F f) {
  const Wide wide = widen(x);
  return narrow({f(wide[0]), f(wide[1])});
}

namespace detail {

// c[0] + c[1] x + c[2] x^2 + ...
template <class T, std::size_t N>
Batch<T> polynomial(Batch<T> x, const std::array<T, N>& c) {
  Batch<T> sum(c[N - 1]);
  for (std::size_t i = N - 1; i-- > 0;) sum = fma(sum, x, Batch<T>(c[i]));
  return sum;
}

}  // namespace detail

template <class T>
Batch<T> max(Batch<T> a, Batch<T> b) {
  return xsimd::select(a > b || xsimd::isnan(a), a, b);
}
template <class T>
Batch<T> min(Batch<T> a, Batch<T> b) {
  return xsimd::select(a < b || xsimd::isnan(a), a, b);
}

// -x with the sign of zero turned too; xsimd subtracts from 0.
template <class T>
Batch<T> neg(Batch<T> x) {
  return x ^ Batch<T>(T(-0.0));
}

// out[i] = f(in[0][i], in[1][i], ...) for i in [0, n). The last, partial batch goes through the same instructions, so
// that no value depends on its place or on n. Whatever f calls is inlined, so that its constants stay in registers.
template <class T, class F, std::size_t... I>
[[gnu::flatten]] void map(Index n, const std::array<const T*, sizeof...(I)>& in, T* out, const F& f,
                          std::index_sequence<I...>) {
  constexpr Index width = lanes<T>;
  Index i = 0;
  for (; i + width <= n; i += width) store<T>(out + i, f(load(in[I] + i)...));
  if (i == n) return;
  const Part<T> rest(n - i);
  rest.store(out + i, f(rest.load(in[I] + i)...));
}
template <std::size_t Arity, class T, class F>
void map(Index n, const std::array<const T*, Arity>& in, T* out, const F& f) {
  map(n, in, out, f, std::make_index_sequence<Arity>());
}

}  // namespace wengert::simd
