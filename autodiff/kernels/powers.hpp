// Powers on SIMD batches: a^b = exp(b log a) with the logarithm, its product with b and what is left of it after the
// whole multiples of ln 2 in two words, since exp magnifies the error of a product by up to 745. No tables, no branches
// but one for the special cases.
#pragma once
#include "autodiff/kernels/exponentials.hpp"
#include "autodiff/kernels/logarithms.hpp"
#include "autodiff/kernels/two_words.hpp"

namespace wengert::simd {
namespace detail {

// The logarithm of a normal x > 0 in two words, to 2^-68 of it: with s = f / (2 + f) and w = s^2, log(1 + f) is
// 2 s + 2 s w (1/3 + w (1/5 + w p(w))). What stands before p is computed in two words.
inline TwoWords<double> log_in_two_words(Batch<double> x) {
  using B = Batch<double>;
  constexpr double third = 0x1.5555555555555p-2, third_low = 0x1.5555555555555p-56;
  constexpr double fifth = 0x1.999999999999ap-3, fifth_low = -0x1.999999999999ap-57;
  constexpr std::array<double, 7> p{0x1.2492492492adfp-3, 0x1.c71c71c5c3590p-4, 0x1.745d183112e96p-4,
                                    0x1.3b135d5720818p-4, 0x1.11221f0d587cdp-4, 0x1.dde8aed879eebp-5,
                                    0x1.ede6c5401421ep-5};  // 3.0e-22
  const auto [e, f] = take_apart(x);
  const TwoWords<double> s = ratio_of(f), w = product_of(s, s);
  const TwoWords<double> fifths =
      sum_of(B(fifth), w.high * polynomial_by_pairs(w.high, w.high * w.high, p), B(fifth_low));
  const TwoWords<double> by_w = product_of(fifths, w);
  const TwoWords<double> rest = product_of(product_of(sum_of(B(third), by_w.high, by_w.low + B(third_low)), w), s);
  const B low = fma(e, B(ln2_low<double>), s.low + s.low);
  const TwoWords<double> sum = sum_of(e * B(ln2_high<double>), s.high + s.high, low);
  return sum_of(sum.high, rest.high + rest.high, sum.low + (rest.low + rest.low));
}

// What a^b is by C's rules (Annex F) where a is not positive or something not finite, from the power of |a| where |a|
// and b are finite and a is not 0; that power elsewhere.
[[gnu::noinline]] inline Batch<double> settle_power(Batch<double> a, Batch<double> b, Batch<double> power) {
  using B = Batch<double>;
  const B size = xsimd::abs(a), infinity(std::numeric_limits<double>::infinity()), half = B(0.5) * b;
  const B nan(std::numeric_limits<double>::quiet_NaN()), negative = B(-0.0);
  const auto whole = b == xsimd::floor(b), odd = whole && !(half == xsimd::floor(half));
  const auto limit = size == B(0) || size == infinity || xsimd::abs(b) == infinity;
  const auto grows = (size > B(1) && b > B(0)) || (size < B(1) && b < B(0));
  B value = xsimd::select(limit, xsimd::select(grows, infinity, B(0)), power);
  value = xsimd::select(size == B(1) || b == B(0), B(1), value);
  value = xsimd::select(odd, value | (a & negative), value);
  value = xsimd::select(xsimd::isnan(a) || xsimd::isnan(b) || (a < B(0) && size < infinity && !whole), nan, value);
  return xsimd::select(a == B(1) || b == B(0), B(1), value);
}
inline Batch<double> settled_power(Batch<double> a, Batch<double> b, Batch<double> power) {
  using B = Batch<double>;
  const B infinity(std::numeric_limits<double>::infinity());
  const bool plain = xsimd::all(a > B(0) && a < infinity && xsimd::abs(b) < infinity);
  return plain ? power : settle_power(a, b, power);
}

}  // namespace detail

// a^b, where b may have a second word.
inline Batch<double> pow(Batch<double> a, const TwoWords<double>& b) {
  using B = Batch<double>;
  using E = detail::Exponential<double>;
  const B bounded = detail::at_most(detail::at_least(b.high, -0x1p70), 0x1p70);  // as good as infinite
  const TwoWords<double> log = detail::log_in_two_words(xsimd::abs(a));
  const TwoWords<double> product = product_of(log, TwoWords<double>{bounded, b.low});
  const B high = detail::at_most(detail::at_least(product.high, E::low), E::high);
  const B low = xsimd::select(high == product.high, product.low, B(0));
  const B shift(detail::shifter<double>), n = fma(high, B(E::log2e), shift) - shift;
  const TwoWords<double> power = detail::exp_in_two_words(detail::rest_of(TwoWords<double>{high, low}, n));
  return detail::settled_power(a, b.high, detail::scale(power.high + power.low, n));
}
inline Batch<double> pow(Batch<double> a, Batch<double> b) { return pow(a, {b, Batch<double>(0)}); }

// Of f32, with an exponent that may be in f64: in f64, which has 29 bits to spare and loses 8 of them; rounded once.
inline Batch<float> pow(Batch<float> a, const Wide& b) {
  const Wide wide = widen(a);
  const auto power = [&](std::size_t i) {
    return detail::settled_power(wide[i], b[i], exp(b[i] * log(xsimd::abs(wide[i]))));
  };
  return narrow({power(0), power(1)});
}
inline Batch<float> pow(Batch<float> a, Batch<float> b) { return pow(a, widen(b)); }
inline Batch<float> pow(Batch<float> a, Batch<double> b) { return pow(a, Wide{b, b}); }

}  // namespace wengert::simd
