// Loop-invariant hoisting. What depends on a loop's constants alone is the same in every step: it is computed before
// the loop, in the graph around it, and is a constant of the loop itself.
#include <algorithm>
#include <utility>

#include "autodiff/ops/known.hpp"
#include "autodiff/ops/reduction.hpp"
#include "autodiff/ops/sources.hpp"
#include "autodiff/plan/graph_rewriter.hpp"
#include "autodiff/plan/passes.hpp"
#include "autodiff/plan/passes/loops_of_graphs.hpp"
#include "autodiff/plan/views.hpp"

namespace wengert::plan {
namespace {

// True if an op computes something of any values. What may refuse them stays where it is: the loop may end before, or
// take no step at all. What is not known here may refuse.
bool serves_all_values(const Op& op) {
  const auto ops = {&matmul_op(),         &softmax_op(), &log_softmax_op(), &cumsum_op(),
                    &cast_op(),           &concat_op(),  &transpose_op(),   &slice_op(),
                    &slice_backward_op(), &reshape_op(), &full_op(),        &broadcast_to_op()};
  return op.fusable() || dynamic_cast<const Reduction*>(&op) != nullptr || std::ranges::find(ops, &op) != ops.end();
}

// True if a step reads a value of this node without computing it: from its operand's memory, or one number for all.
bool costs_nothing(const Graph& graph, const Value& value) {
  return value.is(broadcast_to_op()) || value.is(full_op()) || begin_in_operand(graph, value);
}

// The body of a loop without its invariants.
class Hoister {
 public:
  // `own`: how many inputs of the body differ from step to step; they come first. `constants`: the others, nodes of the
  // graph around the loop.
  Hoister(const Graph& body, std::size_t own, std::span<const Id> constants)
      : body_(body), own_(own), constants_(constants.begin(), constants.end()), hoisted_(body.nodes.size()) {
    find_invariants();
    std::vector<bool> seen(body.nodes.size());
    for (const Value& reader : body.nodes)
      if (const auto at = static_cast<std::size_t>(&reader - body.nodes.data()); !invariant_[at])
        for (Id operand : reader.operands) choose(operand, seen);
    for (Id output : body.outputs) choose(output, seen);
  }

  bool finds_any() const { return std::ranges::find(hoisted_, true) != hoisted_.end(); }

  // Computes them in the graph around the loop. Returns the body that is given them; constants() are its operands.
  Graph hoist(GraphRewriter& around) {
    const std::vector<Id> outside = computed(around);
    Graph inside{.inputs = {body_.inputs.begin(), body_.inputs.begin() + static_cast<std::ptrdiff_t>(own_)},
                 .names = {body_.names.begin(), body_.names.begin() + static_cast<std::ptrdiff_t>(own_)},
                 .rows = body_.rows};
    const std::vector<bool> read = read_in_steps();
    std::vector<Id> operands, now(body_.nodes.size());
    for (Id id = 0; id < body_.nodes.size(); ++id) {
      if (!read[id]) continue;
      Value value = body_.nodes[id];
      for (Id& operand : value.operands) operand = now[operand];
      if (hoisted_[id] || is_constant(value)) {
        value = {.op = &input_op(), .type = value.type, .location = value.location};
        value.input = static_cast<int>(inside.inputs.size());
        inside.inputs.push_back(value.type);
        inside.names.push_back(hoisted_[id] ? "" : body_.names[static_cast<std::size_t>(body_.nodes[id].input)]);
        operands.push_back(outside[id]);
      }
      now[id] = static_cast<Id>(inside.nodes.size());
      inside.nodes.push_back(std::move(value));
    }
    for (Id output : body_.outputs) inside.outputs.push_back(now[output]);
    constants_ = std::move(operands);
    return inside;
  }
  const std::vector<Id>& constants() const { return constants_; }

 private:
  bool is_constant(const Value& value) const { return value.input >= static_cast<int>(own_); }

  // What a step needs for an invariant: bytes to read where the best of its operands are hoisted, or it itself; and the
  // operations where nothing is.
  struct Need {
    double bytes = 0, flops = 0;
  };

