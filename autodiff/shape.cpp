#include "autodiff/shape.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace wengert {

void refuse_more_than(std::size_t most) {
  throw std::length_error(fmt::format("a list of at most {} values is full", most));
}

Shape::Shape(std::initializer_list<Index> extents, Where where) {
  try {
    for (Index extent : extents) append(extent);
  } catch (const Error& error) {
    throw Error(fmt::format("[shape] {}  ({})", error.what(), to_string(where)));
  }
}

Shape::Shape(std::span<const Index> extents) {
  for (Index extent : extents) append(extent);
}

Index Shape::size() const {
  Index product = 1;
  for (Index extent : extents_) product *= extent;
  return product;
}

void Shape::set(int axis, Index extent) {
  Index& mine = extents_[static_cast<std::size_t>(axis < 0 ? axis + rank() : axis)];
  const Index before = std::exchange(mine, extent);
  if (possible()) return;
  const Shape refused = *this;
  mine = before;
  refused.refuse(extent);
}

void Shape::append(Index extent) {
  if (extents_.size() == max_rank) throw Error(fmt::format("a shape has at most {} axes, got one more", max_rank));
  extents_.push_back(extent);
  if (possible()) return;
  const Shape refused = *this;
  extents_.pop_back();
  refused.refuse(extent);
}

bool Shape::possible() const {
  double elements = 1;
  for (Index extent : extents_) {
    if (extent < 0) return false;
    if (extent > 0) elements *= static_cast<double>(extent);
  }
  return elements <= static_cast<double>(most_elements);
}

void Shape::refuse(Index changed) const {
  if (changed < 0) throw Error(fmt::format("a shape's extents cannot be negative, got {}", changed));
  throw Error(fmt::format("no machine holds a shape of {}", to_string(*this)));
}

Shape Shape::prepended(Index extent) const { return Shape{extent}.followed_by(*this); }

Shape Shape::padded(int rank) const {
  Shape result;
  for (int i = this->rank(); i < rank; ++i) result.append(1);
  return result.followed_by(*this);
}

Shape Shape::leading(int count) const { return Shape(extents().first(static_cast<std::size_t>(count))); }
Shape Shape::trailing(int count) const { return Shape(extents().last(static_cast<std::size_t>(count))); }

Shape Shape::followed_by(const Shape& tail) const {
  Shape result = *this;
  for (Index extent : tail.extents_) result.append(extent);
  return result;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", join(shape.extents())); }
std::string join(std::span<const Index> numbers) { return fmt::format("{}", fmt::join(numbers, ", ")); }
std::string join(std::span<const int> numbers) { return fmt::format("{}", fmt::join(numbers, ", ")); }

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  if (a == b) return a;
  const int rank = std::max(a.rank(), b.rank());
  Shape result = a.padded(rank);
  for (int axis = -b.rank(); axis < 0; ++axis) {
    if (result[axis] == 1) result.set(axis, b[axis]);
    if (b[axis] != 1 && b[axis] != result[axis]) return std::nullopt;
  }
  return result;
}

bool broadcasts_to(const Shape& from, const Shape& to) {
  const auto stretched = broadcast(from, to);
  return stretched && *stretched == to;
}

int normalise_axis(int axis, int rank) {
  if (axis < -rank || axis >= rank)
    throw Error(fmt::format("axis {} is out of range for {} {}", axis, rank, rank == 1 ? "axis" : "axes"));
  return axis < 0 ? axis : axis - rank;
}

}  // namespace wengert
