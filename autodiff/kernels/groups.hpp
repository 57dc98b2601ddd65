// Sums over rows: cut into groups that depend on the shape alone, then added in a fixed tree. The bits of a sum are
// therefore the same on any number of threads, however rows were handed out.
#pragma once
#include <algorithm>

#include "autodiff/parallel.hpp"

namespace wengert {

// Into how many contiguous groups a sum over `rows` rows is cut when one partial result takes `bytes`: a power of two,
// so that the groups of one sum are made up of those of another; one for 96 rows, below which adding the partial
// results costs more than a tenth of a product; at most 32, and fewer when that many would leave the L2
// cache.
inline Index group_count(Index rows, Index bytes) {
  constexpr Index cache = Index{1} << 20;
  Index groups = 1;
  while (groups < 32 && 2 * groups * 96 <= rows && 2 * groups * bytes <= cache) groups *= 2;
  return groups;
}

// The first row of group g of `groups`; group g ends where group g + 1 begins.
inline Index group_begin(Index g, Index groups, Index rows) { return g * rows / groups; }

// partials[0] = sum of partials[g], each `width` elements long, pairwise: (0+1)+(2+3)... in [begin, end).
// The one place where partial sums meet.
template <class T>
void combine(T* partials, Index groups, Index width, Index begin, Index end) {
  for (Index stride = 1; stride < groups; stride *= 2)
    for (Index g = 0; g + stride < groups; g += 2 * stride) {
      T* to = partials + g * width;
      const T* from = partials + (g + stride) * width;
      for (Index i = begin; i < end; ++i) to[i] += from[i];
    }
}

// combine() of all elements, over the threads.
template <class T>
void combine(T* partials, Index groups, Index width) {
  parallel_pieces(width, Index{1} << 13, [&](Index begin, Index end) { combine(partials, groups, width, begin, end); });
}

}  // namespace wengert
