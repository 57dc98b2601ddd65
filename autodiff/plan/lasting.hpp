// Lasting values: what a plan computes of parameters and constants alone is as true in the next run as in this one,
// until a parameter has changed. Layers folded into one, a weight transposed, a covariance factorised: a sampler
// computes them once, and a training step anew only where they come from what it trains.
#pragma once
#include <cstdint>
#include <vector>

#include "autodiff/plan/fusion.hpp"
#include "autodiff/plan/step.hpp"

namespace wengert::plan {

// A flag for each node: whether it is whole, and computed of parameters and constants alone, by ops that are no local
// ones (these may do anything). Outputs are not: where they lie may change from run to run.
std::vector<bool> of_parameters_alone(const Graph& graph, const RowPlan& rows);

// Finds the groups whose values last, those all of whose nodes are of_parameters_alone(), and sets their `sources`.
void find_lasting(const Graph& graph, const RowPlan& rows, std::vector<FusionGroup>& groups);

// Which of the lasting steps a run has to compute: Step::due.
class LastingSteps {
 public:
  explicit LastingSteps(Steps& steps);

  // Before a run: finds what has changed since they were computed. At the first one all are due.
  void look();
  // After a run that failed: none was computed.
  void forget() { computed_ = false; }
  double microseconds_due() const { return microseconds_due_; }
  bool any_due() const { return any_due_; }

 private:
  Steps& steps_;
  std::vector<std::vector<std::uint64_t>> seen_;  // versions of the sources of each step
  double microseconds_due_ = 0;
  bool any_due_ = false, computed_ = false;
};

}  // namespace wengert::plan
