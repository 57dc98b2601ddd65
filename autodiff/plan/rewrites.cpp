#include "autodiff/plan/rewrites.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/ops/sources.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/plan/rebuilt.hpp"

namespace wengert::plan {
namespace {

// Larger constants are computed anew at each run.
constexpr std::size_t most_constant_bytes = std::size_t{1} << 20;

// The number that fills a constant; NaN where it has several.
double splat_of(const Node& node) {
  constexpr double several = special_values::nan;
  if (!node.constant || node.constant->size() == 0 || !is_float(node.type.dtype)) return several;
  const double first = node.constant->at(0);
  for (Index i = 1; i < node.constant->size(); ++i)
    if (node.constant->at(i) != first || std::signbit(node.constant->at(i)) != std::signbit(first)) return several;
  return first;
}

// The bytes of attributes: equal for equal ones alone, unlike their text.
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

Array computed(const Graph& graph, const Node& node) {
  std::vector<const Type*> types;
  std::vector<const void*> operands;
  for (Id operand : node.operands) {
    types.push_back(&graph.nodes[operand].type);
    operands.push_back(graph.nodes[operand].constant->raw());
  }
  const Signature signature{types, node.attributes};
  Array output(node.type);
  Array scratch(Dtype::i32, {static_cast<Index>(node.op->scratch_bytes(signature, node.type) / 4 + 1)});
  const FloatingPointMode mode;
  try {
    node.op->run({signature, operands, node.type, output.raw(), scratch.raw()});
  } catch (const std::exception& refusal) {
    throw Error(fmt::format("[{}] {}  ({})", node.op->name(), refusal.what(), node.place));
  }
  return output;
}

// The operand that a node merely repeats; the node itself where it does more.
Id repeated(const Graph& graph, const Node& node, Id itself) {
  const auto of_type = [&](Id operand) { return graph.nodes[operand].type == node.type; };
  if (node.operands.empty() || node.is_leaf()) return itself;
  const Id first = node.operands[0];
  for (const char* name : {"identity", "stop_gradient", "reshape", "broadcast_to", "cast"})
    if (has_name(node, name) && of_type(first)) return first;
  return node.op->is_local() && has_name(node, "checkpoint") ? node.operands.back() : itself;
}

// Elementwise operands as they were before they were stretched, or one number for a constant of equal ones, as long as
// the others still make up the shape.
void take_unstretched(Graph& graph, Node& node) {
  if (node.is_leaf() || !node.op->fusable()) return;
  for (Id& operand : node.operands) {
    Id narrow = operand;
    const Node from = graph.nodes[operand];
    const double number = splat_of(from);
    if (has_name(from, "broadcast_to")) {
      narrow = from.operands[0];
    } else if (number == number && from.type.shape.size() > 1) {
      Array single(from.type.dtype, Shape{});
      single.set(0, number);
      graph.nodes.push_back({.op = from.op, .type = single.type(), .place = from.place});
      graph.nodes.back().constant = std::make_shared<Array>(single);
      narrow = static_cast<Id>(graph.nodes.size() - 1);
    } else {
      continue;
    }
    const Id before = std::exchange(operand, narrow);
    Shape shape;
    for (Id each : node.operands) shape = *broadcast(shape, graph.nodes[each].type.shape);
    if (shape != node.type.shape) operand = before;
  }
}

// matmul(transpose(x), y): a flag instead. A first operand that is given transposed sums over a batch, in groups where
// there are many rows (matmul.cpp): then the flag would change bits.
void take_untransposed(const Graph& graph, Node& node) {
  if (!has_name(node, "matmul")) return;
  for (std::size_t i = 0; i < 2; ++i) {
    const Node& from = graph.nodes[node.operands[i]];
    if (!has_name(from, "transpose") || from.type.shape.rank() != 2) continue;
    if (from.attributes.axes.size() != 2 || from.attributes.axes[0] != -1) continue;  // nothing is exchanged
    if (i == 0 && group_count(from.type.shape[node.attributes.integers[0] != 0 ? -2 : -1], 0) > 1) continue;
    node.operands[i] = from.operands[0];
    node.attributes.integers[i] = 1 - node.attributes.integers[i];
  }
}

}  // namespace

Graph without_dead(const Graph& graph) {
  std::vector<bool> wanted(graph.nodes.size());
  for (Id output : graph.outputs) wanted[output] = true;
  for (Id id = static_cast<Id>(graph.nodes.size()); id-- > 0;) {
    if (graph.nodes[id].input >= 0) wanted[id] = true;
    if (wanted[id])
      for (Id operand : graph.nodes[id].operands) wanted[operand] = true;
  }
  Rebuilt result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id)
    if (wanted[id]) result.put(id, result.add(result.moved(id)));
  return result.finish();
}

