// The elementwise ops of a group as a FusedKernel reads them.
#pragma once
#include <array>

#include "autodiff/plan/fused_kernel.hpp"
#include "autodiff/plan/lowering.hpp"

namespace wengert::plan {

// The values that the ops read from outside of the group, each once, those that others read, and instructions that
// count both. Of a group with a product its value is operand 0, whose type is given and whose address is not.
struct FusedCode {
  std::vector<Operand> operands, outputs;
  std::vector<FusedKernel::Instruction> instructions;
};
FusedCode fused_code(const Lowering& lowering, const FusionGroup& group, Index count);

std::vector<Shape> shapes_of(const std::vector<Operand>& operands);

// Their pointers in a frame.
struct Pointers {
  std::array<const void*, FusedKernel::most_operands> operands;
  std::array<void*, FusedKernel::most_outputs> outputs;
  Pointers(const Frame& frame, const std::vector<Operand>& from, const std::vector<Operand>& to);
  // By the addresses alone, which lie closer together.
  Pointers(const Frame& frame, const std::vector<Address>& from, const std::vector<Address>& to);
};

}  // namespace wengert::plan
