// Sums of neighbours and of rows, in an order that the extents alone fix: short chains, added pairwise. The error grows
// with the logarithm of the number of terms (N. J. Higham, "The accuracy of floating point summation", 1993).
#pragma once
#include <algorithm>
#include <array>
#include <type_traits>

#include "autodiff/kernels/folds.hpp"
#include "autodiff/kernels/groups.hpp"
#include "autodiff/kernels/strided.hpp"

namespace wengert {

// The number of terms of a chain. It adds 16 roundings to those of the tree, which costs a sixteenth of what chains do.
inline constexpr Index chain_length = 16;

// Up to so many neighbours are added one after the other.
inline constexpr Index few_terms = 8;
static_assert(few_terms <= most_unrolled);

namespace detail {

template <class T, std::size_t N>
using Registers = std::array<simd::Batch<T>, N>;

template <class T, std::size_t N>
void add_to(Registers<T, N>& sum, const Registers<T, N>& term) {
#pragma GCC unroll 4
  for (std::size_t v = 0; v < N; ++v) sum[v] += term[v];
}

// The sum of `count` terms from `begin` on, one after the other, from zero. Unrolled by hand of the compiler: at -O2
// registers would go to memory.
template <class T, std::size_t N, class Term>
[[gnu::always_inline]] inline Registers<T, N> chain(Index begin, Index count, const Term& term) {
  Registers<T, N> sum;
  sum.fill(simd::Batch<T>(0));
#pragma GCC unroll 4
  for (Index i = 0; i < count; ++i) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < N; ++v) sum[v] += term(begin + i, v);
  }
  return sum;
}

// A sum of more than one chain. Sums of 1, 2, 4, ... chains wait until another of their size is complete, as in a
// binary counter; what is left is added from the smallest on.
template <class T, std::size_t N, class Term>
[[gnu::noinline]] Registers<T, N> tree(Index n, const Term& term) {
  std::array<Registers<T, N>, 60> waiting;
  std::size_t top = 0;
  const auto add = [&](Registers<T, N> sum, Index chains) {
    for (; chains % 2 != 0; chains /= 2) add_to<T, N>(sum, waiting[--top]);
    waiting[top++] = sum;
  };
  const Index whole = n / chain_length;
  for (Index c = 0; c < whole; ++c) add(chain<T, N>(c * chain_length, chain_length, term), c);
  if (whole * chain_length < n) add(chain<T, N>(whole * chain_length, n - whole * chain_length, term), whole);
  Registers<T, N> sum = waiting[--top];
  while (top > 0) add_to<T, N>(sum, waiting[--top]);
  return sum;
}

}  // namespace detail

// The sums of n terms of N registers each: term(i, v) is register v of term i.
template <class T, std::size_t N, class Term>
std::array<simd::Batch<T>, N> sum_pairwise(Index n, const Term& term) {
  return n <= chain_length ? detail::chain<T, N>(0, n, term) : detail::tree<T, N>(n, term);
}

// What sums add up: the elements of an array, or what a function of another kind makes of a register of them, which
// begins in this column of a row (of neighbours: in column 0). Lanes of a part that mean nothing are to be 0.
template <class T>
struct PlainTerms {
  simd::Batch<T> operator()(const T* x, Index /*column*/) const { return simd::load(x); }
  simd::Batch<T> operator()(const simd::Part<T>& part, const T* x, Index /*column*/) const { return part.load(x); }
};

namespace detail {

// What is added up over the lanes: terms of four registers that were added to `sums`, and the rest of n neighbours, the
// last register of which may be filled in part.
template <class T, class Terms>
[[gnu::always_inline]] inline simd::Batch<T> add_neighbours(const Registers<T, 4>& sums, const T* x, Index n,
                                                            const Terms& terms) {
  constexpr Index width = simd::lanes<T>;
  const simd::Batch<T> total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  simd::Batch<T> rest(0);
  Index i = n / (4 * width) * (4 * width);
  for (; i + width <= n; i += width) rest += terms(x + i, 0);
  if (i < n) rest += terms(simd::Part<T>(n - i), x + i, 0);
  return total + rest;
}
template <class T, class Terms>
[[gnu::always_inline]] inline auto register_of(const T* x, const Terms& terms) {
  return [x, &terms](Index i, std::size_t v) { return terms(x + (i * 4 + static_cast<Index>(v)) * simd::lanes<T>, 0); };
}
// One after the other: a network's outputs, say.
template <class T, class Terms>
T sum_few(const T* x, Index n, const Terms& terms) {
  T total = 0;
  if constexpr (std::is_same_v<Terms, PlainTerms<T>>) {
    for (Index i = 0; i < n; ++i) total += x[i];
  } else {
    alignas(alignment) std::array<T, simd::Batch<T>::size> values;
    for (Index i = 0, count = 0; i < n; i += count) {
      count = std::min(n - i, simd::lanes<T>);
      simd::store(values.data(), terms(simd::Part<T>(count), x + i, 0));
      for (Index j = 0; j < count; ++j) total += values[static_cast<std::size_t>(j)];
    }
  }
  return total;
}

}  // namespace detail

