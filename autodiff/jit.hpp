// jit: a function compiled anew for each combination of input types that it meets (the last, shorter batch of an
// epoch).
//
//   Jit f = jit([&](std::span<const Var> in) { return std::vector<Var>{net(in[0])}; });
//   const Array& y = f({x})[0];      // compiles for [500,2]; again for [123,2]
#pragma once
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "autodiff/plan.hpp"

namespace wengert {

// One that was moved from throws Error when it is called.
class Jit {
 public:
  // Throws Error where f is empty.
  Jit(PlanFunction f, const CompileOptions& options, std::optional<Dtype> dtype);

  // Runs the plan as Plan::run does: the outputs hold until the next call with inputs of these types. What f captures
  // lives as long as it.
  std::span<const Array> operator()(std::span<const PlanInput> inputs) & { return plan_for(inputs).run(inputs); }
  std::span<const Array> operator()(std::initializer_list<PlanInput> inputs = {}) & {
    return (*this)(std::span<const PlanInput>(inputs.begin(), inputs.size()));
  }
  // The plan for inputs of these types, compiled where there is none yet. It stays where it is as long as the Jit
  // lives, or the one that it is moved to.
  Plan& plan_for(std::span<const PlanInput> inputs) &;

  std::size_t plans() const { return plans_.size(); }

 private:
  PlanFunction f_;
  CompileOptions options_;
  std::optional<Dtype> dtype_;
  std::deque<std::pair<std::vector<Type>, Plan>> plans_;
};

inline Jit jit(PlanFunction f, const CompileOptions& options = {}, std::optional<Dtype> dtype = {}) {
  return {std::move(f), options, dtype};
}

}  // namespace wengert
