// Stages: the schedule of a graph, as the last act of compile().
#pragma once
#include "autodiff/plan.hpp"
#include "autodiff/plan/passes.hpp"
#include "autodiff/plan/schedule.hpp"

namespace wengert::plan {

// Of a plan, or of a loop's body: the bits of a body are those of an eager tape whatever loop it is in, and nothing of
// it lasts from run to run (lasting.hpp).
enum class Of { plan, body };

Schedule make_schedule(const Graph& graph, const CompileOptions& options, Of of);

// The graph after all passes that keep at least `keeps`; `applied` gets what each of them did.
Graph rewritten(Graph graph, const CompileOptions& options, Keeps keeps,
                std::vector<Plan::PassInfo>* applied = nullptr);

// The schedule of the graph after these.
Schedule compile_graph(Graph graph, const CompileOptions& options, Of of);

}  // namespace wengert::plan
