#include "sde/integrator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "autodiff/error.hpp"
#include "sde/step_control.hpp"

namespace wengert::sde {
namespace {

void copy(std::span<const Array> from, std::span<Array> to) {
  for (std::size_t i = 0; i < to.size(); ++i) std::memcpy(to[i].raw(), from[i].raw(), from[i].type().bytes());
}

template <class T>
void append(std::vector<PlanInput>& inputs, const T& arrays) {
  inputs.insert(inputs.end(), arrays.begin(), arrays.end());
}

std::pair<double, double> ends_of(const Times& times) {
  if (const Grid* grid = std::get_if<Grid>(&times)) return {(*grid)[0], (*grid)[grid->steps()]};
  const Tolerance& tolerance = std::get<Tolerance>(times);
  return {tolerance.from, tolerance.to};
}

// Throws Error unless there is a state, of one floating dtype, whose arrays are [B,...] of rank 2 or more, with the
// same B.
void check_state(const Owner& solver, std::span<const Array> state) {
  if (state.empty()) solver.refuse("needs a state of at least one array");
  for (const Array& part : state) {
    const Type& type = part.type();
    if (!is_float(type.dtype) || type.dtype != state[0].dtype() || type.shape.rank() < 2 ||
        type.shape[0] != state[0].shape()[0])
      solver.refuse(fmt::format("needs a state of f32 or f64 of shapes [B,...] with the same B, got {} beside {}",
                                to_string(type), to_string(state[0].type())));
  }
}

// True if some time to save is not met by every run over these times.
bool needs_polynomial(const Times& times, std::span<const double> save_at) {
  const auto [from, to] = ends_of(times);
  const Grid* grid = std::get_if<Grid>(&times);
  Index k = 0;
  for (double t : save_at) {
    if (t == from || t == to) continue;
    while (grid && k < grid->steps() && (*grid)[k] != t) ++k;
    if (!grid || (*grid)[k] != t) return true;
  }
  return false;
}

void check_save_at(const Owner& owner, const Times& times, std::span<const double> save_at) {
  const auto [from, to] = ends_of(times);
  const double direction = to > from ? 1 : -1;
  double before = from;
  for (double t : save_at) {
    if (!(direction * (t - before) >= 0 && direction * (to - t) >= 0))
      owner.refuse(fmt::format("save_at must go from {} to {}, got {} after {}", from, to, t, before));
    before = t;
  }
}

void check_times(const Owner& owner, const Stepper& stepper, const Times& times) {
  if (const Grid* grid = std::get_if<Grid>(&times)) {
    if (grid->steps() < 1) owner.refuse("needs a grid, not one that was moved from");
  } else {
    const Tolerance& tolerance = std::get<Tolerance>(times);
    check_tolerance(owner, tolerance);
    if (stepper.error_order == 0) owner.refuse("has no estimate of its error, which a tolerance needs: give it a grid");
    if (stepper.draws > 0) owner.refuse("draws noise, which a tolerance has no rule for: give it a grid");
    if (tolerance.first_step == 0 && !stepper.ode) owner.refuse("needs first_step, which is chosen for an ODE alone");
  }
  const auto [from, to] = ends_of(times);
  if (stepper.direction == Direction::decreasing && to > from) owner.refuse("needs decreasing times");
  if (stepper.direction == Direction::increasing && to < from) owner.refuse("needs increasing times");
}

// One run: the arrays that it works on.
class Run {
 public:
  Run(const Stepper& stepper, StepperPlans& plans, std::vector<Array> state, const Times& times,
      const RunOptions& options, Where where)
      : stepper_(stepper), plans_(plans), options_(options), where_(where) {
    solution_.state = std::move(state);
    solution_.t = ends_of(times).first;
    for (const Type& type : std::span(plans.key().types).first(input_draw)) numbers_.emplace_back(type);
    numbers_.push_back(options.noise.state(0));
    for (const Type& type : plans.memory()) memory_.emplace_back(type);
    append(inputs_, numbers_);
    append(inputs_, solution_.state);
    append(inputs_, options.fixed);
    common_ = inputs_.size();
    append(inputs_, memory_);
    first_noise_ = inputs_.size();
    inputs_.insert(inputs_.end(), plans.key().noise.size(), solution_.state[0]);
    for (const Array& part : solution_.state) entries_ += part.size();
  }

  Solution along(GridControl control, Index steps) {
    solution_.times.reserve(static_cast<std::size_t>(steps));
    if (plans_.start()) run_start();
    return steps_by(control);
  }

