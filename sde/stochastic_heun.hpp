// Heun's method for stochastic equations in Stratonovich's sense: the mean of drift and diffusion at both ends of an
// Euler-Maruyama step, with the same increment of the Brownian path (Rümelin, "Numerical treatment of stochastic
// differential equations", 1982).
#pragma once
#include "sde/equation.hpp"
#include "sde/method.hpp"

namespace wengert::sde {

struct StochasticHeun {
  static constexpr const char* name = "stochastic_heun";
  static constexpr double order = 1;          // strong, for commutative noise: one dimension, or a diffusion without x
  static constexpr bool stratonovich = true;  // the sense in which the equation is read
  static constexpr Index evaluations() { return 2; }  // a step
  static constexpr Index draws() { return 1; }

  // The equation is read in Stratonovich's sense, dx = drift dt + diffusion o dW, which is Itô's where the diffusion
  // does not depend on x.
  State step(const Sde& equation, const State& y, MethodStep& step) const {
    const Var w = step.noise_scale * sqrt(abs(step.h)) * step.normal();
    const Var drift = equation.drift(y, step.t), diffusion = equation.diffusion(y, step.t);
    const State end = y.with({y[0] + step.h * drift + diffusion * w});
    return y.with({y[0] + 0.5 * step.h * (drift + equation.drift(end, step.end)) +
                   0.5 * (diffusion + equation.diffusion(end, step.end)) * w});
  }
};

}  // namespace wengert::sde
