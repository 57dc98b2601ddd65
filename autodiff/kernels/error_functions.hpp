// The error function, its complement, the normal distribution function and Gaussians on SIMD batches. Arguments are
// squared and scaled with the rounding error carried along, since exp(-x^2) magnifies it by x^2. No tables, no
// branches. Polynomials have the least largest relative error of the function they serve; by Remez' exchange in 50
// digits.
#pragma once
#include <numbers>

#include "autodiff/kernels/exponentials.hpp"
#include "autodiff/kernels/logarithms.hpp"
#include "autodiff/kernels/roots.hpp"

namespace wengert::simd {

namespace detail {

// exp(-scale x^2), where scale is a power of 2 and scale x^2 at most 110 in f32 and 800 in f64: from there on it is 0.
template <class T>
Batch<T> bounded_gaussian(Batch<T> x, T scale) {
  const TwoWords<T> exponent = product_of(Batch<T>(-scale) * x, x);
  const Batch<T> shift(shifter<T>), n = fma(exponent.high, Batch<T>(Exponential<T>::log2e), shift) - shift;
  return simd::detail::scale(exp_of(rest_of(exponent, n)), n);
}

}  // namespace detail

// exp(-scale x^2), where scale is 1 or 1/2
template <class T>
Batch<T> gaussian(Batch<T> x, T scale) {
  constexpr T most = sizeof(T) == 4 ? T(10.4) : T(28), most_of_half = sizeof(T) == 4 ? T(14.8) : T(39.9);
  return detail::bounded_gaussian(detail::at_most(xsimd::abs(x), scale == T(1) ? most : most_of_half), scale);
}

namespace detail {

// 1 / b in f32, to 42 bits in f64.
template <class T>
Batch<T> short_inverse(Batch<T> b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 8) return inverse_estimate(b);
#endif
  return Batch<T>(1) / b;
}

// P(Z > u) exp(u^2/2) for u >= 0 and Z of N(0, 1), Mills' ratio over sqrt(2 pi): t times a polynomial in
// t = 1 / (1 + .3 u), fitted to 4e-9 up to u = 14.6.
template <class T>
Batch<T> mills_ratio(Batch<T> u) {
  using B = Batch<T>;
  constexpr std::array<T, 10> c{T(2.2197061307e-01), T(3.2915897086e-01),  T(3.4619884036e-01),  T(2.2208269099e-01),
                                T(2.9056513323e-02), T(-7.7551751238e-02), T(-3.6460388064e-02), T(3.5917315712e-02),
                                T(1.9631600041e-02), T(-2.0624909767e-02)};
  const B t = short_inverse(fma(u, B(T(0.3)), B(1)));
  return t * polynomial<T>(t - B(T(0.5)), c);
}

// exp(z^2) erfc(z) for z >= 0, a quotient of two words each: over falls slowly from 1 to .65, a polynomial in
// (z - 3.5) / (z + 3.5) up to z = 26.7, where erfc is no normal number any more; under is 1 + 9/8 z.
struct ScaledErfc {
  TwoWords<double> over, under;
};
inline ScaledErfc scaled_erfc_of(const TwoWords<double>& z) {
  using B = Batch<double>;
  constexpr double first = 0x1.889515a2a67b5p-1, first_low = -0x1.a0a941b27d572p-55;
  constexpr std::array<double, 22> c{
      -0x1.a478d8a440d83p-3,  0x1.89732171e3087p-4,   -0x1.01bd12917bcc5p-6,  -0x1.7fcea5c147d3bp-6,
      0x1.e5297b8d1836dp-6,   -0x1.48442f6953973p-6,  0x1.2338ddd8fd862p-7,   -0x1.276e9b809fa9bp-9,
      -0x1.6f46b3fb64ab5p-15, 0x1.1b4db4c46e92ep-12,  -0x1.2742c8f202eb2p-14, -0x1.31cbeee5645e6p-16,
      0x1.b2063b7b5873cp-17,  0x1.5bc1245a4cba5p-21,  -0x1.0a7008b57a8ffp-19, 0x1.cc86c4b35b64cp-25,
      0x1.4fb7e0f478ebbp-22,  -0x1.518568da3c9dfp-27, -0x1.adea8742a573cp-25, -0x1.8068774c82414p-29,
      0x1.9ab44cfec5debp-28,  0x1.7086142848cf1p-30};  // 1.9e-17
  const B t = quotient(z.high - B(3.5), z.high + B(3.5)), beyond = polynomial_by_pairs(t, t * t, c);
  const B over = fma(t, beyond, B(first));
  const TwoWords<double> part = product_of(z, B(1.125));
  return {{over, fma(t, beyond, B(first) - over) + B(first_low)},
          sum_of(B(1), part.high, part.low)};  // 1 or the larger
}
// erfc(z) for z >= 0, with z^2 in two words that are stated, below 800. Each factor is in two words.
inline Batch<double> erfc_of(const TwoWords<double>& z, const TwoWords<double>& square) {
  using B = Batch<double>;
  using E = Exponential<double>;
  const auto [over, under] = scaled_erfc_of(z);
  const B inverted = inverse(under.high), ratio = over.high * inverted;
  const B ratio_low = inverted * (fnma(ratio, under.low, fnma(ratio, under.high, over.high)) + over.low);
  const B shift(shifter<double>), n = fma(square.high, B(-E::log2e), shift) - shift;
  const TwoWords<double> power = exp_in_two_words(rest_of(TwoWords<double>{neg(square.high), neg(square.low)}, n));
  return scale(fma(power.high, ratio, fma(power.high, ratio_low, power.low * ratio)), n);
}

// erfinv(x) for 0 <= x < 1 with a quotient q of polynomials whose coefficients have one sign: up to .85 it is
// sqrt(pi) / 2 x + x^3 q of .85^2 - x^2, from there on s + q of s = sqrt(-log(1 - x)).
template <std::size_t N, std::size_t M, std::size_t K, std::size_t L>
struct InverseErf {
  std::array<double, N> near_over;
  std::array<double, M> near_under;
  std::array<double, K> far_over;
  std::array<double, L> far_under;

