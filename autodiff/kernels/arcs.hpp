// asin and acos on SIMD batches: asin(x) = s + s z p(z) with s = |x| and z = s^2 up to 1/2; beyond it the half angle,
// asin(x) = pi/2 - 2 asin(s), where z = s^2 = (1 - |x|) / 2. The polynomials have the least largest relative error of
// asin, by Remez' exchange in 50 digits. f32 is computed in f64 and rounded once.
#pragma once
#include "autodiff/kernels/roots.hpp"

namespace wengert::simd {
namespace detail {

// asin(s) = s + p where |x| <= 1/2, and where it is not, of the half angle.
struct Arc {
  Batch<double> s, p;
  decltype(Batch<double>() < Batch<double>()) half;
};
inline Arc arc_of(Batch<double> x) {
  using B = Batch<double>;
  constexpr std::array<double, 12> p{0x1.5555555555391p-3, 0x1.333333336e752p-4,  0x1.6db6db42808c0p-5,
                                     0x1.f1c72c373e88dp-6, 0x1.6e89f46528176p-6,  0x1.1c6bdfaea088cp-6,
                                     0x1.c6fde4eca3fe5p-7, 0x1.8ec22a6415e67p-7,  0x1.abd5d04905af1p-8,
                                     0x1.3ff0a8ea0e1aep-6, -0x1.09cd78c9eb1f2p-6, 0x1.056baa0f19c70p-5};  // 1.5e-17
  const B size = xsimd::abs(x);
  const auto half = size > B(0.5);
  const B z = xsimd::select(half, fnma(B(0.5), size, B(0.5)), x * x);
  const TwoWords<double> root = root_of(z);
  const B s = xsimd::select(half, root.high, size), low = xsimd::select(half, root.low, B(0));
  return {s, fma(s * z, polynomial_by_pairs(z, z * z, p), low), half};
}
inline Arc short_arc_of(Batch<double> x) {
  using B = Batch<double>;
  constexpr std::array<double, 7> p{0x1.55555605c15e8p-3, 0x1.3332aa059215bp-4, 0x1.6ddac08f97ba5p-5,
                                    0x1.ed5d035e36067p-6, 0x1.9320222c3a64ap-6, 0x1.ec1dd8fbf6a0bp-8,
                                    0x1.1bd38e9ea6dd1p-5};  // 1.6e-11
  const B size = xsimd::abs(x);
  const auto half = size > B(0.5);
  const B z = xsimd::select(half, fnma(B(0.5), size, B(0.5)), x * x);
  const B s = xsimd::select(half, short_root_of(z), size);
  return {s, s * z * polynomial_by_pairs(z, z * z, p), half};
}

// pi and its half, in two words
inline constexpr double pi_high = 0x1.921fb54442d18p+1, pi_low = 0x1.1a62633145c07p-53;

// Where asin |x| = start + factor (s + p) begins, and where acos x does.
struct ArcLine {
  Batch<double> start, start_low, factor;
};
inline ArcLine asin_line(const Arc& arc) {
  using B = Batch<double>;
  return {xsimd::select(arc.half, B(pi_high / 2), B(0)), xsimd::select(arc.half, B(pi_low / 2), B(0)),
          xsimd::select(arc.half, B(-2), B(1))};
}
inline ArcLine acos_line(const Arc& arc, Batch<double> x) {
  using B = Batch<double>;
  const auto left = x < B(0);
  const B whole = xsimd::select(left, B(pi_high), B(0)), whole_low = xsimd::select(left, B(pi_low), B(0));
  const B factor = xsimd::select(arc.half, B(2), B(-1));
  return {xsimd::select(arc.half, whole, B(pi_high / 2)), xsimd::select(arc.half, whole_low, B(pi_low / 2)),
          factor ^ (x & B(-0.0))};
}
inline Batch<double> value_of(const Arc& arc, const ArcLine& line) {
  const TwoWords<double> sum = sum_of(line.start, line.factor * arc.s, fma(line.factor, arc.p, line.start_low));
  return sum.high + sum.low;
}
inline Batch<double> short_value_of(const Arc& arc, const ArcLine& line) {
  return fma(line.factor, arc.s + arc.p, line.start);
}

}  // namespace detail

inline Batch<double> asin(Batch<double> x) {
  const detail::Arc arc = detail::arc_of(x);
  return detail::value_of(arc, detail::asin_line(arc)) ^ (x & Batch<double>(-0.0));
}
inline Batch<float> asin(Batch<float> x) {
  return in_double(x, [](Batch<double> z) {
    const detail::Arc arc = detail::short_arc_of(z);
    return detail::short_value_of(arc, detail::asin_line(arc)) ^ (z & Batch<double>(-0.0));
  });
}
inline Batch<double> acos(Batch<double> x) {
  const detail::Arc arc = detail::arc_of(x);
  return detail::value_of(arc, detail::acos_line(arc, x));
}
inline Batch<float> acos(Batch<float> x) {
  return in_double(x, [](Batch<double> z) {
    const detail::Arc arc = detail::short_arc_of(z);
    return detail::short_value_of(arc, detail::acos_line(arc, z));
  });
}

}  // namespace wengert::simd
