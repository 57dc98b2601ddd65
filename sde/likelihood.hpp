// Log densities by the probability flow: the change of variables along dx/dt = v(x, t) is the integral of div v (Chen
// et al., "Neural ordinary differential equations", NeurIPS 2018; Grathwohl et al., "FFJORD", ICLR 2019; Song et al.,
// ICLR 2021).
//
//   LogLikelihood likelihood(probability_flow(ve, in_dtype(Dtype::f32, net)), {.from = 1e-3, .prior_std = 1});
//   Array log_p = likelihood(points).require().log_density;      // points [B,d] -> [B]
//
//   log p_from(x) = log N(z; 0, prior_std^2 I) + int_from^to div v(x_t, t) dt   with z the end of the flow from x
#pragma once
#include <cstdint>

#include "sde/integrator.hpp"

namespace wengert::sde {

// How the divergence is found: exactly, or by the mean over probes of v' J v (Hutchinson), which needs no more than one
// tangent each.
struct Divergence {
  enum class Probe { rademacher, gaussian };
  Index probes = 0;  // 0: exact
  Probe probe = Probe::rademacher;
  std::uint64_t seed = 0;
  Index first_row = 0;  // of the points among all, for the probes
};

struct Likelihood {
  Array log_density{};     // [B], at `from`
  Array end{};             // z [B,d], at `to`
  Array change{};          // [B], the integral of the divergence
  Array standard_error{};  // [B], of both log_density and change: sd / sqrt(n) over n probes; 0 where the divergence is
                           // exact, NaN for one probe
  Solution solution{};     // where the end was not reached, `end` is what was, and the other arrays hold NaN

  const Likelihood& require() const&;
  Likelihood require() &&;
};

struct LikelihoodOptions {
  double from = 1e-5, to = 1;
  double prior_std = 0;  // of the law at `to`; to be given
  Divergence divergence{};
  Tolerance steps{};
};

// By adaptive steps of Dormand and Prince on points and integrals together, in f64. Probes stay the same throughout, so
// that the equation is smooth; each has an integral of its own. The plans of a batch's shape are kept for the next
// call.
class LogLikelihood {
 public:
  // Throws Error naming an option that cannot be.
  LogLikelihood(Ode flow, const LikelihoodOptions& options, Where where = Where::current());

  // Throws Error unless points are [B,d] of f32 or f64, and where the flow mixes rows.
  // `fixed` comes along to the flow (conditions of the score, [B,...]), what is f32 in f64.
  Likelihood operator()(const Array& points, std::vector<Array> fixed = {}, Where where = Where::current());

  // What a step does for points of the shape that was met last, and where its time goes (Plan).
  std::string explain() const { return integrator_.explain(); }
  std::string profile() const { return integrator_.profile(); }

 private:
  LikelihoodOptions options_;
  Integrator integrator_;
};

struct GridLikelihoodOptions {
  double prior_std = 0;  // of the law at the grid's last time; to be given
  Divergence divergence{};
  std::vector<Array> fixed{};  // comes along to the flow
  Array probes{};              // [steps, n, B, d] instead of drawn ones; n is then divergence.probes
};

// On a fixed grid: points by Heun's method, the divergence by its value at the start of each step (order 1). Probes are
// drawn anew for each step: integrals are unbiased for the grid. In the dtype of the points. Compiles at each call.
Likelihood grid_likelihood(const Ode& flow, const Array& points, const Grid& grid,
                           const GridLikelihoodOptions& options = {}, Where where = Where::current());

}  // namespace wengert::sde
