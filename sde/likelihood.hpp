// Log densities by the probability flow: along dx/dt = v(x, t) the log density falls by the integral of div v (Chen et
// al., "Neural ordinary differential equations", NeurIPS 2018; Grathwohl et al., "FFJORD", ICLR 2019; Song et al., ICLR
// 2021). The flow with its divergence is an equation like any other, for any method:
//
//   const auto flow = with_divergence(probability_flow(ve, in_dtype(Dtype::f32, net)));
//   Integrator integrator(DormandPrince{}, flow);
//   Solution end = integrator.run(flow.start(points), Tolerance{.from = 1e-3, .to = 1});      // points [B,d], f64
//   Array log_p = flow.log_density(end.require(), ve.prior_std()).log_density;               // [B]
//
//   log p_from(x) = log N(z; 0, prior_std^2 I) + int_from^to div v(x_t, t) dt   with z the end of the flow from x
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "sde/equation.hpp"
#include "sde/heun.hpp"
#include "sde/solution.hpp"

namespace wengert::sde {

// The rule for the divergence: exact, or the mean over probes v of v' J v (Hutchinson), at the cost of one tangent a
// probe.
struct Divergence {
  enum class Probe { rademacher, gaussian };
  Index probes = 0;  // 0: exact
  Probe probe = Probe::rademacher;
  std::uint64_t seed = 0;
  Index first_row = 0;  // of the points among all, for the probes
};

struct LogDensity {
  Array log_density{};     // [B], at the run's first time
  Array end{};             // z [B,d], at its last time
  Array delta_log_p{};     // [B], the integral of the divergence: what log_density has more than the prior at z
  Array standard_error{};  // [B], of log_density and delta_log_p: sd / sqrt(n) over n probes; 0 where the divergence is
                           // exact, NaN for one probe
};

// dx/dt = v(x, t) and dl/dt = div v(x, t) for a state of points x [B,d] and integrals l [B,n], one for each probe or of
// the exact divergence.
class FlowWithDivergence {
 public:
  // Throws Error naming an option that cannot be.
  FlowWithDivergence(const Ode& flow, const Divergence& divergence, Where where = Where::current());

  // The equation. Probes stay the same throughout, so that it is smooth. Throws Error where the flow mixes rows.
  State operator()(const State& y, Var t) const;
  // The divergence with these probes [B,d] instead, as many as the divergence has.
  State slope(const State& y, Var t, std::span<const Var> probes) const;

  // The state at points: integrals begin at 0. The dtype of the points is that of all computing. Throws Error unless
  // they are [B,d] of f32 or f64.
  std::vector<Array> start(const Array& points, Where where = Where::current()) const;
  // The log density of the points that a run started from, in f64, for a normal distribution N(0, prior_std^2 I) there;
  // arrays but `end` hold NaN where the run did not reach its last time. Throws Error for another state's solution, and
  // unless prior_std is positive and finite.
  LogDensity log_density(const Solution& solution, double prior_std, Where where = Where::current()) const;

  const Ode& flow() const { return flow_; }
  const Divergence& divergence() const { return divergence_; }

 private:
  Index integrals() const;

  Ode flow_;
  Divergence divergence_;
};

inline FlowWithDivergence with_divergence(const Ode& flow, const Divergence& divergence = {},
                                          Where where = Where::current()) {
  return {flow, divergence, where};
}

// Heun's method for the points; integrals by the slope at the left end of each step, with probes drawn anew for each
// step: order 1, and unbiased for the grid.
struct HeunLeftEnd {
  static constexpr const char* name = "heun_left_end";
  static constexpr double order = 1;
  static constexpr Index evaluations() { return 2; }  // a step
  static Index draws(const FlowWithDivergence& equation) { return equation.divergence().probes; }

  State step(const FlowWithDivergence& equation, const State& y, MethodStep& step) const {
    std::vector<Var> probes;
    for (Index i = 0; i < equation.divergence().probes; ++i)
      probes.push_back(equation.divergence().probe == Divergence::Probe::gaussian ? step.normal() : step.rademacher());
    const State left = equation.slope(y, step.t, probes);
    const State next = Heun{}.step(equation.flow(), y.with({y[0]}), step);
    return y.with({next[0], y[1] + step.h * left[1]});
  }
};

}  // namespace wengert::sde
