#include <fmt/format.h>

#include <algorithm>

#include "autodiff/plan/steps/fused.hpp"

namespace wengert::plan {
namespace {

class FusedStep final : public Step {
 public:
  explicit FusedStep(FusedCode code)
      : type_(code.outputs[0].type),
        kernel_(type_.dtype, type_.shape, shapes_of(code.operands), std::move(code.instructions)) {
    for (const Operand& operand : code.operands) from_.push_back(operand.address);
    for (const Operand& output : code.outputs) to_.push_back(output.address);
    flops = static_cast<double>(kernel_.size()) * static_cast<double>(kernel_.instructions());
    microseconds = flops / element_flops_per_us;
  }
  Index tasks() const override { return std::max<Index>(1, (kernel_.size() + piece - 1) / piece); }
  std::size_t scratch_bytes() const override { return kernel_.scratch_bytes(); }
  std::string kernel() const override { return fmt::format("chain of {}, {}", kernel_.text(), to_string(type_)); }
  void run(const Frame& frame, Index begin, Index end) const override {
    const Pointers pointers(frame, from_, to_);
    kernel_.run(pointers.operands.data(), pointers.outputs.data(), begin * piece, std::min(kernel_.size(), end * piece),
                frame.scratch);
  }

 private:
  static constexpr Index piece = 8 * FusedKernel::block;
  std::vector<Address> from_, to_;
  Type type_;  // of each output
  FusedKernel kernel_;
};

// Writes the code of a group, instruction by instruction.
class FusedCoder {
 public:
  FusedCoder(const Lowering& lowering, const FusionGroup& group, Index count)
      : lowering_(lowering), group_(group), count_(count) {
    if (group.product) {
      const Id product = group.first();
      code_.operands.push_back({{}, lowering.written(product, count).type, 0});
      known_.push_back({product, 0});
    }
  }

  FusedCode run() {
    for (std::size_t i = group_.product ? 1 : 0; i < group_.members.size(); ++i) add(group_.members[i]);
    return std::move(code_);
  }

 private:
  using Instruction = FusedKernel::Instruction;

  void add(Id id) {
    const auto kept = std::make_shared<const Value>(lowering_.graph.nodes[id]);  // the graph will be gone
    Instruction instruction{.op = kept->op, .attributes = &kept->attributes, .owner = kept};
    for (std::size_t i = 0; i < kept->operands.size(); ++i) instruction.operands.push_back(source(id, i));
    if (lowering_.liveness.escapes(id)) {
      instruction.output = static_cast<int>(code_.outputs.size());
      code_.outputs.push_back(lowering_.written(id, count_));
    }
    results_.push_back(id);
    code_.instructions.push_back(std::move(instruction));
  }
  // An operand as instructions name it.
  int source(Id reader, std::size_t which) {
    const Id from = lowering_.graph.nodes[reader].operands[which];
    const auto result = std::find(results_.begin(), results_.end(), from);
    if (result != results_.end()) return Instruction::result(static_cast<int>(result - results_.begin()));
    if (group_.product && from == group_.first()) return 0;
    const Operand value = lowering_.read(reader, which, count_);
    const std::pair key(from, value.axis);
    const auto known = std::find(known_.begin(), known_.end(), key);
    if (known != known_.end()) return static_cast<int>(known - known_.begin());
    known_.push_back(key);
    code_.operands.push_back(value);
    return static_cast<int>(known_.size() - 1);
  }

  const Lowering& lowering_;
  const FusionGroup& group_;
  Index count_;
  FusedCode code_;
  std::vector<Id> results_;                // of the instructions
  std::vector<std::pair<Id, int>> known_;  // node and axis of the operands
};

}  // namespace

FusedCode fused_code(const Lowering& lowering, const FusionGroup& group, Index count) {
  return FusedCoder(lowering, group, count).run();
}

std::vector<Shape> shapes_of(const std::vector<Operand>& operands) {
  std::vector<Shape> shapes;
  for (const Operand& operand : operands) shapes.push_back(operand.type.shape);
  return shapes;
}

Pointers::Pointers(const Frame& frame, const std::vector<Operand>& from, const std::vector<Operand>& to) {
  for (std::size_t i = 0; i < from.size(); ++i) operands[i] = frame.at(from[i].address);
  for (std::size_t i = 0; i < to.size(); ++i) outputs[i] = frame.at(to[i].address);
}

Pointers::Pointers(const Frame& frame, const std::vector<Address>& from, const std::vector<Address>& to) {
  for (std::size_t i = 0; i < from.size(); ++i) operands[i] = frame.at(from[i]);
  for (std::size_t i = 0; i < to.size(); ++i) outputs[i] = frame.at(to[i]);
}

std::unique_ptr<Step> fused_step(const Lowering& lowering, const FusionGroup& group, Index count) {
  if (!group.elementwise || group.product) return nullptr;
  return std::make_unique<FusedStep>(fused_code(lowering, group, count));
}

}  // namespace wengert::plan
