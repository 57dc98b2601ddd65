#include "sde/integrator.hpp"

#include <fmt/format.h>
#include <algorithm>

#include <cstring>

#include "autodiff/error.hpp"

namespace wengert::sde {
namespace {

enum Input : std::size_t { input_t, input_end, input_h, input_scale, input_draw, first_part };

Array number(Dtype dtype) { return Array(dtype, {1, 1}); }

void copy(const Array& from, Array& to) { std::memcpy(to.raw(), from.raw(), from.type().bytes()); }

}  // namespace

// Inputs: t, its next value, h, the noise's scale, the state of a draw; then arrays of rows: the state, what is fixed,
// given noise.
std::vector<Var> Integrator::record(std::span<const Var> inputs, std::size_t parts, std::size_t fixed,
                                    bool drawn) const {
  const auto rows = inputs.subspan(first_part);
  const auto arrays = [&](std::size_t first, std::size_t count) {
    const auto some = rows.subspan(first, count);
    return std::vector<Var>(some.begin(), some.end());
  };
  const State y(arrays(0, parts), arrays(parts, fixed));
  const Step::Numbers numbers{inputs[input_t], inputs[input_end], inputs[input_h], inputs[input_scale]};
  Step step = drawn ? Step(numbers, Draw(inputs[input_draw]), y[0].shape(), draws_)
                    : Step(numbers, arrays(parts + fixed, rows.size() - parts - fixed));
  const State next = advance_(y, step);
  check_parts(name_, next, rows.first(parts));
  std::vector<Var> outputs;
  for (std::size_t i = 0; i < parts; ++i) outputs.push_back(next[i]);
  return outputs;
}

PlanFunction Integrator::step_of(std::span<const Array> state, const RunOptions& options) const {
  return [=, this, parts = state.size(), fixed = options.fixed.size(), drawn = options.noise.is_drawn()](
             std::span<const Var> inputs) { return record(inputs, parts, fixed, drawn); };
}

Plan& Integrator::compiled(std::span<const Array> state, const RunOptions& options) {
  const Dtype dtype = state[0].dtype();
  const bool drawn = options.noise.is_drawn();
  std::vector<Type> types(input_draw, {dtype, {1, 1}});
  types.push_back(options.noise.state(0).type());
  for (const Array& part : state) types.push_back(part.type());
  for (const Array& each : options.fixed) types.push_back(each.type());
  if (!options.noise.is_none() && !drawn) types.insert(types.end(), static_cast<std::size_t>(draws_), state[0].type());
  // Drawn noise is no input, but one plan draws and the other does not.
  std::vector<Type> key = types;
  key.push_back({Dtype::i32, {static_cast<Index>(state.size()), drawn ? 1 : 0}});
  return plans_.find(key, [&] { return compile_rows(step_of(state, options), types, first_part, dtype); });
}

void Integrator::check(const Owner& owner, std::span<const Array> state, const Grid& grid, const Noise& noise) const {
  if (!advance_) Owner("integrator", owner.where).refuse("was moved from");
  check_state(owner, state);
  if (grid.steps() < 1) owner.refuse("needs a grid, not one that was moved from");
  if (falls_ && grid[1] > grid[0]) owner.refuse("a reverse equation needs falling times");
  if (draws_ > 0) noise.check(state[0].type(), draws_, grid.steps(), owner);
}

Solution Integrator::run(std::vector<Array> state, const Grid& grid, const RunOptions& options, Where where) {
  const Noise& noise = options.noise;
  check({name_, where}, state, grid, noise);
  if (state[0].size() == 0) return {.state = std::move(state), .t = grid[grid.steps()]};
  Plan& plan = compiled(state, options);

  const Dtype dtype = state[0].dtype();
  std::vector<Array> numbers(input_draw, number(dtype));
  numbers.push_back(noise.state(0));
  Solution solution{.state = std::move(state), .t = grid[0]};
  std::vector<PlanInput> inputs(numbers.begin(), numbers.end());
  inputs.insert(inputs.end(), solution.state.begin(), solution.state.end());
  inputs.insert(inputs.end(), options.fixed.begin(), options.fixed.end());
  const std::size_t first_noise = inputs.size();
  if (!noise.is_none() && !noise.is_drawn())
    inputs.insert(inputs.end(), static_cast<std::size_t>(draws_), solution.x());

  for (Index k = 0; k < grid.steps(); ++k) {
    numbers[input_t].set(0, grid[k]);
    numbers[input_end].set(0, grid[k + 1]);
    numbers[input_h].set(0, grid[k + 1] - grid[k]);
    numbers[input_scale].set(0, options.last_mean && k + 1 == grid.steps() ? 0 : 1);
    numbers[input_draw].data<std::int32_t>()[2] = noise.step(k);
    for (std::size_t i = first_noise; i < inputs.size(); ++i)
      inputs[i].data = noise.values(k * draws_ + static_cast<Index>(i - first_noise), solution.x().type());
    const std::span<const Array> next = plan.run(inputs);
    solution.statistics.evaluations += evaluations_;
    if (!std::all_of(next.begin(), next.end(), is_finite)) {
      solution.outcome = Outcome::not_finite;
      const std::string origin = describe_nonfinite(step_of(solution.state, options), inputs, dtype);
      solution.message = describe_failure({name_, where}, solution, "the step gave " + origin);
      return solution;
    }
    for (std::size_t i = 0; i < next.size(); ++i) copy(next[i], solution.state[i]);
    solution.t = grid[k + 1];
    ++solution.statistics.accepted;
    if (options.observe) options.observe(k + 1, solution.t, solution.state);
  }
  return solution;
}

std::string Integrator::explain() const { return plans_.last(name_).value.explain(); }

std::string Integrator::profile() const {
  auto& last = plans_.last(name_);
  return profile_rows(last.value, std::span(last.types).first(last.types.size() - 1));
}

}  // namespace wengert::sde
