// Loops as nodes of a graph, for the passes that change them.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "autodiff/loops/loop_op.hpp"
#include "autodiff/plan/graph.hpp"

namespace wengert::plan {

// A loop of a graph, valid while the graph lives and is given no node more.
struct Loop {
  Id id;
  const LoopOp* op;
  LoopParts parts;
  std::span<const Id> operands;

  std::span<const Id> carry() const { return operands.first(parts.carry); }
  std::span<const Id> xs() const { return operands.subspan(parts.carry, parts.xs); }
  // What a body captured: the last operands, but those of a condition come before the step's.
  std::span<const Id> constants() const { return operands.last(parts.body->inputs.size() - parts.carry - parts.xs); }
  std::span<const Id> constants_of_condition() const {
    return operands.subspan(parts.carry, parts.condition->inputs.size() - parts.carry);
  }
};

// The loop that a node is, if it is one.
std::optional<Loop> loop_at(const Graph& graph, Id id);
std::vector<Loop> loops_of(const Graph& graph);

// A loop as a plan runs it, of graphs that passes made: a scan, or with a condition a while_loop.
std::shared_ptr<const LoopOp> loop_of_graphs(std::optional<Graph> condition, Graph body, std::size_t carry,
                                             std::size_t xs, const ScanRange& range, Packing packing);

}  // namespace wengert::plan
