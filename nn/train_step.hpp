// One step of training as a plan: draws, loss, gradient and update in one run.
//
//   nn::Adam adam(score);
//   nn::TrainStep step(adam, seed, [&](Draw& draw) {
//     return dsm(ring(draw, 5000), draw.uniform({5000, 1}), draw.normal({5000, 2}));
//   });
//   for (...) {
//     double loss = step.run();
//     if (step.outcome() != nn::StepOutcome::updated) throw Error(nn::explain_nonfinite(step));
//   }
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "autodiff/plan.hpp"
#include "autodiff/random.hpp"
#include "nn/optimizer.hpp"

namespace wengert::nn {

// A metric beside the loss: f32 or f64 of any shape, of which a step reports the mean. It has no part in the
// gradient and may be anything, NaN too.
struct Metric {
  std::string name;
  Operand value;
};

// The loss to be minimised, of one element, and metrics beside it:
//
//   return nn::Loss{mean(square(error)), {{"largest", max(abs(error))}, {"within", abs(error) < 0.1}}};
//
// A function without metrics returns its Var as it is. On an eager tape adam.step(loss.value) is the step, and
// mean(metric.value).item() the number.
struct Loss {
  Loss(Var minimised, std::vector<Metric> beside = {}) : value(minimised), metrics(std::move(beside)) {}
  Var value;
  std::vector<Metric> metrics;
};
using LossFunction = std::function<Loss(Draw&, std::span<const Var>)>;

// A metric of a run: its mean over elements and micro-batches.
struct MetricValue {
  std::string name;
  double value;
};

class TrainStep {
 public:
  // Compiles the loss and its gradient. The loss may read inputs of the given types besides its draws; options.rows
  // counts these. The step keeps a copy of it, with which explain_nonfinite() records it again: what the loss captured
  // by reference must live as long as the step, and so must the optimizer. Throws Error, with the line of the call,
  // unless the loss is one float that depends on a parameter of the optimizer: a module that the loss captured by value
  // would not train. Parameters that it does not read have the gradient 0. A metric without a name, with that of
  // another, or of i32 is an Error with the metric's line.
  TrainStep(Optimizer& optimizer, std::uint64_t seed, const std::function<Loss(Draw&)>& loss,
            const CompileOptions& options = {}, Where where = Where::current());
  TrainStep(Optimizer& optimizer, std::uint64_t seed, std::vector<Type> inputs, const LossFunction& loss,
            const CompileOptions& options = {}, Where where = Where::current());

  // Draws with the next step number, 0 at first; the loss; the update by its gradient with the optimizer's options as
  // they are now. Returns the loss; outcome() says whether there was an update. A run that throws changes nothing: its
  // draws are those of the next run, and gradients that wait go on waiting.
  double run(std::span<const PlanInput> inputs = {});
  double run(std::initializer_list<PlanInput> inputs) {
    return run(std::span<const PlanInput>(inputs.begin(), inputs.size()));
  }
  // A micro-batch: draws with the next step number; the gradient of its loss waits for the next run(), which returns
  // the mean loss and updates by the mean gradient of all since the last one. One that throws is not among them.
  void accumulate(std::span<const PlanInput> inputs = {});
  void accumulate(std::initializer_list<PlanInput> inputs) {
    accumulate(std::span<const PlanInput>(inputs.begin(), inputs.size()));
  }

  // The last run(): what became of it, and the Euclidean norm of its whole (mean) gradient before clipping; NaN
  // where the loss was not finite.
  StepOutcome outcome() const { return outcome_; }
  double gradient_norm() const { return gradient_norm_; }
  // The metrics of its loss, in the order they were given; NaN before the first run.
  std::span<const MetricValue> metrics() const { return metrics_; }

  std::uint32_t number() const { return number_; }  // of the next run's draws
  std::uint64_t seed() const { return seed_; }
  void continue_at(std::uint32_t number) { number_ = number; }

  std::string explain() const { return plan_.explain(); }
  std::string profile(std::span<const PlanInput> inputs = {}, int runs = 20);  // without the update

 private:
  friend std::string explain_nonfinite(const TrainStep& step);
  // A run or a micro-batch whose loss or gradient was not finite: its draws and inputs.
  struct Bad {
    std::uint32_t number;
    std::vector<Array> inputs;
  };

  // Sets what the plan is given. Throws Error unless these are inputs of the declared types.
  void give(std::span<const PlanInput> inputs);
  // Draws, loss and gradient, added to those that wait; then the update, if there is to be one. Returns the mean loss.
  double forward(std::span<const PlanInput> inputs, bool update);

  Plan compiled(const CompileOptions& options);

  Optimizer* optimizer_;
  std::uint64_t seed_;
  LossFunction loss_;
  Where where_;
  std::vector<Type> inputs_;
  std::vector<MetricValue> metrics_;
  Plan plan_;
  std::uint32_t number_ = 0;
  int waiting_ = 0;  // micro-batches since the last run
  StepOutcome outcome_ = StepOutcome::updated;
  double gradient_norm_ = 0;
  std::optional<Bad> bad_;  // the first one since the run before the last one
  Array state_;
  std::vector<PlanInput> given_;
};

// Tells where the last step that was not an update, or its first such micro-batch, got its NaN or infinity: the step is
// recorded again, with the same draws and inputs and the parameters as they are, on an eager tape, and the first op
// that made one is named with its line (see provenance.hpp), in the loss or else in its gradient. Empty where all was
// finite.
std::string explain_nonfinite(const TrainStep& step);

}  // namespace wengert::nn
