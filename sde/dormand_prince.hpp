// The pair of orders 5 and 4 of Dormand and Prince ("A family of embedded Runge-Kutta formulae", 1980): the step goes
// on with the fifth order, its last slope is the next one's first. Dense output of order 4 (Hairer, Norsett and Wanner,
// "Solving ordinary differential equations I", section II.6).
#pragma once
#include "sde/equation.hpp"
#include "sde/method.hpp"

namespace wengert::sde {

struct DormandPrince {
  static constexpr const char* name = "dormand_prince";
  static constexpr double order = 5, error_order = 4;
  static constexpr Index evaluations() { return 6; }  // a step
  static constexpr Index start_evaluations() { return 1; }

  Memory start(const Ode& f, const State& y, Var t) const { return {f(y, t)}; }  // the last slope
  Stepped step(const Ode& f, const State& y, const Memory& memory, const MethodStep& step) const;
  // On a fixed grid, for which it needs no slope beforehand.
  State step(const Ode& f, const State& y, const MethodStep& step) const;
};

}  // namespace wengert::sde
