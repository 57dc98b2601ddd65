#include "sde/likelihood.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "autodiff/derivatives.hpp"
#include "autodiff/error.hpp"
#include "autodiff/tape.hpp"
#include "sde/dormand_prince.hpp"
#include "sde/heun.hpp"

namespace wengert::sde {
namespace {

struct Slopes {
  Var x, change;
};

// The flow at points y[0] [B,d] and its divergence, [B,1].
Slopes with_trace(const Ode& flow, const State& y, Var t) {
  const auto [value, trace] = value_and_divergence([&](Var u) { return flow(y.with({u}), t)[0]; }, y[0]);
  return {value, reshape(trace, {y[0].extent(0), 1})};
}

// The same with one estimate for each probe [B,d], [B,n].
Slopes with_probes(const Ode& flow, const State& y, Var t, std::span<const Var> probes) {
  const Function along_points = [&](Var u) { return flow(y.with({u}), t)[0]; };
  divergence(along_points, y[0]);  // refuses a flow that mixes rows; a plan drops what it records
  std::vector<Operand> estimates;
  Var value;
  for (Var probe : probes) {
    const auto [v, along] = jvp(along_points, y[0], probe);
    value = v;
    estimates.push_back(sum(probe * along, {1}, {.keepdims = true}));
  }
  return {value, concat(estimates, 1)};
}

// Points and integrals; probes are fixed with the state, after what the flow itself reads.
Ode augmented(const Ode& flow, Index probes) {
  return [=](const State& y, Var t) -> State {
    const State points = y.with({y[0]});
    const std::size_t count = static_cast<std::size_t>(probes), first = y.fixed_size() - count;
    std::vector<Var> directions;
    for (std::size_t i = 0; i < count; ++i) directions.push_back(y.fixed(first + i));
    const Slopes slopes = probes == 0 ? with_trace(flow, points, t) : with_probes(flow, points, t, directions);
    return State({slopes.x, slopes.change});
  };
}

// A step of grid_likelihood().
struct HeunWithLeftDivergence {
  static constexpr const char* name = "grid_likelihood";
  static constexpr Index evaluations() { return 2; }
  Index draws() const { return probes; }
  Divergence::Probe kind;
  Index probes;

