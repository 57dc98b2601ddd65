#include "autodiff/loops/tangent_step.hpp"

#include <algorithm>

#include "autodiff/derivatives/forward.hpp"
#include "autodiff/loops/lists.hpp"
#include "autodiff/ops.hpp"

namespace wengert {

TangentStep::TangentStep(Tape& tape, const LoopBody& body, std::span<const Var> operands, std::span<const Var> tangents,
                         Where where)
    : tape_(tape), body_(body), operands_(operands), tangents_(tangents), where_(where) {
  std::vector<bool> has(body.graph.inputs.size());
  for (std::size_t i = 0; i < tangents.size(); ++i) {
    has[i] = !tangents[i].is_null();
    if (has[i]) count_ = std::max(count_, tangents[i].extent(0));
  }
  const std::vector<bool> active = body.reached(has, Program::By::derivative);
  const std::vector<bool> outputs = body.program.depend(active, Program::By::derivative);
  for (std::size_t i = 0; i < body.carry + body.xs; ++i)
    if (active[i]) (i < body.carry ? carries_ : xs_).push_back(i);
  for (std::size_t i = body.carry; i < body.outputs(); ++i)
    if (outputs[i]) kept_.push_back(i);
}

std::vector<Var> TangentStep::operator()(std::span<const Var> carry, std::span<const Var> xs) const {
  std::vector<Var> inputs(carry.begin(), carry.begin() + static_cast<std::ptrdiff_t>(body_.carry));
  inputs.insert(inputs.end(), xs.begin(), xs.begin() + static_cast<std::ptrdiff_t>(body_.xs));
  std::vector<std::uint32_t> nodes;
  std::vector<Var> stacks;
  const auto enter = [&](Var input, Var stack) {
    nodes.push_back(tape_.index_of(input, where_));
    stacks.push_back(stack);
  };
  for (std::size_t k = 0; k < carries_.size(); ++k) enter(inputs[carries_[k]], carry[body_.carry + k]);
  for (std::size_t k = 0; k < xs_.size(); ++k) enter(inputs[xs_[k]], xs[body_.xs + k]);
  for (std::size_t i = inputs.size(); i < operands_.size(); ++i) {
    const bool moves = !tangents_[i].is_null();
    inputs.push_back(moves ? identity({operands_[i], where_}) : operands_[i]);
    if (moves) enter(inputs.back(), tangents_[i]);
  }
  std::vector<Var> outputs = body_.program.replay(tape_, inputs), moving = chosen(outputs, carries_);
  for (std::size_t i : kept_) moving.push_back(outputs[i]);
  std::vector<std::uint32_t> ends;
  for (Var var : moving) ends.push_back(tape_.index_of(var, where_));
  const ForwardSweep sweep(tape_, nodes, stacks, ends);
  outputs.resize(body_.carry);
  for (std::uint32_t end : ends) outputs.push_back(sweep.full(end, count_));
  return outputs;
}

}  // namespace wengert
