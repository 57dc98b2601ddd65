// Reading an array through strides: broadcasting, transposition and slicing are the same walk.
#pragma once
#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "autodiff/kernels/transpose.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/shape.hpp"

namespace wengert {

// Visits `extents` in C order; the element at index (i0, i1, ...) lies at offset + sum of i * stride in the source.
struct Walk {
  SmallList<Index, max_rank> extents, strides;
  Index offset = 0;

  // Adds an axis inside the others; merges it with the one before where the two are one run of memory.
  void add_axis(Index extent, Index stride) {
    if (extent == 1) return;
    if (!extents.empty()) {
      Index& outer = strides[strides.size() - 1];
      if (outer == extent * stride) {
        outer = stride;
        extents[extents.size() - 1] *= extent;
        return;
      }
    }
    extents.push_back(extent);
    strides.push_back(stride);
  }
};

// The stride of an axis of a C-ordered array.
inline Index stride_of(const Shape& shape, int axis) {
  Index stride = 1;
  for (int i = (axis < 0 ? axis + shape.rank() : axis) + 1; i < shape.rank(); ++i) stride *= shape[i];
  return stride;
}

// Reads an array of shape `from` as if it were broadcast to `to`.
inline Walk broadcast_walk(const Shape& from, const Shape& to) {
  Walk walk;
  for (int axis = -to.rank(); axis < 0; ++axis) {
    const bool stretched = axis < -from.rank() || (from[axis] == 1 && to[axis] != 1);
    walk.add_axis(to[axis], stretched ? 0 : stride_of(from, axis));
  }
  return walk;
}

// The position of element i of the walk.
inline Index position_of(const Walk& walk, Index i) {
  Index at = walk.offset;
  for (std::size_t axis = walk.extents.size(); axis-- > 0;) {
    at += i % walk.extents[axis] * walk.strides[axis];
    i /= walk.extents[axis];
  }
  return at;
}

// Elements [start, start + n) of a row that comes again and again: once, then what is there, twice as much each time.
template <class T>
void repeat_row(const T* row, Index extent, Index start, Index n, T* out) {
  const Index first = start % extent, tail = std::min(n, extent - first);
  std::copy_n(row + first, tail, out);
  Index there = std::min(n, extent);
  if (there > tail) std::copy_n(row, there - tail, out + tail);
  for (Index more; there < n; there += more) {
    more = std::min(there, n - there);
    std::copy_n(out, more, out + there);
  }
}

// f(n) with n as a constant that loops are unrolled by, for 1 <= n <= 8: the extents of points and of narrow layers.
inline constexpr Index most_unrolled = 8;
template <class F>
void with_constant(Index n, const F& f) {
  [&]<Index... i>(std::integer_sequence<Index, i...>) {
    ((n == i + 1 ? f(std::integral_constant<Index, i + 1>()) : void()), ...);
  }
  (std::make_integer_sequence<Index, most_unrolled>());
}

// Each of `count` elements `times` times.
template <class T>
void repeat_each(const T* from, Index count, Index times, T* out) {
  if (times > most_unrolled) {
    for (Index i = 0; i < count; ++i) std::fill_n(out + i * times, times, from[i]);
    return;
  }
  with_constant(times, [&](auto constant) {
    for (Index i = 0; i < count; ++i)
      for (Index j = 0; j < constant; ++j) out[i * constant + j] = from[i];
  });
}

// Copies elements [start, start + n) of the walk to `out`.
template <class T>
void gather(const Walk& walk, const T* source, Index start, Index n, T* out) {
  const T* base = source + walk.offset;
  const std::size_t rank = walk.extents.size();
  if (n <= 0) return;
  if (rank == 0) {
    *out = *base;
    return;
  }
  if (rank == 2 && walk.strides[0] == 0 && walk.strides[1] == 1)
    return repeat_row(base, walk.extents[1], start, n, out);
  if (const Index times = walk.extents[rank - 1];
      rank == 2 && walk.strides[0] == 1 && walk.strides[1] == 0 && start % times == 0 && n % times == 0)
    return repeat_each(base + start / times, n / times, times, out);
  // Position of `start`.
  SmallList<Index, max_rank> at = walk.extents;
  Index rest = start, position = 0;
  for (std::size_t a = rank; a-- > 0;) {
    at[a] = rest % walk.extents[a];
    rest /= walk.extents[a];
    position += at[a] * walk.strides[a];
  }
  const std::size_t inner = rank - 1;
  const Index stride = walk.strides[inner], extent = walk.extents[inner];
  while (true) {
    const Index run = std::min(n, extent - at[inner]);
    const T* from = base + position;
    if (stride == 1)
      std::copy(from, from + run, out);
    else if (stride == 0)
      std::fill(out, out + run, *from);
    else
      for (Index i = 0; i < run; ++i) out[i] = from[i * stride];
    out += run;
    n -= run;
    if (n == 0) return;
    position -= at[inner] * stride;
    at[inner] = 0;
    for (std::size_t a = inner; a-- > 0;) {
      position += walk.strides[a];
      if (++at[a] < walk.extents[a]) break;
      position -= at[a] * walk.strides[a];
      at[a] = 0;
    }
  }
}

// The whole walk, spread over the threads.
template <class T>
void gather_all(const Walk& walk, const T* source, Index size, T* out) {
  if (size > 0 && walk.extents.size() == 2 && walk.strides[0] == 1) {  // a transposed matrix
    const Index rows = walk.extents[0], columns = walk.extents[1], row = walk.strides[1];
    parallel_pieces(rows, std::max<Index>(16, (Index{1} << 15) / columns / 16 * 16), [&](Index begin, Index end) {
      transpose_matrix(columns, end - begin, source + walk.offset + begin, row, out + begin * columns, columns);
    });
    return;
  }
  parallel_pieces(size, Index{1} << 15,
                  [&](Index begin, Index end) { gather(walk, source, begin, end - begin, out + begin); });
}

}  // namespace wengert
