// AdaptiveIntegrator: an embedded method on an equation, with steps chosen so that the estimated error stays within a
// tolerance.
//
//   AdaptiveIntegrator flow(DormandPrince{}, probability_flow(vp, score), {.rtol = 1e-6, .atol = 1e-6});
//   Solution end = flow.run(x, 1e-3, 1);
//   end.statistics.evaluations;
//
// The state is one system: the control of the step looks at all of its rows, in all of its arrays.
#pragma once
#include <concepts>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sde/dormand_prince.hpp"
#include "sde/plans.hpp"
#include "sde/solution.hpp"
#include "sde/step_control.hpp"

namespace wengert::sde {

template <class M>
concept AdaptiveMethod = requires(const M& method, const Ode& f, const State& y, Var t) {
  { method.name } -> std::convertible_to<std::string>;
  { method.evaluations() } -> std::convertible_to<Index>;
  { method.error_order } -> std::convertible_to<double>;
  { method.attempt(f, y, y, t, t) } -> std::same_as<Trial>;
};

struct AdaptiveRunOptions {
  std::vector<Array> fixed{};  // what the state takes along
  Observer observe{};          // after accepted steps
};

class AdaptiveIntegrator {
 public:
  // Throws Error where an option is of no use.
  template <AdaptiveMethod M>
  AdaptiveIntegrator(M method, Ode equation, const AdaptiveOptions& options = {}, Where where = Where::current())
      : AdaptiveIntegrator({method.name, where}, method.evaluations(), method.error_order, equation, options,
                           [=](const State& y, const State& slope, Var t, Var h) {
                             return method.attempt(equation, y, slope, t, h);
                           }) {}

  // The state at time `to` from that at `from`, in either direction; f32 or f64, the dtype of all computing but the
  // choice of steps. Where the end is not reached, the last state that was accepted. Throws Error where arrays do not
  // fit each other or the equation, or the times are equal.
  Solution run(std::vector<Array> state, double from, double to, const AdaptiveRunOptions& options = {},
               Where where = Where::current());
  Solution run(const Array& x, double from, double to, const AdaptiveRunOptions& options = {},
               Where where = Where::current()) {
    return run(std::vector<Array>{x}, from, to, options, where);
  }

  // What a step does for states of the types that were met last, and where its time goes (Plan).
  std::string explain() const;
  std::string profile() const;

 private:
  using Attempt = std::function<Trial(const State& y, const State& slope, Var t, Var h)>;
  AdaptiveIntegrator(const Owner& name, Index evaluations, double error_order, Ode equation,
                     const AdaptiveOptions& options, Attempt attempt);

  struct Plans {
    Plan slope, change, step;
  };
  class Run;
  using Record = std::vector<Var> (AdaptiveIntegrator::*)(std::span<const Var> inputs, std::size_t parts) const;
  Plans& compiled(std::span<const Array> state, std::span<const Array> fixed);
  std::vector<Var> record_slope(std::span<const Var> inputs, std::size_t parts) const;
  std::vector<Var> record_change(std::span<const Var> inputs, std::size_t parts) const;
  std::vector<Var> record_step(std::span<const Var> inputs, std::size_t parts) const;

  std::string name_;
  Index evaluations_;
  double error_order_;
  Ode equation_;
  AdaptiveOptions options_;
  Attempt attempt_;
  ByTypes<Plans> plans_{};
};

}  // namespace wengert::sde
