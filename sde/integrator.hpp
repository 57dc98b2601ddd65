// Integrator: a method on an equation, a step of which is compiled and replayed along a grid, or by steps that keep a
// tolerance.
//
//   Integrator flow(DormandPrince{}, probability_flow(vp, score));
//   Array x = flow.run(x_T, Grid::uniform(1, 1e-3, 100)).require().x();
//   Solution end = flow.run(x, Tolerance{.from = 1e-3, .to = 1, .rtol = 1e-6, .atol = 1e-6});
//   end.statistics.evaluations;
//
//   Integrator sampler(EulerMaruyama{}, reverse(vp, score));
//   Array x = sampler.run(x_T, Grid::uniform(1, 0, 1000), {.noise = Noise::drawn(seed)}).require().x();
//
// A step is compiled at the first run with a state of some shape; the next runs replay it. The state has the same bits
// for any number of threads and, on a grid and where the equation keeps rows apart, for any split of the rows. Along a
// Tolerance the state is one system: the control of the step looks at all of its rows, in all of its arrays.
#pragma once
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "sde/equation.hpp"
#include "sde/grid.hpp"
#include "sde/method.hpp"
#include "sde/noise.hpp"
#include "sde/solution.hpp"
#include "sde/stepper_plans.hpp"
#include "sde/tolerance.hpp"

namespace wengert::sde {

struct RunOptions {
  Noise noise{};               // for methods that draw; Error where there is none
  std::vector<Array> fixed{};  // arrays that come along unchanged
  Observer observe{};          // after accepted steps
  bool denoise_last = false;   // the last step of a grid without noise: the mean of what is reached

  // Times whose states Solution::saved is to hold, in the order of the run. Other times than those of a grid need a
  // method with dense output; steps and states stay what they are.
  std::vector<double> save_at{};
};

using Times = std::variant<Grid, Tolerance>;

class Integrator {
 public:
  // Throws Error where an option of the method cannot be.
  template <class Equation, Method<Equation> M>
  Integrator(const M& method, const Equation& equation) : stepper_(std::make_unique<Stepper>(method, equation)) {}

  // The state at the last time from that at the first. f32 or f64, the dtype of all computing but the choice of steps.
  // The solution says why the end is not reached, as on a value that is not finite, and holds the last state that
  // was accepted. Throws Error where arrays do not fit each other or the equation, the noise does not fit the state,
  // times run against the direction of the equation or the method, or a tolerance is given to a method that draws or
  // has no estimate of its error.
  Solution run(std::vector<Array> state, const Times& times, const RunOptions& options = {},
               Where where = Where::current());
  Solution run(const Array& x, const Times& times, const RunOptions& options = {}, Where where = Where::current()) {
    return run(std::vector<Array>{x}, times, options, where);
  }

  // Plan::explain() and Plan::profile() of a step, for states of the types of the last run.
  std::string explain() const { return last().step().explain(); }
  std::string profile() const { return last().profile_step(); }

 private:
  StepperPlans& compiled(std::span<const Array> state, const Times& times, const RunOptions& options);
  StepperPlans& last() const;

  std::unique_ptr<const Stepper> stepper_;
  std::vector<std::unique_ptr<StepperPlans>> plans_{};
  std::size_t last_ = 0;  // those of the last run
};

}  // namespace wengert::sde
