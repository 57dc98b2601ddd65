#include "autodiff/derivatives/checkpoint.hpp"
#include "autodiff/plan/graph_rewriter.hpp"
#include "autodiff/plan/passes.hpp"

namespace wengert::plan {

Graph remove_barriers(const Graph& graph) {
  GraphRewriter result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    Value value = result.moved(id);
    const bool barrier = !value.is_leaf() && is_rematerialisation_barrier(*value.op);
    result.put(id, barrier ? value.operands[0] : result.add(std::move(value)));
  }
  return result.finish();
}

}  // namespace wengert::plan