  TwoWords<double> operator()(Batch<double> x, const TwoWords<double>& s) const {
    using B = Batch<double>;
    const B square = x * x, gap = fnma(x, x, B(0.7225)), gaps = gap * gap, squares = s.high * s.high;
    const auto near = x <= B(0.85);
    const B over =
        xsimd::select(near, polynomial_by_pairs(gap, gaps, near_over), polynomial_by_pairs(s.high, squares, far_over));
    const B under = xsimd::select(near, polynomial_by_pairs(gap, gaps, near_under),
                                  polynomial_by_pairs(s.high, squares, far_under));
    const TwoWords<double> line = product_of(x, B(0x1.c5bf891b4ef6bp-1));
    const B start = xsimd::select(near, line.high, s.high);
    const B start_low = xsimd::select(near, fma(x, B(-0x1.618f13eb7ca89p-55), line.low), s.low);
    return sum_of(start, fma(xsimd::select(near, square * x, B(1)), quotient(over, under), start_low));
  }
};
inline constexpr InverseErf<8, 8, 8, 9> inverse_erf{
    {0x1.b936a474a620bp-2, 0x1.0cdf967229869p+2, 0x1.ec6fd6c86bfd5p+3, 0x1.a5eea7fa6ba1fp+4, 0x1.573db71fbc9b2p+4,
     0x1.db6084a5da531p+2, 0x1.948be011c945cp-1, 0x1.93461c385566ap-9},
    {0x1.0000000000000p+0, 0x1.683475d3736dep+3, 0x1.8b984e45556f1p+5, 0x1.ae0b1e678f824p+6, 0x1.e512385266063p+6,
     0x1.1038a4b5b729ep+6, 0x1.089dafa1cce11p+4, 0x1.36be4dfdb3087p+0},  // 6.7e-18
    {-0x1.f1f0a9ea247e5p-12, -0x1.fca45d14a6be8p-1, -0x1.4a412052613f6p+0, -0x1.035b771404ccap+1, -0x1.376bcf58860e2p+0,
     -0x1.81d1f8c609462p-3, -0x1.fda1f094d4f25p-8, -0x1.f6c84e0e47fb7p-15},
    {0x1.0000000000000p+0, 0x1.1174c853e3383p+1, 0x1.0400861b51e3bp+2, 0x1.02986803146f3p+2, 0x1.aaeb2011b8cf9p+1,
     0x1.10d37ae7543e1p+0, 0x1.c0c177cec9214p-4, 0x1.a6896e8881b31p-9, 0x1.1a1145607d3a7p-16}};  // 3.9e-17
// Of 0 <= x < 1; elsewhere something.
inline TwoWords<double> inverse_erf_of(Batch<double> size) {
  const ExponentAndRest<double> parts = take_apart(Batch<double>(1) - size);
  const Batch<double> log = log_of(parts, parts.e * Batch<double>(ln2_low<double>));
  return inverse_erf(size, root_of(neg(log)));
}
// erfinv(x) to 4e-10 for -1 < x < 1, elsewhere something: x times a quotient of polynomials in w = -log(1 - x^2), of
// f32's x, of which the square is exact: up to w = 15.96. w is to 2e-10, which is enough where it is small, too.
inline Batch<double> short_inverse_erf_of(Batch<double> x) {
  using B = Batch<double>;
  constexpr std::array<double, 11> c{-0x1.0000000cdaa2dp+0, 0x1.000000affdfacp-1,  -0x1.555529d7523f2p-2,
                                     0x1.fffe94fe105cap-3,  -0x1.99aca3a152e58p-3, 0x1.55977914c4811p-3,
                                     -0x1.22f4f981c8740p-3, 0x1.f50eb62251c99p-4,  -0x1.e2abe203de36bp-4,
                                     0x1.01531e1bc33d2p-3,  -0x1.49d9c12c9b0b6p-4};  // 1.2e-10
  constexpr std::array<double, 7> over{0x1.c5bf891dbc3e4p-1,  0x1.264330af98c9bp-2,  0x1.b75c31da0413cp-5,
                                       0x1.b6736fa0028d6p-8,  0x1.0d13bc952cb4dp-11, 0x1.07b5e217946a5p-16,
                                       -0x1.3c572410319bap-21};
  constexpr std::array<double, 7> under{0x1.0000000000000p+0,  0x1.ffa814370a703p-5,  0x1.fe1be5970c260p-6,
                                        0x1.3f9831e7b0715p-10, 0x1.561486c1cff1bp-13, -0x1.39ac0f624fab5p-19,
                                        -0x1.2b788f284b94ap-25};  // 3.2e-10
  const auto [e, f] = take_apart(fnma(x, x, B(1)));
  const B w = fma(e, B(-std::numbers::ln2), f * polynomial_by_pairs(f, f * f, c)), square = w * w;
  return x * polynomial_by_pairs(w, square, over) * short_inverse(polynomial_by_pairs(w, square, under));
}
// value where x lies between -1 and 1, infinity there
template <class T>
Batch<T> within_1(Batch<T> size, Batch<T> value) {
  using B = Batch<T>;
  const B infinity(std::numeric_limits<T>::infinity()), nan(std::numeric_limits<T>::quiet_NaN());
  return xsimd::select(size < B(1), value, xsimd::select(size == B(1), infinity, nan));
}
// sqrt(pi) / 2 exp(y^2) for y = erfinv(x), whose square would magnify its rounding: exp(y^2) = scaled erfc(y) / (1 -
// x).
inline Batch<double> inverse_erf_slope_of(Batch<double> size, const TwoWords<double>& y) {
  using B = Batch<double>;
  const auto [over, under] = scaled_erfc_of(y);
  const TwoWords<double> left = sum_of(B(1), neg(size)), factor = product_of(under, left),
                         part = product_of(over, B(0x1.c5bf891b4ef6bp-1));
  const B inverted = inverse(factor.high), ratio = part.high * inverted;
  return within_1(size, fma(fnma(ratio, factor.low, fnma(ratio, factor.high, part.high)) + part.low, inverted, ratio));
}

}  // namespace detail

