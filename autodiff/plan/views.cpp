#include "autodiff/plan/views.hpp"

#include "autodiff/ops/known.hpp"

namespace wengert::plan {

std::optional<std::size_t> begin_in_operand(const Graph& graph, const Value& value) {
  if (value.is_leaf() || value.type.bytes() == 0) return {};
  if (value.is(reshape_op())) return 0;
  if (!value.is(slice_op())) return {};
  const auto [axis, start, stop, step] = value.arguments<SliceArguments>();
  const Shape& from = graph.type_of(value, 0).shape;
  if (from.leading(from.rank() + axis).size() != 1 || (step != 1 && value.type.shape[axis] > 1)) return {};
  const Index inner = from.trailing(-axis - 1).size();
  return static_cast<std::size_t>(start * inner) * size_of(value.type.dtype);
}

std::vector<std::optional<View>> views_of(const Graph& graph, const RowPlan& rows) {
  std::vector<std::optional<View>> views(graph.nodes.size());
  std::vector<bool> is_output(graph.nodes.size(), false);
  for (Id output : graph.outputs) is_output[output] = true;
  const auto local = [&](Id id) {  // rows that come first, and are gone after their stage
    return rows.part[id] == Part::rows && !rows.stored[id] && rows.axis[id] == -graph.nodes[id].type.shape.rank();
  };
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    const Value& value = graph.nodes[id];
    const auto begin = is_output[id] ? std::nullopt : begin_in_operand(graph, value);
    if (!begin) continue;
    const Id from = value.operands[0];
    if (rows.part[id] != Part::whole && !(value.is(reshape_op()) && local(id) && local(from))) continue;
    views[id] = views[from] ? View{views[from]->of, views[from]->offset + *begin} : View{from, *begin};
  }
  return views;
}

}  // namespace wengert::plan
