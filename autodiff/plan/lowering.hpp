// Lowering: from groups of nodes to steps. A kind of step is a class in one file of steps/, with a function that makes
// it for the groups it serves; it is declared below and entered in the list of lowering.cpp, its file in meson.build.
#pragma once
#include "autodiff/plan/placement.hpp"

namespace wengert::plan {

// The material of steps.
struct Lowering {
  const Graph& graph;
  const RowPlan& rows;
  const Liveness& liveness;
  const Placement& placement;

  // An operand of a node, and its result, as a step for `count` rows reads and writes them.
  Operand read(Id reader, std::size_t operand, Index count) const;
  Operand written(Id id, Index count) const;
  // A value whose rows lie along `axis`, in the same way; 0 where it is taken whole.
  Operand operand(Id id, int axis, Index count) const;
};

// The step of a group for `count` rows (of the whole batch, or of a range), by the first kind that serves it.
std::unique_ptr<Step> make_step(const Lowering& lowering, const FusionGroup& group, Index count);

// Each null where it does not serve the group.
using StepMaker = std::unique_ptr<Step>(const Lowering&, const FusionGroup&, Index count);
StepMaker code_step;               // machine code on the elements of small values
StepMaker loop_step;               // a loop
StepMaker sum_over_rows_step;      // partial sums over rows
StepMaker product_over_rows_step;  // a' b, summed over rows
StepMaker product_step;            // rows by a matrix, then elementwise ops
StepMaker fused_step;              // elementwise ops
StepMaker moving_step;             // what copies elements to other places
StepMaker op_step;                 // any op, by its own kernel

// Not of a group: the partial sums of a reduction added up, and an output copied.
std::unique_ptr<Step> combine_step(const Lowering& lowering, Id reduction);
std::unique_ptr<Step> copy_step(const Lowering& lowering, const Placement::Copy& copy);

}  // namespace wengert::plan