Graph with_constants_folded(const Graph& graph) {
  Rebuilt result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    Node node = result.moved(id);
    const auto constant = [&](Id operand) { return result.to.nodes[operand].constant != nullptr; };
    if (!node.is_leaf() && !node.op->is_local() && node.type.bytes() <= most_constant_bytes &&
        std::all_of(node.operands.begin(), node.operands.end(), constant)) {
      node.constant = std::make_shared<Array>(computed(result.to, node));
      node.operands.clear();
    }
    result.put(id, result.add(std::move(node)));
  }
  return result.finish();
}

Graph simplified(const Graph& graph) {
  Rebuilt result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    Node node = result.moved(id);
    const Id unknown = static_cast<Id>(-1), same = repeated(result.to, node, unknown);
    if (same != unknown) {
      result.put(id, same);
      continue;
    }
    take_unstretched(result.to, node);
    take_untransposed(result.to, node);
    result.put(id, result.add(std::move(node)));
  }
  return without_dead(result.finish());
}

Graph without_repeats(const Graph& graph) {
  using Key = std::tuple<const Op*, std::vector<Id>, std::string, std::string>;
  std::map<Key, Id> known;
  Rebuilt result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    Node node = result.moved(id);
    std::string values;
    if (node.constant) values.assign(static_cast<const char*>(node.constant->raw()), node.type.bytes());
    const bool apart = node.input >= 0 || node.parameter || (!node.is_leaf() && node.op->is_local());
    const Key key(node.constant ? nullptr : node.op, node.operands, to_string(node.type) + bytes_of(node.attributes),
                  values);
    const auto [found, fresh] = apart ? std::pair(known.end(), true) : known.emplace(key, 0);
    if (!fresh) {
      result.put(id, found->second);
      continue;
    }
    const Id now = result.add(std::move(node));
    if (!apart) found->second = now;
    result.put(id, now);
  }
  return result.finish();
}

Graph with_weights_transposed(const Graph& graph) {
  std::map<Id, Id> transposed;
  Rebuilt result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    Node node = result.moved(id);
    if (has_name(node, "matmul") && node.attributes.integers[0] == 0 && node.attributes.integers[1] != 0 &&
        result.to.nodes[node.operands[1]].parameter) {
      const Id weight = node.operands[1];
      const Shape& shape = result.to.nodes[weight].type.shape;
      if (shape.rank() == 2 && node.type.shape.size() / std::max<Index>(shape[0], 1) > shape[0]) {
        auto known = transposed.find(weight);
        if (known == transposed.end()) {
          Node copy{.op = &op_named("transpose"), .type = {node.type.dtype, {shape[1], shape[0]}}, .place = node.place};
          copy.attributes.axes = {-1, -2};
          copy.operands = {weight};
          known = transposed.emplace(weight, result.add(std::move(copy))).first;
        }
        node.operands[1] = known->second;
        node.attributes.integers[1] = 0;
      }
    }
    result.put(id, result.add(std::move(node)));
  }
  return result.finish();
}

Graph with_sigmoids_shared(const Graph& graph) {
  std::set<Id> wanted;  // whose sigmoid is there
  for (const Node& node : graph.nodes)
    if (has_name(node, "sigmoid")) wanted.insert(node.operands[0]);
  Rebuilt result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    Node node = result.moved(id);
    if (has_name(node, "silu") && wanted.count(graph.nodes[id].operands[0]) != 0) {
      Node sigmoid = node;
      sigmoid.op = &op_named("sigmoid");
      node.op = &op_named("mul");
      node.operands.push_back(result.add(std::move(sigmoid)));
    }
    result.put(id, result.add(std::move(node)));
  }
  return result.finish();
}

Graph without_barriers(const Graph& graph) {
  Rebuilt result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    Node node = result.moved(id);
    if (has_name(node, "again") && node.op->is_local())
      result.put(id, node.operands[0]);
    else
      result.put(id, result.add(std::move(node)));
  }
  return result.finish();
}

}  // namespace wengert::plan
