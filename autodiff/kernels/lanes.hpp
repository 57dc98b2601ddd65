// Several arrays walked side by side, each by strides of its own.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>

#include "autodiff/kernels/strided.hpp"

namespace wengert {

// Visits `extents` in C order; at index (i0, i1, ...) array k is at the sum of i * stride[k].
template <std::size_t N>
struct Lanes {
  using Places = std::array<Index, N>;
  SmallList<Index, max_rank> extents;
  SmallList<Places, max_rank> strides;

  // Adds an axis inside the others; merges it with the one before where that is one run for every array.
  void add_axis(Index extent, const Places& stride) {
    if (extent == 1) return;
    if (!extents.empty()) {
      Places& outer = strides[strides.size() - 1];
      bool one_run = true;
      for (std::size_t k = 0; k < N; ++k) one_run = one_run && outer[k] == extent * stride[k];
      if (one_run) {
        outer = stride;
        extents[extents.size() - 1] *= extent;
        return;
      }
    }
    extents.push_back(extent);
    strides.push_back(stride);
  }

  // f(places of the first element, n, strides) for each run of neighbours that makes up elements [begin, end).
  template <class F>
  void visit(Index begin, Index end, F&& f) const {
    const std::size_t rank = extents.size();
    const Index inner = rank == 0 ? 1 : extents[rank - 1];
    const Places step = rank == 0 ? Places{} : strides[rank - 1];
    for (Index i = begin, n = 0; i < end; i += n) {
      Places at{};
      Index rest = i;
      for (std::size_t a = rank; a-- > 0; rest /= extents[a])
        for (std::size_t k = 0; k < N; ++k) at[k] += rest % extents[a] * strides[a][k];
      n = std::min(end - i, inner - i % inner);
      f(at, n, step);
    }
  }
};

// The stride of an axis of a C-ordered array that is broadcast to `to`: 0 where it is.
inline Index stretched_stride(const Shape& from, const Shape& to, int axis) {
  return axis < -from.rank() || (from[axis] == 1 && to[axis] != 1) ? 0 : stride_of(from, axis);
}

}  // namespace wengert
