// Heun's method: the mean of the slopes at both ends of an Euler step.
#pragma once
#include "sde/equation.hpp"
#include "sde/method.hpp"

namespace wengert::sde {

struct Heun {
  static constexpr const char* name = "heun";
  static constexpr double order = 2;
  static constexpr Index evaluations() { return 2; }  // a step

  State step(const Ode& f, const State& y, MethodStep& step) const {
    const Var h = step.h;
    const State k1 = f(y, step.t);
    const State k2 = f(y + h * k1, step.end);
    return y + 0.5 * h * (k1 + k2);
  }
};

}  // namespace wengert::sde
