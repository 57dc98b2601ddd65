#include <map>

#include "autodiff/ops.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/plan/graph_rewriter.hpp"
#include "autodiff/plan/passes.hpp"

namespace wengert::plan {
namespace {

// True if a product reads a weight [n,k] transposed, for more rows than the weight has.
bool reads_transposed(const Graph& graph, const Value& value) {
  if (!is_product_by_matrix(graph, value) || !value.arguments<MatmulOptions>().transpose_b) return false;
  const Value& weight = graph.nodes[value.operands[1]];
  const Index columns = weight.type.shape[0];
  return weight.parameter && columns > 0 && value.type.shape.size() / columns > columns;
}

}  // namespace

Graph transpose_weights(const Graph& graph) {
  std::map<Id, Id> transposes;  // of weights
  return with_each(graph, [&](GraphRewriter& result, Value& value) {
    if (!reads_transposed(result.to, value)) return;
    const auto [known, fresh] = transposes.try_emplace(value.operands[1]);
    if (fresh)
      known->second = result.add(
          result.call(transpose_op(), {value.operands[1]}, to_attributes(TransposeArguments{.axes = {-1, -2}}), value));
    value.operands[1] = known->second;
    value.attributes = to_attributes(MatmulOptions{});
  });
}

}  // namespace wengert::plan
