// TangentStep: a loop's step together with its tangents.
#pragma once
#include <span>
#include <vector>

#include "autodiff/loops/body.hpp"

namespace wengert {

// From the carry and stacks of tangents of some of its arrays, and xs and stacks of some of them, to the same of the
// next carry, and stacks of what is kept.
class TangentStep {
 public:
  // `tangents` are stacks of the loop's operands, null where they have none.
  TangentStep(Tape& tape, const LoopBody& body, std::span<const Var> operands, std::span<const Var> tangents,
              Where where);

  Index count() const { return count_; }  // of tangents in a stack
  bool has_tangents() const { return !carries_.empty() || !kept_.empty(); }
  // The numbers of the operands whose stacks are carried and of those that are xs, and of the outputs that are kept.
  const std::vector<std::size_t>& carries() const { return carries_; }
  const std::vector<std::size_t>& xs() const { return xs_; }
  const std::vector<std::size_t>& kept() const { return kept_; }

  // The next carry, its stacks, and those of what is kept.
  std::vector<Var> operator()(std::span<const Var> carry, std::span<const Var> xs) const;

 private:
  Tape& tape_;
  const LoopBody& body_;
  std::span<const Var> operands_, tangents_;
  Where where_;
  Index count_ = 1;
  std::vector<std::size_t> carries_, xs_, kept_;
};

}  // namespace wengert
