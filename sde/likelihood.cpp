#include "sde/likelihood.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "autodiff/derivatives.hpp"
#include "autodiff/error.hpp"
#include "autodiff/tape.hpp"
#include "sde/noise.hpp"

namespace wengert::sde {
namespace {

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

}  // namespace

FlowWithDivergence::FlowWithDivergence(const Ode& flow, const Divergence& divergence, Where where)
    : flow_(flow), divergence_(divergence) {
  const Owner owner("with_divergence", where);
  check_option(divergence.probes >= 0, owner, "probes", "at least 0 (exact)", static_cast<double>(divergence.probes));
  check_counters(owner, "rows", divergence.first_row, 1);
}

State FlowWithDivergence::operator()(const State& y, Var t) const {
  std::vector<Var> probes;
  if (divergence_.probes > 0) {
    Draw draw(y[0].tape(), divergence_.seed, 0, divergence_.first_row);
    for (Index i = 0; i < divergence_.probes; ++i)
      probes.push_back(divergence_.probe == Divergence::Probe::gaussian ? draw.normal(y[0].shape())
                                                                        : draw.rademacher(y[0].shape()));
  }
  return slope(y, t, probes);
}

State FlowWithDivergence::slope(const State& y, Var t, std::span<const Var> probes) const {
  const Function along_points = [&](Var x) { return flow_(y.with({x}), t)[0]; };
  const Index rows = y[0].extent(0);
  if (probes.empty()) {
    const auto [value, trace] = value_and_divergence(along_points, y[0]);
    return y.with({value, reshape(trace, {rows, 1})});
  }
  Var value;
  std::vector<Operand> estimates;
  for (Var probe : probes) {
    const auto estimate = value_and_divergence(along_points, y[0], reshape(probe, probe.shape().prepended(1)));
    value = estimate.value;
    estimates.push_back(reshape(estimate.divergence, {rows, 1}));
  }
  return y.with({value, concat(estimates, 1)});
}

Index FlowWithDivergence::integrals() const { return std::max<Index>(1, divergence_.probes); }

std::vector<Array> FlowWithDivergence::start(const Array& points, Where where) const {
  const Owner owner("with_divergence", where);
  if (!is_float(points.dtype()) || points.shape().rank() != 2)
    owner.refuse(fmt::format("needs points [B,d] of f32 or f64, got {}", to_string(points.type())));
  const Index rows = points.shape()[0];
  if (divergence_.probes > 0) check_counters(owner, "rows", divergence_.first_row, rows);
  return {points, Array(points.dtype(), {rows, integrals()})};
}

LogDensity FlowWithDivergence::log_density(const Solution& solution, double prior_std, Where where) const {
  const Owner owner("log_density", where);
  check_option(is_positive(prior_std), owner, "prior_std", "positive and finite", prior_std);
  if (solution.state.size() != 2 || solution.state[1].shape() != Shape{solution.x().shape()[0], integrals()})
    owner.refuse("needs the solution of this flow from its start()");
  const Array &end = solution.state[0], &integral = solution.state[1];
  const bool reached = solution.outcome == Outcome::reached;
  const Index rows = end.shape()[0];
  LogDensity result{.end = end};
  for (Array* each : {&result.log_density, &result.delta_log_p, &result.standard_error})
    *each = Array(Dtype::f64, {rows});
  for (Index i = 0; i < rows; ++i) {
    const auto [delta, error] = reached ? mean_of_row(integral, i) : std::pair<double, double>(NAN, NAN);
    result.delta_log_p.set(i, delta);
    result.standard_error.set(i, reached && divergence_.probes == 0 ? 0 : error);
    result.log_density.set(i, log_normal(end, i, prior_std) + delta);
  }
  return result;
}

}  // namespace wengert::sde
