#include "autodiff/derivatives/parts.hpp"

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert {

bool Parts::Layer::has_room(Index start, Index end) const {
  const auto next = parts.lower_bound(start);
  if (next != parts.end() && next->first < end) return false;
  if (next == parts.begin()) return true;
  const auto& [before, part] = *std::prev(next);
  return before + part.extent(axis) <= start;
}

Var Parts::Layer::whole(const Shape& shape) const {
  const Index first = parts.begin()->first;
  const Var any = parts.begin()->second;
  std::vector<Operand> run;
  Index end = first;
  for (const auto& [start, part] : parts) {
    if (start > end) {
      Shape gap(std::vector<Index>(static_cast<std::size_t>(shape.rank()), 1));
      gap.set(axis, start - end);
      run.emplace_back(any.tape().full(Type{any.dtype(), gap}, 0));
    }
    run.emplace_back(part);
    end = start + part.extent(axis);
  }
  const Var side_by_side = run.size() == 1 ? any : concat(std::span<const Operand>(run), axis);
  return end - first == shape[axis] ? side_by_side : slice_backward(side_by_side, axis, shape[axis], first);
}

Var Parts::add(int axis, Index start, Var part, std::uint32_t reader) {
  reader_ = reader;
  const Index extent = part.extent(axis);
  if (extent == 0) return part;
  for (Layer& layer : layers_) {
    if (layer.axis != axis) continue;
    if (const auto here = layer.parts.find(start); here != layer.parts.end() && here->second.extent(axis) == extent)
      return here->second = wengert::add(here->second, part);
    if (layer.has_room(start, start + extent)) return layer.parts[start] = part;
  }
  layers_.push_back({axis, {{start, part}}});
  return part;
}

Var Parts::added_to(Var total, const Shape& shape) const {
  for (const Layer& layer : layers_) {
    const Var whole = layer.whole(shape);
    total = total.is_null() ? whole : wengert::add(total, whole);
  }
  return total;
}

}  // namespace wengert
