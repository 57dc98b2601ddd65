// Log densities by a method, as the tests ask for them.
#pragma once
#include "sde/sde.hpp"

namespace wengert::testing {

struct Density : sde::LogDensity {
  sde::Solution solution{};
};

template <class M = sde::DormandPrince>
Density density_of(const sde::Ode& flow, const Array& points, const sde::Times& times, double prior_std,
                   const sde::Divergence& divergence = {}, const sde::RunOptions& options = {}, const M& method = {}) {
  const sde::FlowWithDivergence equation = sde::with_divergence(flow, divergence);
  sde::Solution solution = sde::Integrator(method, equation).run(equation.start(points), times, options);
  sde::LogDensity found = equation.log_density(solution, prior_std);
  return {std::move(found), std::move(solution)};
}

// By Heun's method in the points, the divergence at the left ends.
inline Density left_end_density(const sde::Ode& flow, const Array& points, const sde::Grid& grid, double prior_std,
                                const sde::Divergence& divergence = {}, const std::vector<Array>& fixed = {}) {
  return density_of(flow, points, grid, prior_std, divergence,
                    {.noise = sde::Noise::drawn(divergence.seed, divergence.first_row), .fixed = fixed},
                    sde::HeunLeftEnd{});
}

}  // namespace wengert::testing
