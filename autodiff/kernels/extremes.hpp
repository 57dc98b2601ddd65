// The best, largest or smallest, of neighbours and of rows. A NaN is better than any number.
#pragma once
#include <algorithm>
#include <array>

#include "autodiff/kernels/folds.hpp"
#include "autodiff/parallel.hpp"

namespace wengert {

template <bool Largest>
inline constexpr auto best_of = [](auto a, auto b) { return Largest ? simd::max(a, b) : simd::min(a, b); };

// The best of n neighbours is the best of these lanes.
template <bool Largest, class T>
[[gnu::always_inline]] inline simd::Batch<T> best_lanes(const T* x, Index n) {
  constexpr Index width = simd::lanes<T>;
  constexpr auto best = best_of<Largest>;
  if (n < width) return simd::Part<T>(n).load(x, x[0]);
  simd::Batch<T> lanes = simd::load(x);
  Index i = width;
  if (n >= 4 * width) {  // four at a time, of which none waits for the one before
    std::array<simd::Batch<T>, 4> each{lanes, simd::load(x + width), simd::load(x + 2 * width),
                                       simd::load(x + 3 * width)};
    for (i = 4 * width; i + 4 * width <= n; i += 4 * width)
      for (std::size_t k = 0; k < 4; ++k) each[k] = best(each[k], simd::load(x + i + static_cast<Index>(k) * width));
    lanes = best(best(each[0], each[1]), best(each[2], each[3]));
  }
  for (; i + width <= n; i += width) lanes = best(lanes, simd::load(x + i));
  return i < n ? best(lanes, simd::load(x + n - width)) : lanes;  // some a second time
}
template <bool Largest, class T>
T best_neighbour(const T* x, Index n) {
  return simd::fold_with<T>(best_lanes<Largest>(x, n), best_of<Largest>).get(0);
}

// out[j] = the best of n >= 1 rows of `columns` elements, which begin `apart` elements apart.
template <bool Largest, class T>
void best_rows(const T* x, Index n, Index apart, Index columns, T* out) {
  constexpr Index width = simd::lanes<T>;
  constexpr auto best = best_of<Largest>;
  if (columns > 4 * width) {
    std::copy_n(x, columns, out);
    for (Index r = 1; r < n; ++r) simd::map<2, T>(columns, {out, x + r * apart}, out, best);
    return;
  }
  for (Index j = 0; j < columns; j += width) {
    const simd::Part<T> part(std::min(width, columns - j));
    const auto row = [&](Index r) { return part.load(x + r * apart + j); };
    std::array<simd::Batch<T>, 4> each;  // of every fourth row
    each.fill(row(0));
    Index r = 1;
    for (; r + 4 <= n; r += 4)
      for (std::size_t k = 0; k < 4; ++k) each[k] = best(each[k], row(r + static_cast<Index>(k)));
    for (; r < n; ++r) each[0] = best(each[0], row(r));
    part.store(out + j, best(best(each[0], each[1]), best(each[2], each[3])));
  }
}

// out[outer, inner] = the best of x[outer, n, inner] over n >= 1, on all threads.
template <bool Largest, class T>
void best_of_arrays(const T* x, Index outer, Index n, Index inner, T* out) {
  constexpr Index shared = Index{1} << 14, most_columns = 512;  // elements of a piece; of out that stay in the L1 cache
  if (inner == 1)
    return parallel_pieces(outer, std::max<Index>(1, shared / n), [&](Index begin, Index end) {
      const auto line = [&](Index i) { return best_lanes<Largest>(x + (begin + i) * n, n); };
      simd::fold_lines<T>(end - begin, line, best_of<Largest>, out + begin);
    });
  const Index blocks = (inner + most_columns - 1) / most_columns;
  const Index grain = std::max<Index>(1, shared / (n * std::clamp<Index>(inner, 1, most_columns)));
  parallel_pieces(outer * blocks, grain, [&](Index begin, Index end) {
    for (Index task = begin; task < end; ++task) {
      const Index o = task / blocks, j = task % blocks * most_columns;
      const T* first = x + o * n * inner + j;
      best_rows<Largest>(first, n, inner, std::min(most_columns, inner - j), out + o * inner + j);
    }
  });
}

}  // namespace wengert
