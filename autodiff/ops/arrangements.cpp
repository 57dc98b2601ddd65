// Arrays put together, taken apart and repeated: composites of the ops that move elements. And two products of vectors.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <vector>

#include "autodiff/linalg.hpp"
#include "autodiff/ops/axes.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// `shape` with an extent of 1 more, as axis `axis` (counted from the end) of the result
Shape with_one(const Shape& shape, int axis) {
  const int before = shape.rank() + 1 + axis;
  return shape.leading(before).followed_by({1}).followed_by(shape.trailing(shape.rank() - before));
}

// `axis` of an array that has one axis more than x, counted from the end
int new_axis(const Operand& x, int axis, const char* op) {
  const int rank = x.rank(op) + 1;
  try {
    return normalise_axis(axis, rank);
  } catch (const Error& error) {
    refuse(x, op, fmt::format("{} of the result, x has shape {}", error.what(), to_string(x.shape())));
  }
}

// As they were named, counted from the end, each once.
AxisList distinct_axes(const Operand& x, const Axes& axes, const char* op) {
  axes_of(x, axes, op);
  AxisList list;
  for (int axis : axes.named()) list.push_back(axis_of(x, axis, op));
  return list;
}

void check_vectors(const Operand& a, const Operand& b, const char* op) {
  if (a.rank(op) != 1 || b.rank(op) != 1)
    refuse(a, op,
           fmt::format("needs two operands of one axis, got {} and {}", to_string(a.shape()), to_string(b.shape())));
}

}  // namespace

Var unsqueeze(Operand x, Axis axis) { return reshape(x, with_one(x.shape(), new_axis(x, axis, "unsqueeze"))); }

Var squeeze(Operand x, Axis axis) {
  const int at = axis_of(x, axis, "squeeze");
  const Shape& shape = x.shape();
  if (shape[at] != 1)
    refuse(x, "squeeze", fmt::format("needs an extent of 1 on axis {}, got shape {}", at, to_string(shape)));
  return reshape(x, shape.leading(shape.rank() + at).followed_by(shape.trailing(-1 - at)));
}

Var squeeze(Operand x) {
  Shape kept;
  for (Index extent : x.shape().extents())
    if (extent != 1) kept.append(extent);
  return reshape(x, kept);
}

Var stack(std::span<const Operand> parts, Axis axis, Where where) {
  if (parts.empty()) throw Error(fmt::format("[stack] needs at least one part  ({})", to_string(where)));
  const Shape shape = parts[0].shape();
  axis = new_axis(parts[0], axis, "stack");
  const Scope scope(parts[0], "stack");
  std::vector<Operand> thicker;
  for (const Operand& part : parts) {
    if (part.shape() != shape)
      refuse(part, "stack", fmt::format("parts differ in shape: {} and {}", to_string(shape), to_string(part.shape())));
    thicker.emplace_back(reshape(part, with_one(shape, axis)), part.where());
  }
  return concat(std::span<const Operand>(thicker), axis, where);
}

Var stack(std::initializer_list<Operand> parts, Axis axis, Where where) {
  return stack(std::span<const Operand>(parts.begin(), parts.size()), axis, where);
}

Var stack(std::span<const Var> parts, Axis axis, Where where) {
  return stack(std::span<const Operand>(at_line(parts, where)), axis, where);
}

Var Var::operator[](ElementIndex i) const { return select({*this, i.where()}, 0, i.value()); }

Var full_like(Operand x, double value) { return x.tape("full_like").full(x.type("full_like"), value, x.where()); }
Var zeros_like(Operand x) { return x.tape("zeros_like").full(x.type("zeros_like"), 0, x.where()); }
Var ones_like(Operand x) { return x.tape("ones_like").full(x.type("ones_like"), 1, x.where()); }

std::vector<Var> split(Operand x, std::span<const Index> extents, Axis axis) {
  axis = axis_of(x, axis, "split");
  Index left = x.extent(axis);  // an extent larger than what is left never gets into a sum
  const bool fits = std::all_of(extents.begin(), extents.end(),
                                [&](Index extent) { return extent >= 0 && extent <= left && (left -= extent, true); });
  if (!fits || left != 0)
    refuse(x, "split",
           fmt::format("extents [{}] do not make up axis {} of {}", fmt::join(extents, ", "), int(axis),
                       to_string(x.shape())));
  const Scope scope(x, "split");
  std::vector<Var> parts;
  Index start = 0;
  for (Index extent : extents) {
    parts.push_back(slice(x, axis, start, start + extent));
    start += extent;
  }
  return parts;
}

