#include "sde/adaptive_integrator.hpp"

#include <fmt/format.h>
#include <algorithm>

#include <cmath>
#include <cstring>
#include <limits>

#include "autodiff/error.hpp"

namespace wengert::sde {
namespace {

// Inputs of all plans: t, h; then arrays of rows: the state, its slopes, what is fixed.
enum Input : std::size_t { input_t, input_h, first_part };

State state_of(std::span<const Var> inputs, std::size_t parts) {
  const auto y = inputs.subspan(first_part, parts), fixed = inputs.subspan(first_part + 2 * parts);
  return State({y.begin(), y.end()}, {fixed.begin(), fixed.end()});
}
State slope_of(std::span<const Var> inputs, std::size_t parts) {
  const auto slope = inputs.subspan(first_part + parts, parts);
  return State({slope.begin(), slope.end()});
}

// The sum of (x / (atol + rtol y))^2 over all entries: one number. In f64, and each quotient at most 1e140, so that
// small tolerances do not make it infinite; NaN where a value is not finite. 0 / 0 is 0: no error of an entry that
// stays 0.
Var squares(const State& x, const State& y, const AdaptiveOptions& o) {
  constexpr double least = std::numeric_limits<double>::min(), most = 1e140;
  Var total;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Var error = cast(x[i], Dtype::f64), scale = o.atol + o.rtol * cast(y[i], Dtype::f64);
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

void append(std::vector<Var>& outputs, const State& state, std::size_t parts) {
  for (std::size_t i = 0; i < parts; ++i) outputs.push_back(state[i]);
}

void copy(std::span<const Array> from, std::vector<Array>& to) {
  for (std::size_t i = 0; i < to.size(); ++i) std::memcpy(to[i].raw(), from[i].raw(), from[i].type().bytes());
}

}  // namespace

AdaptiveIntegrator::AdaptiveIntegrator(const Owner& name, Index evaluations, double error_order, Ode equation,
                                       const AdaptiveOptions& options, Attempt attempt)
    : name_(name.name),
      evaluations_(evaluations),
      error_order_(error_order),
      equation_(std::move(equation)),
      options_(options),
      attempt_(std::move(attempt)) {
  check_options(name, options);
  options_.rtol = std::max(options_.rtol, 100 * std::numeric_limits<double>::epsilon());
}

std::vector<Var> AdaptiveIntegrator::record_slope(std::span<const Var> inputs, std::size_t parts) const {
  const State y = state_of(inputs, parts), slope = equation_(y, inputs[input_t]), scale = magnitude(y);
  check_parts(name_, slope, inputs.subspan(first_part, parts));
  std::vector<Var> outputs;
  append(outputs, slope, parts);
  outputs.push_back(squares(y, scale, options_));
  outputs.push_back(squares(slope, scale, options_));
  return outputs;
}

// How much the slope changes over an Euler step.
std::vector<Var> AdaptiveIntegrator::record_change(std::span<const Var> inputs, std::size_t parts) const {
  const State y = state_of(inputs, parts), slope = slope_of(inputs, parts);
  const Var t = inputs[input_t], h = inputs[input_h];
  const State ahead = equation_(y + h * slope, t + h);
  return {squares(ahead + -1.0 * slope, magnitude(y), options_)};
}

std::vector<Var> AdaptiveIntegrator::record_step(std::span<const Var> inputs, std::size_t parts) const {
  const State y = state_of(inputs, parts);
  const Trial trial = attempt_(y, slope_of(inputs, parts), inputs[input_t], inputs[input_h]);
  for (const State* state : {&trial.y, &trial.slope, &trial.error})
    check_parts(name_, *state, inputs.subspan(first_part, parts));
  std::vector<Var> outputs;
  append(outputs, trial.y, parts);
  append(outputs, trial.slope, parts);
  outputs.push_back(squares(trial.error, larger(magnitude(y), magnitude(trial.y)), options_));
  return outputs;
}

AdaptiveIntegrator::Plans& AdaptiveIntegrator::compiled(std::span<const Array> state, std::span<const Array> fixed) {
  const Dtype dtype = state[0].dtype();
  const std::size_t parts = state.size();
  std::vector<Type> types(first_part, {dtype, {1, 1}});
  for (int slopes = 0; slopes < 2; ++slopes)
    for (const Array& part : state) types.push_back(part.type());
  for (const Array& each : fixed) types.push_back(each.type());
  std::vector<Type> key = types;
  key.push_back({Dtype::i32, {static_cast<Index>(parts)}});
  const auto plan = [&](Record record) {
    const auto f = [&](std::span<const Var> in) { return (this->*record)(in, parts); };
    return compile_rows(f, types, first_part, dtype);
  };
  return plans_.find(key, [&] {
    return Plans{plan(&AdaptiveIntegrator::record_slope), plan(&AdaptiveIntegrator::record_change),
                 plan(&AdaptiveIntegrator::record_step)};
  });
}

// One integration: the arrays that it works on.
class AdaptiveIntegrator::Run {
 public:
  Run(AdaptiveIntegrator& self, Plans& plans, std::vector<Array> state, double from, const AdaptiveRunOptions& options,
      Where where)
      : self_(self),
        plans_(plans),
        where_(where),
        numbers_(first_part, Array(state[0].dtype(), {1, 1})),
        slope_(state) {
    solution.state = std::move(state);
    solution.t = from;
    solution.times.reserve(1024);  // for most, so that a step allocates nothing
    for (const std::span<const Array> arrays :
         std::initializer_list<std::span<const Array>>{numbers_, solution.state, slope_, options.fixed})
      inputs_.insert(inputs_.end(), arrays.begin(), arrays.end());
    for (const Array& part : solution.state) entries_ += part.size();
  }

