#include <set>

#include "autodiff/ops/known.hpp"
#include "autodiff/plan/graph_rewriter.hpp"
#include "autodiff/plan/passes.hpp"

namespace wengert::plan {

Graph share_sigmoids(const Graph& graph) {
  std::set<Id> wanted;  // whose sigmoid is there
  for (const Value& value : graph.nodes)
    if (value.is(sigmoid_op())) wanted.insert(value.operands[0]);
  GraphRewriter result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    Value value = result.moved(id);
    if (value.is(silu_op()) && wanted.count(graph.nodes[id].operands[0]) != 0) {
      const Id x = value.operands[0], sigmoid = result.add(result.call(sigmoid_op(), {x}, {}, value));
      value = result.call(mul_op(), {x, sigmoid}, {}, value);
    }
    result.put(id, result.add(std::move(value)));
  }
  return result.finish();
}

}  // namespace wengert::plan