std::vector<Var> split(Operand x, std::initializer_list<Index> extents, Axis axis) {
  return split(x, std::span<const Index>(extents.begin(), extents.size()), axis);
}

std::vector<Var> split(Operand x, Integer parts, Axis axis) {
  axis = axis_of(x, axis, "split");
  if (parts < 1 || x.extent(axis) % parts != 0 || parts > std::max<Index>(1, x.extent(axis)))
    refuse(x, "split",
           fmt::format("cannot cut axis {} of {} into {} equal parts", int(axis), to_string(x.shape()), Index(parts)));
  return split(x, std::vector<Index>(static_cast<std::size_t>(parts), x.extent(axis) / parts), axis);
}

std::vector<Var> chunk(Operand x, Integer parts, Axis axis) {
  const int along = axis_of(x, axis, "chunk");
  if (parts < 1 || parts > most_elements)
    refuse(x, "chunk",
           fmt::format("cannot cut axis {} of {} into {} parts", along, to_string(x.shape()), Index{parts}));
  const Index n = x.extent(along), width = std::max<Index>(1, n / parts + (n % parts != 0));
  std::vector<Index> extents;
  for (Index start = 0; start < n; start += width) extents.push_back(std::min(width, n - start));
  if (n == 0) extents.push_back(0);
  return split(x, extents, along);
}

Var roll(Operand x, Integer shift, Axis axis) {
  axis = axis_of(x, axis, "roll");
  const Scope scope(x, "roll");
  const Index n = std::max<Index>(1, x.extent(axis)), start = (n - shift % n) % n;
  if (start == 0) return x.var();
  return concat({slice(x, axis, start), slice(x, axis, 0, start)}, axis);
}

Var tile(Operand x, std::span<const Index> repeats) {
  if (std::any_of(repeats.begin(), repeats.end(), [](Index r) { return r < 0 || r > most_elements; }))
    refuse(x, "tile", fmt::format("cannot repeat [{}] times", fmt::join(repeats, ", ")));
  const Scope scope(x, "tile");
  const int count = static_cast<int>(repeats.size());
  Var result = x.rank() < count ? reshape(x, x.shape().padded(count)) : x.var();
  int axis = -1;  // from the innermost on, while the array is still small
  for (auto repeat = std::rbegin(repeats); repeat != std::rend(repeats); ++repeat, --axis) {
    if (*repeat == 1) continue;
    Shape shape = result.shape(), apart = with_one(shape, axis - 1);
    apart.set(axis - 1, *repeat);
    shape.set(axis, *repeat * shape[axis]);
    result = reshape(broadcast_to(reshape(result, with_one(result.shape(), axis - 1)), apart), shape);
  }
  return result;
}

Var tile(Operand x, std::initializer_list<Index> repeats) {
  return tile(x, std::span<const Index>(repeats.begin(), repeats.size()));
}

Var repeat(Operand x, Integer count, Axis axis) {
  const int along = axis_of(x, axis, "repeat");
  if (count < 0 || count > most_elements) refuse(x, "repeat", fmt::format("cannot repeat {} times", Index{count}));
  if (x.rank() == static_cast<int>(max_rank))
    return repeat(x, std::vector<Index>(static_cast<std::size_t>(x.extent(along)), count), along);
  const Scope scope(x, "repeat");
  // The copies lie along a new axis behind.
  const int before = x.rank() + 1 + along;
  const Shape head = x.shape().leading(before), tail = x.shape().trailing(-1 - along);
  const Var apart = reshape(x, head.followed_by({1}).followed_by(tail));
  Shape shape = x.shape();
  shape.set(along, shape[along] * count);
  return reshape(broadcast_to(apart, head.followed_by({count}).followed_by(tail)), shape);
}

Var repeat(Operand x, std::span<const Index> counts, Axis axis) {
  const int along = axis_of(x, axis, "repeat");
  const Index n = x.extent(along);
  if (static_cast<Index>(counts.size()) != n)
    refuse(x, "repeat",
           fmt::format("axis {} of {} needs {} counts, got {}", along, to_string(x.shape()), n, counts.size()));
  std::vector<std::int32_t> indices;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] < 0 || counts[i] > std::numeric_limits<std::int32_t>::max() - static_cast<Index>(indices.size()))
      refuse(x, "repeat", fmt::format("cannot repeat element {} {} times", i, counts[i]));
    indices.insert(indices.end(), static_cast<std::size_t>(counts[i]), static_cast<std::int32_t>(i));
  }
  const Scope scope(x, "repeat");
  const Shape shape{static_cast<Index>(indices.size())};
  return index_select(x, along, x.tape().input(Array::of<std::int32_t>(shape, indices)));
}

