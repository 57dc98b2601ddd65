#include "autodiff/plan/lowering.hpp"

namespace wengert::plan {
namespace {

// The most special first.
constexpr StepMaker* kinds[] = {code_step,    loop_step,  sum_over_rows_step, product_over_rows_step,
                                product_step, fused_step, moving_step,        op_step};

}  // namespace

std::unique_ptr<Step> make_step(const Lowering& lowering, const FusionGroup& group, Index count) {
  for (StepMaker* make : kinds)
    if (auto step = make(lowering, group, count)) {
      step->nodes = group.members;
      if (group.sources) step->sources = *group.sources;
      return step;
    }
  throw Error("[compile] no kind of step serves " + lowering.graph.nodes[group.first()].op->name());
}

Operand Lowering::operand(Id id, int axis, Index count) const {
  const Type& type = graph.nodes[id].type;
  Operand result{placement.of(id), with_rows(type, axis, count), axis};
  if (axis != 0 && result.address.memory != Address::Memory::local)
    result.address.row_bytes = type.bytes() / static_cast<std::size_t>(rows.extent);
  return result;
}

Operand Lowering::read(Id reader, std::size_t which, Index count) const {
  const Id id = graph.nodes[reader].operands[which];
  if (rows.part[reader] == Part::whole) return operand(id, 0, count);
  if (rows.axis[id] != 0) return operand(id, rows.axis[id], count);
  if (rows.part[reader] == Part::rows && rows.sliced(graph, reader, which))
    for (Id other : graph.nodes[reader].operands)
      if (rows.axis[other] != 0) return operand(id, rows.axis[other], count);
  return operand(id, 0, count);
}

Operand Lowering::written(Id id, Index count) const {
  return operand(id, rows.part[id] == Part::rows ? rows.axis[id] : 0, count);
}

}  // namespace wengert::plan
