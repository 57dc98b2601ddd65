// exp, expm1, exp2, tanh, sigmoid on SIMD batches, from one reduction: x = n ln 2 + r with whole n and |r| <= ln(2) /
// 2, exp(x) = 2^n + 2^n (exp(r) - 1), exp(r) - 1 = r + r^2 p(r). No tables, no branches. The polynomials have the least
// largest relative error, of exp(r) or of exp(r) - 1; by Remez' exchange in 60 digits.
#pragma once
#include "autodiff/kernels/bits.hpp"
#include "autodiff/kernels/two_words.hpp"

namespace wengert::simd {
namespace detail {

template <class T>
struct Exponential;
template <>
struct Exponential<float> {
  static constexpr float low = -110, high = 90, log2e = 1.44269504088896341f, ln2_high = 0.693359375f,
                         ln2_low = -2.12194440e-4f, overflow = 88.8f, ln2 = 0x1.62e43p-1f, ln2_rest = -0x1.05c610p-29f;
  static constexpr std::array<float, 5> p{0.4999999345f, 0.1666652062f, 0.04166838661f, 0.008368717596f,
                                          0.001381467883f};  // 3.1e-9 of exp(r)
  static constexpr std::array<float, 6> p_of_expm1{0.5000000046f,   0.1666666682f,   0.04166635466f,
                                                   0.008333273057f, 0.001394100879f, 0.0001991417026f};  // 2.4e-10
};
template <>
struct Exponential<double> {
  static constexpr double low = -760, high = 720, log2e = 1.4426950408889634074, ln2_high = 6.93145751953125e-1,
                          ln2_low = 1.42860682030941723212e-6, overflow = 709.8, ln2 = 0x1.62e42fefa39efp-1,
                          ln2_rest = 0x1.abc9e3b39803fp-56;
  static constexpr std::array<double, 10> p{0x1.000000000000ap-1,  0x1.55555555554fap-3,  0x1.555555555087cp-5,
                                            0x1.1111111127beap-7,  0x1.6c16c1842a18fp-10, 0x1.a01a012a559b1p-13,
                                            0x1.a0199a0c5affdp-16, 0x1.71df255761396p-19, 0x1.28ad72d3fa16fp-22,
                                            0x1.ad7f6655530e7p-26};  // 3.6e-18 of exp(r)
  static constexpr std::array<double, 11> p_of_expm1{0.5,
                                                     0x1.5555555555559p-3,
                                                     0x1.555555555555ap-5,
                                                     0x1.111111110f6aep-7,
                                                     0x1.6c16c16c14453p-10,
                                                     0x1.a01a01afe5390p-13,
                                                     0x1.a01a01b0b76fcp-16,
                                                     0x1.71ddf8537cc23p-19,
                                                     0x1.27e4c59e65aabp-22,
                                                     0x1.af5ebf33d2439p-26,
                                                     0x1.1f9568cba4c9ep-29};  // 2.6e-19
};

// x - n ln 2 in two words. Rounded to one, it would cost exp a quarter of a unit of its last place.
template <class T>
TwoWords<T> rest_of(Batch<T> x, Batch<T> n) {
  using E = Exponential<T>;
  return {fnma(n, Batch<T>(E::ln2_high), x), n * Batch<T>(-E::ln2_low)};
}
template <class T>
TwoWords<T> rest_of(const TwoWords<T>& x, Batch<T> n) {
  using E = Exponential<T>;
  return {fnma(n, Batch<T>(E::ln2_high), x.high), fnma(n, Batch<T>(E::ln2_low), x.low)};
}
// exp(r) - 1 - r.high
template <class T, std::size_t N>
Batch<T> beyond_high(const TwoWords<T>& x, const std::array<T, N>& p) {
  const Batch<T> r = x.high + x.low, square = r * r;
  return fma(polynomial_by_pairs(r, square, p), square, x.low);
}
template <class T>
Batch<T> exp_of(const TwoWords<T>& x) {
  return Batch<T>(1) + (x.high + beyond_high(x, Exponential<T>::p));
}
// The same in two words, with r and r^2 / 2 in full: within .05 ulp.
template <class T>
TwoWords<T> exp_in_two_words(const TwoWords<T>& x) {
  using E = Exponential<T>;
  constexpr std::size_t count = E::p_of_expm1.size() - 1;  // without the first, which is 1/2
  constexpr auto rest = []<std::size_t... i>(std::index_sequence<i...>) {
    return std::array<T, count>{E::p_of_expm1[i + 1]...};
  }
  (std::make_index_sequence<count>());
  const TwoWords<T> r = sum_of(x.high, x.low);
  const Batch<T> square = r.high * r.high, cubic = r.high * square * polynomial_by_pairs(r.high, square, rest);
  const Batch<T> beyond = fma(Batch<T>(T(0.5)) * r.high, r.high, fma(r.low, r.high, r.low) + cubic);
  return sum_of(Batch<T>(1), r.high, beyond);
}

// exp(x) + 1 where exp(x) is a normal number
template <class T>
Batch<T> exp_plus_1(Batch<T> x) {
  using E = Exponential<T>;
  using B = Batch<T>;
  const B shift(biased_shifter<T>), shifted = fma(x, B(E::log2e), shift), n = shifted - shift;
  const B r = fnma(n, B(E::ln2_low), fnma(n, B(E::ln2_high), x)), square = r * r;
  return fma(power_of_two(shifted), B(1) + fma(polynomial_by_pairs(r, square, E::p), square, r), B(1));
}

// tanh(x) for 0 <= x: below .625 x + x u / v with functions u, v of x^2, then 1 - 2 / (exp(2 x) + 1).
inline Batch<float> positive_tanh(Batch<float> x) {
  using B = Batch<float>;
  constexpr std::array<float, 5> c{-0.3333328022f, 0.1333138363f, -0.05373399832f, 0.02061811677f,
                                   -0.005679297599f};  // minimax to .63: 4.5e-9
  const B square = x * x, near = fma(x * square, polynomial(square, c), x);
  const B far = fnma(B(2), inverse(exp_plus_1(x + x)), B(1));
  return xsimd::select(x < B(0.625f), near, far);
}
// u / v is the rational function of Cephes (S. L. Moshier).
inline Batch<double> positive_tanh(Batch<double> x) {
  using B = Batch<double>;
  constexpr std::array<double, 3> u{-1.61468768441708447952e3, -9.92877231001918586564e1, -9.64399179425052238628e-1};
  constexpr std::array<double, 4> v{4.84406305325125486048e3, 2.23548839060100448583e3, 1.12811678491632931402e2, 1};
  const B square = x * x;
  const auto near = x < B(0.625);
  const B over = xsimd::select(near, square * polynomial(square, u), B(-2));
  const B under = xsimd::select(near, polynomial(square, v), exp_plus_1(x + x));
  const B factor = xsimd::select(near, x, B(1));
  return fma(factor, quotient(over, under), factor);
}

}  // namespace detail

// Up to the largest number, and 0 below the smallest normal one.
template <class T>
Batch<T> exp(Batch<T> x) {
  using E = detail::Exponential<T>;
  const Batch<T> shift(detail::shifter<T>), bounded = detail::at_most(detail::at_least(x, E::low), E::high);
  const Batch<T> n = fma(bounded, Batch<T>(E::log2e), shift) - shift;
  return detail::scale(detail::exp_of(detail::rest_of(bounded, n)), n);
}

template <class T>
Batch<T> expm1(Batch<T> x) {
  using E = detail::Exponential<T>;
  using B = Batch<T>;
  const B shift(detail::biased_shifter<T> - T(1)), bounded = detail::at_most(detail::at_least(x, T(-40)), E::overflow);
  const B shifted = fma(bounded, B(E::log2e), shift), half = detail::power_of_two(shifted);  // 2^n / 2
  const TwoWords<T> rest = detail::rest_of(bounded, shifted - shift);
  const B value = fma(half, detail::beyond_high(rest, E::p_of_expm1), fma(half, rest.high, half - B(T(0.5))));
  return xsimd::select(xsimd::abs(x) < B(T(1e-20)), x, value + value);  // keeps the sign of zero, and the smallest
}

// Of x = n + f the exponential of f ln 2, a product in two words.
template <class T>
Batch<T> exp2(Batch<T> x) {
  using E = detail::Exponential<T>;
  using B = Batch<T>;
  constexpr T largest = static_cast<T>(std::numeric_limits<T>::max_exponent);
  const B bounded = detail::at_most(detail::at_least(x, -largest - T(22)), largest), shift(detail::shifter<T>);
  const B n = (bounded + shift) - shift, f = bounded - n, ln2(E::ln2);
  const B high = f * ln2, low = fma(f, B(E::ln2_rest), fma(f, ln2, -high));
  return detail::scale(detail::exp_of(TwoWords<T>{high, low}), n);
}

template <class T>
Batch<T> tanh(Batch<T> x) {
  const Batch<T> sign = x & Batch<T>(T(-0.0)), size = xsimd::abs(x);
  return detail::positive_tanh(detail::at_most(size, T(20))) ^ sign;  // 1 from there on
}

template <class T>
Batch<T> sigmoid(Batch<T> x) {
  constexpr T most = sizeof(T) == 4 ? T(88) : T(709);  // the inverse of its exponential is 0
  return inverse(detail::exp_plus_1(detail::at_least(detail::at_most(neg(x), most), -most)));
}

}  // namespace wengert::simd
