#include <fmt/format.h>

#include <algorithm>

#include "autodiff/plan/code/machine_code.hpp"
#include "autodiff/plan/lowering.hpp"

namespace wengert::plan {
namespace {

using code::MachineCode;
using code::Program;

// Machine code on the elements of small values.
class CodeStep final : public Step {
 public:
  CodeStep(std::shared_ptr<const MachineCode> code, const Placement& placement) : code_(std::move(code)) {
    for (const code::Read& read : program().reads)
      arrays_.push_back({read.fixed, read.fixed == nullptr ? placement.of(read.id) : Address{}});
    for (const code::Write& write : program().writes)
      arrays_.push_back({nullptr, write.output ? placement.of_output(*write.output) : placement.of(write.id)});
    flops = static_cast<double>(program().results());
    microseconds = static_cast<double>(program().operations()) / element_flops_per_us;
  }

  Index tasks() const override { return 1; }
  std::size_t bytes() const override { return code_->bytes(); }
  std::size_t scratch_bytes() const override { return pointer_bytes() + code_->frame_bytes(); }
  std::string kernel() const override {
    const auto also = [](std::size_t count, const char* what) {
      return count == 0 ? "" : fmt::format(", {} {}{}", count, what, count == 1 ? "" : "s");
    };
    return fmt::format("machine code of {} operations{}{}", program().operations(), also(program().loops(), "loop"),
                       also(program().sites.size(), "call"));
  }
  void run(const Frame& frame, Index, Index) const override {
    auto* pointers = reinterpret_cast<const void**>(frame.scratch);
    for (std::size_t i = 0; i < arrays_.size(); ++i)
      pointers[i] = arrays_[i].fixed != nullptr ? arrays_[i].fixed : frame.at(arrays_[i].address);
    code_->run(pointers, frame.scratch + pointer_bytes());
  }

 private:
  struct Placed {
    const void* fixed;
    Address address;
  };
  const Program& program() const { return code_->program(); }
  std::size_t pointer_bytes() const { return (arrays_.size() * sizeof(void*) + 63) / 64 * 64; }

  std::shared_ptr<const MachineCode> code_;
  std::vector<Placed> arrays_;  // that it reads, then those that it writes
};

}  // namespace

std::unique_ptr<Step> code_step(const Lowering& lowering, const FusionGroup& group, Index) {
  return group.code ? std::make_unique<CodeStep>(group.code, lowering.placement) : nullptr;
}

}  // namespace wengert::plan