// f32: x + x p(x^2) below 1, then 1 - exp(-x q(x)).
inline Batch<float> erf(Batch<float> x) {
  using B = Batch<float>;
  constexpr std::array<float, 7> p{0.1283791657f,   -0.3761262582f,    0.1128358514f,  -0.02685381167f,
                                   0.005188327211f, -0.0008010189599f, 7.853848399e-5f};  // 1.2e-9
  constexpr std::array<float, 7> q{1.128697155f,    0.6349583094f,     0.1065490845f,  -0.02402549352f,
                                   0.003764653389f, -0.0003523306246f, 1.413369894e-5f};  // 3.6e-10
  const B size = detail::at_most(xsimd::abs(x), 3.95f), square = size * size;             // 1 from there on
  const B near = fma(size, detail::polynomial_by_pairs(square, square * square, p), size);
  const B exponent = neg(size) * detail::polynomial_by_pairs(size, square, q);
  return xsimd::select(size < B(1), near, B(1) - exp(exponent)) ^ (x & B(-0.0f));
}
// f64: the same below 1, then 1 - exp(-x^2) / (2.5 + x) times a polynomial in (x - 2.5) / (x + 2.5).
inline Batch<double> erf(Batch<double> x) {
  using B = Batch<double>;
  using E = detail::Exponential<double>;
  constexpr std::array<double, 12> p{
      0x1.06eba8214db68p-3,  -0x1.812746b03799dp-2,  0x1.ce2f21a03f8c3p-4,  -0x1.b82ce311a9deap-6,
      0x1.565bcceeef7c0p-8,  -0x1.c02daebba79bcp-11, 0x1.f9a2974828a04p-14, -0x1.f4c83a2119294p-17,
      0x1.b96bdb7b0923ep-20, -0x1.5b901c323becfp-23, 0x1.d3fab52b0d4a7p-27, -0x1.a29eef7f680aap-31};  // 1.4e-17
  constexpr std::array<double, 12> q{0x1.0dd50785280a9p+0,  -0x1.9bfb53c403943p-1,  0x1.d0cedcb8c5b96p-2,
                                     -0x1.5eb8eba263352p-3, 0x1.d0acf698d250ep-6,   0x1.1305fa75eefaep-7,
                                     -0x1.3bcd79f5657b9p-8, -0x1.cc81311de1827p-12, 0x1.7037aebaaa75bp-11,
                                     0x1.d05f0d02d2746p-15, -0x1.00fc9fcc10b76p-13, -0x1.3e75894d0041cp-15};  // 9.7e-19
  const B size = detail::at_most(xsimd::abs(x), 5.95), square = size * size;  // 1 from there on
  const B near = fma(size, detail::polynomial_by_pairs(square, square * square, p), size);
  const B inverted = inverse(size + B(2.5)), t = fnma(B(5), inverted, B(1));
  const B shift(detail::biased_shifter<double>), shifted = fma(square, B(-E::log2e), shift), n = shifted - shift;
  const B r = fnma(n, B(E::ln2_low), fnma(n, B(E::ln2_high), neg(square)));
  const B power = B(1) + fma(detail::polynomial_by_pairs(r, r * r, E::p), r * r, r);
  const B ratio = inverted * detail::polynomial_by_pairs(t, t * t, q);
  const B far = fnma(detail::power_of_two(shifted) * ratio, power, B(1));
  return xsimd::select(size < B(1), near, far) ^ (x & B(-0.0));
}

