// Stages: the schedule of a graph, as the last act of compile().
#pragma once
#include "autodiff/plan.hpp"
#include "autodiff/plan/passes.hpp"
#include "autodiff/plan/schedule.hpp"

namespace wengert::plan {

Schedule make_schedule(const Graph& graph, const CompileOptions& options);

// The same after all passes that keep at least `keeps`.
Schedule compile_graph(Graph graph, const CompileOptions& options, Keeps keeps);

}  // namespace wengert::plan
