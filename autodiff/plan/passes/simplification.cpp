#include <algorithm>
#include <cmath>
#include <optional>

#include "autodiff/derivatives/checkpoint.hpp"
#include "autodiff/kernels/groups.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/plan/graph_rewriter.hpp"
#include "autodiff/plan/passes.hpp"

namespace wengert::plan {
namespace {

// The number that fills a constant; NaN where it has several.
double splat_of(const Value& value) {
  constexpr double several = special_values::nan;
  if (!value.constant || value.constant->size() == 0 || !is_float(value.type.dtype)) return several;
  const double first = value.constant->at(0);
  for (Index i = 1; i < value.constant->size(); ++i)
    if (value.constant->at(i) != first || std::signbit(value.constant->at(i)) != std::signbit(first)) return several;
  return first;
}

// The operand that a value merely repeats, if it does.
std::optional<Id> repeated(const Graph& graph, const Value& value) {
  if (value.operands.empty() || value.is_leaf()) return {};
  if (is_checkpoint(*value.op)) return value.operands.back();
  for (const Op* op : {&identity_op(), &stop_gradient_op(), &reshape_op(), &broadcast_to_op(), &cast_op()})
    if (value.op == op && graph.type_of(value, 0) == value.type) return value.operands[0];
  return {};
}

// The number that fills a constant, in an array of this shape.
Id filled(Graph& graph, const Value& from, double number, const Shape& shape) {
  Array array(from.type.dtype, shape);
  for (Index i = 0; i < array.size(); ++i) array.set(i, number);
  graph.nodes.push_back({.op = from.op, .type = array.type(), .location = from.location});
  graph.nodes.back().constant = std::make_shared<Array>(std::move(array));
  return static_cast<Id>(graph.nodes.size() - 1);
}

// Elementwise operands as they were before they were broadcast, or one number for a constant of equal ones, as long as
// the others still make up the shape.
void skip_broadcasts(Graph& graph, Value& value) {
  if (value.is_leaf() || !value.op->fusable()) return;
  for (Id& operand : value.operands) {
    Id narrow = operand;
    const Value from = graph.nodes[operand];
    const double number = splat_of(from);
    if (from.is(broadcast_to_op())) {
      narrow = from.operands[0];
    } else if (number == number && from.type.shape.size() > 1) {
      narrow = filled(graph, from, number, {});
    } else {
      continue;
    }
    const Id before = std::exchange(operand, narrow);
    Shape shape;
    for (Id each : value.operands) shape = *broadcast(shape, graph.nodes[each].type.shape);
    if (shape != value.type.shape) operand = before;
  }
}

// Parts of a concat as they were before they were broadcast, as long as the others still make up the shape: it
// broadcasts them itself, and what all rows share is then one row of it.
void skip_broadcasts_of_parts(Graph& graph, Value& value) {
  if (!value.is(concat_op())) return;
  const int axis = value.arguments<ConcatArguments>().axis, rank = value.type.shape.rank();
  for (Id& part : value.operands) {
    const Value from = graph.nodes[part];
    Shape narrow(std::vector<Index>(static_cast<std::size_t>(rank), 1));
    narrow.set(axis, from.type.shape[axis]);
    Id now = part;
    if (const double number = splat_of(from); number == number && narrow != from.type.shape) {
      now = filled(graph, from, number, narrow);
    } else if (from.is(broadcast_to_op())) {
      now = from.operands[0];
      narrow = graph.nodes[now].type.shape.padded(rank);
      if (narrow[axis] != from.type.shape[axis]) continue;
      if (graph.nodes[now].type.shape != narrow) {
        graph.nodes.push_back({.op = &reshape_op(),
                               .attributes = to_attributes(
                                   ReshapeArguments{.replaced = graph.nodes[now].type.shape.rank(), .shape = narrow}),
                               .type = {from.type.dtype, narrow},
                               .operands = {now},
                               .location = from.location});
        now = static_cast<Id>(graph.nodes.size() - 1);
      }
    } else {
      continue;
    }
    const Id before = std::exchange(part, now);
    std::vector<const Type*> types;
    for (Id each : value.operands) types.push_back(&graph.nodes[each].type);
    if (value.op->infer({types, value.attributes}) != value.type) part = before;
  }
}

// True if it is the transpose of a matrix.
bool swaps_matrix(const Value& value) {
  return value.is(transpose_op()) && value.type.shape.rank() == 2 &&
         value.arguments<TransposeArguments>().axes[0] == -1;
}

// matmul(transpose(x), y): a flag instead. A first operand that is given transposed is summed over a batch, in partial
// sums where there are many rows (matmul.cpp): then the flag would change bits.
void fold_transposes(const Graph& graph, Value& value) {
  if (!value.is(matmul_op())) return;
  MatmulOptions options = value.arguments<MatmulOptions>();
  for (std::size_t i = 0; i < 2; ++i) {
    const Value& from = graph.nodes[value.operands[i]];
    if (!swaps_matrix(from)) continue;
    bool& transposed = i == 0 ? options.transpose_a : options.transpose_b;
    if (i == 0 && group_rows(from.type.shape[transposed ? -2 : -1], 0).groups > 1) continue;
    value.operands[i] = from.operands[0];
    transposed = !transposed;
  }
  value.attributes = to_attributes(options);
}

}  // namespace

Graph simplify(const Graph& graph) {
  GraphRewriter result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    Value value = result.moved(id);
    if (const auto same = repeated(result.to, value)) {
      result.put(id, *same);
      continue;
    }
    skip_broadcasts(result.to, value);
    skip_broadcasts_of_parts(result.to, value);
    fold_transposes(result.to, value);
    result.put(id, result.add(std::move(value)));
  }
  return result.finish();
}

}  // namespace wengert::plan
