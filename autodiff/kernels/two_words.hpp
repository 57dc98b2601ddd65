// Numbers in two words, high + low with |low| <= ulp(high) / 2 or a little more: sums and products without a rounding.
#pragma once
#include "autodiff/kernels/simd.hpp"

namespace wengert::simd {

template <class T>
struct TwoWords {
  Batch<T> high, low;
};

// a + b for |a| >= |b|, or a = 0 (Dekker). `b` may have a second word: it is added to the low one.
template <class T>
TwoWords<T> sum_of(Batch<T> a, Batch<T> b, Batch<T> low = Batch<T>(0)) {
  const Batch<T> sum = a + b;
  return {sum, (b - (sum - a)) + low};
}

// a b
template <class T>
TwoWords<T> product_of(Batch<T> a, Batch<T> b) {
  const Batch<T> product = a * b;
  return {product, fma(a, b, neg(product))};
}
// Of which at least one has a second word.
template <class T>
TwoWords<T> product_of(const TwoWords<T>& a, Batch<T> b) {
  const TwoWords<T> high = product_of(a.high, b);
  return {high.high, fma(a.low, b, high.low)};
}
template <class T>
TwoWords<T> product_of(const TwoWords<T>& a, const TwoWords<T>& b) {
  const TwoWords<T> high = product_of(a.high, b.high);
  return {high.high, fma(a.low, b.high, fma(a.high, b.low, high.low))};
}

}  // namespace wengert::simd
