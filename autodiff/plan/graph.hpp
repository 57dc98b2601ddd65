// Graph: what a plan computes, taken down from a symbolic tape. Passes turn one graph into another (rewrites.hpp); a
// node's operands come before it.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/tape.hpp"

namespace wengert::plan {

using Id = std::uint32_t;

struct Node {
  const Op* op = nullptr;
  Attributes attributes{};
  Type type{};
  std::vector<Id> operands{};
  std::string place{};  // "triangles.cpp:41, in score.layers.0"

  // A leaf is one of these; the others are computed.
  int input = -1;                                      // its number among the plan's inputs
  std::shared_ptr<const Tape::Borrowing> parameter{};  // memory of a store, read where it lies
  std::shared_ptr<const Array> constant{};
  std::shared_ptr<const Op> owned{};  // a local op's

  bool is_leaf() const { return input >= 0 || parameter || constant; }
};

// Whether a node computes this op.
inline bool has_name(const Node& node, std::string_view name) { return !node.is_leaf() && node.op->name() == name; }

struct Graph {
  std::vector<Node> nodes{};
  std::vector<Id> outputs{};
  std::vector<Type> inputs{};
  std::vector<std::string> names{};  // of the inputs, for errors
  std::vector<std::size_t> rows{};   // numbers of the inputs that bring the rows of the batch; none: see batch_of()

  // The operand types and attributes of a node, as ops want them; valid while `types` and the graph live.
  Signature signature(Id id, std::vector<const Type*>& types) const;
};

// The nodes of a tape that `outputs` need. Throws Error where one of `outputs` is not on the tape.
Graph take_down(const Tape& tape, std::span<const Var> inputs, std::span<const Var> outputs);

// Whether the outputs of both are the same ops on the same leaves. What no output needs does not count, nor the order.
bool same(const Graph& a, const Graph& b);

// The readers of each node; an output is read once more, by nobody.
std::vector<std::vector<Id>> readers_of(const Graph& graph);

}  // namespace wengert::plan
