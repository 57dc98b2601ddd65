// Sums over a run of axes, in the order of kernels/sums.hpp and kernels/groups.hpp, on all threads.
#pragma once
#include <algorithm>
#include <array>
#include <type_traits>

#include "autodiff/kernels/sums.hpp"
#include "autodiff/ops/reduction.hpp"

namespace wengert {

// The sum of `count` groups of neighbours, of a share or of all, from group `first` on.
template <class T, class Terms>
T sum_groups(const Run& run, const Grouping& grouping, Index first, Index count, const T* x, const Terms& terms) {
  const auto begin = [&](Index g) { return grouping.begin(g, run.rows) * run.unit; };
  return sum_groups_of_neighbours(x, first, count, begin, terms);
}

// The sums of a run, [outer, inner], of what terms_at(o) makes of the elements at outer index o; `partials` are
// run.partial_sums() slots of [inner].
template <class T, class TermsAt>
void sum_run(const Run& run, const T* x, T* out, T* partials, const TermsAt& terms_at) {
  using Terms = std::invoke_result_t<TermsAt, Index>;
  constexpr bool plain = std::is_same_v<Terms, PlainTerms<T>>;
  const Grouping grouping = run.partial_sums(dtype_of<T>);
  const Index reduced = run.reduced();
  if (grouping.groups == 1) {
    parallel_pieces(run.outer, run.grain(), [&](Index begin, Index end) {
      if (plain && run.inner == 1 && reduced <= few_terms)
        return sum_short_lines(x + begin * reduced, end - begin, reduced, out + begin);
      if (run.inner == 1) {
        const auto line = [&](Index i) {
          return Line<T, Terms>{x + (begin + i) * reduced, reduced, terms_at(begin + i)};
        };
        return sum_lines(end - begin, line, out + begin);
      }
      for (Index o = begin; o < end; ++o)
        sum_rows(x + o * reduced * run.inner, reduced, run.inner, out + o * run.inner, terms_at(o));
    });
    return;
  }
  constexpr Index worth_sharing = Index{1} << 14;  // elements
  if (run.inner == 1 && reduced < worth_sharing) {
    parallel_pieces(run.outer, run.grain(), [&](Index begin, Index end) {
      for (Index o = begin; o < end; ++o)
        out[o] = sum_groups(run, grouping, 0, grouping.groups, x + o * reduced, terms_at(o));
    });
    return;
  }
  for (Index o = 0; o < run.outer; ++o) {
    const T* from = x + o * reduced * run.inner;
    const auto terms = terms_at(o);
    const auto share = [&](Index which) {
      if (run.inner == 1) {
        const Index count = grouping.groups_of_share();
        partials[which] = sum_groups(run, grouping, which * count, count, from, terms);
        return;
      }
      sum_share(grouping, which, run.inner, partials, [&](Index g, T* to) {
        const Index begin = grouping.begin(g, run.rows) * run.unit, end = grouping.begin(g + 1, run.rows) * run.unit;
        sum_rows(from + begin * run.inner, end - begin, run.inner, to, terms);
      });
    };
    if (reduced * run.inner < worth_sharing)
      for (Index which = 0; which < grouping.shares; ++which) share(which);
    else
      parallel_for(grouping.shares, share);
    combine(partials, grouping.shares, run.inner);
    std::copy(partials, partials + run.inner, out + o * run.inner);
  }
}

}  // namespace wengert
