// Stages: the schedule of a graph, as the last act of compile().
#pragma once
#include "autodiff/plan.hpp"
#include "autodiff/plan/schedule.hpp"

namespace wengert::plan {

Schedule make_schedule(const Graph& graph, const CompileOptions& options);

}  // namespace wengert::plan
