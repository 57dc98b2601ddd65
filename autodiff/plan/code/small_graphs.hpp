// Small graphs: which nodes of a graph become machine code on their elements, one by one or, where these are
// neighbours, in vector registers. A step costs tens of ns beside its work, which is more than a few operations on
// numbers take; code has none between them, and neither has a loop between its rounds.
#pragma once
#include "autodiff/plan/code/machine_code.hpp"
#include "autodiff/plan/fusion.hpp"

namespace wengert::plan::code {

// The code of all nodes that are computed. Null where a value is too large, where the rows of a batch are told apart,
// or where the processor is not one that assemble() serves.
std::shared_ptr<const MachineCode> machine_code_of(const Graph& graph);
std::vector<Id> computed_nodes(const Graph& graph);

// Gives code to loops over small values, in a graph that has others.
void give_loops_code(const Graph& graph, const RowPlan& rows, std::vector<FusionGroup>& groups);

}  // namespace wengert::plan::code
