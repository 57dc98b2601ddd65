#include "autodiff/plan/graph_rewriter.hpp"
#include "autodiff/plan/passes.hpp"

namespace wengert::plan {

Graph eliminate_dead_code(const Graph& graph) {
  std::vector<bool> wanted(graph.nodes.size());
  for (Id output : graph.outputs) wanted[output] = true;
  for (Id id = static_cast<Id>(graph.nodes.size()); id-- > 0;) {
    if (graph.nodes[id].input >= 0) wanted[id] = true;
    if (wanted[id])
      for (Id operand : graph.nodes[id].operands) wanted[operand] = true;
  }
  GraphRewriter result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id)
    if (wanted[id]) result.put(id, result.add(result.moved(id)));
  return result.finish();
}

}  // namespace wengert::plan
