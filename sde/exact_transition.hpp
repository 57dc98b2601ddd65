// Paths of a process by its exact transitions: no error of discretisation, on any grid of increasing times from 0 on.
#pragma once
#include "sde/method.hpp"
#include "sde/process.hpp"
#include "sde/state.hpp"

namespace wengert::sde {

//   Integrator paths(ExactTransition{}, Ou{.theta = 0.5, .sigma = 0.5});
//   paths.run(x_0, Grid::uniform(0, 1, 100), {.noise = Noise::drawn(seed), .observe = ...});
struct ExactTransition {
  static constexpr const char* name = "exact_transition";
  static constexpr Direction direction = Direction::increasing;
  static constexpr Index evaluations() { return 1; }  // a step
  static constexpr Index draws() { return 1; }

  template <Process P>
  State step(const P& process, const State& y, MethodStep& step) const {
    return y.with({transition(process, y[0], step.t, step.end, step.noise_scale * step.normal())});
  }
};

}  // namespace wengert::sde