  Solution along(StepControl control, const Tolerance& tolerance) {
    constexpr double least = 100 * std::numeric_limits<double>::epsilon();
    numbers_[input_rtol].set(0, std::max(tolerance.rtol, least));
    numbers_[input_atol].set(0, tolerance.atol);
    solution_.times.reserve(1024);  // for most, so that a step allocates nothing
    double size = tolerance.first_step;
    if (plans_.start() && !run_start())
      return fail(Outcome::not_finite, "the equation gave " + plans_.describe_start(common_inputs()));
    if (size == 0) size = first_size(std::abs(tolerance.to - tolerance.from), control.direction());
    control.start(size);
    return steps_by(control);
  }

 private:
  template <class Control>
  Solution steps_by(Control& control) {
    save_start();
    double error = 0;
    for (Index tries = 0; !control.done(); ++tries) {
      if (tries == control.max_steps())
        return fail(Outcome::too_many_steps, fmt::format("{} steps were tried, the most allowed", tries));
      const double h = control.propose();
      if (h == 0 && !std::isfinite(error))
        return fail(Outcome::not_finite, "the step gave " + plans_.describe_step(inputs_));
      if (h == 0) return fail(Outcome::step_too_small, "a step that meets the tolerance is below the resolution of t");
      error = attempt(h, control.next(), options_.denoise_last && control.is_last());
      if (control.accept(error))
        take(h, control.t());
      else
        solution_.statistics.rejected += Control::retries;
    }
    return std::move(solution_);
  }

  // The memory and the first slope; false where the slope is not finite.
  bool run_start() {
    Plan& plan = *plans_.start();
    set_numbers(0, solution_.t);
    const auto outputs = plan.run(common_inputs());
    copy(outputs, memory_);
    solution_.statistics.evaluations +=
        plans_.key().slope ? std::max<Index>(1, stepper_.start_evaluations) : stepper_.start_evaluations;
    const auto slope = outputs.subspan(memory_.size());
    return slope.empty() || std::all_of(slope.begin(), slope.end() - 2, is_finite);
  }

  double first_size(double length, double direction) {
    const auto slope = plans_.start()->outputs().subspan(memory_.size());
    const double norm_y = norm(slope[slope.size() - 2]), norm_slope = norm(slope[slope.size() - 1]);
    const double euler = first_euler_step(length, norm_y, norm_slope);
    std::vector<PlanInput> inputs = common_inputs();
    append(inputs, slope.first(slope.size() - 2));
    set_numbers(direction * euler, solution_.t);
    ++solution_.statistics.evaluations;
    return first_step(euler, norm_slope, norm(plans_.change().run(inputs)[0]), stepper_.error_order);
  }

  // The norm of the estimated error of a step, not finite where a value is not.
  double attempt(double h, double end, bool noiseless) {
    set_numbers(h, end);
    numbers_[input_noise].set(0, noiseless ? 0 : 1);
    const Index k = solution_.statistics.accepted, draws = stepper_.draws;
    numbers_[input_draw].data<std::int32_t>()[2] = options_.noise.step(k);
    for (std::size_t i = first_noise_; i < inputs_.size(); ++i)
      inputs_[i].data =
          options_.noise.values(k * draws + static_cast<Index>(i - first_noise_), solution_.state[0].type());
    const auto outputs = plans_.step().run(inputs_);
    solution_.statistics.evaluations += stepper_.evaluations;
    if (plans_.key().adaptive) return norm(outputs.back());
    const auto y = outputs.first(solution_.state.size());
    return std::all_of(y.begin(), y.end(), is_finite) ? 0 : NAN;
  }

  void take(double h, double t) {
    const auto outputs = plans_.step().outputs();
    save_step(h, t, outputs);
    copy(outputs, solution_.state);
    copy(outputs.subspan(solution_.state.size()), memory_);
    solution_.t = t;
    solution_.times.push_back(t);
    ++solution_.statistics.accepted;
    if (options_.observe) options_.observe(solution_.statistics.accepted, t, solution_.state);
  }

  bool is_reached(double h, double t) const {  // the next time to save
    const std::size_t next = solution_.saved.size();
    return next < options_.save_at.size() && (h > 0 ? options_.save_at[next] <= t : options_.save_at[next] >= t);
  }
  void save_start() {
    while (solution_.saved.size() < options_.save_at.size() && options_.save_at[solution_.saved.size()] == solution_.t)
      solution_.saved.push_back(solution_.state);
  }
  // The states within a step, before it is taken.
  void save_step(double h, double t, std::span<const Array> outputs) {
    const std::size_t parts = solution_.state.size();
    while (is_reached(h, t)) {
      const double at = options_.save_at[solution_.saved.size()];
      if (at == t) {
        const auto y = outputs.first(parts);
        solution_.saved.emplace_back(y.begin(), y.end());
        continue;
      }
      std::vector<PlanInput> inputs = common_inputs();
      append(inputs, outputs.subspan(parts + memory_.size(), parts * plans_.degree()));
      numbers_[input_t].set(0, (at - solution_.t) / h);
      const auto y = plans_.interpolate().run(inputs);
      solution_.saved.emplace_back(y.begin(), y.end());
    }
  }

