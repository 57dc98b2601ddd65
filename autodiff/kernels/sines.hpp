// sin and cos on SIMD batches: x = n pi/2 + r, and polynomials on [-pi/4, pi/4].
#pragma once
#include "autodiff/kernels/bits.hpp"

namespace wengert::simd {
namespace detail {

// pi/2 in three parts of full precision: x - n pi/2 by three FMAs, the first of which is exact (its result is a
// multiple of the last bit of `high` below 2). Beyond `limit` lanes are handed to the scalar function.
template <class T>
struct HalfPi;
template <>
struct HalfPi<float> {
  static constexpr float high = 0x1.921fb6p+0f, middle = -0x1.777a5cp-25f, low = -0x1.ee59dap-50f, limit = 1e5f;
};
template <>
struct HalfPi<double> {
  static constexpr double high = 0x1.921fb54442d18p+0, middle = 0x1.1a62633145c07p-54, low = -0x1.f1976b7ed8fbcp-110,
                          limit = 1e9;
};

// Minimax polynomials of Cephes (S. L. Moshier) on [-pi/4, pi/4], lowest power first: (sin x - x) / x^3 and
// (cos x - 1 + x^2 / 2) / x^4 of x^2.
inline constexpr std::array<float, 3> sine_f32{-1.6666654611e-1f, 8.3321608736e-3f, -1.9515295891e-4f};
inline constexpr std::array<float, 3> cosine_f32{4.166664568298827e-2f, -1.388731625493765e-3f, 2.443315711809948e-5f};
inline constexpr std::array<double, 6> sine_f64{-1.66666666666666307295e-1, 8.33333333332211858878e-3,
                                                -1.98412698295895385996e-4, 2.75573136213857245213e-6,
                                                -2.50507477628578072866e-8, 1.58962301576546568060e-10};
inline constexpr std::array<double, 6> cosine_f64{4.16666666666665929218e-2, -1.38888888888730564116e-3,
                                                  2.48015872888517045348e-5, -2.75573141792967388112e-7,
                                                  2.08757008419747316778e-9, -1.13585365213876817300e-11};

// sin(x + shift * pi/2)
template <class T>
Batch<T> sine(Batch<T> x, Word<T> shift) {
  using B = Batch<T>;
  using C = HalfPi<T>;
  const B shifted = fma(x, B(static_cast<T>(0.63661977236758134308)), B(shifter<T>)), n = shifted - B(shifter<T>);
  const B r = fnma(n, B(C::low), fnma(n, B(C::middle), fnma(n, B(C::high), x))), square = r * r;
  B s, c;
  if constexpr (sizeof(T) == 4) {
    s = polynomial<T>(square, sine_f32);
    c = polynomial<T>(square, cosine_f32);
  } else {
    const B fourth = square * square;
    s = polynomial_by_pairs(square, fourth, sine_f64);
    c = polynomial_by_pairs(square, fourth, cosine_f64);
  }
  s = fma(r * square, s, r);
  c = fma(square, fma(square, c, B(T(-0.5))), B(1));
  const Words<T> quadrant = words(shifted) + shift;
  const B sign = from_words<T>(quadrant >> 1 << (8 * sizeof(T) - 1));
  return choose_odd(quadrant, c, s) ^ sign;
}

}  // namespace detail

template <class T>
Batch<T> sin(Batch<T> x) {
  const Batch<T> value = xsimd::select(x == Batch<T>(0), x, detail::sine(x, 0));  // keeps the sign of zero
  return patch(value, x, !(xsimd::abs(x) <= Batch<T>(detail::HalfPi<T>::limit)), [](T v) { return std::sin(v); });
}
template <class T>
Batch<T> cos(Batch<T> x) {
  return patch(detail::sine(x, 1), x, !(xsimd::abs(x) <= Batch<T>(detail::HalfPi<T>::limit)),
               [](T v) { return std::cos(v); });
}

}  // namespace wengert::simd
