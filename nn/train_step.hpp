// One step of training as a plan: draws, loss, gradient and update in one run.
//
//   nn::Adam adam(score);
//   auto step = compile(nn::train_step(adam, seed, [&](Draw& draw) {
//     return dsm(ring(draw, 5000), draw.uniform({5000, 1}), draw.normal({5000, 2}));
//   }));
//   for (...) double loss = step.run();
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "autodiff/plan.hpp"
#include "autodiff/random.hpp"
#include "nn/optimizer.hpp"

namespace wengert::nn {

// What is to be compiled. The loss, of one element, may read inputs of the given types besides its draws.
struct TrainStepRecipe {
  using Loss = std::function<Var(Draw&, std::span<const Var>)>;
  Optimizer& optimizer;
  std::uint64_t seed;
  Loss loss;
  std::vector<Type> inputs{};
};
TrainStepRecipe train_step(Optimizer& optimizer, std::uint64_t seed, const std::function<Var(Draw&)>& loss);
TrainStepRecipe train_step(Optimizer& optimizer, std::uint64_t seed, std::vector<Type> inputs,
                           const TrainStepRecipe::Loss& loss);

class TrainStep {
 public:
  // Draws with the next step number, 0 at first; the loss; the update by its gradient with the optimizer's options as
  // they are now. Returns the loss. When it is not finite nothing is updated: the parameters, the step number() - 1 and
  // the seed are there to record the loss again on an eager tape that tracks where a NaN comes from.
  double run(std::span<const PlanInput> inputs = {});
  double run(std::initializer_list<PlanInput> inputs) {
    return run(std::span<const PlanInput>(inputs.begin(), inputs.size()));
  }
  // A micro-batch: draws with the next step number; the gradient of its loss waits for the next run(), which returns
  // the mean loss and updates by the mean gradient of all since the last one.
  void accumulate(std::span<const PlanInput> inputs = {});
  void accumulate(std::initializer_list<PlanInput> inputs) {
    accumulate(std::span<const PlanInput>(inputs.begin(), inputs.size()));
  }

  std::uint32_t number() const { return number_; }  // of the next run's draws
  std::uint64_t seed() const { return seed_; }
  void continue_at(std::uint32_t number) { number_ = number; }

  std::string explain() const { return plan_.explain(); }
  std::string profile(std::span<const PlanInput> inputs = {}, int runs = 20);  // without the update

  TrainStep(Plan plan, Optimizer& optimizer, std::uint64_t seed);

 private:
  // Draws, loss and gradient, added to those that wait; then `finish` on every thread. Returns the mean loss.
  double forward(std::span<const PlanInput> inputs, const Plan::Finish& finish);

  Plan plan_;
  Optimizer* optimizer_;
  std::uint64_t seed_;
  std::uint32_t number_ = 0;
  int waiting_ = 0;  // micro-batches since the last run
  Array state_;
  std::vector<PlanInput> given_;
};

// Throws Error unless the loss is one float. The optimizer must outlive the step. options.rows counts the recipe's
// inputs.
TrainStep compile(const TrainStepRecipe& recipe, const CompileOptions& options = {});

}  // namespace wengert::nn
