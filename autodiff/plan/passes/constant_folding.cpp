#include <fmt/format.h>

#include <algorithm>

#include "autodiff/parallel.hpp"
#include "autodiff/plan/graph_rewriter.hpp"
#include "autodiff/plan/passes.hpp"

namespace wengert::plan {
namespace {

// Larger constants are computed by a plan's first run, or by each where they are in no memory of their own.
constexpr std::size_t most_constant_bytes = std::size_t{1} << 20;

Array computed(const Graph& graph, const Value& value) {
  std::vector<const Type*> types;
  std::vector<const void*> operands;
  for (Id operand : value.operands) {
    types.push_back(&graph.nodes[operand].type);
    operands.push_back(graph.nodes[operand].constant->raw());
  }
  const Signature signature{types, value.attributes};
  Array output(value.type);
  Array scratch(Dtype::i32, {static_cast<Index>(value.op->scratch_bytes(signature, value.type) / 4 + 1)});
  const FloatingPointMode mode;
  try {
    value.op->run({signature, operands, value.type, output.raw(), scratch.raw()});
  } catch (const std::exception& refusal) {
    throw Error(fmt::format("[{}] {}  ({})", value.op->name(), refusal.what(), value.location));
  }
  return output;
}

}  // namespace

Graph fold_constants(const Graph& graph) {
  return with_each(graph, [](GraphRewriter& result, Value& value) {
    const auto constant = [&](Id operand) { return result.to.nodes[operand].constant != nullptr; };
    if (value.is_leaf() || value.op->is_local() || value.type.bytes() > most_constant_bytes ||
        !std::all_of(value.operands.begin(), value.operands.end(), constant))
      return;
    value.constant = std::make_shared<Array>(computed(result.to, value));
    value.operands.clear();
  });
}

}  // namespace wengert::plan
