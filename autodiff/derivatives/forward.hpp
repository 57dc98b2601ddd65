// The forward sweep: tangents pushed along the list from some nodes to others, any number of them side by side.
#pragma once
#include <span>
#include <vector>

#include "autodiff/tape.hpp"

namespace wengert {

// A stack of tangents of a node of shape S is a Var of shape [K, S], in which the first axis, and any axis of S, may
// have extent 1 instead: it then stands for equal tangents along that axis. Basis tangents [d, 1, d] of a batch [B, d]
// thus stay one row until they meet a value that differs between rows.
class ForwardSweep {
 public:
  // independent: follow the rows along the first axis of every x and refuse an op that mixes or reduces them, with
  // Error.
  enum class RowCheck { none, independent };

  // Pushes the stacks `tangents` of the nodes `xs` through the nodes that `ys` depend on. Neither is empty.
  ForwardSweep(Tape& tape, std::span<const std::uint32_t> xs, std::span<const Var> tangents,
               std::span<const std::uint32_t> ys, RowCheck check = RowCheck::none);
  ForwardSweep(Tape& tape, std::span<const std::uint32_t> xs, std::span<const Var> tangents, std::uint32_t y,
               RowCheck check = RowCheck::none)
      : ForwardSweep(tape, xs, tangents, std::span(&y, 1), check) {}

  // The stack at one of these nodes; null where it does not depend on xs.
  Var at(std::uint32_t index) const;
  // The stack in full, [count, S]; zeros where the node does not depend on xs.
  Var full(std::uint32_t index, Index count) const;

 private:
  Var push(std::uint32_t index);
  Var push_linear(const Call& call);
  Var push_bilinear(const Call& call);
  Var push_transposed(const Call& call);
  Var ready(const Call& call, int operand, Var stack) const;
  void follow_rows(const Call& call);
  std::vector<Var> stacks(const Call& call) const;

  Tape& tape_;
  std::uint32_t first_;
  RowCheck check_;
  std::vector<Var> stacks_;
  std::vector<int> row_axis_;  // of each node on the path, counted from the end
};

}  // namespace wengert
