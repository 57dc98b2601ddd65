#include <algorithm>
#include <functional>
#include <optional>
#include <queue>
#include <utility>

#include "autodiff/ops/known.hpp"
#include "autodiff/plan/graph_rewriter.hpp"
#include "autodiff/plan/passes.hpp"
#include "autodiff/plan/passes/loops_of_graphs.hpp"

namespace wengert::plan {
namespace {

// The carry of `a` is the first part of that of `b`, and both take as many steps.
bool start_alike(const Loop& a, const Loop& b) {
  const bool scans = a.parts.condition == nullptr;
  return a.parts.carry <= b.parts.carry && scans == (b.parts.condition == nullptr) &&
         a.parts.range.length == b.parts.range.length && a.parts.range.reverse == b.parts.range.reverse &&
         std::ranges::equal(a.carry(), b.carry().first(a.parts.carry)) &&
         a.op->packing().type().dtype == b.op->packing().type().dtype;
}

// One body that gives the outputs of b's, then those of a's; common to both is the carry, and what has the same
// operands outside of the loop.
class Union {
 public:
  Union(std::size_t carry, std::span<const Id> xs, std::span<const Id> constants)
      : carry_(carry), xs_(xs.begin(), xs.end()), constants_(constants.begin(), constants.end()) {}

  void offer(std::span<const Id> xs, std::span<const Id> constants) {
    const auto enter = [](std::vector<Id>& list, Id id) {
      if (std::ranges::find(list, id) == list.end()) list.push_back(id);
    };
    for (Id x : xs) enter(xs_, x);
    for (Id constant : constants) enter(constants_, constant);
  }
  // After all offers.
  void append(const Graph& body, std::size_t carry, std::span<const Id> xs, std::span<const Id> constants) {
    const std::size_t count = carry_ + xs_.size() + constants_.size();
    graph_.inputs.resize(count), graph_.names.resize(count), leaves_.resize(count);
    const auto number_of = [&](std::size_t input) {
      const auto place = [](const std::vector<Id>& list, Id id) {
        return static_cast<std::size_t>(std::ranges::find(list, id) - list.begin());
      };
      if (input < carry) return input;
      if (input < carry + xs.size()) return carry_ + place(xs_, xs[input - carry]);
      return carry_ + xs_.size() + place(constants_, constants[input - carry - xs.size()]);
    };
    std::vector<Id> now;
    for (Value value : body.nodes) {
      for (Id& operand : value.operands) operand = now[operand];
      Id id = static_cast<Id>(graph_.nodes.size());
      if (value.input >= 0) {
        const auto old = static_cast<std::size_t>(value.input), number = number_of(old);
        graph_.inputs[number] = body.inputs[old], graph_.names[number] = body.names[old];
        value.input = static_cast<int>(number);
        id = *(leaves_[number] = leaves_[number].value_or(id));
      }
      now.push_back(id);
      if (id == graph_.nodes.size()) graph_.nodes.push_back(std::move(value));
    }
    for (Id output : body.outputs) graph_.outputs.push_back(now[output]);
  }

  // With what is the same computed once.
  Graph merged() const {
    return eliminate_common_subexpressions(merge_loops(eliminate_common_subexpressions(simplify(graph_))));
  }
  const std::vector<Id>& xs() const { return xs_; }
  const std::vector<Id>& constants() const { return constants_; }

