// Sums over rows: cut into groups that depend on the shape alone, then added in a fixed tree, pairwise: (0+1)+(2+3)...
// The bits of a sum are therefore the same on any number of threads, however rows were handed out.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>

#include "autodiff/parallel.hpp"

namespace wengert {

// The groups of a sum over rows, and the shares that threads take of them: runs of neighbouring groups, as many in
// each. Both numbers are powers of two, so that the groups of one sum are made up of those of another. Partial sums of
// a share are added as soon as the tree allows it, as in a binary counter, so that few of them are held at a time, in
// slots: first one for each share, where its sum comes to lie, then those that wait.
struct Grouping {
  Index groups = 1, shares = 1;

  Index groups_of_share() const { return groups >> exponent(shares); }
  Index slots() const { return shares * (1 + exponent(groups_of_share())); }
  // The first of `rows` rows that is in group g, which ends where group g + 1 begins.
  Index begin(Index g, Index rows) const { return g * rows >> exponent(groups); }
  // Group g, after those before it in its share: compute(slot) is to write its sum, add(to, from) adds a slot to
  // another.
  template <class Compute, class Add>
  void add_group(Index g, Compute&& compute, Add&& add) const {
    const Index share = g >> exponent(groups_of_share()), before = g & (groups_of_share() - 1);
    Index waiting = std::popcount(static_cast<std::uint64_t>(before));
    compute(slot(share, waiting));
    for (Index rest = before; rest % 2 != 0; rest /= 2, --waiting) add(slot(share, waiting - 1), slot(share, waiting));
  }

 private:
  // Of a power of two. A sum of few rows takes less time than some divisions.
  static Index exponent(Index power) { return std::countr_zero(static_cast<std::uint64_t>(power)); }
  Index slot(Index share, Index waiting) const {
    return waiting == 0 ? share : shares + share * exponent(groups_of_share()) + waiting - 1;
  }
};

// How a sum over `rows` rows is grouped when one partial sum takes `bytes`: a function of these alone. A group has 96
// rows, below which adding the partial sums costs more than a tenth of a product, or more where 32 groups are enough or
// more partial sums would leave the L2 cache; but not so many that a range of them would.
inline Grouping group_rows(Index rows, Index bytes) {
  constexpr Index cache = Index{1} << 20, memory = Index{1} << 24, most = Index{1} << 15;
  const Index many = std::max<Index>(128, bytes / 1024);  // rows: then adding costs little beside a product
  const auto twice = [&](Index groups) {
    return (groups < most && bytes > 0 && 2 * groups * many <= rows) ||
           (groups < 32 && 2 * groups * 96 <= rows && 2 * groups * bytes <= cache);
  };
  Grouping result;
  while (twice(result.groups)) result.groups *= 2;
  result.shares = std::min<Index>(result.groups, 32);
  while (result.shares > 8 && result.shares * bytes > memory) result.shares /= 2;
  return result;
}

// The sum of one share, of `width` elements: sum(g, to) is to write that of group g.
template <class T, class Sum>
void sum_share(const Grouping& grouping, Index share, Index width, T* partials, Sum&& sum) {
  const Index count = grouping.groups_of_share();
  for (Index g = share * count; g < (share + 1) * count; ++g)
    grouping.add_group(
        g, [&](Index slot) { sum(g, partials + slot * width); },
        [&](Index to, Index from) {
          for (Index i = 0; i < width; ++i) partials[to * width + i] += partials[from * width + i];
        });
}

// partials[0] = the sum of the shares' partials, each `width` elements long, pairwise, in [begin, end).
template <class T>
void combine(T* partials, Index shares, Index width, Index begin, Index end) {
  for (Index stride = 1; stride < shares; stride *= 2)
    for (Index g = 0; g + stride < shares; g += 2 * stride) {
      T* to = partials + g * width;
      const T* from = partials + (g + stride) * width;
      for (Index i = begin; i < end; ++i) to[i] += from[i];
    }
}

// combine() of all elements, over the threads.
template <class T>
void combine(T* partials, Index shares, Index width) {
  parallel_pieces(width, Index{1} << 13, [&](Index begin, Index end) { combine(partials, shares, width, begin, end); });
}

}  // namespace wengert
