// Square roots in f64 from the processor's estimate, since an exact one of eight numbers takes 24 cycles.
#pragma once
#include "autodiff/kernels/bits.hpp"
#include "autodiff/kernels/two_words.hpp"

namespace wengert::simd::detail {

// The square root of z >= 0 in two words, or to 40 bits of one; NaN below 0.
inline TwoWords<double> root_of(Batch<double> z) {
  using B = Batch<double>;
#if defined(__AVX512F__)
  const B y = at_most(B(_mm512_rsqrt14_pd(z)), 1e160);  // infinite for 0
  B root = z * y, half = B(0.5) * y;                    // (Goldschmidt)
  for (int i = 0; i < 2; ++i) {
    const B error = fnma(root, half, B(0.5));
    root = fma(root, error, root), half = fma(half, error, half);
  }
  return {root, fnma(root, root, z) * half};
#else
  const B root = xsimd::sqrt(z);
  return {root, fnma(root, root, z) * (B(0.5) / at_least(root, 1e-160))};
#endif
}
inline Batch<double> short_root_of(Batch<double> z) {
#if defined(__AVX512F__)
  using B = Batch<double>;
  const B y = at_most(B(_mm512_rsqrt14_pd(z)), 1e160), root = z * y, error = fnma(root, y, B(1));
  return fma(root * error, fma(error, B(0.375), B(0.5)), root);
#else
  return xsimd::sqrt(z);
#endif
}

}  // namespace wengert::simd::detail
