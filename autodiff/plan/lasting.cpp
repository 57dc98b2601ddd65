#include "autodiff/plan/lasting.hpp"

#include <algorithm>
#include <set>

namespace wengert::plan {

std::vector<bool> of_parameters_alone(const Graph& graph, const RowPlan& rows) {
  std::vector<bool> alone(graph.nodes.size(), false), is_output(graph.nodes.size(), false);
  for (Id output : graph.outputs) is_output[output] = true;
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    const Value& value = graph.nodes[id];
    if (value.is_leaf() || value.op->is_local() || is_output[id] || rows.part[id] != Part::whole) continue;
    alone[id] = std::all_of(value.operands.begin(), value.operands.end(), [&](Id operand) {
      return alone[operand] || graph.nodes[operand].parameter || graph.nodes[operand].constant;
    });
  }
  return alone;
}

void find_lasting(const Graph& graph, const RowPlan& rows, std::vector<FusionGroup>& groups) {
  const std::vector<bool> alone = of_parameters_alone(graph, rows);
  std::vector<const FusionGroup*> group_of(graph.nodes.size(), nullptr);
  for (FusionGroup& group : groups) {
    std::set<const std::uint64_t*> sources;
    bool lasts = true;
    for (Id member : group.members) group_of[member] = &group;
    for (Id member : group.members) {
      lasts = lasts && alone[member];
      for (Id operand : graph.nodes[member].operands) {
        const FusionGroup* from = group_of[operand];
        if (from == &group) continue;
        if (const auto& parameter = graph.nodes[operand].parameter) sources.insert(parameter->version);
        if (from != nullptr && from->sources) sources.insert(from->sources->begin(), from->sources->end());
        lasts = lasts && (from == nullptr || from->sources);
      }
    }
    if (lasts) group.sources.emplace(sources.begin(), sources.end());
  }
}

LastingSteps::LastingSteps(Steps& steps) : steps_(steps) {
  for (const auto& step : steps) seen_.emplace_back(step->sources.size(), 0);
}

void LastingSteps::look() {
  any_due_ = false;
  microseconds_due_ = 0;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    Step& step = *steps_[i];
    step.due = !computed_;
    for (std::size_t s = 0; s < step.sources.size(); ++s) {
      step.due = step.due || seen_[i][s] != *step.sources[s];
      seen_[i][s] = *step.sources[s];
    }
    any_due_ = any_due_ || step.due;
    if (step.due) microseconds_due_ += step.microseconds;
  }
  computed_ = true;
}

}  // namespace wengert::plan
