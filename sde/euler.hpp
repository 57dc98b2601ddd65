// Euler's method: y + h f(y, t).
#pragma once
#include "sde/equation.hpp"
#include "sde/method.hpp"

namespace wengert::sde {

struct Euler {
  static constexpr const char* name = "euler";
  static constexpr double order = 1;
  static constexpr Index evaluations() { return 1; }  // a step

  State step(const Ode& f, const State& y, MethodStep& step) const { return y + step.h * f(y, step.t); }
};

}  // namespace wengert::sde
