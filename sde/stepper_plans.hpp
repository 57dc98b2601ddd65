// The plans of a Stepper for states of some types.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "autodiff/plan.hpp"
#include "sde/stepper.hpp"

namespace wengert::sde {

// Inputs of all plans: these numbers, [1,1] but for the state of a draw, tolerances in f64; then the arrays of the
// state, the fixed ones, and those of a plan of its own.
enum Input : std::size_t { input_t, input_end, input_h, input_noise, input_rtol, input_atol, input_draw, first_array };

// The key of a Stepper's plans.
struct PlanKey {
  std::size_t parts = 0;      // arrays of the state
  bool drawn = false;         // noise is drawn, not given
  bool adaptive = false;      // the error is wanted
  bool slope = false;         // the slope at the start is wanted
  bool dense = false;         // dense output is wanted
  bool memory = false;        // the form of the step that has one
  std::vector<Type> types{};  // of the numbers, the state, the fixed arrays
  std::vector<Type> noise{};  // of the noise given for a step

  bool operator==(const PlanKey&) const = default;
};

class StepperPlans {
 public:
  // Compiles the plans that every run needs. The stepper outlives this.
  StepperPlans(const Stepper& stepper, PlanKey key);

  const PlanKey& key() const { return key_; }
  std::span<const Type> memory() const { return memory_types_; }
  std::size_t degree() const { return degree_; }  // of the polynomial, 0 where the method has none

  // No further inputs. Outputs: the memory; with key().slope the slope and the sums of squares of state and slope
  // over the tolerance.
  std::optional<Plan>& start() { return start_; }  // none where there are no outputs
  // Further inputs: the slope. Output: the sum of squares of the slope's change over an Euler step of size h.
  Plan& change();
  // Further inputs: the memory, given noise. Outputs: the state, the memory, with key().dense the polynomial, with
  // key().adaptive the error's sum of squares.
  Plan& step() { return *step_; }
  // Further inputs: the polynomial. Output: its value, the state at `t` in [0, 1] of the step.
  Plan& interpolate();

  // The origin of a value that is not finite, of the start or the step on these inputs: "NaN or an infinity: [log] made
  // ...".
  std::string describe_start(std::span<const PlanInput> inputs);
  std::string describe_step(std::span<const PlanInput> inputs);
  std::string profile_step();

 private:
  using Vars = std::vector<Var>;
  Vars record_start(std::span<const Var> inputs);
  Vars record_change(std::span<const Var> inputs) const;
  Vars record_step(std::span<const Var> inputs);
  Vars record_interpolation(std::span<const Var> inputs) const;
  State state_of(std::span<const Var> inputs) const;
  Plan compiled(const PlanFunction& f, std::span<const Type> more) const;
  std::span<const Type> state_types() const { return std::span(key_.types).subspan(first_array, key_.parts); }
  Dtype dtype() const { return key_.types[first_array].dtype; }

  const Stepper& stepper_;
  PlanKey key_;
  std::vector<std::size_t> memory_sizes_{};  // arrays of each entry
  std::vector<Type> memory_types_{};
  std::size_t degree_ = 0;
  std::optional<Plan> start_{}, change_{}, step_{}, interpolate_{};
};

}  // namespace wengert::sde