// f32: of Mills' ratio, in f64, where the square is exact.
inline Batch<float> erfc(Batch<float> x) {
  return in_double(x, [](Batch<double> z) {
    using B = Batch<double>;
    using E = detail::Exponential<double>;
    constexpr std::array<double, 8> p{0x1.ffffffffabbd2p-1,  0x1.000000010b453p+0, 0x1.00000059cb49ep-1,
                                      0x1.5555534403951p-3,  0x1.555468727b95cp-5, 0x1.1112fa31db7dap-7,
                                      0x1.6da4abded5961p-10, 0x1.9eb71902a8ac3p-13};  // exp: 4.0e-11
    const B size = detail::at_most(xsimd::abs(z), 10.3), square = size * size;        // 0 from there on
    const B shift(detail::biased_shifter<double>), shifted = fma(square, B(-E::log2e), shift), n = shifted - shift;
    const B r = fnma(n, B(E::ln2), neg(square));
    const B ratio = detail::mills_ratio<double>(B(std::numbers::sqrt2) * size);
    const B tail = detail::power_of_two(shifted) * detail::polynomial_by_pairs(r, r * r, p) * (ratio + ratio);
    return xsimd::select(z < B(0), B(2) - tail, tail);
  });
}
inline Batch<double> erfc(Batch<double> x) {
  using B = Batch<double>;
  const B size = detail::at_most(xsimd::abs(x), 28.0);  // 0 from there on
  const B tail = detail::erfc_of({size, B(0)}, product_of(size, size));
  return xsimd::select(x < B(0), B(2) - tail, tail);
}

