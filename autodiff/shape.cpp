#include "autodiff/shape.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace wengert {

void refuse_more_than(std::size_t most) {
  throw std::length_error(fmt::format("a list of at most {} values is full", most));
}

Shape::Shape(std::initializer_list<Index> extents, Where where) {
  try {
    *this = Shape(std::span<const Index>(extents.begin(), extents.size()));
  } catch (const Error& error) {
    throw Error(fmt::format("[shape] {}  ({})", error.what(), to_string(where)));
  }
}

Shape::Shape(std::span<const Index> extents) {
  if (extents.size() <= max_rank) {
    extents_ = Extents(extents);
    if (count()) return;
    extents_ = {};
  }
  for (Index extent : extents) append(extent);  // the first that cannot be is refused
}

void Shape::set(int axis, Index extent) {
  Index& mine = extents_[static_cast<std::size_t>(axis < 0 ? axis + rank() : axis)];
  const Index before = std::exchange(mine, extent);
  if (count()) return;
  const Shape refused = *this;
  mine = before;
  refused.refuse(extent);
}

void Shape::append(Index extent) {
  if (extents_.size() == max_rank) throw Error(fmt::format("a shape has at most {} axes, got one more", max_rank));
  extents_.push_back(extent);
  if (count()) return;
  const Shape refused = *this;
  extents_.pop_back();
  refused.refuse(extent);
}

// Counts the elements. False, and as before, where no array has them; an extent of 0 makes no other one possible.
bool Shape::count() {
  Index elements = 1, beside_zeros = 1;
  for (Index extent : extents_) {
    if (extent < 0 || __builtin_mul_overflow(beside_zeros, std::max<Index>(extent, 1), &beside_zeros)) return false;
    if (beside_zeros > most_elements) return false;
    elements *= extent;
  }
  size_ = elements;
  return true;
}

void Shape::refuse(Index changed) const {
  if (changed < 0) throw Error(fmt::format("a shape's extents cannot be negative, got {}", changed));
  throw Error(fmt::format("no machine holds a shape of {}", to_string(*this)));
}

Shape Shape::prepended(Index extent) const { return Shape{extent}.followed_by(*this); }

// A part of a possible shape is possible, with any number of ones.
Shape Shape::padded(int rank) const {
  Shape result;
  for (int i = this->rank(); i < rank; ++i) result.extents_.push_back(1);
  for (Index extent : extents_) result.extents_.push_back(extent);
  result.size_ = size_;
  return result;
}

Shape Shape::leading(int axes) const {
  Shape result;
  result.extents_ = Extents(extents().first(static_cast<std::size_t>(axes)));
  result.count();
  return result;
}

Shape Shape::trailing(int axes) const {
  Shape result;
  result.extents_ = Extents(extents().last(static_cast<std::size_t>(axes)));
  result.count();
  return result;
}

Shape Shape::followed_by(const Shape& tail) const {
  std::array<Index, 2 * max_rank> all;
  const auto middle = std::copy(extents_.begin(), extents_.end(), all.begin());
  const auto end = std::copy(tail.extents_.begin(), tail.extents_.end(), middle);
  return Shape(std::span<const Index>(all.begin(), end));
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", join(shape.extents())); }
std::string join(std::span<const Index> numbers) { return fmt::format("{}", fmt::join(numbers, ", ")); }
std::string join(std::span<const int> numbers) { return fmt::format("{}", fmt::join(numbers, ", ")); }

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  if (a == b) return a;
  const bool longer = a.rank() >= b.rank();
  const Shape& other = longer ? b : a;
  Shape result = longer ? a : b;
  for (int axis = -other.rank(); axis < 0; ++axis) {
    if (other[axis] == result[axis] || other[axis] == 1) continue;
    if (result[axis] != 1) return std::nullopt;
    result.set(axis, other[axis]);
  }
  return result;
}

bool broadcasts_to(const Shape& from, const Shape& to) {
  for (int axis = -from.rank(); axis < 0; ++axis)
    if (axis < -to.rank() || (from[axis] != to[axis] && from[axis] != 1)) return false;
  return true;
}

int normalise_axis(int axis, int rank) {
  if (axis < -rank || axis >= rank)
    throw Error(fmt::format("axis {} is out of range for {} {}", axis, rank, rank == 1 ? "axis" : "axes"));
  return axis < 0 ? axis : axis - rank;
}

}  // namespace wengert
