#include "autodiff/plan/fused_phases.hpp"

#include <algorithm>

#include "autodiff/plan/code/instructions_of_ops.hpp"
#include "autodiff/plan/code/shared_code.hpp"

namespace wengert::plan {
namespace {

using code::Builder;
using code::InstructionsOfOps;
using code::Number;
using code::Packs;
using Instructions = std::vector<FusedInstruction>;

// Code pays from this many ops on: what it saves is between them.
constexpr std::size_t fewest_in_code = 2;

std::size_t at(int result) { return static_cast<std::size_t>(~result); }

// True if the processor has instructions for an op.
bool is_coded(const Op& op, Dtype dtype) {
  if (code::pack_bytes == 0) return false;
  Builder builder;
  Packs packs(builder);
  const std::vector<Number> operands(static_cast<std::size_t>(op.arity()), builder.constant(1, dtype));
  return InstructionsOfOps(builder, packs).elementwise(op, dtype, operands) != code::none;
}

// Ops by phases, of code and of calls in turns, each as large as can be.
class Order {
 public:
  Order(const Instructions& instructions, std::vector<bool> coded)
      : instructions_(instructions), coded_(std::move(coded)), phase_(instructions.size(), none_yet) {
    for (std::size_t i = 0; i < instructions.size(); ++i)
      if (instructions[i].output >= 0) last_output_ = i;
    for (std::size_t done = 0; done < instructions_.size();)
      for (bool code : {true, false}) done += add_phase(code);
  }

  const std::vector<std::vector<int>>& phases() const { return phases_; }
  bool is_code(const std::vector<int>& phase) const { return coded_[static_cast<std::size_t>(phase[0])]; }
  // Outputs, and what another phase reads.
  std::vector<bool> written() const {
    std::vector<bool> result;
    for (const FusedInstruction& each : instructions_) result.push_back(each.output >= 0);
    for (std::size_t i = 0; i < instructions_.size(); ++i)
      for (int operand : instructions_[i].operands)
        if (operand < 0 && phase_[at(operand)] != phase_[i]) result[at(operand)] = true;
    return result;
  }

 private:
  static constexpr std::size_t none_yet = ~std::size_t{0};

  std::size_t add_phase(bool code) {
    std::vector<int> phase;
    for (std::size_t i = 0; i < instructions_.size(); ++i) {
      if (phase_[i] != none_yet || coded_[i] != code || !is_ready(i)) continue;
      phase_[i] = phases_.size();
      phase.push_back(static_cast<int>(i));
    }
    if (!phase.empty()) phases_.push_back(phase);
    return phase.size();
  }
  bool is_ready(std::size_t i) const {
    const auto is_there = [&](std::size_t other) { return phase_[other] != none_yet; };
    for (int operand : instructions_[i].operands)
      if (operand < 0 && !is_there(at(operand))) return false;
    if (i != last_output_) return true;
    for (std::size_t other = 0; other < i; ++other)
      for (int operand : instructions_[other].operands)
        if (operand == 0 && !is_there(other)) return false;
    return true;
  }

  const Instructions& instructions_;
  std::vector<bool> coded_;
  std::vector<std::size_t> phase_;
  std::vector<std::vector<int>> phases_;
  std::size_t last_output_ = 0;
};

// A phase as code, of packs: a number from outside is one of equal elements.
class Coder {
 public:
  Coder(Dtype dtype, const std::vector<bool>& numbers, const Instructions& instructions)
      : dtype_(dtype), numbers_(numbers), instructions_(instructions), results_(instructions.size(), code::none) {}

  FusedPhase run(const std::vector<int>& members, const std::vector<bool>& written) {
    for (int i : members) {
      const FusedInstruction& each = instructions_[static_cast<std::size_t>(i)];
      std::vector<Number> operands;
      for (int operand : each.operands) operands.push_back(number_of(operand));
      results_[static_cast<std::size_t>(i)] = ops_.elementwise(*each.op, dtype_, operands);
    }
    for (int i : members) {
      const std::size_t lanes = code::lanes_of(dtype_);
      if (!written[static_cast<std::size_t>(i)]) continue;
      to_.write({}, std::array{to_.spread(results_[static_cast<std::size_t>(i)])}, lanes);
      phase_.writes.push_back(i);
    }
    code::Program program = to_.finish();
    program.over_arrays = true;
    phase_.code = code::shared_code(std::move(program));
    return std::move(phase_);
  }

 private:
  Number number_of(int value) {
    if (value < 0 && results_[at(value)] != code::none) return results_[at(value)];
    const auto known = std::find(phase_.reads.begin(), phase_.reads.end(), value);
    if (known != phase_.reads.end()) return read_[static_cast<std::size_t>(known - phase_.reads.begin())];
    const bool number = value >= 0 && numbers_[static_cast<std::size_t>(value)];
    const std::uint32_t array = to_.read_array({});
    const Number read = to_.read(array, 0, dtype_, number ? 1 : code::lanes_of(dtype_));
    phase_.reads.push_back(value);
    read_.push_back(to_.spread(read));
    return read_.back();
  }

  Dtype dtype_;
  const std::vector<bool>& numbers_;
  const Instructions& instructions_;
  FusedPhase phase_;
  Builder to_;
  Packs packs_{to_};
  InstructionsOfOps ops_{to_, packs_};
  std::vector<Number> results_;  // of each instruction
  std::vector<Number> read_;     // like phase_.reads
};

}  // namespace

std::vector<FusedPhase> fused_phases(Dtype dtype, const std::vector<bool>& numbers, const Instructions& instructions) {
  std::vector<bool> coded;
  for (const FusedInstruction& each : instructions) coded.push_back(is_coded(*each.op, dtype));
  std::vector<FusedPhase> phases;
  const auto call = [&](int i) { phases.push_back({.call = i, .code = nullptr, .reads = {}, .writes = {i}}); };
  if (static_cast<std::size_t>(std::count(coded.begin(), coded.end(), true)) < fewest_in_code) {
    for (std::size_t i = 0; i < instructions.size(); ++i) call(static_cast<int>(i));
    return phases;
  }
  const Order order(instructions, coded);
  for (const std::vector<int>& members : order.phases()) {
    FusedPhase code;
    if (order.is_code(members) && members.size() >= fewest_in_code)
      code = Coder(dtype, numbers, instructions).run(members, order.written());
    if (code.code != nullptr)
      phases.push_back(std::move(code));
    else
      std::for_each(members.begin(), members.end(), call);
  }
  return phases;
}

}  // namespace wengert::plan
