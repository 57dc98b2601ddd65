#include "nn/train_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "autodiff/tape/provenance.hpp"

namespace wengert::nn {

namespace {

// The means of the metrics as nodes; their names go to `found`.
std::vector<Var> means_of(const std::vector<Metric>& metrics, const Tape& tape, std::vector<MetricValue>& found) {
  std::vector<Var> means;
  for (const Metric& metric : metrics) {
    const Operand& value = metric.value;
    const auto refuse = [&](const std::string& text) {
      throw Error(fmt::format("[train_step] {}  ({})", text, location_of(value)));
    };
    const auto has_its_name = [&](const MetricValue& other) { return other.name == metric.name; };
    if (metric.name.empty()) refuse(fmt::format("metric {} has no name", found.size()));
    if (std::any_of(found.begin(), found.end(), has_its_name))
      refuse(fmt::format("two metrics have the name {}", metric.name));
    if (!is_float(value.dtype("train_step")))
      refuse(fmt::format("the metric {} is to be f32 or f64, got {}", metric.name, to_string(value.type())));
    tape.index_of(value.var(), value.where(), "train_step");
    found.push_back({metric.name, std::numeric_limits<double>::quiet_NaN()});
    means.push_back(mean(value));
  }
  return means;
}

}  // namespace

TrainStep::TrainStep(Optimizer& optimizer, std::uint64_t seed, const std::function<Loss(Draw&)>& loss,
                     const CompileOptions& options, Where where)
    : TrainStep(optimizer, seed, {},
                loss ? [loss](Draw& draw, std::span<const Var>) { return loss(draw); } : LossFunction{}, options,
                where) {}

TrainStep::TrainStep(Optimizer& optimizer, std::uint64_t seed, std::vector<Type> inputs, const LossFunction& loss,
                     const CompileOptions& options, Where where)
    : optimizer_(&optimizer),
      seed_(seed),
      loss_(loss),
      where_(where),
      inputs_(std::move(inputs)),
      plan_(compiled(options)),
      state_(draw_state(seed, 0)) {}

// The plan of the optimizer's gradients, the loss and the metrics, whose names it enters.
Plan TrainStep::compiled(const CompileOptions& options) {
  if (!loss_) throw Error(fmt::format("[train_step] needs a loss, got none  ({})", to_string(where_)));
  std::vector<Type> types{draw_state(0, 0).type()};
  types.insert(types.end(), inputs_.begin(), inputs_.end());
  const auto record = [&](std::span<const Var> inputs) {
    Draw draw(inputs[0]);
    const Loss loss = loss_(draw, inputs.subspan(1));
    draw.tape().index_of(loss.value, where_, "train_step");
    std::vector<Var> outputs = optimizer_->gradients_of({loss.value, where_}, "train_step");
    outputs.push_back(loss.value);
    const std::vector<Var> means = means_of(loss.metrics, draw.tape(), metrics_);
    outputs.insert(outputs.end(), means.begin(), means.end());
    return outputs;
  };
  CompileOptions numbered = options;
  for (std::size_t& input : numbered.rows) ++input;  // the state of the draws comes first
  return compile(record, std::span<const Type>(types), numbered, optimizer_->parameters()[0].type.dtype);
}

// The plan would count the state of the draws among its inputs.
void TrainStep::give(std::span<const PlanInput> inputs) {
  if (inputs.size() != inputs_.size())
    throw Error(fmt::format("[train_step] the loss reads {} {}, got {}  ({})", inputs_.size(),
                            inputs_.size() == 1 ? "input" : "inputs", inputs.size(), to_string(where_)));
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].type != inputs_[i])
      throw Error(fmt::format("[train_step] input {} is {}, got {}  ({})", i, to_string(inputs_[i]),
                              to_string(inputs[i].type), to_string(where_)));
  given_.assign(1, state_);
  given_.insert(given_.end(), inputs.begin(), inputs.end());
}

double TrainStep::forward(std::span<const PlanInput> inputs, bool update) {
  state_.data<std::int32_t>()[2] = static_cast<std::int32_t>(number_);
  give(inputs);
  // On every thread, once all outputs are there: gradients, the loss, metrics.
  const Plan::Finish finish = [this, update](int thread, int threads, Barrier& barrier) {
    const std::span<const Array> gradients = plan_.outputs().first(optimizer_->parameters().size());
    const double loss = plan_.outputs()[gradients.size()].at(0);
    if (update)
      optimizer_->update(loss, gradients, thread, threads, barrier);
    else
      optimizer_->examine(loss, gradients, thread, threads, barrier);
  };
  const std::span<const Array> outputs = waiting_ == 0 ? plan_.run(given_, finish) : plan_.accumulate(given_, finish);
  if (waiting_ == 0) bad_.reset();
  if (optimizer_->outcome() != StepOutcome::updated && !bad_) {
    bad_.emplace(Bad{number_, {}});
    for (const PlanInput& input : inputs) {
      Array& copy = bad_->inputs.emplace_back(input.type);
      std::memcpy(copy.raw(), input.data, input.type.bytes());
    }
  }
  ++number_;
  ++waiting_;
  return outputs[optimizer_->parameters().size()].at(0) / waiting_;
}

void TrainStep::accumulate(std::span<const PlanInput> inputs) { forward(inputs, false); }

double TrainStep::run(std::span<const PlanInput> inputs) {
  optimizer_->prepare(1.0 / (waiting_ + 1));
  const double loss = forward(inputs, true);
  outcome_ = optimizer_->finish();
  gradient_norm_ = optimizer_->gradient_norm();
  const std::span<const Array> means = plan_.outputs().last(metrics_.size());
  for (std::size_t i = 0; i < means.size(); ++i) metrics_[i].value = means[i].at(0) / waiting_;
  waiting_ = 0;
  return loss;
}

std::string TrainStep::profile(std::span<const PlanInput> inputs, int runs) {
  give(inputs);
  return plan_.profile(given_, runs);
}

std::string explain_nonfinite(const TrainStep& step) {
  if (!step.bad_) return "";
  Tape tape(step.optimizer_->parameters()[0].type.dtype);
  std::vector<Var> inputs;
  for (const Array& input : step.bad_->inputs) inputs.push_back(tape.input(input));
  Draw draw(tape, step.seed_, step.bad_->number);
  const Operand loss(step.loss_(draw, inputs).value, step.where_);
  const auto sentence = [&](std::string_view what, const std::string& origin) {
    return fmt::format("{} is not finite, with the draws of step {}: {}", what, step.bad_->number, origin);
  };
  if (const std::string origin = nonfinite_origin(loss.var()); !origin.empty()) return sentence("the loss", origin);
  const std::vector<Var> gradients = step.optimizer_->gradients_of(loss, "train_step");
  for (std::size_t i = 0; i < gradients.size(); ++i)
    if (const std::string origin = nonfinite_origin(gradients[i]); !origin.empty())
      return sentence(fmt::format("the gradient by {}", step.optimizer_->parameters()[i].name), origin);
  return fmt::format(
      "recorded again, with the draws of step {}, loss and gradient are finite: parameters have changed since, or only "
      "sums over micro-batches overflowed",
      step.bad_->number);
}

}  // namespace wengert::nn
