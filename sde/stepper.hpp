// Stepper: a method on an equation with the types of both erased, as Integrator runs it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "sde/equation.hpp"
#include "sde/method.hpp"

namespace wengert::sde {

struct Stepper {
  // Throws Error where an option of the method cannot be.
  template <class M, class Equation>
  Stepper(const M& method, const Equation& equation);

  std::string name;
  Index evaluations = 0, start_evaluations = 0, draws = 0;
  double error_order = 0;  // 0: gives no estimate of its error
  Direction direction;
  std::optional<Ode> ode{};  // the equation, where it is one

  // One form of the step, or both.
  std::function<Stepped(const State& y, MethodStep& step)> step{};
  std::function<Memory(const State& y, Var t)> start{};
  std::function<Stepped(const State& y, const Memory& memory, MethodStep& step)> step_with_memory{};
};

template <class M, class Equation>
Stepper::Stepper(const M& method, const Equation& equation)
    : name(method.name), direction(direction_of<M> == Direction::either ? direction_of<Equation> : direction_of<M>) {
  if constexpr (requires { method.check(); }) method.check();  // before options are computed with
  evaluations = method.evaluations();
  if constexpr (requires { method.draws(equation); })
    draws = method.draws(equation);
  else if constexpr (requires { method.draws(); })
    draws = method.draws();
  if constexpr (requires { method.error_order; }) error_order = method.error_order;
  if constexpr (std::is_convertible_v<Equation, Ode>) ode = equation;

  if constexpr (OneStepMethod<M, Equation>)
    step = [method, equation](const State& y, MethodStep& s) {
      if constexpr (std::is_same_v<decltype(method.step(equation, y, s)), State>)
        return Stepped{.y = method.step(equation, y, s)};
      else
        return method.step(equation, y, s);
    };
  if constexpr (MethodWithMemory<M, Equation>) {
    if constexpr (requires { method.start_evaluations(); }) start_evaluations = method.start_evaluations();
    start = [method, equation](const State& y, Var t) { return method.start(equation, y, t); };
    step_with_memory = [method, equation](const State& y, const Memory& memory, MethodStep& s) {
      return method.step(equation, y, memory, s);
    };
  }
}

}  // namespace wengert::sde