// P(Z <= x) for Z of N(0, 1): erfc(-x / sqrt 2) / 2.
inline Batch<float> normal_cdf(Batch<float> x) {
  using B = Batch<float>;
  const B size = detail::at_most(xsimd::abs(x), 14.6f);
  const B tail = detail::bounded_gaussian(size, 0.5f) * detail::mills_ratio(size);
  return xsimd::select(x > B(0), B(1) - tail, tail);
}
inline Batch<double> normal_cdf(Batch<double> x) {
  using B = Batch<double>;
  const B scale(0.70710678118654752440), scale_low(-4.833646656726457e-17);
  const B size = detail::at_most(xsimd::abs(x), 39.5), half(0.5);  // 0 from there on
  TwoWords<double> z = product_of(size, scale), square = product_of(size, size);
  z.low = fma(size, scale_low, z.low);
  const B tail = detail::erfc_of(z, {half * square.high, half * square.low});
  return xsimd::select(x > B(0), fnma(half, tail, B(1)), half * tail);
}

// f32 is computed in f64 and rounded once.
inline Batch<double> erfinv(Batch<double> x) {
  const Batch<double> size = xsimd::abs(x);
  return detail::within_1(size, detail::inverse_erf_of(size).high) ^ (x & Batch<double>(-0.0));
}
inline Batch<float> erfinv(Batch<float> x) {
  const Batch<float> size = xsimd::abs(x), sign = x & Batch<float>(-0.0f);
  return detail::within_1(size, in_double(x, [](Batch<double> z) { return detail::short_inverse_erf_of(z); }) ^ sign) ^
         sign;
}
// The derivative of erfinv.
inline Batch<double> erfinv_slope(Batch<double> x) {
  const Batch<double> size = xsimd::abs(x);
  return detail::inverse_erf_slope_of(size, detail::inverse_erf_of(size));
}
inline Batch<float> erfinv_slope(Batch<float> x) {
  return in_double(x, [](Batch<double> z) {
    const Batch<double> size = xsimd::abs(z);
    return detail::inverse_erf_slope_of(size, {detail::short_inverse_erf_of(size), Batch<double>(0)});
  });
}

}  // namespace wengert::simd
