// tan on SIMD batches: x = n pi/2 + r as for sin, and a rational function r u(r^2) / v(r^2) on [-pi/4, pi/4], or minus
// its inverse. With the least largest relative error; fitted in 50 digits. f32 is computed in f64 and rounded once.
#pragma once
#include "autodiff/kernels/sines.hpp"
#include "autodiff/kernels/two_words.hpp"

namespace wengert::simd {
namespace detail {

// x = n pi/2 + r, where the second word of r is wanted in f64 alone
struct Turn {
  Words<double> quadrant;
  TwoWords<double> r;
};
inline Turn turn_of(Batch<double> x) {
  using B = Batch<double>;
  using C = HalfPi<double>;
  const B shift(shifter<double>), shifted = fma(x, B(0.63661977236758134308), shift), n = shifted - shift;
  const B first = fnma(n, B(C::high), x), r = fnma(n, B(C::middle), first);
  return {words(shifted), {r, fnma(n, B(C::low), fnma(n, B(C::middle), first - r))}};
}
// With every rounding but the last few of u and v made up for: those of r, its multiple by u, v, and the quotient.
inline Batch<double> tangent(Batch<double> x) {
  using B = Batch<double>;
  constexpr std::array<double, 3> u{-0x1.06b9869bc676ap-3, 0x1.6fc74a39e2fb5p-9, -0x1.f6395727294d6p-18};
  constexpr std::array<double, 3> v{-0x1.d8b218a3388d7p-2, 0x1.7e7b8ecfdc885p-6, -0x1.b5265faf5c618p-13};  // 1.9e-17
  const auto [quadrant, r] = turn_of(x);
  const B w = r.high * r.high;
  const TwoWords<double> sine = sum_of(r.high, r.high * w * polynomial(w, u)),
                         cosine = sum_of(B(1), w * polynomial(w, v));
  const B over = choose_odd(quadrant, neg(cosine.high), sine.high);
  const B over_low = choose_odd(quadrant, neg(cosine.low), sine.low);
  const B under = choose_odd(quadrant, sine.high, cosine.high), under_low = choose_odd(quadrant, sine.low, cosine.low);
  const B inverted = inverse(under), ratio = over * inverted;
  const B slope = fma(over, ratio, under);  // times the inverse: of the tangent, 1 + tan^2
  const B rest = fma(r.low, slope, fnma(ratio, under_low, over_low)) + fnma(ratio, under, over);
  return fma(rest, inverted, ratio);
}
inline Batch<double> short_tangent(Batch<double> x) {
  using B = Batch<double>;
  constexpr std::array<double, 2> u{-0x1.c82345f9b147bp-4, 0x1.19d9e940912a9p-10};
  constexpr std::array<double, 2> v{-0x1.c75e26b706f55p-2, 0x1.05b5cf0319f67p-6};  // 2.2e-11
  const auto [quadrant, r] = turn_of(x);
  const B w = r.high * r.high;
  const B sine = fma(r.high * w, polynomial(w, u), r.high), cosine = fma(w, polynomial(w, v), B(1));
  return quotient(choose_odd(quadrant, neg(cosine), sine), choose_odd(quadrant, sine, cosine));
}

}  // namespace detail

inline Batch<double> tan(Batch<double> x) {
  const Batch<double> value = xsimd::select(x == Batch<double>(0), x, detail::tangent(x));  // keeps the sign of zero
  return patch(value, x, !(xsimd::abs(x) <= Batch<double>(detail::HalfPi<double>::limit)),
               [](double lane) { return std::tan(lane); });
}
inline Batch<float> tan(Batch<float> x) {
  const Batch<float> value = xsimd::select(x == Batch<float>(0), x, in_double(x, detail::short_tangent));
  return patch(value, x, !(xsimd::abs(x) <= Batch<float>(1e9F)),
               [](float lane) { return static_cast<float>(std::tan(static_cast<double>(lane))); });
}

}  // namespace wengert::simd
