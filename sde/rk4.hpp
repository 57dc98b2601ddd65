// The classical method of Runge and Kutta (Kutta, 1901).
#pragma once
#include "sde/equation.hpp"
#include "sde/method.hpp"

namespace wengert::sde {

struct Rk4 {
  static constexpr const char* name = "rk4";
  static constexpr double order = 4;
  static constexpr Index evaluations() { return 4; }  // a step

  State step(const Ode& f, const State& y, MethodStep& step) const {
    const Var h = step.h, half = 0.5 * h, middle = step.t + half;
    const State k1 = f(y, step.t);
    const State k2 = f(y + half * k1, middle);
    const State k3 = f(y + half * k2, middle);
    const State k4 = f(y + h * k3, step.end);
    return y + h / 6 * (k1 + 2 * (k2 + k3) + k4);
  }
};

}  // namespace wengert::sde
