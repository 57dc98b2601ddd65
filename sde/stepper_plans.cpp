#include "sde/stepper_plans.hpp"

#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "autodiff/error.hpp"
#include "autodiff/tape.hpp"
#include "autodiff/tape/provenance.hpp"

namespace wengert::sde {
namespace {

// The sum of (x / (atol + rtol y))^2 over all entries: one number. In f64, and each quotient at most 1e140, so that
// small tolerances do not make it infinite; NaN where a value is not finite. 0 / 0 is 0: no error of an entry that
// stays 0.
Var squares(const State& x, const State& y, Var atol, Var rtol) {
  constexpr double least = std::numeric_limits<double>::min(), most = 1e140;
  Var total;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Var error = cast(x[i], Dtype::f64), scale = atol + rtol * cast(y[i], Dtype::f64);
    const Var quotient = minimum(abs(error) / maximum(scale, least), most) + 0 * (error + scale);
    const Var part = sum(square(quotient));
    total = i == 0 ? part : total + part;
  }
  return total;
}
State magnitude(const State& y) {
  std::vector<Var> parts;
  for (std::size_t i = 0; i < y.size(); ++i) parts.push_back(abs(y[i]));
  return State(std::move(parts));
}
State larger(const State& a, const State& b) {
  std::vector<Var> parts;
  for (std::size_t i = 0; i < a.size(); ++i) parts.push_back(maximum(a[i], b[i]));
  return State(std::move(parts));
}

// Throws Error in a method's name unless the types are those of the arrays.
void check_parts(std::string_view method, const State& got, std::span<const Var> wanted) {
  if (got.size() != wanted.size())
    throw Error(fmt::format("[{}] a step gives {} arrays for a state of {}", method, got.size(), wanted.size()));
  for (std::size_t i = 0; i < wanted.size(); ++i) check_like(method, "what a step gives", got[i], wanted[i]);
}

// The sentence about f on these values, some output of which is not finite, in an eager repetition.
std::string describe_nonfinite(const PlanFunction& f, std::span<const PlanInput> inputs, Dtype dtype) {
  Tape tape(dtype);
  std::vector<Var> values;
  for (const PlanInput& input : inputs) {
    Array array(input.type);
    std::memcpy(array.raw(), input.data, array.type().bytes());
    values.push_back(tape.input(array));
  }
  for (Var output : f(values))
    if (const std::string origin = nonfinite_origin(output); !origin.empty()) return "NaN or an infinity: " + origin;
  return "NaN or an infinity";
}

void append(std::vector<Var>& outputs, const State& state) {
  for (std::size_t i = 0; i < state.size(); ++i) outputs.push_back(state[i]);
}

std::vector<Var> vars(std::span<const Var> all, std::size_t first, std::size_t count) {
  const auto some = all.subspan(first, count);
  return {some.begin(), some.end()};
}

}  // namespace

StepperPlans::StepperPlans(const Stepper& stepper, PlanKey key) : stepper_(stepper), key_(std::move(key)) {
  if (key_.memory || key_.slope) start_ = compiled([this](std::span<const Var> in) { return record_start(in); }, {});
  std::vector<Type> more = memory_types_;
  more.insert(more.end(), key_.noise.begin(), key_.noise.end());
  step_ = compiled([this](std::span<const Var> in) { return record_step(in); }, more);
}

Plan& StepperPlans::change() {
  if (!change_) change_ = compiled([this](std::span<const Var> in) { return record_change(in); }, state_types());
  return *change_;
}

Plan& StepperPlans::interpolate() {
  std::vector<Type> polynomial;
  for (std::size_t i = 0; i < degree_; ++i)
    polynomial.insert(polynomial.end(), state_types().begin(), state_types().end());
  if (!interpolate_)
    interpolate_ = compiled([this](std::span<const Var> in) { return record_interpolation(in); }, polynomial);
  return *interpolate_;
}

std::vector<Var> StepperPlans::record_start(std::span<const Var> inputs) {
  const State y = state_of(inputs);
  const Var t = inputs[input_t];
  Vars outputs;
  if (key_.memory) {
    memory_sizes_.clear();
    for (const State& entry : stepper_.start(y, t)) {
      memory_sizes_.push_back(entry.size());
      append(outputs, entry);
    }
    memory_types_.clear();
    for (Var each : outputs) memory_types_.push_back(each.type());
  }
  if (key_.slope) {
    const State slope = (*stepper_.ode)(y, t), scale = magnitude(y);
    append(outputs, slope);
    outputs.push_back(squares(y, scale, inputs[input_atol], inputs[input_rtol]));
    outputs.push_back(squares(slope, scale, inputs[input_atol], inputs[input_rtol]));
  }
  return outputs;
}

