#include "nn/train_step.hpp"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/derivatives.hpp"
#include "autodiff/tape.hpp"

namespace wengert::nn {

TrainStepRecipe train_step(Adam& adam, std::uint64_t seed, const std::function<Var(Draw&)>& loss) {
  return {adam, seed, [loss](Draw& draw, std::span<const Var>) { return loss(draw); }};
}
TrainStepRecipe train_step(Adam& adam, std::uint64_t seed, std::vector<Type> inputs,
                           const TrainStepRecipe::Loss& loss) {
  return {adam, seed, loss, std::move(inputs)};
}

TrainStep compile(const TrainStepRecipe& recipe, const CompileOptions& options) {
  std::vector<Type> types{draw_state(0, 0).type()};
  types.insert(types.end(), recipe.inputs.begin(), recipe.inputs.end());
  const auto record = [&](std::span<const Var> inputs) {
    Draw draw(inputs[0]);
    const Var loss = recipe.loss(draw, inputs.subspan(1));
    std::vector<Var> parameters;
    for (const Slot& slot : recipe.adam.parameters()) parameters.push_back(slot.on(loss.tape()));
    std::vector<Var> outputs = grad(loss, parameters);
    outputs.push_back(loss);
    return outputs;
  };
  const Dtype dtype = recipe.adam.parameters()[0].type.dtype;
  return {wengert::compile(record, std::span<const Type>(types), options, dtype), recipe.adam, recipe.seed};
}

TrainStep::TrainStep(Plan plan, Adam& adam, std::uint64_t seed)
    : plan_(std::move(plan)), adam_(&adam), seed_(seed), state_(draw_state(seed, 0)) {}

double TrainStep::run(std::span<const PlanInput> inputs) {
  state_.data<std::int32_t>()[2] = static_cast<std::int32_t>(number_);
  given_.assign(1, state_);
  given_.insert(given_.end(), inputs.begin(), inputs.end());
  adam_->prepare();
  // Both are read by every thread once all outputs are there.
  const std::span<const Array> outputs = plan_.outputs();
  const auto finite = [&] { return std::isfinite(outputs.back().at(0)); };
  struct {
    TrainStep* self;
    std::span<const Array> gradients;
  } const context{this, outputs.first(outputs.size() - 1)};
  plan_.run(given_, [&context, &finite](int thread, int threads) {
    if (finite()) context.self->adam_->update(context.gradients, thread, threads);
  });
  ++number_;
  if (finite()) adam_->finish();
  return outputs.back().at(0);
}

}  // namespace wengert::nn
