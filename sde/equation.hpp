// Equations that solvers integrate. They are recorded once on a symbolic tape, for one time t [1,1] shared by all rows,
// and then replayed: what they capture is frozen, but for parameters, which are read as they are at each step.
// Functions are kept by copy; a network that is trained further goes in by std::ref or a lambda that captures it by
// reference.
#pragma once
#include <functional>
#include <type_traits>
#include <utility>

#include "sde/process.hpp"
#include "sde/state.hpp"

namespace wengert::sde {

// dy/dt = f(y, t). Written for one array as f(Var x, Var t) -> Var, or as f(const State& y, Var t) -> State.
class Ode {
 public:
  template <class F>
  requires std::is_invocable_r_v<Var, const F&, Var, Var> Ode(F f)
      : f_([f = std::move(f)](const State& y, Var t) { return State(f(y[0], t)); }) {}
  template <class F>
  requires(!std::is_invocable_r_v<Var, const F&, Var, Var>) &&
      std::is_invocable_r_v<State, const F&, const State&, Var> Ode(F f) : f_(std::move(f)) {}

  State operator()(const State& y, Var t) const { return f_(y, t); }

 private:
  std::function<State(const State& y, Var t)> f_;
};

// A value for each row, or one that stretches to it: written as f(Var x, Var t) -> Var, or as f(const State& y, Var t)
// -> Var where it reads what the state takes along (a condition).
class Field {
 public:
  template <class F>
  requires std::is_invocable_r_v<Var, const F&, const State&, Var> Field(F f) : f_(std::move(f)) {}
  template <class F>
  requires(!std::is_invocable_r_v<Var, const F&, const State&, Var>) &&
      std::is_invocable_r_v<Var, const F&, Var, Var> Field(F f)
      : f_([f = std::move(f)](const State& y, Var t) { return f(y[0], t); }) {}

  Var operator()(const State& y, Var t) const { return f_(y, t); }

 private:
  std::function<Var(const State& y, Var t)> f_;
};

// dx = drift dt + diffusion dW in Ito's sense: x, drift and dW are [B,d], the diffusion [B,d] or what stretches to it.
struct Sde {
  Field drift, diffusion;
};

// The equation of a process itself.
template <Process P>
Sde forward(const P& process) {
  return {[process](const State& y, Var t) { return process.drift(y[0], t); },
          [process](const State&, Var t) { return process.diffusion(t); }};
}

// A process that runs back in time, and its score.
struct ReverseSde : Sde {
  Field score;
};

// dx = (f - g^2 score) dt + g dW with t falling (Anderson, "Reverse-time diffusion equation models", 1982).
template <Process P>
ReverseSde reverse(const P& process, Field score) {
  const auto drift = [process, score](const State& y, Var t) {
    return process.drift(y[0], t) - square(process.diffusion(t)) * score(y, t);
  };
  return {{drift, forward(process).diffusion}, std::move(score)};
}

// dx/dt = f - g^2 score / 2: the ordinary equation with the same law at every time (Song et al., "Score-based
// generative modeling through stochastic differential equations", ICLR 2021).
template <Process P>
Ode probability_flow(const P& process, Field score) {
  return [process, score = std::move(score)](const State& y, Var t) -> State {
    return y.with({process.drift(y[0], t) - 0.5 * square(process.diffusion(t)) * score(y, t)});
  };
}

// A score that computes in `dtype` on behalf of a state of another: a network in f32 within an integration in f64.
template <class Score>
auto in_dtype(Dtype dtype, Score score) {
  return [dtype, score = std::move(score)](Var x, Var t) -> Var {
    return cast(score(cast(x, dtype), cast(t, dtype)), x.dtype());
  };
}

}  // namespace wengert::sde
