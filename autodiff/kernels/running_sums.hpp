// Running sums in f64: of f32 as they are, of f64 with what each addition rounds away (Knuth's TwoSum). Of many lines
// they are computed side by side, since each waits for the one before.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>

#include "autodiff/kernels/simd.hpp"
#include "autodiff/kernels/transpose.hpp"

namespace wengert {

// The sums so far of as many lines as a register has lanes, or of one.
template <class T, class Value>
class RunningSums;

template <>
class RunningSums<float, float> {
 public:
  float add(float x) { return static_cast<float>(sum_ += static_cast<double>(x)); }

 private:
  double sum_ = 0;
};
template <>
class RunningSums<float, simd::Batch<float>> {
 public:
  simd::Batch<float> add(simd::Batch<float> x) {
    const simd::Wide wide = simd::widen(x);
    for (std::size_t half = 0; half < 2; ++half) sums_[half] += wide[half];
    return simd::narrow(sums_);
  }

 private:
  simd::Wide sums_{simd::Batch<double>(0), simd::Batch<double>(0)};
};
template <class Value>
class RunningSums<double, Value> {
 public:
  Value add(Value x) {
    const Value before = sum_;
    sum_ = before + x;
    const Value added = sum_ - before;
    lost_ = lost_ + ((before - (sum_ - added)) + (x - added));
    // What is lost is no number from an infinite sum on.
    const Value total = sum_ + lost_;
    if constexpr (std::is_same_v<Value, double>)
      return std::isfinite(total) ? total : sum_;
    else
      return xsimd::select(xsimd::isfinite(total), total, sum_);
  }

 private:
  Value sum_ = Value(0), lost_ = Value(0);
};

// The running sums of n numbers that are `apart` elements apart; a negative distance goes backwards from x.
template <class T>
void sum_up(const T* x, Index n, Index apart, T* out) {
  RunningSums<T, T> sums;
  for (Index i = 0; i < n; ++i) out[i * apart] = sums.add(x[i * apart]);
}

// The same of `lines` neighbouring lines, at most as many as a register has lanes.
template <class T>
void sum_up_side_by_side(const T* x, Index n, Index apart, Index lines, T* out) {
  RunningSums<T, simd::Batch<T>> sums;
  const simd::Part<T> part(lines);
  for (Index i = 0; i < n; ++i) part.store(out + i * apart, sums.add(part.load(x + i * apart)));
}

// The same of lines that lie one behind the other, from their ends if `reverse`: they are laid side by side.
template <class T>
void sum_up_lines(const T* x, Index lines, Index n, bool reverse, T* out) {
  constexpr Index width = simd::lanes<T>, together = 64, few = 4;
  if (lines < few || n < 2 * few) {
    for (Index line = 0; line < lines; ++line) {
      const Index first = line * n + (reverse ? n - 1 : 0);
      sum_up(x + first, n, reverse ? -1 : 1, out + first);
    }
    return;
  }
  RunningSums<T, simd::Batch<T>> sums;
  alignas(alignment) std::array<T, static_cast<std::size_t>(width * together)> columns{};
  for (Index done = 0; done < n; done += together) {
    const Index count = std::min(together, n - done), begin = reverse ? n - done - count : done;
    transpose_matrix(lines, count, x + begin, n, columns.data(), width);
    for (Index i = 0; i < count; ++i) {
      T* const column = columns.data() + (reverse ? count - 1 - i : i) * width;
      simd::store(column, sums.add(simd::load(column)));
    }
    transpose_matrix(count, lines, columns.data(), width, out + begin, n);
  }
}

}  // namespace wengert
