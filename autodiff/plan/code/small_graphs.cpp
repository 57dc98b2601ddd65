#include "autodiff/plan/code/small_graphs.hpp"

#include <algorithm>
#include <array>

#include "autodiff/loops/loop_op.hpp"
#include "autodiff/plan/forced.hpp"

namespace wengert::plan::code {
namespace {

constexpr std::size_t fewest_nodes = 4;

bool is_loop(const Value& value) { return !value.is_leaf() && dynamic_cast<const LoopOp*>(value.op) != nullptr; }

std::shared_ptr<const MachineCode> code_of(const Graph& graph, std::span<const Id> members,
                                           std::span<const Write> writes) {
  std::optional<Program> program = scalarize(graph, members, writes);
  return program ? assemble(std::move(*program)) : nullptr;
}

}  // namespace

std::vector<Id> computed_nodes(const Graph& graph) {
  std::vector<Id> nodes;
  for (Id id = 0; id < graph.nodes.size(); ++id)
    if (!graph.nodes[id].is_leaf()) nodes.push_back(id);
  return nodes;
}

std::shared_ptr<const MachineCode> machine_code_of(const Graph& graph) {
  const std::vector<Id> nodes = computed_nodes(graph);
  const bool loops = std::any_of(nodes.begin(), nodes.end(), [&](Id id) { return is_loop(graph.nodes[id]); });
  if (forced(Way::steps_alone) || !graph.rows.empty() || (nodes.size() < fewest_nodes && !loops)) return nullptr;
  std::vector<Write> writes;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) writes.push_back({graph.outputs[i], i});
  return code_of(graph, nodes, writes);
}

void give_loops_code(const Graph& graph, const RowPlan& rows, std::vector<FusionGroup>& groups) {
  if (forced(Way::steps_alone)) return;
  for (FusionGroup& group : groups) {
    const Id id = group.first();
    if (!is_loop(graph.nodes[id]) || rows.part[id] != Part::whole) continue;
    group.code = code_of(graph, group.members, std::array{Write{id}});
  }
}

}  // namespace wengert::plan::code
