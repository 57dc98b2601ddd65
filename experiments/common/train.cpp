#include "experiments/common/train.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "autodiff/error.hpp"
#include "experiments/common/interrupt.hpp"
#include "experiments/common/progress.hpp"

namespace wengert::experiments {

namespace {

// Shows the metrics of `compiled`, where the steps are of one.
Array run_steps(const std::string& part, std::int64_t steps, const std::function<double()>& step,
                const nn::TrainStep* compiled) {
  std::vector<float> losses;
  Progress progress(part, steps);
  for (std::int64_t i = 1; i <= steps && !Interrupt::requested(); ++i) {
    const double loss = step();
    if (!std::isfinite(loss)) throw Error(fmt::format("the loss of step {} is not finite: {}", i, loss));
    losses.push_back(static_cast<float>(loss));
    progress.step(loss, compiled == nullptr ? std::span<const nn::MetricValue>() : compiled->metrics());
  }
  return Array::of<float>({static_cast<Index>(losses.size())}, losses);
}

// Runs the step, number `done` of which follows, or says why it made no update.
double updated(nn::TrainStep& step, std::int64_t done, std::span<const PlanInput> inputs) {
  const double loss = step.run(inputs);
  if (step.outcome() != nn::StepOutcome::updated)
    throw Error(fmt::format("training step {}: {}", done + 1, nn::explain_nonfinite(step)));
  return loss;
}

}  // namespace

Array train(const std::string& part, std::int64_t steps, const std::function<double()>& step) {
  return run_steps(part, steps, step, nullptr);
}

Array train(const std::string& part, std::int64_t steps, nn::TrainStep& step,
            const std::function<double(double)>& shown) {
  std::int64_t done = 0;
  const auto once = [&] {
    const double loss = updated(step, done++, {});
    return shown ? shown(loss) : loss;
  };
  return run_steps(part, steps, once, &step);
}

Array train(const std::string& part, std::int64_t steps, nn::TrainStep& step,
            const std::function<Array(std::int64_t)>& batch) {
  std::int64_t done = 0;
  const auto once = [&] {
    const Array points = batch(done);
    const PlanInput input(points);
    return updated(step, done++, {&input, 1});
  };
  return run_steps(part, steps, once, &step);
}

std::optional<double> mean_loss(const Array& losses, std::int64_t first, std::int64_t last) {
  if (first < 1 || last < first || last > losses.size()) return std::nullopt;
  const auto values = losses.data<float>().subspan(static_cast<std::size_t>(first - 1));
  const auto count = last - first + 1;
  return std::accumulate(values.begin(), values.begin() + count, 0.0) / static_cast<double>(count);
}

std::vector<double> epoch_losses(const Array& losses, std::int64_t steps) {
  std::vector<double> means;
  for (std::int64_t last = steps; last <= losses.size(); last += steps)
    means.push_back(mean_loss(losses, last - steps + 1, last).value());
  return means;
}

}  // namespace wengert::experiments