 private:
  std::size_t carry_;
  std::vector<Id> xs_, constants_;  // operands of the loop
  Graph graph_;
  std::vector<std::optional<Id>> leaves_;  // of the inputs
};

Union both(const Loop& a, const Loop& b, bool conditions) {
  const auto constants = [&](const Loop& loop) {
    return conditions ? loop.constants_of_condition() : loop.constants();
  };
  const auto body = [&](const Loop& loop) -> const Graph& {
    return conditions ? *loop.parts.condition : *loop.parts.body;
  };
  Union result(b.parts.carry, b.xs(), constants(b));
  result.offer(a.xs(), constants(a));
  result.append(body(b), b.parts.carry, b.xs(), constants(b));
  result.append(body(a), a.parts.carry, a.xs(), constants(a));
  return result;
}

// One loop for two: its node, and the number among its parts of each part of a's and of b's results.
struct Merger {
  Value loop;
  std::vector<std::size_t> part_of_a, part_of_b;
};

std::optional<Merger> merged_scan(const Graph& graph, const Loop& a, const Loop& b) {
  const Union together = both(a, b, false);
  Graph body = together.merged();
  const std::size_t of_b = b.parts.body->outputs.size();
  for (std::size_t i = 0; i < a.parts.carry; ++i)
    if (body.outputs[of_b + i] != body.outputs[i]) return {};
  const std::vector<Id> of_a(body.outputs.begin() + static_cast<std::ptrdiff_t>(of_b), body.outputs.end());
  body.outputs.resize(of_b);
  ScanRange range = b.parts.range;
  range.gives_carry = a.parts.range.gives_carry || b.parts.range.gives_carry;
  const std::size_t first = range.gives_carry ? 0 : b.parts.carry;  // output that is the first part
  Merger result;
  for (std::size_t i = b.parts.range.gives_carry ? 0 : b.parts.carry; i < of_b; ++i)
    result.part_of_b.push_back(i - first);
  for (std::size_t i = a.parts.range.gives_carry ? 0 : a.parts.carry; i < of_a.size(); ++i) {
    // Part of the carry, or kept: by b as well, or now.
    std::size_t output = i;
    if (i >= a.parts.carry) {
      const auto kept = body.outputs.begin() + static_cast<std::ptrdiff_t>(b.parts.carry);
      output = static_cast<std::size_t>(std::find(kept, body.outputs.end(), of_a[i]) - body.outputs.begin());
      if (output == body.outputs.size()) body.outputs.push_back(of_a[i]);
    }
    result.part_of_a.push_back(output - first);
  }
  std::vector<Type> types;
  for (std::size_t i = first; i < body.outputs.size(); ++i) {
    types.push_back(body.nodes[body.outputs[i]].type);
    if (i >= b.parts.carry) types.back().shape = types.back().shape.prepended(range.length);
  }
  std::vector<Id> operands(b.carry().begin(), b.carry().end());
  operands.insert(operands.end(), together.xs().begin(), together.xs().end());
  operands.insert(operands.end(), together.constants().begin(), together.constants().end());
  const auto op =
      loop_of_graphs({}, eliminate_dead_code(body), b.parts.carry, together.xs().size(), range, Packing(types));
  result.loop = {.op = op.get(),
                 .type = op->packing().type(),
                 .operands = operands,
                 .location = graph.nodes[b.id].location,
                 .owned = op};
  return result;
}

// The second loop itself, where it computes what the first does.
std::optional<Merger> including_while(const Graph& graph, const Loop& a, const Loop& b) {
  for (const bool conditions : {true, false}) {
    const Graph body = both(a, b, conditions).merged();
    const std::size_t of_b = (conditions ? b.parts.condition : b.parts.body)->outputs.size();
    for (std::size_t i = of_b; i < body.outputs.size(); ++i)
      if (body.outputs[i] != body.outputs[i - of_b]) return {};
  }
  Merger result{graph.nodes[b.id], {}, {}};
  for (std::size_t i = 0; i < a.parts.carry; ++i) result.part_of_a.push_back(i);
  for (std::size_t i = 0; i < b.parts.carry; ++i) result.part_of_b.push_back(i);
  return result;
}

// Puts the merged loop in the place of two.
class Replacement {
 public:
  Replacement(const Graph& graph, const Merger& merger)
      : to_(graph), packing_(dynamic_cast<const LoopOp&>(*merger.loop.op).packing()) {
    loop_ = add(merger.loop);
  }

