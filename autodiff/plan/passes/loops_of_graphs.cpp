#include "autodiff/plan/passes/loops_of_graphs.hpp"

#include <utility>

namespace wengert::plan {
namespace {

class GraphScan final : public LoopOp {
 public:
  GraphScan(Graph body, std::size_t carry, std::size_t xs, const ScanRange& range, Packing packing)
      : LoopOp("scan", static_cast<int>(body.inputs.size()), std::move(packing)),
        body_(std::move(body)),
        carry_(carry),
        xs_(xs),
        range_(range) {}
  std::unique_ptr<LoopRun> make_run() const override { return scan_run(body_, carry_, xs_, packing(), range_); }
  LoopParts parts() const override { return {nullptr, &body_, carry_, xs_, range_}; }

 private:
  Graph body_;
  std::size_t carry_, xs_;
  ScanRange range_;
};

class GraphWhile final : public LoopOp {
 public:
  GraphWhile(Graph condition, Graph body, std::size_t carry, Packing packing)
      : LoopOp("while_loop", static_cast<int>(condition.inputs.size() + body.inputs.size() - carry),
               std::move(packing)),
        condition_(std::move(condition)),
        body_(std::move(body)),
        carry_(carry) {}
  std::unique_ptr<LoopRun> make_run() const override { return while_run(condition_, body_, carry_, packing()); }
  LoopParts parts() const override { return {&condition_, &body_, carry_, 0, {}}; }

 private:
  Graph condition_, body_;
  std::size_t carry_;
};

}  // namespace

std::optional<Loop> loop_at(const Graph& graph, Id id) {
  const Value& value = graph.nodes[id];
  const auto* op = value.is_leaf() ? nullptr : dynamic_cast<const LoopOp*>(value.op);
  if (op == nullptr) return {};
  return Loop{id, op, op->parts(), value.operands};
}

std::vector<Loop> loops_of(const Graph& graph) {
  std::vector<Loop> loops;
  for (Id id = 0; id < graph.nodes.size(); ++id)
    if (const auto loop = loop_at(graph, id)) loops.push_back(*loop);
  return loops;
}

std::shared_ptr<const LoopOp> loop_of_graphs(std::optional<Graph> condition, Graph body, std::size_t carry,
                                             std::size_t xs, const ScanRange& range, Packing packing) {
  if (condition) return std::make_shared<GraphWhile>(*std::move(condition), std::move(body), carry, std::move(packing));
  return std::make_shared<GraphScan>(std::move(body), carry, xs, range, std::move(packing));
}

}  // namespace wengert::plan
