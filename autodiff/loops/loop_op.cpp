#include "autodiff/loops/loop_op.hpp"

#include "autodiff/parallel.hpp"

namespace wengert {

void LoopOp::run(const Kernel& k) const {
  std::unique_ptr<plan::LoopRun> run;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      run = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!run) run = make_run();
  const plan::LoopCall call{k.operands, k.output};
  const int wanted = threads(), team = run->gains_from(wanted) ? wanted : 1;
  run->make_room(team);
  try {
    parallel_region(team, [&](int thread, int threads, Barrier& barrier) { run->run(call, thread, threads, barrier); });
  } catch (const Error&) {
    parallel_region(1, [&](int, int, Barrier&) { run->run_whole(call); });
    throw;
  }
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(run));
}

}  // namespace wengert
