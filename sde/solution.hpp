// Solution: the state that a solver reached, and its cost.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "autodiff/array.hpp"
#include "sde/checks.hpp"

namespace wengert::sde {

enum class Outcome {
  reached,         // the end
  not_finite,      // the equation gave NaN or an infinity
  step_too_small,  // a step that meets the tolerance is below the resolution of t
  too_many_steps
};
const char* name_of(Outcome outcome);  // "reached", ...

struct Statistics {
  Index evaluations = 0;  // of the equation: of the drift, or of the score
  Index accepted = 0, rejected = 0;
};

struct Solution {
  std::vector<Array> state{};  // the last accepted one
  double t = 0;                // its time
  Outcome outcome = Outcome::reached;
  std::string message{};  // where the end was not reached: names solver, time, step, op and the state's range
  Statistics statistics{};
  std::vector<double> times{};              // of the accepted steps' ends
  std::vector<std::vector<Array>> saved{};  // the states at RunOptions::save_at, as far as they were reached

  // The first array of the state. Throws Error where there is none: this was moved from.
  const Array& x() const&;
  Array x() &&;
  // Itself. Throws Error with the message unless the end was reached.
  const Solution& require() const&;
  Solution require() &&;
};

// Called after each step with the number of steps taken, the time reached and the state, which holds during the call.
using Observer = std::function<void(Index step, double t, std::span<const Array> state)>;

// For solvers.
bool is_finite(const Array& array);
// "[heun] step 12 from t = 0.4: ...; the state lies in [-2.1, 3]  (ring.cpp:41)"
std::string describe_failure(const Owner& solver, const Solution& solution, std::string_view what);

}  // namespace wengert::sde
