// Phases of a FusedKernel: which of its instructions are computed together, pack by pack in registers, and which are
// calls of an op's own kernel on a block.
#pragma once
#include <memory>
#include <vector>

#include "autodiff/plan/code/machine_code.hpp"
#include "autodiff/plan/fusion.hpp"

namespace wengert::plan {

struct FusedInstruction {
  const Op* op;
  const Attributes* attributes;
  SmallList<int, most_arity> operands{};  // a value from outside by its number, or an instruction's result
  int output = -1;                        // its number among the outputs; -1 where only the kernel reads it
  std::shared_ptr<const void> owner{};    // of the op and the attributes

  static constexpr int result(int instruction) { return ~instruction; }
};

struct FusedPhase {
  int call = -1;  // the instruction, where there is no code
  std::shared_ptr<const code::MachineCode> code{};
  std::vector<int> reads{};   // by code: values as instructions name them
  std::vector<int> writes{};  // by code or a call: the instructions whose results are outputs or read in other phases
};

// In an order in which they can be run. `numbers` says which values from outside are one number. The last output is
// written after all that reads value 0, in whose place it may lie.
std::vector<FusedPhase> fused_phases(Dtype dtype, const std::vector<bool>& numbers,
                                     const std::vector<FusedInstruction>& instructions);

}  // namespace wengert::plan