  // False where a reader takes no part alone.
  bool redirect(const Loop& old, const std::vector<std::size_t>& part) {
    const Packing& before = old.op->packing();
    std::optional<Id> alone;                                                      // of a loop with one result
    if (part.size() == 1) alone = whole_part(part[0], Value(to_.nodes[old.id]));  // a copy: nodes are added
    for (Id id = 0; id <= loop_; ++id)
      for (Id& operand : to_.nodes[id].operands)
        if (operand == old.id && !(alone ? read(operand, *alone) : move_slice(to_.nodes[id], before, part)))
          return false;
    for (Id& output : to_.outputs)
      if (output == old.id && !(alone && read(output, *alone))) return false;
    return true;
  }

  // Operands first; nothing where a loop would need itself.
  std::optional<Graph> ordered() const {
    const auto readers = readers_of(to_);
    std::vector<std::size_t> waiting(to_.nodes.size());
    std::priority_queue<Id, std::vector<Id>, std::greater<>> ready;
    for (Id id = 0; id < to_.nodes.size(); ++id)
      if ((waiting[id] = to_.nodes[id].operands.size()) == 0) ready.push(id);
    Graph result{.inputs = to_.inputs, .names = to_.names, .rows = to_.rows};
    std::vector<Id> now(to_.nodes.size());
    for (; !ready.empty();) {
      const Id id = ready.top();
      ready.pop();
      now[id] = static_cast<Id>(result.nodes.size());
      result.nodes.push_back(to_.nodes[id]);
      for (Id& operand : result.nodes.back().operands) operand = now[operand];
      for (Id reader : readers[id])
        if (--waiting[reader] == 0) ready.push(reader);
    }
    if (result.nodes.size() < to_.nodes.size()) return {};
    for (Id output : to_.outputs) result.outputs.push_back(now[output]);
    return eliminate_dead_code(result);
  }

 private:
  Id add(Value value) {
    to_.nodes.push_back(std::move(value));
    return static_cast<Id>(to_.nodes.size() - 1);
  }
  static bool read(Id& operand, Id now) {
    operand = now;
    return true;
  }
  Id whole_part(std::size_t part, const Value& old) {
    if (packing_.parts().size() == 1) return loop_;
    const Type& type = packing_.parts()[part];
    const Index begin = packing_.offset(part), end = begin + type.shape.size();
    const Id flat = add({.op = &slice_op(),
                         .attributes = to_attributes(SliceArguments{-1, begin, end, 1}),
                         .type = {old.type.dtype, Shape{end - begin}},
                         .operands = {loop_},
                         .location = old.location});
    return add({.op = &reshape_op(),
                .attributes = to_attributes(ReshapeArguments{1, type.shape}),
                .type = {old.type.dtype, type.shape},
                .operands = {flat},
                .location = old.location});
  }
  bool move_slice(Value& reader, const Packing& before, const std::vector<std::size_t>& part) {
    if (!reader.is(slice_op()) || packing_.parts().size() == 1) return false;
    SliceArguments slice = reader.arguments<SliceArguments>();
    for (std::size_t i = 0; i < part.size(); ++i) {
      const Index begin = before.offset(i), end = begin + before.parts()[i].shape.size();
      if (slice.start < begin || slice.stop > end) continue;
      slice.start += packing_.offset(part[i]) - begin, slice.stop += packing_.offset(part[i]) - begin;
      reader.attributes = to_attributes(slice);
      reader.operands[0] = loop_;
      return true;
    }
    return false;
  }

  Graph to_;
  Packing packing_;
  Id loop_;
};

std::optional<Graph> merge_two(const Graph& graph) {
  const std::vector<Loop> loops = loops_of(graph);
  for (const Loop& a : loops)
    for (const Loop& b : loops) {
      if (a.id == b.id || !start_alike(a, b)) continue;
      const auto merger = a.parts.condition == nullptr ? merged_scan(graph, a, b) : including_while(graph, a, b);
      if (!merger) continue;
      Replacement replacement(graph, *merger);
      if (replacement.redirect(a, merger->part_of_a) && replacement.redirect(b, merger->part_of_b))
        if (auto result = replacement.ordered()) return result;
    }
  return {};
}

}  // namespace

Graph merge_loops(const Graph& graph) {
  Graph result = graph;
  while (auto merged = merge_two(result)) result = eliminate_common_subexpressions(*merged);
  return result;
}

}  // namespace wengert::plan
