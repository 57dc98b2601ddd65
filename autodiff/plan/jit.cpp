#include "autodiff/jit.hpp"

#include <algorithm>

#include "autodiff/error.hpp"

namespace wengert {

Jit::Jit(PlanFunction f, const CompileOptions& options, std::optional<Dtype> dtype)
    : f_(std::move(f)), options_(options), dtype_(dtype) {
  if (!f_) throw Error("[jit] got an empty function");
}

Plan& Jit::plan_for(std::span<const PlanInput> inputs) & {
  if (!f_) throw Error("[jit] this Jit was moved from");
  for (auto& [types, plan] : plans_)
    if (std::equal(types.begin(), types.end(), inputs.begin(), inputs.end(),
                   [](const Type& type, const PlanInput& input) { return type == input.type; }))
      return plan;
  std::vector<Type> types;
  for (const PlanInput& input : inputs) types.push_back(input.type);
  Plan plan = compile(f_, std::span<const Type>(types), options_, dtype_);
  plans_.emplace_back(std::move(types), std::move(plan));
  return plans_.back().second;
}

}  // namespace wengert
