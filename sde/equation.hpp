// Equations that solvers integrate. They are recorded once on a symbolic tape, for one time t [1,1] shared by all rows,
// and then replayed: what they capture is frozen, but for parameters, which are read as they are at each step.
// Functions are kept by copy; a network that is trained further goes in by std::ref or a lambda that captures it by
// reference.
#pragma once
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "sde/checks.hpp"
#include "sde/method.hpp"
#include "sde/process.hpp"
#include "sde/state.hpp"

namespace wengert::sde {

// dy/dt = f(y, t). Written for one array as f(Var x, Var t) -> Var, or as f(const State& y, Var t) -> State. Throws
// Error for an empty function, and where it gives other types than the state's: what is only broadcast is no derivative
// of it.
class Ode {
 public:
  template <class F>
  requires std::is_invocable_r_v<Var, const F&, Var, Var> Ode(F f) {
    check_function(is_empty(f), "ode", "the equation");
    f_ = [f = std::move(f)](const State& y, Var t) { return State(f(y[0], t)); };
  }
  template <class F>
  requires(!std::is_invocable_r_v<Var, const F&, Var, Var>) &&
      std::is_invocable_r_v<State, const F&, const State&, Var> Ode(F f) {
    check_function(is_empty(f), "ode", "the equation");
    f_ = std::move(f);
  }

  State operator()(const State& y, Var t) const;

 private:
  std::function<State(const State& y, Var t)> f_;
};

// A function with a value for each row. Written as f(Var x, Var t) -> Var, or as f(const State& y, Var t) -> Var where
// it reads fixed arrays of the state (a condition).
class Field {
 public:
  template <class F>
  requires std::is_invocable_r_v<Var, const F&, const State&, Var> Field(F f) {
    if (!is_empty(f)) f_ = std::move(f);
  }
  template <class F>
  requires(!std::is_invocable_r_v<Var, const F&, const State&, Var>) &&
      std::is_invocable_r_v<Var, const F&, Var, Var> Field(F f) {
    if (!is_empty(f)) f_ = [f = std::move(f)](const State& y, Var t) { return f(y[0], t); };
  }

  // Itself as a part of an equation. Calls throw Error unless the value has the state's type; a diffusion may also have
  // one number for each row, as times have. Throws Error for an empty function.
  enum class Part { drift, diffusion, score };
  Field as(Part part) const;

  Var operator()(const State& y, Var t) const;

 private:
  std::function<Var(const State& y, Var t)> f_{};
  std::optional<Part> part_{};
};

// dx = drift dt + diffusion dW in Ito's sense: x, drift and dW are [B,d], the diffusion [B,d], [B,1] or [1,1].
struct Sde {
  Sde(const Field& f, const Field& g) : drift(f.as(Field::Part::drift)), diffusion(g.as(Field::Part::diffusion)) {}
  Field drift, diffusion;
};

// The equation of a process itself.
template <Process P>
Sde forward(const P& process) {
  check_process(process);
  return {[process](const State& y, Var t) { return process.drift(y[0], t); },
          [process](const State&, Var t) { return process.diffusion(t); }};
}

// A process that runs back in time, and its score.
struct ReverseSde : Sde {
  static constexpr Direction direction = Direction::decreasing;
  ReverseSde(const Sde& equation, const Field& s) : Sde(equation), score(s.as(Field::Part::score)) {}
  Field score;
};

// dx = (f - g^2 score) dt + g dW with t decreasing (Anderson, "Reverse-time diffusion equation models", 1982).
template <Process P>
ReverseSde reverse(const P& process, const Field& score) {
  const Sde ahead = forward(process);
  const auto drift = [ahead, s = score.as(Field::Part::score)](const State& y, Var t) {
    return ahead.drift(y, t) - square(ahead.diffusion(y, t)) * s(y, t);
  };
  return {{drift, ahead.diffusion}, score};
}

// dx/dt = f - g^2 score / 2: the ODE with the same distribution at every time (Song et al., "Score-based
// generative modeling through stochastic differential equations", ICLR 2021).
template <Process P>
Ode probability_flow(const P& process, const Field& score) {
  return [ahead = forward(process), s = score.as(Field::Part::score)](const State& y, Var t) -> State {
    return y.with({ahead.drift(y, t) - 0.5 * square(ahead.diffusion(y, t)) * s(y, t)});
  };
}

// A score that computes in `dtype` on behalf of a state of another: a network in f32 within an integration in f64.
// Fixed arrays of the state are handed to it in `dtype` too, unless they are i32 (labels, say).
Field in_dtype(Dtype dtype, const Field& score);

}  // namespace wengert::sde
