// The Euler-Maruyama method: x + h drift + sqrt|h| diffusion z (Maruyama, 1955). With a reverse equation and a falling
// grid it is the ancestral sampler of score-based diffusion.
#pragma once
#include "sde/equation.hpp"
#include "sde/step.hpp"

namespace wengert::sde {

struct EulerMaruyama {
  static constexpr const char* name = "euler_maruyama";
  static constexpr double order = 0.5,
                          weak_order = 1;             // the strong order is 1 where the diffusion does not depend on x
  static constexpr Index evaluations = 1, draws = 1;  // a step

  State advance(const Sde& equation, const State& y, Step& step) const {
    const Var x = y[0], spread = step.noise_scale * sqrt(abs(step.h)) * equation.diffusion(x, step.t);
    return x + step.h * equation.drift(x, step.t) + spread * step.normal();
  }
};

}  // namespace wengert::sde
