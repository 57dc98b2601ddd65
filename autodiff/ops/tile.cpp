// Arrays repeated or turned along axes: roll, tile, repeat, meshgrid.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <vector>

#include "autodiff/ops/axes.hpp"
#include "autodiff/tape.hpp"

namespace wengert {

Var roll(Operand x, Integer shift, Axis axis) {
  axis = axis_of(x, axis, "roll");
  const Scope scope(x, "roll");
  const Index n = std::max<Index>(1, x.extent(axis)), start = (n - shift % n) % n;
  if (start == 0) return x.var();
  return concat({slice(x, axis, start), slice(x, axis, 0, start)}, axis);
}

Var tile(Operand x, std::span<const Index> repeats) {
  if (std::any_of(repeats.begin(), repeats.end(), [](Index r) { return r < 0 || r > most_elements; }))
    refuse(x, "tile", fmt::format("cannot repeat [{}] times", join(repeats)));
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

}  // namespace wengert
