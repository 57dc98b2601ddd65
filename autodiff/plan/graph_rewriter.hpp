// GraphRewriter: what passes make a graph with.
#pragma once
#include <utility>
#include <vector>

#include "autodiff/plan/graph.hpp"

namespace wengert::plan {

// A graph made node by node from another.
//
//   GraphRewriter result(graph);
//   for (Id id = 0; id < graph.nodes.size(); ++id) result.put(id, result.add(result.moved(id)));  // a copy
//   return result.finish();
class GraphRewriter {
 public:
  explicit GraphRewriter(const Graph& from) : from_(from), now_(from.nodes.size()) {
    to.inputs = from.inputs;
    to.names = from.names;
    to.rows = from.rows;
  }
  // The node with its operands where they are now: give it to add(), or drop it and put() another.
  Value moved(Id id) const {
    Value value = from_.nodes[id];
    for (Id& operand : value.operands) operand = now_[operand];
    return value;
  }
  Id now(Id old) const { return now_[old]; }  // where a node is that was put
  Id add(Value value) {
    to.nodes.push_back(std::move(value));
    return static_cast<Id>(to.nodes.size() - 1);
  }
  // The op on new nodes, in the place of `from`.
  Value call(const Op& op, std::vector<Id> operands, const Attributes& attributes, const Value& from) const {
    Value value{.op = &op, .attributes = attributes, .operands = std::move(operands), .location = from.location};
    std::vector<const Type*> types;
    for (Id operand : value.operands) types.push_back(&to.nodes[operand].type);
    value.type = op.infer({types, value.attributes});
    return value;
  }
  // From here on, readers of `old` read `now`.
  void put(Id old, Id now) { now_[old] = now; }
  Graph finish() {
    for (Id output : from_.outputs) to.outputs.push_back(now_[output]);
    return std::move(to);
  }

  Graph to{};

 private:
  const Graph& from_;
  std::vector<Id> now_;  // where each old node went
};

// The graph with each node as `change(rewriter, value)` leaves it; its operands are new nodes.
template <class Change>
Graph with_each(const Graph& graph, Change&& change) {
  GraphRewriter result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    Value value = result.moved(id);
    change(result, value);
    result.put(id, result.add(std::move(value)));
  }
  return result.finish();
}

}  // namespace wengert::plan