// The sum of n neighbours: of terms of four registers, then over the lanes. A function of the values and n alone.
template <class T, class Terms = PlainTerms<T>>
T sum_neighbours(const T* x, Index n, const Terms& terms = {}) {
  if (n <= few_terms) return detail::sum_few(x, n, terms);
  const auto sums = sum_pairwise<T, 4>(n / (4 * simd::lanes<T>), detail::register_of(x, terms));
  return simd::fold<T>(detail::add_neighbours<T>(sums, x, n, terms));
}

template <class T, class Terms = PlainTerms<T>>
struct Line {
  const T* x;
  Index n;
  Terms terms = {};
};

// sums[i] = sum_neighbours() of line(i), a Line, for i in [0, lines). The lanes of several lines are added at once.
template <class T, class MakeLine>
void sum_lines(Index lines, const MakeLine& line, T* sums) {
  const auto lanes_of = [&](Index i) __attribute__((always_inline)) {
    const auto [x, n, terms] = line(i);
    if (n <= few_terms) {  // the other lanes add zeros
      const T sum = detail::sum_few(x, n, terms);
      return simd::Part<T>(1).load(&sum);
    }
    const Index length = n / (4 * simd::lanes<T>);
    const auto term = detail::register_of(x, terms);
    // A chain is not left to a call, which would take longer than the additions do.
    const auto sum = length <= chain_length ? detail::chain<T, 4>(0, length, term) : detail::tree<T, 4>(length, term);
    return detail::add_neighbours<T>(sum, x, n, terms);
  };
  simd::fold_lines<T>(
      lines, lanes_of, [](simd::Batch<T> a, simd::Batch<T> b) { return a + b; }, sums);
}

// sums[g] = the sum of neighbours [begin(g), begin(g + 1)), for g in [from, to).
template <class T, class Begin, class Terms = PlainTerms<T>>
void sum_runs_of_neighbours(const T* x, Index from, Index to, const Begin& begin, T* sums, const Terms& terms = {}) {
  const auto line = [&](Index i) {
    const Index at = begin(from + i);
    return Line<T, Terms>{x + at, begin(from + i + 1) - at, terms};
  };
  sum_lines(to - from, line, sums);
}

// The sum of `count` groups of neighbours from group `first` on, pairwise, as Grouping has it: a power of two of them.
template <class T, class Begin, class Terms = PlainTerms<T>>
T sum_groups_of_neighbours(const T* x, Index first, Index count, const Begin& begin, const Terms& terms = {}) {
  constexpr Index some = 64;
  std::array<T, some> sums;
  std::array<T, 32> waiting;  // sums of 1, 2, 4, ... times as many groups
  std::size_t top = 0;
  for (Index g = 0; g < count; g += some) {
    const Index now = std::min(some, count - g);
    sum_runs_of_neighbours(x, first + g, first + g + now, begin, sums.data(), terms);
    combine(sums.data(), now, 1, 0, 1);
    waiting[top++] = sums[0];
    for (Index before = g / some; before % 2 != 0; before /= 2, --top) waiting[top - 2] += waiting[top - 1];
  }
  return waiting[0];
}

// out[i] = the sum of the n neighbours of line i, n <= few_terms: sum_neighbours() of each, without calls and with n
// known.
template <class T>
void sum_short_lines(const T* x, Index lines, Index n, T* out) {
  if (n == 0) std::fill_n(out, lines, T(0));
  with_constant(n, [&](auto constant) {
    for (Index i = 0; i < lines; ++i) {
      T total = 0;
      for (Index j = 0; j < constant; ++j) total += x[i * constant + j];
      out[i] = total;
    }
  });
}

// out[inner] = sum of n rows of `inner` elements.
template <class T, class Terms = PlainTerms<T>>
void sum_rows(const T* x, Index n, Index inner, T* out, const Terms& terms = {}) {
  if (inner == 1) {
    *out = sum_neighbours(x, n, terms);
    return;
  }
  constexpr Index width = simd::lanes<T>;
  Index j = 0;
  for (; j + 4 * width <= inner; j += 4 * width) {  // several registers at a time: an addition takes a while
    const auto sums = sum_pairwise<T, 4>(n, [x = x + j, j, inner, &terms](Index r, std::size_t v) {
      const Index column = static_cast<Index>(v) * width;
      return terms(x + r * inner + column, j + column);
    });
    for (std::size_t v = 0; v < 4; ++v) simd::store(out + j + static_cast<Index>(v) * width, sums[v]);
  }
  for (; j < inner; j += width) {
    const simd::Part<T> part(std::min(width, inner - j));
    const auto sum = sum_pairwise<T, 1>(
        n, [x = x + j, j, inner, &part, &terms](Index r, std::size_t) { return terms(part, x + r * inner, j); });
    part.store(out + j, sum[0]);
  }
}

}  // namespace wengert
