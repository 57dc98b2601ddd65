// Rebuilt: what passes make a graph with.
#pragma once
#include <utility>
#include <vector>

#include "autodiff/plan/graph.hpp"

namespace wengert::plan {

// A graph built node by node from another: `place` says where each old node went.
class Rebuilt {
 public:
  explicit Rebuilt(const Graph& from) : from_(from), place_(from.nodes.size()) {
    to.inputs = from.inputs;
    to.names = from.names;
    to.rows = from.rows;
  }
  // The node with its operands where they are now; to be added or replaced.
  Node moved(Id id) const {
    Node node = from_.nodes[id];
    for (Id& operand : node.operands) operand = place_[operand];
    return node;
  }
  Id add(Node node) {
    to.nodes.push_back(std::move(node));
    return static_cast<Id>(to.nodes.size() - 1);
  }
  void put(Id old, Id now) { place_[old] = now; }
  Graph finish() {
    for (Id output : from_.outputs) to.outputs.push_back(place_[output]);
    return std::move(to);
  }

  Graph to{};

 private:
  const Graph& from_;
  std::vector<Id> place_;
};

}  // namespace wengert::plan