// The change of the slope over an Euler step.
std::vector<Var> StepperPlans::record_change(std::span<const Var> inputs) const {
  const State y = state_of(inputs), slope(vars(inputs, key_.types.size(), key_.parts));
  const Var t = inputs[input_t], h = inputs[input_h];
  const State ahead = (*stepper_.ode)(y + h * slope, t + h);
  return {squares(ahead + -1.0 * slope, magnitude(y), inputs[input_atol], inputs[input_rtol])};
}

std::vector<Var> StepperPlans::record_step(std::span<const Var> inputs) {
  const State y = state_of(inputs);
  Memory memory;
  std::size_t next = key_.types.size();
  for (std::size_t size : memory_sizes_) {
    memory.emplace_back(vars(inputs, next, size));
    next += size;
  }
  const Var t = inputs[input_t], h = inputs[input_h], end = key_.adaptive ? t + h : inputs[input_end];
  const MethodStep::Numbers numbers{t, end, h, inputs[input_noise]};
  MethodStep step = key_.drawn ? MethodStep(numbers, Draw(inputs[input_draw]), y[0].shape(), stepper_.draws)
                               : MethodStep(numbers, vars(inputs, next, inputs.size() - next));
  const Stepped stepped = key_.memory ? stepper_.step_with_memory(y, memory, step) : stepper_.step(y, step);

  const std::span<const Var> parts = inputs.subspan(first_array, key_.parts);
  check_parts(stepper_.name, stepped.y, parts);
  Vars outputs, remembered;
  append(outputs, stepped.y);
  for (const State& entry : stepped.memory) append(remembered, entry);
  if (key_.memory) {
    check_parts(stepper_.name, State(remembered), inputs.subspan(key_.types.size(), memory_types_.size()));
    outputs.insert(outputs.end(), remembered.begin(), remembered.end());
  }
  degree_ = stepped.polynomial.size();
  if (key_.dense)
    for (const State& coefficient : stepped.polynomial) {
      check_parts(stepper_.name, coefficient, parts);
      append(outputs, coefficient);
    }
  if (key_.adaptive) {
    if (!stepped.error) throw Error(fmt::format("[{}] a step gives no estimate of its error", stepper_.name));
    check_parts(stepper_.name, *stepped.error, parts);
    outputs.push_back(
        squares(*stepped.error, larger(magnitude(y), magnitude(stepped.y)), inputs[input_atol], inputs[input_rtol]));
  }
  return outputs;
}

std::vector<Var> StepperPlans::record_interpolation(std::span<const Var> inputs) const {
  const auto coefficient = [&](std::size_t i) {
    return State(vars(inputs, key_.types.size() + i * key_.parts, key_.parts));
  };
  const Var theta = inputs[input_t];
  State sum = theta * coefficient(degree_ - 1);
  for (std::size_t i = degree_ - 1; i-- > 0;) sum = theta * (coefficient(i) + sum);
  Vars outputs;
  append(outputs, state_of(inputs) + sum);
  return outputs;
}

State StepperPlans::state_of(std::span<const Var> inputs) const {
  const std::size_t fixed = first_array + key_.parts;
  return State(vars(inputs, first_array, key_.parts), vars(inputs, fixed, key_.types.size() - fixed));
}

Plan StepperPlans::compiled(const PlanFunction& f, std::span<const Type> more) const {
  std::vector<Type> types = key_.types;
  types.insert(types.end(), more.begin(), more.end());
  CompileOptions options;
  for (std::size_t i = first_array; i < types.size(); ++i)
    if (types[i].shape.rank() > 0 && types[i].shape[0] == types[first_array].shape[0]) options.rows.push_back(i);
  return compile(f, types, options, dtype());
}

std::string StepperPlans::describe_start(std::span<const PlanInput> inputs) {
  return describe_nonfinite([this](std::span<const Var> in) { return record_start(in); }, inputs, dtype());
}
std::string StepperPlans::describe_step(std::span<const PlanInput> inputs) {
  return describe_nonfinite([this](std::span<const Var> in) { return record_step(in); }, inputs, dtype());
}

std::string StepperPlans::profile_step() {
  std::vector<Array> ones;
  for (const std::span<const Type> types :
       {std::span<const Type>(key_.types), memory(), std::span<const Type>(key_.noise)})
    for (const Type& type : types) {
      ones.emplace_back(type);
      for (Index i = 0; i < type.shape.size(); ++i) ones.back().set(i, 1);
    }
  return step_->profile(std::vector<PlanInput>(ones.begin(), ones.end()));
}

}  // namespace wengert::sde
