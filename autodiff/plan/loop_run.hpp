// LoopRun: what runs a loop, again and again: its body as a plan, and memory for what goes from step to step.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "autodiff/loops/packing.hpp"
#include "autodiff/loops/scan_range.hpp"
#include "autodiff/plan/executor.hpp"

namespace wengert::plan {

// Memory of one call: operands as the loop's op has them, and the packed output.
struct LoopCall {
  std::span<const void* const> operands;
  void* output;
};

// One run at a time.
class LoopRun {
 public:
  virtual ~LoopRun() = default;
  virtual bool gains_from(int threads) const = 0;
  virtual void make_room(int threads) = 0;
  // On all threads of a region; what is written is there for all of them once they have met at a barrier.
  virtual void run(const LoopCall& call, int thread, int threads, Barrier& barrier) = 0;
  // On one thread, every step of a body over all rows: what it throws is what an eager tape would.
  virtual void run_whole(const LoopCall& call) = 0;

  virtual std::string kernel() const = 0;   // "scan of 1000 steps"
  virtual std::string explain() const = 0;  // the body's stages
  virtual std::size_t bytes() const = 0;
  virtual double flops() const = 0;  // of all steps, as far as they are known
  virtual double microseconds() const = 0;
};

// A body as a plan. Its inputs are the carry, what follows from the step's number, and constants.
class LoopBodyRun {
 public:
  // Outputs begin with a carry of `carry` arrays.
  LoopBodyRun(const Graph& graph, std::size_t carry);

  Executor& plan() { return plan_; }
  const Executor& plan() const { return plan_; }

  // Puts the carry of step `step` where the one before left it (or the call's operands, for step 0), and its result in
  // the other of two buffers.
  void place_carry(const LoopCall& call, Index step);
  const void* carry(const LoopCall& call, Index step, std::size_t i) const;  // as step `step` finds it
  const Array& left_by(Index step, std::size_t i) const { return buffers_[step % 2][i]; }
  std::size_t bytes() const;
  double flops() const;

 private:
  Executor plan_;
  std::vector<Array> buffers_[2];
};

std::unique_ptr<LoopRun> scan_run(const Graph& body, std::size_t carry, std::size_t xs, const Packing& packing,
                                  const ScanRange& range);
// `condition` takes the carry and its own constants, the operands [constants, constants + condition's).
std::unique_ptr<LoopRun> while_run(const Graph& condition, const Graph& body, std::size_t carry,
                                   const Packing& packing);

}  // namespace wengert::plan
