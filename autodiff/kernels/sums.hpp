// Sums of neighbours and of rows, in an order that the extents alone fix.
#pragma once
#include <algorithm>
#include <array>

#include "autodiff/kernels/simd.hpp"

namespace wengert {

// The sum of n neighbours: four running registers, a fixed fold, then the rest. A function of the values and n alone.
template <class T>
T sum_neighbours(const T* x, Index n) {
  constexpr Index width = simd::lanes<T>;
  using B = simd::Batch<T>;
  T total = 0;
  Index i = 0;
  if (n >= 4 * width) {
    std::array<B, 4> sums{B(0), B(0), B(0), B(0)};
    for (; i + 4 * width <= n; i += 4 * width)
      for (Index v = 0; v < 4; ++v) sums[static_cast<std::size_t>(v)] += simd::load(x + i + v * width);
    total = simd::fold<T>((sums[0] + sums[1]) + (sums[2] + sums[3]));
  }
  for (; i < n; ++i) total += x[i];
  return total;
}

// out[inner] = sum of n rows of `inner` elements, ascending.
template <class T>
void sum_rows(const T* x, Index n, Index inner, T* out) {
  if (inner == 1) {
    *out = sum_neighbours(x, n);
    return;
  }
  using B = simd::Batch<T>;
  constexpr Index width = simd::lanes<T>;
  Index j = 0;
  for (; j + 4 * width <= inner; j += 4 * width) {  // in registers, several at a time: an addition takes a while
    std::array<B, 4> sums{B(0), B(0), B(0), B(0)};
    for (Index r = 0; r < n; ++r)
      for (Index v = 0; v < 4; ++v) sums[static_cast<std::size_t>(v)] += simd::load(x + r * inner + j + v * width);
    for (Index v = 0; v < 4; ++v) simd::store(out + j + v * width, sums[static_cast<std::size_t>(v)]);
  }
  for (; j < inner; j += width) {
    const simd::Part<T> part(std::min(width, inner - j));
    B sum(0);
    for (Index r = 0; r < n; ++r) sum += part.load(x + r * inner + j);
    part.store(out + j, sum);
  }
}

}  // namespace wengert
