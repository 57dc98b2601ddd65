#include "autodiff/plan/graph.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "autodiff/ops.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/ops/sources.hpp"

namespace wengert::plan {

Signature Graph::signature(Id id, std::vector<const Type*>& types) const {
  types.clear();
  for (Id operand : nodes[id].operands) types.push_back(&nodes[operand].type);
  return {types, nodes[id].attributes};
}

namespace {

// What a node that is no input of the plan takes its value from, where nothing computes it.
void set_source(Value& node, const Tape& tape, std::uint32_t index) {
  if (node.op == &parameter_op())
    node.parameter = std::make_shared<Tape::Borrowing>(tape.borrowing(index));
  else if (node.op == &input_op() && !tape.has_values(index))
    throw Error(fmt::format("[compile] an input of {} has neither values nor a place among the plan's inputs  ({})",
                            to_string(node.type), node.location));
  else if (node.op == &input_op())
    node.constant = std::make_shared<Array>(tape.constant(index));
}

}  // namespace

Graph capture(const Tape& tape, std::span<const Var> inputs, std::span<const Var> outputs) {
  Graph graph;
  std::vector<Id> number(tape.size());
  std::vector<bool> wanted(tape.size());
  std::vector<int> input_at(tape.size(), -1);
  for (Var input : inputs) {
    const std::uint32_t index = tape.index_of(input, Where::current(), "compile");
    if (input_at[index] < 0) input_at[index] = static_cast<int>(graph.inputs.size());
    graph.inputs.push_back(tape.node(index).type);
    graph.names.push_back(tape.name_of(index));
  }
  for (Var output : outputs) wanted[tape.index_of(output, Where::current(), "compile")] = true;
  for (std::uint32_t i = tape.size(); i-- > 0;)
    if (wanted[i] && input_at[i] < 0)
      for (std::uint32_t operand : tape.operands(tape.node(i))) wanted[operand] = true;
  for (std::uint32_t i = 0; i < tape.size(); ++i) {
    if (!wanted[i] && input_at[i] < 0) continue;  // an input keeps its number where nothing reads it
    const wengert::Node& from = tape.node(i);
    Value node{.op = from.op, .attributes = *from.attributes, .type = from.type, .location = tape.location_of(i)};
    node.owned = from.op->weak_from_this().lock();
    node.input = input_at[i];
    for (std::uint32_t operand : tape.operands(from))
      if (node.input < 0) node.operands.push_back(number[operand]);
    if (node.input < 0) set_source(node, tape, i);
    number[i] = static_cast<Id>(graph.nodes.size());
    graph.nodes.push_back(std::move(node));
  }
  for (Var output : outputs) graph.outputs.push_back(number[tape.index_of(output, Where::current())]);
  return graph;
}

std::string bytes_of(const Attributes& a) {
  std::string bytes;
  const auto add = [&](const auto& list) {
    bytes += static_cast<char>('0' + list.size());
    for (const auto& each : list) bytes.append(reinterpret_cast<const char*>(&each), sizeof(each));
  };
  add(a.axes);
  add(a.integers);
  add(a.reals);
  return bytes;
}

bool same(const Graph& a, const Graph& b) {
  constexpr Id none = static_cast<Id>(-1);
  std::vector<Id> in_b(a.nodes.size(), none), in_a(b.nodes.size(), none);
  std::vector<std::pair<Id, Id>> open;
  // True if x of a and y of b stand for each other, and for nothing else; what they need is still to be compared.
  const auto match = [&](Id x, Id y) {
    if (in_b[x] == none && in_a[y] == none) {
      in_b[x] = y;
      in_a[y] = x;
      open.emplace_back(x, y);
    }
    return in_b[x] == y && in_a[y] == x;
  };
  const auto match_all = [&](const std::vector<Id>& xs, const std::vector<Id>& ys) {
    return std::equal(xs.begin(), xs.end(), ys.begin(), ys.end(), match);
  };
  if (!match_all(a.outputs, b.outputs)) return false;
  while (!open.empty()) {
    const Value &x = a.nodes[open.back().first], &y = b.nodes[open.back().second];
    open.pop_back();
    const bool alike = x.op == y.op && x.type == y.type && x.input == y.input && x.parameter == y.parameter &&
                       x.constant == y.constant && bytes_of(x.attributes) == bytes_of(y.attributes);
    if (!alike || !match_all(x.operands, y.operands)) return false;
  }
  return true;
}

bool is_product_by_matrix(const Graph& graph, const Value& value) {
  return value.is(matmul_op()) && !value.arguments<MatmulOptions>().transpose_a &&
         graph.type_of(value, 1).shape.rank() == 2;
}

std::vector<std::vector<Id>> readers_of(const Graph& graph) {
  std::vector<std::vector<Id>> readers(graph.nodes.size());
  for (Id id = 0; id < graph.nodes.size(); ++id)
    for (Id operand : graph.nodes[id].operands) readers[operand].push_back(id);
  return readers;
}

}  // namespace wengert::plan