  State step(const Ode& flow, const State& y, MethodStep& step) const {
    const State points = y.with({y[0]});
    std::vector<Var> directions;
    for (Index i = 0; i < probes; ++i)
      directions.push_back(kind == Divergence::Probe::gaussian ? step.normal() : step.rademacher());
    const Slopes left = probes == 0 ? with_trace(flow, points, step.t) : with_probes(flow, points, step.t, directions);
    const State next = Heun{}.step(flow, points, step);
    return State({next[0], y[1] + step.h * left.change});
  }
};

void check_points(const Owner& owner, const Array& points) {
  if (!is_float(points.dtype()) || points.shape().rank() != 2)
    owner.refuse(fmt::format("needs points [B,d] of f32 or f64, got {}", to_string(points.type())));
}
void check_law(const Owner& owner, double prior_std, const Divergence& divergence) {
  check_option(is_positive(prior_std), owner, "prior_std", "given, positive and finite", prior_std);
  check_option(divergence.probes >= 0, owner, "probes", "at least 0 (exact)", static_cast<double>(divergence.probes));
}

std::vector<Array> draw_probes(const Divergence& d, const Type& points) {
  Tape tape(points.dtype);
  Draw draw(tape, d.seed, 0, d.first_row);
  std::vector<Array> probes;
  for (Index i = 0; i < d.probes; ++i)
    probes.push_back(
        (d.probe == Divergence::Probe::gaussian ? draw.normal(points.shape) : draw.rademacher(points.shape)).value());
  return probes;
}

// The mean of row i of [B,n] and its standard error.
std::pair<double, double> mean_of_row(const Array& values, Index i) {
  const Index n = values.shape()[1];
  double mean = 0, squares = 0;
  for (Index j = 0; j < n; ++j) mean += values.at(i * n + j) / static_cast<double>(n);
  for (Index j = 0; j < n; ++j) squares += std::pow(values.at(i * n + j) - mean, 2);
  return {mean, std::sqrt(squares / static_cast<double>(n - 1) / static_cast<double>(n))};
}

double log_normal(const Array& points, Index row, double std) {
  const Index d = points.shape()[1];
  double squares = 0;
  for (Index j = 0; j < d; ++j) squares += std::pow(points.at(row * d + j) / std, 2);
  return -0.5 * (squares + static_cast<double>(d) * std::log(2 * std::numbers::pi * std * std));
}

Likelihood likelihood_of(Solution solution, double prior_std, bool exact) {
  const Array &end = solution.state[0], &integrals = solution.state[1];
  const Index rows = end.shape()[0];
  const bool reached = solution.outcome == Outcome::reached;
  Likelihood result;
  for (Array* each : {&result.log_density, &result.change, &result.standard_error}) *each = Array(Dtype::f64, {rows});
  result.end = end;
  for (Index i = 0; i < rows; ++i) {
    const auto [change, error] = reached ? mean_of_row(integrals, i) : std::pair<double, double>(NAN, NAN);
    result.change.set(i, change);
    result.standard_error.set(i, exact && reached ? 0 : error);
    result.log_density.set(i, log_normal(end, i, prior_std) + change);
  }
  result.solution = std::move(solution);
  return result;
}

}  // namespace

const Likelihood& Likelihood::require() const& {
  solution.require();
  return *this;
}
Likelihood Likelihood::require() && {
  solution.require();
  return std::move(*this);
}

LogLikelihood::LogLikelihood(Ode flow, const LikelihoodOptions& options, Where where)
    : options_(options), integrator_(DormandPrince{}, augmented(flow, options.divergence.probes)) {
  const Owner owner("log_likelihood", where);
  options_.steps.from = options.from;
  options_.steps.to = options.to;
  check_law(owner, options.prior_std, options.divergence);
  check_tolerance(owner, options_.steps);
  check_option(options.steps.atol > 0, owner, "atol", "positive, since integrals begin at 0,", options.steps.atol);
  Noise::drawn(0, options.divergence.first_row);  // refuses what is none
}

Likelihood LogLikelihood::operator()(const Array& points, std::vector<Array> fixed, Where where) {
  const Owner owner("log_likelihood", where);
  check_points(owner, points);
  const Divergence& divergence = options_.divergence;
  if (divergence.probes > 0)
    Noise::drawn(divergence.seed, divergence.first_row).check(points.type(), divergence.probes, 1, owner);
  const Array x = points.cast(Dtype::f64);
  const Index estimates = std::max<Index>(1, divergence.probes);
  const std::vector<Array> state{x, Array(Dtype::f64, {x.shape()[0], estimates})};
  for (Array& each : fixed)
    if (is_float(each.dtype())) each = each.cast(Dtype::f64);
  for (Array& probe : draw_probes(divergence, x.type())) fixed.push_back(std::move(probe));
  return likelihood_of(integrator_.run(state, options_.steps, {.fixed = std::move(fixed)}, where), options_.prior_std,
                       divergence.probes == 0);
}

Likelihood grid_likelihood(const Ode& flow, const Array& points, const Grid& grid, const GridLikelihoodOptions& options,
                           Where where) {
  const Owner owner("grid_likelihood", where);
  check_points(owner, points);
  check_law(owner, options.prior_std, options.divergence);
  const Divergence& d = options.divergence;
  const bool given = options.probes.shape().rank() > 0;
  const Shape wanted{grid.steps(), d.probes, points.shape()[0], points.shape()[1]};
  if (given && (d.probes == 0 || options.probes.shape() != wanted))
    owner.refuse(fmt::format("needs probes {} with n = divergence.probes, was given {}", to_string(wanted),
                             to_string(options.probes.type())));
  Integrator integrator(HeunWithLeftDivergence{d.probe, d.probes}, flow);
  const std::vector<Array> state{points, Array(points.dtype(), {points.shape()[0], std::max<Index>(1, d.probes)})};
  const Noise probes = given ? Noise::given(options.probes) : Noise::drawn(d.seed, d.first_row);
  return likelihood_of(integrator.run(state, grid, {.noise = probes, .fixed = options.fixed}, where), options.prior_std,
                       d.probes == 0);
}

}  // namespace wengert::sde
