#include <fmt/format.h>

#include "autodiff/loops/loop_op.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/plan/lowering.hpp"

namespace wengert::plan {
namespace {

// A loop, whose body is a plan: the threads of the plan around it run the body's steps together.
class LoopStep final : public Step {
 public:
  LoopStep(const LoopOp& op, std::string location, std::vector<Operand> operands, Operand output)
      : run_(op.make_run()),
        name_(op.name()),
        location_(std::move(location)),
        operands_(std::move(operands)),
        output_(std::move(output)),
        data_(operands_.size()) {
    flops = run_->flops();
    microseconds = run_->microseconds();
  }

  Index tasks() const override { return 1; }
  bool is_loop() const override { return true; }
  bool gains_from(int threads) const override { return run_->gains_from(threads); }
  std::string kernel() const override { return run_->kernel(); }
  std::string inside() const override { return run_->explain(); }
  std::size_t bytes() const override { return run_->bytes(); }

  void run(const Frame& frame, Index, Index) const override {
    Barrier alone(1);
    run_together(frame, 0, 1, alone);
  }
  void run_whole(const Frame& frame) const override {
    named([&] { run_->run_whole(call(frame)); });
  }
  void run_together(const Frame& frame, int thread, int threads, Barrier& barrier) const override {
    if (thread == 0) {
      call(frame);
      run_->make_room(threads);
    }
    barrier.wait();
    named([&] { run_->run({data_, frame.at(output_.address)}, thread, threads, barrier); });
  }

 private:
  LoopCall call(const Frame& frame) const {
    for (std::size_t i = 0; i < operands_.size(); ++i) data_[i] = frame.at(operands_[i].address);
    return {data_, frame.at(output_.address)};
  }
  template <class F>
  void named(F&& f) const {
    try {
      f();
    } catch (const std::exception& refusal) {
      throw Error(fmt::format("[{}] {}  ({})", name_, refusal.what(), location_));
    }
  }

  std::unique_ptr<LoopRun> run_;
  std::string name_, location_;
  std::vector<Operand> operands_;
  Operand output_;
  mutable std::vector<const void*> data_;  // of this run
};

}  // namespace

std::unique_ptr<Step> loop_step(const Lowering& lowering, const FusionGroup& group, Index count) {
  const Id id = group.first();
  const Value& value = lowering.graph.nodes[id];
  const auto* op = dynamic_cast<const LoopOp*>(value.op);
  if (op == nullptr) return nullptr;
  std::vector<Operand> operands;
  for (std::size_t i = 0; i < value.operands.size(); ++i) operands.push_back(lowering.read(id, i, count));
  return std::make_unique<LoopStep>(*op, value.location, std::move(operands), lowering.written(id, count));
}

}  // namespace wengert::plan
