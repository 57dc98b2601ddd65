// The pair of orders 5 and 4 of Dormand and Prince ("A family of embedded Runge-Kutta formulae", 1980): the step goes
// on with the fifth order, its last slope is the next one's first.
#pragma once
#include "sde/equation.hpp"
#include "sde/step.hpp"

namespace wengert::sde {

// What an adaptive method tries: the state at t + h, the slope there, and the estimated error of the state.
struct Trial {
  State y, slope, error;
};

struct DormandPrince {
  static constexpr const char* name = "dormand_prince";
  static constexpr double order = 5, error_order = 4;
  static constexpr Index evaluations() { return 6; }  // a step
  static constexpr Index draws() { return 0; }

  // From the slope at (y, t).
  Trial attempt(const Ode& f, const State& y, const State& slope, Var t, Var h) const;
  // On a fixed grid, for which it needs no slope beforehand.
  State advance(const Ode& f, const State& y, Step& step) const;
};

}  // namespace wengert::sde