  // A local op may do anything.
  void find_invariants() {
    std::vector<const Type*> types;
    for (Id id = 0; id < body_.nodes.size(); ++id) {
      const Value& value = body_.nodes[id];
      const bool same = std::ranges::all_of(value.operands, [&](Id operand) { return invariant_[operand]; });
      invariant_.push_back(value.is_leaf() ? value.input < 0 || is_constant(value)
                                           : same && !value.op->is_local() && serves_all_values(*value.op));
      Need need{static_cast<double>(value.type.bytes()), 0};
      if (!value.is_leaf()) {
        need = of_operands(value);
        if (!costs_nothing(body_, value)) {
          need.bytes = std::min(need.bytes, static_cast<double>(value.type.bytes()));
          need.flops += value.op->cost(body_.signature(id, types), value.type).flops;
        }
      }
      needs_.push_back(need);
    }
  }
  Need of_operands(const Value& value) const {
    Need sum;
    for (Id operand : value.operands) sum.bytes += needs_[operand].bytes, sum.flops += needs_[operand].flops;
    return sum;
  }
  // An elementwise op is computed on the way to its reader, and a row of a product for its readers in the cache:
  // reading more from memory instead has to save more.
  bool pays(Id id) const {
    constexpr double flops_per_byte = 4, cached = 1 << 17;
    const Value& value = body_.nodes[id];
    if (value.is_leaf() || costs_nothing(body_, value)) return false;
    const auto bytes = static_cast<double>(value.type.bytes());
    return bytes <= of_operands(value).bytes || needs_[id].flops >= flops_per_byte * bytes ||
           (!value.op->fusable() && bytes <= cached);
  }
  // What a step reads: the invariant itself is hoisted, or what it is made of is.
  void choose(Id id, std::vector<bool>& seen) {
    if (!invariant_[id] || seen[id]) return;
    seen[id] = true;
    if (pays(id))
      hoisted_[id] = true;
    else
      for (Id operand : body_.nodes[id].operands) choose(operand, seen);
  }

  std::vector<bool> read_in_steps() const {
    std::vector<bool> read(body_.nodes.size());
    for (Id output : body_.outputs) read[output] = true;
    for (Id id = static_cast<Id>(body_.nodes.size()); id-- > 0;) {
      const Value& value = body_.nodes[id];
      if (value.input >= 0 && !is_constant(value)) read[id] = true;  // an input keeps its number
      if (read[id] && !hoisted_[id])
        for (Id operand : value.operands) read[operand] = true;
    }
    return read;
  }
  // The nodes around the loop that constants and hoisted nodes of the body are.
  std::vector<Id> computed(GraphRewriter& around) const {
    std::vector<bool> wanted = hoisted_;
    for (Id id = static_cast<Id>(body_.nodes.size()); id-- > 0;)
      if (wanted[id])
        for (Id operand : body_.nodes[id].operands) wanted[operand] = true;
    std::vector<Id> outside(body_.nodes.size());
    for (Id id = 0; id < body_.nodes.size(); ++id) {
      Value value = body_.nodes[id];
      if (is_constant(value)) {
        outside[id] = constants_[static_cast<std::size_t>(value.input) - own_];
      } else if (wanted[id]) {
        for (Id& operand : value.operands) operand = outside[operand];
        outside[id] = around.add(std::move(value));
      }
    }
    return outside;
  }

  const Graph& body_;
  std::size_t own_;
  std::vector<Id> constants_;
  std::vector<bool> invariant_, hoisted_;
  std::vector<Need> needs_;
};

// A body as its plan will have it before its own loops are compiled, so that what is hoisted is not what goes anyway.
Graph simplified(const Graph& body) {
  const Graph once = eliminate_common_subexpressions(fold_constants(eliminate_dead_code(body)));
  const Graph merged = merge_loops(eliminate_common_subexpressions(eliminate_dead_code(simplify(once))));
  return eliminate_common_subexpressions(hoist_loop_invariants(merged));
}

// The loop with its operands, both as they are around it now, without its invariants.
Value without_invariants(const Loop& loop, Value now, GraphRewriter& around) {
  const LoopParts& parts = loop.parts;
  const std::span<const Id> operands(now.operands);
  const std::size_t own = parts.carry + parts.xs, of_condition = operands.size() + own - parts.body->inputs.size();
  const Graph body = simplified(*parts.body);
  Hoister from_body(body, own, operands.subspan(of_condition));
  const Graph condition = parts.condition == nullptr ? Graph{} : simplified(*parts.condition);
  Hoister from_condition(condition, parts.carry, operands.subspan(own, of_condition - own));
  if (!from_body.finds_any() && !from_condition.finds_any()) return now;

  std::optional<Graph> new_condition;
  if (parts.condition != nullptr) new_condition = from_condition.hoist(around);
  const auto op = loop_of_graphs(std::move(new_condition), from_body.hoist(around), parts.carry, parts.xs, parts.range,
                                 loop.op->packing());
  now.operands.resize(own);
  for (const Hoister* hoister : {&from_condition, &from_body})
    now.operands.insert(now.operands.end(), hoister->constants().begin(), hoister->constants().end());
  now.op = op.get();
  now.owned = op;
  return now;
}

}  // namespace

Graph hoist_loop_invariants(const Graph& graph) {
  GraphRewriter result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    Value value = result.moved(id);
    if (const auto loop = loop_at(graph, id)) value = without_invariants(*loop, std::move(value), result);
    result.put(id, result.add(std::move(value)));
  }
  return result.finish();
}

}  // namespace wengert::plan
