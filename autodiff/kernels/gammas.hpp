// The logarithm of the gamma function on SIMD batches, for x >= 0; negative numbers are left to the caller. Below 3.5
// it is u (c + u p(u)) of u between -1 and 1/2, the distance of x + 1, x or x - 1 from 2, less or plus a logarithm,
// since log Gamma(x + 1) = log Gamma(x) + log x; below 3 digamma is (x - x0) (c + v p(v)) of the distance v of 1.5 from
// x, x + 1 or x - 1 and of its zero x0, less or plus an inverse. From there on Stirling's formula, and its derivative.
// The polynomials have the least largest error relative to the result; by Remez' exchange in 45 digits. f32 is computed
// in f64 and rounded once.
#pragma once
#include "autodiff/kernels/powers.hpp"

namespace wengert::simd {
namespace detail {

// For results that are rounded to f32.
inline TwoWords<double> log_in_one_word(Batch<double> x) { return {log(x), Batch<double>(0)}; }

// By a logarithm in two words, p and q of the accuracy that is wanted.
template <class Log, std::size_t N, std::size_t M>
Batch<double> lgamma_by(Batch<double> x, Log log_of, const std::array<double, N>& p, const std::array<double, M>& q) {
  using B = Batch<double>;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const auto low = x < B(1.5), middle = x < B(2.5), high = x < B(3.5);
  const B below = x - B(1);
  const TwoWords<double> log = log_of(xsimd::select(high && !middle, below, x));

  const B u = xsimd::select(low, below, xsimd::select(middle, x - B(2), x - B(3)));
  const B sign = xsimd::select(low, B(-1), xsimd::select(middle, B(0), B(1)));
  const TwoWords<double> factor = sum_of(B(0x1.b0ee6072093cep-2), u * polynomial_by_pairs(u, u * u, p),
                                         B(0x1.5f89d3933668ap-58)),
                         product = product_of(factor, u);
  const TwoWords<double> near = sum_of(sign * log.high, product.high, fma(sign, log.low, product.low));

  // (x - 1/2) (log x - 1) + log(2 pi) / 2 - 1/2 + q(1 / x^2) / x
  const TwoWords<double> slope = sum_of(log.high, B(-1), log.low), line = product_of(slope, x - B(0.5));
  const B inverted = inverse(x), square = inverted * inverted;
  const B rest = fma(inverted, polynomial_by_pairs(square, square * square, q), line.low + B(0x1.3494bc9001442p-56));
  const TwoWords<double> far = sum_of(line.high, B(0x1.acfe390c97d69p-2), rest);

  const B value = xsimd::select(high, near.high + near.low, far.high + far.low);
  return xsimd::select(x == B(0) || x > B(2.55e305), B(infinity), value);
}

template <class Log, std::size_t N, std::size_t M>
Batch<double> digamma_by(Batch<double> x, Log log_of, const std::array<double, N>& p, const std::array<double, M>& q) {
  using B = Batch<double>;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const auto low = x < B(1), middle = x < B(2), high = x < B(3);
  const B below = x - B(1), argument = xsimd::select(high && !middle, below, x), inverted = inverse(argument);
  const B inverted_low = inverted * fnma(argument, inverted, B(1));

  const B v = xsimd::select(low, x - B(0.5), xsimd::select(middle, x - B(1.5), x - B(2.5)));
  const B sign = xsimd::select(low, B(-1), xsimd::select(middle, B(0), B(1)));
  const B moved = xsimd::select(low, x + B(1), xsimd::select(middle, x, below));
  const TwoWords<double> gap = sum_of(moved - B(0x1.762d86356be3fp+0), B(-0x1.b86a722197829p-54));
  const TwoWords<double> factor =
      sum_of(B(0x1.e6f0cbb873616p-1), v * polynomial_by_pairs(v, v * v, p), B(0x1.8f70c7a125e6ap-55));
  const TwoWords<double> product = product_of(gap, factor);
  const TwoWords<double> near = sum_of(sign * inverted, product.high, fma(sign, inverted_low, product.low));

  // log x - 1 / (2 x) - q(1 / x^2) / x^2
  const TwoWords<double> log = log_of(x);
  const B square = inverted * inverted;
  const B rest = fnma(square, polynomial_by_pairs(square, square * square, q), fnma(B(0.5), inverted_low, log.low));
  const TwoWords<double> far = sum_of(log.high, B(-0.5) * inverted, rest);

  const B value = xsimd::select(high, near.high + near.low, far.high + far.low);
  const B pole = B(-infinity) ^ (x & B(-0.0));
  return xsimd::select(x == B(0), pole, xsimd::select(x == B(infinity), x, value));
}

}  // namespace detail

inline Batch<double> lgamma(Batch<double> x) {
  constexpr std::array<double, 24> p{
      0x1.4a34cc4a60fa8p-2,   -0x1.13e001a5575f6p-4,  0x1.51322ac7d69a3p-6,   -0x1.e404fc219c19bp-8,
      0x1.7add6eb0c0216p-9,   -0x1.38ac5c1e6d4d6p-10, 0x1.0b36ae4ed4976p-11,  -0x1.d3fd59a97c862p-13,
      0x1.a1282f869ea5fp-14,  -0x1.78daf0c3ddca8p-15, 0x1.58012f9bc8d02p-16,  -0x1.3d3d81ec71735p-17,
      0x1.25e3ed4570737p-18,  -0x1.06dc6c33a93e4p-19, 0x1.0f8126ade5dc5p-20,  -0x1.69e64b72464a9p-21,
      -0x1.4aadc4929a585p-23, 0x1.44c7a23748ea6p-24,  0x1.db9e007da9432p-21,  0x1.07058835136b6p-21,
      -0x1.00d3e43879fb4p-21, -0x1.e04c43536a7d0p-21, -0x1.1020c1a7dae71p-21, -0x1.e1a12d48185a7p-24};  // 8.2e-18
  constexpr std::array<double, 8> q{0x1.5555555553ef5p-4,   -0x1.6c16c1310577ap-9, 0x1.a0198fe8dd8ecp-11,
                                    -0x1.37f7c102bfe36p-11, 0x1.b5654d282b095p-11, -0x1.caae75c27a0f3p-10,
                                    0x1.053bf0783cc49p-8,   -0x1.7e4e14215d8d4p-8};  // 3.8e-17
  return detail::lgamma_by(x, detail::log_in_two_words, p, q);
}
inline Batch<float> lgamma(Batch<float> x) {
  constexpr std::array<double, 13> p{0x1.4a34cc3e82277p-2,   -0x1.13dfffac84bdbp-4,  0x1.5132698f6cd5bp-6,
                                     -0x1.e408944341fb6p-8,  0x1.7ab11ed6cd844p-9,   -0x1.384be3b1462ecp-10,
                                     0x1.117a6c5a2bea8p-11,  -0x1.ceaa24928f27fp-13, 0x1.ca50f2f151bdcp-15,
                                     -0x1.7f87f446c6299p-14, 0x1.175e5403070efp-14,  0x1.7dfdb8e134f90p-14,
                                     0x1.c5361b319abf2p-15};  // 2.0e-10
  constexpr std::array<double, 4> q{0x1.5555549927062p-4, -0x1.6c0d74c7c819ap-9, 0x1.9b25d3df5d4e7p-11,
                                    -0x1.dfcbda87bd524p-12};  // 6.2e-12
  return in_double(x, [&](Batch<double> z) {
    return detail::lgamma_by(
        z,
        [](Batch<double> a) {
          return TwoWords<double>{log(a), Batch<double>(0)};
        },
        p, q);
  });
}

inline Batch<double> digamma(Batch<double> x) {
  constexpr std::array<double, 21> p{
      -0x1.b1cb63005ee97p-2,  0x1.eca189b8e6e32p-3,  -0x1.2feeeb98a7b03p-3,  0x1.8512e59056f34p-4,
      -0x1.fb442029f8daep-5,  0x1.4de9aa07b6fcap-5,  -0x1.b9f8b1287fc0ep-6,  0x1.25647594316a3p-6,
      -0x1.863561e2681b3p-7,  0x1.03c0103f2a353p-7,  -0x1.5a06dafd0c3c7p-8,  0x1.cd3d37775b014p-9,
      -0x1.336a627893b4dp-9,  0x1.981a7d0f45ff6p-10, -0x1.0fd5fc9c1cd83p-10, 0x1.7af8024f7aac2p-11,
      -0x1.fbdc6886ed9fcp-12, 0x1.de643252f2b0cp-13, -0x1.35aafc1cc8211p-13, 0x1.0f9a0ad5de37ep-12,
      -0x1.71370707011e7p-13};  // 1.49e-17
  constexpr std::array<double, 10> q{0x1.5555555553129p-4,  -0x1.111110f4688b7p-7, 0x1.0410201bb97acp-8,
                                     -0x1.11075ff4db6d0p-8, 0x1.eec8ad6293780p-8,  -0x1.4d330d46b83a5p-6,
                                     0x1.1763c8e5ef5d7p-4,  -0x1.c9ead8aca4e51p-3, 0x1.168b7d04caf55p-1,
                                     -0x1.561518885ce57p-1};  // 3.3e-17
  return detail::digamma_by(x, detail::log_in_two_words, p, q);
}
inline Batch<float> digamma(Batch<float> x) {
  constexpr std::array<double, 11> p{-0x1.b1cb62ec9cd90p-2, 0x1.eca199fd9d45cp-3,  -0x1.2fef04e5e11c5p-3,
                                     0x1.850bc7f8f8487p-4,  -0x1.fb353f005e7dcp-5, 0x1.4eea8191ede38p-5,
                                     -0x1.bbb52ad7b5d18p-6, 0x1.15cf44e5ea97ep-6,  -0x1.6e2d42a3947edp-7,
                                     0x1.6dd0c664eba7ep-7,  -0x1.f1085b7dc0982p-8};  // 7.07e-10
  constexpr std::array<double, 4> q{0x1.555546264dbdep-4, -0x1.10eabd7c7cb5fp-7, 0x1.f802a9938effap-9,
                                    -0x1.66500a42ea426p-9};  // 9.7e-11
  return in_double(x, [&](Batch<double> z) { return detail::digamma_by(z, detail::log_in_one_word, p, q); });
}

}  // namespace wengert::simd
