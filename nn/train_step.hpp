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
#include "nn/adam.hpp"

namespace wengert::nn {

// What is to be compiled. The loss, of one element, may read inputs of the given types besides its draws.
struct TrainStepRecipe {
  using Loss = std::function<Var(Draw&, std::span<const Var>)>;
  Adam& adam;
  std::uint64_t seed;
  Loss loss;
  std::vector<Type> inputs{};
};
TrainStepRecipe train_step(Adam& adam, std::uint64_t seed, const std::function<Var(Draw&)>& loss);
TrainStepRecipe train_step(Adam& adam, std::uint64_t seed, std::vector<Type> inputs, const TrainStepRecipe::Loss& loss);

class TrainStep {
 public:
  // Draws with the next step number, 0 at first; the loss; the update by its gradient with the optimizer's options as
  // they are now. Returns the loss. When it is not finite nothing is updated: the parameters, the step number() - 1 and
  // the seed are there to record the loss again on an eager tape that tracks where a NaN comes from.
  double run(std::span<const PlanInput> inputs = {});
  double run(std::initializer_list<PlanInput> inputs) {
    return run(std::span<const PlanInput>(inputs.begin(), inputs.size()));
  }
  std::uint32_t number() const { return number_; }  // of the next run's draws
  std::uint64_t seed() const { return seed_; }
  void continue_at(std::uint32_t number) { number_ = number; }

  std::string explain() const { return plan_.explain(); }

  TrainStep(Plan plan, Adam& adam, std::uint64_t seed);

 private:
  Plan plan_;
  Adam* adam_;
  std::uint64_t seed_;
  std::uint32_t number_ = 0;
  Array state_;
  std::vector<PlanInput> given_;
};

// Throws Error unless the loss is one float. The optimizer must outlive the step.
TrainStep compile(const TrainStepRecipe& recipe, const CompileOptions& options = {});

}  // namespace wengert::nn