Var moveaxis(Operand x, Axes from, Axes to) {
  const AxisList sources = distinct_axes(x, from, "moveaxis"), targets = distinct_axes(x, to, "moveaxis");
  if (sources.size() != targets.size())
    refuse(x, "moveaxis", fmt::format("{} axes cannot move to {} places", sources.size(), targets.size()));
  const int rank = x.rank();
  const auto position = [](const AxisList& list, int axis) { return std::find(list.begin(), list.end(), axis); };
  std::vector<int> order;
  int next = -rank;  // of the axes that stay in order
  for (int axis = -rank; axis < 0; ++axis) {
    if (const auto* at = position(targets, axis); at != targets.end()) {
      order.push_back(sources[static_cast<std::size_t>(at - targets.begin())]);
      continue;
    }
    while (position(sources, next) != sources.end()) ++next;
    order.push_back(next++);
  }
  return transpose(x, order);
}

std::vector<Var> meshgrid(std::span<const Operand> vectors, MeshgridOptions options) {
  const int rank = static_cast<int>(vectors.size());
  if (vectors.empty() || vectors.size() > max_rank)
    throw Error(fmt::format("[meshgrid] needs 1 to {} vectors, got {}", max_rank, rank));
  Shape grid;
  for (const Operand& vector : vectors) {
    if (vector.rank("meshgrid") != 1)
      refuse(vector, "meshgrid", fmt::format("needs operands of one axis, got {}", to_string(vector.shape())));
    grid.append(vector.extent(0));
  }
  // The axis of the grid that a vector lies along.
  const auto axis_for = [&](int i) { return options.xy && rank > 1 && i < 2 ? 1 - i : i; };
  Shape shape = grid;
  for (int i = 0; i < rank; ++i) shape.set(axis_for(i), grid[i]);
  std::vector<Var> coordinates;
  for (int i = 0; i < rank; ++i) {
    const Operand& vector = vectors[static_cast<std::size_t>(i)];
    const Scope scope(vector, "meshgrid");
    Shape along;
    for (int axis = 0; axis < rank; ++axis) along.append(axis == axis_for(i) ? grid[i] : 1);
    coordinates.push_back(broadcast_to(reshape(vector, along), shape));
  }
  return coordinates;
}
std::vector<Var> meshgrid(std::initializer_list<Operand> vectors, MeshgridOptions options) {
  return meshgrid(std::span<const Operand>(vectors.begin(), vectors.size()), options);
}

Var outer(Operand a, Operand b) {
  check_vectors(a, b, "outer");
  const Scope scope(a, "outer");
  return reshape(a, {a.extent(0), 1}) * b;
}

Var dot(Operand a, Operand b) {
  check_vectors(a, b, "dot");
  if (a.extent(0) != b.extent(0))
    refuse(a, "dot", fmt::format("extents differ: {} and {}", to_string(a.shape()), to_string(b.shape())));
  const Scope scope(a, "dot");
  return sum(a * b);
}

Var cross(Operand a, Operand b, Axis axis) {
  const int rank = std::max(a.rank(), b.rank());
  int at = axis;
  try {
    at = normalise_axis(axis, rank);
  } catch (const Error& error) {
    refuse(a, "cross", fmt::format("{} of {} and {}", error.what(), to_string(a.shape()), to_string(b.shape())));
  }
  for (const Operand& x : {a, b})
    if (x.rank() < -at || x.extent(at) != 3)
      refuse(x, "cross", fmt::format("needs 3 elements along axis {}, got {}", at, to_string(x.shape())));
  const Scope scope(a, "cross");
  return roll(a, -1, at) * roll(b, -2, at) - roll(a, -2, at) * roll(b, -1, at);
}

Var kron(Operand a, Operand b) {
  const int rank = std::max(a.rank(), b.rank());
  if (rank > static_cast<int>(max_rank) / 2)
    refuse(a, "kron", fmt::format("takes up to 4 axes, got {} and {}", to_string(a.shape()), to_string(b.shape())));
  const Shape left = a.shape().padded(rank), right = b.shape().padded(rank);
  Shape outside, inside, result;  // a's axes and b's in turn: axis i of a before axis i of b
  for (int axis = 0; axis < rank; ++axis) {
    outside = outside.followed_by({left[axis], 1});
    inside = inside.followed_by({1, right[axis]});
    result.append(left[axis] * right[axis]);
  }
  const Scope scope(a, "kron");
  return reshape(reshape(a, outside) * reshape(b, inside), result);
}

}  // namespace wengert
