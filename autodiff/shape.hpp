// Shapes: up to 8 extents held inline, NumPy's broadcasting rule, and their printing.
#pragma once
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>

#include "autodiff/dtype.hpp"
#include "autodiff/error.hpp"
#include "autodiff/small_list.hpp"

namespace wengert {

inline constexpr std::size_t max_rank = 8;
// 2^47: so that bytes, and sums of a few sizes, fit into an Index.
inline constexpr Index most_elements = Index{1} << 47;

// The extents of an array in C order (the last axis is contiguous). A rank-0 shape holds one element.
class Shape {
 public:
  Shape() = default;
  // Throws Error on a negative extent, on more than 8 of them, and on more elements than 2^47.
  Shape(std::initializer_list<Index> extents, Where where = Where::current());
  explicit Shape(std::span<const Index> extents);

  int rank() const { return static_cast<int>(extents_.size()); }
  Index size() const { return size_; }  // the number of elements: the product of the extents
  // The extent of an axis; negative axes count from the end. The axis must exist (see normalise_axis).
  Index operator[](int axis) const { return extents_[static_cast<std::size_t>(axis < 0 ? axis + rank() : axis)]; }
  std::span<const Index> extents() const { return extents_; }

  void set(int axis, Index extent);
  void append(Index extent);
  Shape prepended(Index extent) const;         // [extent, ...]
  Shape padded(int rank) const;                // with leading ones up to `rank` axes
  Shape leading(int axes) const;               // the first extents
  Shape trailing(int axes) const;              // the last extents
  Shape followed_by(const Shape& tail) const;  // both lists of extents, one after the other

  friend bool operator==(const Shape& a, const Shape& b) = default;

 private:
  bool count();
  [[noreturn]] void refuse(Index changed) const;
  using Extents = SmallList<Index, max_rank>;
  Extents extents_;
  Index size_ = 1;
};

std::string to_string(const Shape& shape);  // "[32, 68]"
// "32, 68". fmt::join says the same, and takes each file that calls it most of a second to compile.
std::string join(std::span<const Index> numbers);
std::string join(std::span<const int> numbers);

// The shape that both operands are broadcast to, or nothing when they do not fit: NumPy's rule.
std::optional<Shape> broadcast(const Shape& a, const Shape& b);
// True if `from` can be broadcast to exactly `to`.
bool broadcasts_to(const Shape& from, const Shape& to);

// The axis counted from the end, in [-rank, -1]. Throws Error when `axis` is not in [-rank, rank).
int normalise_axis(int axis, int rank);

}  // namespace wengert
