// The Euler-Maruyama method: x + h drift + sqrt|h| diffusion z (Maruyama, 1955). With a reverse equation and a
// decreasing grid it samples by score-based diffusion.
#pragma once
#include "sde/equation.hpp"
#include "sde/method.hpp"

namespace wengert::sde {

struct EulerMaruyama {
  static constexpr const char* name = "euler_maruyama";
  static constexpr double order = 0.5,
                          weak_order = 1;             // the strong order is 1 where the diffusion does not depend on x
  static constexpr Index evaluations() { return 1; }  // a step
  static constexpr Index draws() { return 1; }

  State step(const Sde& equation, const State& y, MethodStep& step) const {
    const Var spread = step.noise_scale * sqrt(abs(step.h)) * equation.diffusion(y, step.t);
    return y.with({y[0] + step.h * equation.drift(y, step.t) + spread * step.normal()});
  }
};

}  // namespace wengert::sde
