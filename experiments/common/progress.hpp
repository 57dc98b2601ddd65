// The progress of a long part of a run, on a terminal or in a log.
#pragma once
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "experiments/common/timer.hpp"
#include "nn/train_step.hpp"

namespace wengert::experiments {

// Shows the part's name, the steps done, the mean loss and metrics since the last showing where there are any, steps/s
// and the time left: on a terminal as a bar in one line that is rewritten ten times a second, elsewhere as a line every
// five seconds. Ends its line when destroyed. Where nobody reads that any more, it asks for an Interrupt.
class Progress {
 public:
  Progress(std::string part, std::int64_t steps, std::FILE* out = stderr);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // One more step is done: some 30 ns. The metrics are the same ones in every step.
  void step(double loss, std::span<const nn::MetricValue> metrics = {});
  void step();

 private:
  void show(double now);

  std::string part_;
  std::int64_t steps_, done_ = 0, done_shown_ = 0;
  std::FILE* out_;
  bool terminal_, has_losses_ = false;
  double loss_sum_ = 0, shown_at_ = 0;
  std::vector<nn::MetricValue> metric_sums_;
  Timer timer_;
};

}  // namespace wengert::experiments
