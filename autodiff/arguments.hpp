// Types of ops' arguments that are whole numbers: axes, indices, extents, counts. A number of floating type or a bool
// does not convert to them, so that max(x, 0.0), which was to be maximum(x, 0.0), does not compile.
#pragma once
#include <algorithm>
#include <concepts>
#include <initializer_list>
#include <limits>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>

#include "autodiff/shape.hpp"

namespace wengert {

template <class I>
concept WholeNumber = std::integral<I> && !std::same_as<std::remove_cv_t<I>, bool>;

// A T from any type of whole numbers; what T cannot hold is its end.
template <class T>
class Whole {
 public:
  template <WholeNumber I>
  constexpr Whole(I value)
      : value_(std::in_range<T>(value)      ? static_cast<T>(value)
               : std::cmp_less(value, T(0)) ? std::numeric_limits<T>::min()
                                            : std::numeric_limits<T>::max()) {}
  constexpr operator T() const { return value_; }

 private:
  T value_;
};
using Axis = Whole<int>;       // a negative one counts from the end
using Integer = Whole<Index>;  // an index, an extent, a count

// Some axes, or all of them: sum(x), sum(x, -1), sum(x, {0, 2}), sum(x, a_vector_of_int).
class Axes {
 public:
  template <WholeNumber I>
  Axes(I axis) : Axes(Axis(axis)) {}
  Axes(Axis axis) : Axes({axis}) {}
  Axes(std::initializer_list<Axis> axes) {
    for (Axis axis : axes) add(axis);
  }
  template <std::ranges::input_range R>
  requires WholeNumber<std::ranges::range_value_t<R>> Axes(const R& axes) {
    for (auto axis : axes) add(Axis(axis));
  }
  static Axes all() {
    Axes axes({});
    axes.all_ = true;
    return axes;
  }

  bool are_all() const { return all_; }
  std::span<const int> named() const { return named_; }  // the first 9
  std::size_t count() const { return count_; }

 private:
  // One more than an array may have is enough to be refused.
  void add(int axis) {
    if (count_++ <= max_rank) named_.push_back(axis);
  }
  bool all_ = false;
  std::size_t count_ = 0;
  SmallList<int, max_rank + 1> named_;
};

// Extents of a result, of which one may be -1: what the number of elements leaves for it. From a Shape, {2, -1}, a
// vector of whole numbers.
class Extents {
 public:
  Extents(const Shape& shape) : Extents(shape.extents()) {}
  Extents(std::initializer_list<Integer> extents) {
    for (Index extent : extents) add(extent);
  }
  template <std::ranges::input_range R>
  requires WholeNumber<std::ranges::range_value_t<R>> Extents(const R& extents) {
    for (auto extent : extents) add(Integer(extent));
  }
  std::span<const Index> listed() const { return listed_; }  // the first 9

 private:
  void add(Index extent) {  // one more than a shape may have is enough to be refused
    if (listed_.size() <= max_rank) listed_.push_back(extent);
  }
  SmallList<Index, max_rank + 1> listed_;
};

// The index in x[i], with the line that uses it.
class ElementIndex {
 public:
  template <WholeNumber I>
  ElementIndex(I index, Where where = Where::current()) : index_(index), where_(where) {}
  Index value() const { return index_; }
  const Where& where() const { return where_; }

 private:
  Integer index_;
  Where where_;
};

}  // namespace wengert