  // The first slope and the first step's size; false where the slope is not finite.
  bool start(double length, double direction, double& size) {
    const double from = solution.t;
    double norm_y = 0, norm_slope = 0;
    {
      const auto out = run(plans_.slope, from, 0, 1);
      if (!std::all_of(out.begin(), out.end() - 2, is_finite)) return false;
      copy(out, slope_);
      norm_y = norm(out[slope_.size()]);
      norm_slope = norm(out[slope_.size() + 1]);
    }
    if (size > 0) return true;
    const double euler = first_euler_step(length, norm_y, norm_slope);
    const double change = norm(run(plans_.change, from, direction * euler, 1)[0]);
    size = first_step(euler, norm_slope, change, self_.error_order_);
    return true;
  }
  // The norm of the estimated error of a step.
  double attempt(double h) { return norm(run(plans_.step, solution.t, h, self_.evaluations_).back()); }
  void take(double t) {
    const auto out = plans_.step.outputs();
    copy(out, solution.state);
    copy(out.subspan(slope_.size()), slope_);
    solution.t = t;
    ++solution.statistics.accepted;
    solution.times.push_back(t);
  }
  Solution fail(Outcome outcome, std::string_view what) {
    solution.outcome = outcome;
    solution.message = describe_failure({self_.name_, where_}, solution, what);
    return std::move(solution);
  }
  // Where the values that a record met last, not finite, came from.
  Solution fail_at_nonfinite(Record record) {
    const std::size_t parts = solution.state.size();
    const auto f = [&](std::span<const Var> in) { return (self_.*record)(in, parts); };
    return fail(Outcome::not_finite, "the equation gave " + describe_nonfinite(f, inputs_, solution.state[0].dtype()));
  }

  Solution solution{};

 private:
  std::span<const Array> run(Plan& plan, double t, double h, Index evaluations) {
    numbers_[input_t].set(0, t);
    numbers_[input_h].set(0, h);
    solution.statistics.evaluations += evaluations;
    return plan.run(inputs_);
  }
  double norm(const Array& squares) const { return std::sqrt(squares.at(0) / static_cast<double>(entries_)); }

  AdaptiveIntegrator& self_;
  Plans& plans_;
  Where where_;
  std::vector<Array> numbers_, slope_;
  std::vector<PlanInput> inputs_{};
  Index entries_ = 0;
};

Solution AdaptiveIntegrator::run(std::vector<Array> state, double from, double to, const AdaptiveRunOptions& options,
                                 Where where) {
  const Owner owner(name_, where);
  if (!attempt_) Owner("adaptive_integrator", where).refuse("was moved from");
  check_state(owner, state);
  check_times(owner, from, to);
  if (state[0].size() == 0) return {.state = std::move(state), .t = to};
  StepControl control(from, to, options_, error_order_, state[0].dtype());
  Plans& plans = compiled(state, options.fixed);
  Run run(*this, plans, std::move(state), from, options, where);

  double size = options_.first_step;
  if (!run.start(std::abs(to - from), control.direction(), size))
    return run.fail_at_nonfinite(&AdaptiveIntegrator::record_slope);
  control.start(size);
  double error = 0;
  for (Index tries = 0; !control.done(); ++tries) {
    if (tries == options_.max_steps)
      return run.fail(Outcome::too_many_steps, fmt::format("{} steps were tried, the most allowed", tries));
    const double h = control.propose();
    if (h == 0 && !std::isfinite(error)) return run.fail_at_nonfinite(&AdaptiveIntegrator::record_step);
    if (h == 0)
      return run.fail(Outcome::step_too_small, "no step that the time can tell from none meets the tolerance");
    error = run.attempt(h);
    if (!control.accept(error)) {
      ++run.solution.statistics.rejected;
      continue;
    }
    run.take(control.t());
    if (options.observe) options.observe(run.solution.statistics.accepted, run.solution.t, run.solution.state);
  }
  return std::move(run.solution);
}

std::string AdaptiveIntegrator::explain() const { return plans_.last(name_).value.step.explain(); }

std::string AdaptiveIntegrator::profile() const {
  auto& last = plans_.last(name_);
  return profile_rows(last.value.step, std::span(last.types).first(last.types.size() - 1));
}

}  // namespace wengert::sde
