#include "nn/train_step.hpp"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/derivatives.hpp"
#include "autodiff/tape.hpp"

namespace wengert::nn {

TrainStepRecipe train_step(Optimizer& optimizer, std::uint64_t seed, const std::function<Var(Draw&)>& loss) {
  return {optimizer, seed, [loss](Draw& draw, std::span<const Var>) { return loss(draw); }};
}
TrainStepRecipe train_step(Optimizer& optimizer, std::uint64_t seed, std::vector<Type> inputs,
                           const TrainStepRecipe::Loss& loss) {
  return {optimizer, seed, loss, std::move(inputs)};
}

TrainStep compile(const TrainStepRecipe& recipe, const CompileOptions& options) {
  std::vector<Type> types{draw_state(0, 0).type()};
  types.insert(types.end(), recipe.inputs.begin(), recipe.inputs.end());
  const auto record = [&](std::span<const Var> inputs) {
    Draw draw(inputs[0]);
    const Var loss = recipe.loss(draw, inputs.subspan(1));
    std::vector<Var> parameters;
    for (const Slot& slot : recipe.optimizer.parameters()) parameters.push_back(slot.on(loss.tape()));
    std::vector<Var> outputs = grad(loss, parameters);
    outputs.push_back(loss);
    return outputs;
  };
  const Dtype dtype = recipe.optimizer.parameters()[0].type.dtype;
  CompileOptions numbered = options;
  for (std::size_t& input : numbered.rows) ++input;  // the state of the draws comes first
  return {wengert::compile(record, std::span<const Type>(types), numbered, dtype), recipe.optimizer, recipe.seed};
}

TrainStep::TrainStep(Plan plan, Optimizer& optimizer, std::uint64_t seed)
    : plan_(std::move(plan)), optimizer_(&optimizer), seed_(seed), state_(draw_state(seed, 0)) {}

double TrainStep::forward(std::span<const PlanInput> inputs, const Plan::Finish& finish) {
  state_.data<std::int32_t>()[2] = static_cast<std::int32_t>(number_);
  given_.assign(1, state_);
  given_.insert(given_.end(), inputs.begin(), inputs.end());
  const std::span<const Array> outputs = waiting_ == 0 ? plan_.run(given_, finish) : plan_.accumulate(given_, finish);
  ++number_;
  ++waiting_;
  return outputs.back().at(0) / waiting_;
}

void TrainStep::accumulate(std::span<const PlanInput> inputs) { forward(inputs, {}); }

double TrainStep::run(std::span<const PlanInput> inputs) {
  optimizer_->prepare(1.0 / (waiting_ + 1));
  // Both are read by every thread once all outputs are there.
  const std::span<const Array> outputs = plan_.outputs();
  const auto finite = [&] { return std::isfinite(outputs.back().at(0)); };
  struct {
    TrainStep* self;
    std::span<const Array> gradients;
  } const context{this, outputs.first(outputs.size() - 1)};
  const double loss = forward(inputs, [&context, &finite](int thread, int threads, Barrier& barrier) {
    if (finite()) context.self->optimizer_->update(context.gradients, thread, threads, barrier);
  });
  if (finite()) optimizer_->finish();
  waiting_ = 0;
  return loss;
}

std::string TrainStep::profile(std::span<const PlanInput> inputs, int runs) {
  given_.assign(1, state_);
  given_.insert(given_.end(), inputs.begin(), inputs.end());
  return plan_.profile(given_, runs);
}

}  // namespace wengert::nn
