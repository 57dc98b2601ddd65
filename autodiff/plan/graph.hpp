// Graph: what a plan computes, captured from a symbolic tape. Passes turn one graph into another (passes.hpp); a
// value's operands come before it.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "autodiff/tape.hpp"

namespace wengert::plan {

using Id = std::uint32_t;

// A node of the graph.
struct Value {
  const Op* op = nullptr;
  Attributes attributes{};
  Type type{};
  std::vector<Id> operands{};
  std::string location{};  // "triangles.cpp:41, in score.layers.0"

  // A leaf is one of these; the others are computed.
  int input = -1;                                      // its number among the plan's inputs
  std::shared_ptr<const Tape::Borrowing> parameter{};  // memory of a store, read where it lies
  std::shared_ptr<const Array> constant{};
  std::shared_ptr<const Op> owned{};  // a local op's

  bool is_leaf() const { return input >= 0 || parameter || constant; }
  // True if it is computed by this op.
  bool is(const Op& computed_by) const { return op == &computed_by && !is_leaf(); }
  // The arguments of its op by their names (attributes.hpp).
  template <class Arguments>
  Arguments arguments() const {
    return arguments_of<Arguments>(attributes);
  }
};

struct Graph {
  std::vector<Value> nodes{};
  std::vector<Id> outputs{};
  std::vector<Type> inputs{};
  std::vector<std::string> names{};  // of the inputs, for errors
  std::vector<std::size_t> rows{};   // numbers of the inputs that bring the rows of the batch; none: see batch_of()

  // The operand types and attributes of a node, as ops want them; valid while `types` and the graph live.
  Signature signature(Id id, std::vector<const Type*>& types) const;
  // The type of an operand of a node.
  const Type& type_of(const Value& reader, std::size_t operand) const { return nodes[reader.operands[operand]].type; }
};

// The nodes of a tape that `outputs` need besides the `inputs`, and all of these: any nodes, of which what comes before
// is not needed. Throws Error where one of them is not on the tape, or where an input of the tape is needed that has no
// values and is none of `inputs`.
Graph capture(const Tape& tape, std::span<const Var> inputs, std::span<const Var> outputs);

// The bytes of attributes: equal for equal ones alone, unlike their text, and for a NaN and itself.
std::string bytes_of(const Attributes& attributes);

// True if the outputs of both are the same ops on the same leaves. What no output needs does not count, nor the order.
bool same(const Graph& a, const Graph& b);

// The readers of each node, once for each operand that it is; to be an output does not count.
std::vector<std::vector<Id>> readers_of(const Graph& graph);

// A product of rows by a weight, [..., m, k] x [k, n] or x [n, k]': the first operand is not transposed, and the second
// is one matrix.
bool is_product_by_matrix(const Graph& graph, const Value& value);

}  // namespace wengert::plan
