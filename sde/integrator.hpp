// Integrator: a method with a fixed grid on an equation, one step of it compiled and replayed.
//
//   Integrator flow(Heun{}, probability_flow(vp, score));
//   Array x = flow.run(x_T, Grid::uniform(1, 1e-3, 100)).require().x();
//
//   Integrator sampler(EulerMaruyama{}, reverse(vp, score));
//   Array x = sampler.run(x_T, Grid::uniform(1, 0, 1000), {.noise = Noise::drawn(seed)}).require().x();
//
// A step is compiled at the first run with a state of some shape; the next runs replay it. The state has the same bits
// for any number of threads and, where the equation keeps rows apart, for any split of the rows.
#pragma once
#include <concepts>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sde/equation.hpp"
#include "sde/grid.hpp"
#include "sde/noise.hpp"
#include "sde/plans.hpp"
#include "sde/solution.hpp"
#include "sde/step.hpp"

namespace wengert::sde {

// A method: a name, how often a step evaluates the equation, how many random numbers it takes for an entry of the
// state, and the step itself, recorded in ops. One with options has check() too, which throws Error naming one that
// cannot be.
template <class M, class Equation>
concept Method = requires(const M& method, const Equation& equation, const State& y, Step& step) {
  { method.name } -> std::convertible_to<std::string>;
  { method.evaluations() } -> std::convertible_to<Index>;
  { method.draws() } -> std::convertible_to<Index>;
  { method.advance(equation, y, step) } -> std::same_as<State>;
};

struct RunOptions {
  Noise noise{};               // for methods that draw; Error where there is none
  std::vector<Array> fixed{};  // what the state takes along
  Observer observe{};
  bool last_mean = false;  // the last step without noise: the mean of what is reached
};

class Integrator {
 public:
  // Throws Error where an option of the method cannot be.
  template <class Equation, Method<Equation> M>
  Integrator(M method, Equation equation)
      : Integrator(checked(method).name, method.evaluations(), method.draws(), std::is_base_of_v<ReverseSde, Equation>,
                   [method, equation = std::move(equation)](const State& y, Step& step) {
                     return method.advance(equation, y, step);
                   }) {}

  // The state at the grid's last time from that at its first. f32 or f64, the dtype of all computing. A value that is
  // not finite ends the run; what was reached before is kept. Throws Error where arrays do not fit each other or the
  // equation, the noise does not fit the state, or a reverse equation is to go along a rising grid.
  Solution run(std::vector<Array> state, const Grid& grid, const RunOptions& options = {},
               Where where = Where::current());
  Solution run(const Array& x, const Grid& grid, const RunOptions& options = {}, Where where = Where::current()) {
    return run(std::vector<Array>{x}, grid, options, where);
  }

  // What a step does for states of the types that were met last, and where its time goes (Plan).
  std::string explain() const;
  std::string profile() const;

 private:
  using Advance = std::function<State(const State& y, Step& step)>;
  Integrator(std::string name, Index evaluations, Index draws, bool falls, Advance advance)
      : name_(std::move(name)), evaluations_(evaluations), draws_(draws), falls_(falls), advance_(std::move(advance)) {}

  template <class M>
  static const M& checked(const M& method) {
    if constexpr (requires { method.check(); }) method.check();
    return method;
  }
  void check(const Owner& owner, std::span<const Array> state, const Grid& grid, const Noise& noise) const;
  PlanFunction step_of(std::span<const Array> state, const RunOptions& options) const;
  Plan& compiled(std::span<const Array> state, const RunOptions& options);
  std::vector<Var> record(std::span<const Var> inputs, std::size_t parts, std::size_t fixed, bool drawn) const;

  std::string name_;
  Index evaluations_, draws_;
  bool falls_;  // along falling times alone
  Advance advance_;
  ByTypes<Plan> plans_{};
};

}  // namespace wengert::sde