  Solution fail(Outcome outcome, std::string_view what) {
    solution_.outcome = outcome;
    solution_.message = describe_failure({stepper_.name, where_}, solution_, what);
    return std::move(solution_);
  }

  void set_numbers(double h, double end) {
    numbers_[input_t].set(0, solution_.t);
    numbers_[input_end].set(0, end);
    numbers_[input_h].set(0, h);
  }
  std::vector<PlanInput> common_inputs() const {
    return {inputs_.begin(), inputs_.begin() + static_cast<std::ptrdiff_t>(common_)};
  }
  double norm(const Array& squares) const { return std::sqrt(squares.at(0) / static_cast<double>(entries_)); }

  const Stepper& stepper_;
  StepperPlans& plans_;
  const RunOptions& options_;
  Where where_;
  Solution solution_{};
  std::vector<Array> numbers_{}, memory_{};
  std::vector<PlanInput> inputs_{};  // of a step
  std::size_t common_ = 0, first_noise_ = 0;
  Index entries_ = 0;
};

}  // namespace

StepperPlans& Integrator::last() const {
  if (last_ >= plans_.size())
    throw Error(fmt::format("[{}] has no plan before the first run", stepper_ ? stepper_->name : "integrator"));
  return *plans_[last_];
}

StepperPlans& Integrator::compiled(std::span<const Array> state, const Times& times, const RunOptions& options) {
  const Stepper& stepper = *stepper_;
  const Noise& noise = options.noise;
  const Tolerance* tolerance = std::get_if<Tolerance>(&times);
  PlanKey key{.parts = state.size(), .drawn = noise.is_drawn(), .adaptive = tolerance != nullptr};
  key.slope = tolerance && stepper.ode && (tolerance->first_step == 0 || stepper.start_evaluations > 0);
  key.dense = needs_polynomial(times, options.save_at);
  key.memory = stepper.start && (key.adaptive || key.dense || !stepper.step);
  const Type number{state[0].dtype(), {1, 1}}, bound{Dtype::f64, {1, 1}};
  key.types = {number, number, number, number, bound, bound, noise.state(0).type()};
  for (const Array& part : state) key.types.push_back(part.type());
  for (const Array& each : options.fixed) key.types.push_back(each.type());
  if (!noise.is_none() && !noise.is_drawn()) key.noise.assign(static_cast<std::size_t>(stepper.draws), state[0].type());
  const auto found = std::find_if(plans_.begin(), plans_.end(), [&](const auto& each) { return each->key() == key; });
  const std::size_t index = static_cast<std::size_t>(found - plans_.begin());
  if (found == plans_.end()) plans_.push_back(std::make_unique<StepperPlans>(stepper, key));
  last_ = index;  // after what may throw
  return *plans_[index];
}

Solution Integrator::run(std::vector<Array> state, const Times& times, const RunOptions& options, Where where) {
  if (!stepper_) Owner("integrator", where).refuse("was moved from");
  const Owner owner(stepper_->name, where);
  check_state(owner, state);
  check_times(owner, *stepper_, times);
  check_save_at(owner, times, options.save_at);
  const Grid* grid = std::get_if<Grid>(&times);
  if (stepper_->draws > 0) options.noise.check(state[0].type(), stepper_->draws, grid->steps(), owner);
  if (state[0].size() == 0) {
    std::vector<std::vector<Array>> saved(options.save_at.size(), state);
    return {.state = std::move(state), .t = ends_of(times).second, .saved = std::move(saved)};
  }
  StepperPlans& plans = compiled(state, times, options);
  if (plans.key().dense && plans.degree() == 0)
    owner.refuse("has no dense output: save_at can be times of a grid alone");
  const Dtype dtype = state[0].dtype();
  Run run(*stepper_, plans, std::move(state), times, options, where);
  if (grid) return run.along(GridControl(*grid), grid->steps());
  const Tolerance& tolerance = std::get<Tolerance>(times);
  return run.along(StepControl(tolerance, stepper_->error_order, dtype), tolerance);
}

}  // namespace wengert::sde
