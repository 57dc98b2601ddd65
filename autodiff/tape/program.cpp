#include "autodiff/tape/program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "autodiff/ops.hpp"
#include "autodiff/ops/sources.hpp"

namespace wengert {

Program::Program(const Tape& tape, std::uint32_t begin, std::span<const Var> outputs, std::span<const Var> first) {
  std::vector<std::uint32_t> last;
  for (Var output : outputs) last.push_back(tape.index_of(output, Where::current()));
  const std::vector<bool> needed = tape.needed_by(last, begin);

  std::unordered_map<std::uint32_t, Source> sources;
  const auto source_of = [&](std::uint32_t index) {
    const auto known = sources.find(index);
    if (known != sources.end()) return known->second;
    const Source source{true, captured_.size()};
    captured_.push_back({tape.var(index), nullptr, tape.node(index).type});
    return sources.emplace(index, source).first->second;
  };
  for (Var var : first) source_of(tape.index_of(var, Where::current()));
  for (std::uint32_t i = begin; i - begin < needed.size(); ++i) {
    const Node& node = tape.node(i);
    if (!needed[i - begin]) continue;
    if (node.op == &parameter_op()) {
      captured_[source_of(i).index].leaf = std::make_shared<Tape::Borrowing>(tape.borrowing(i));
      continue;
    }
    Step step{node.op,   node.op->weak_from_this().lock(), *node.attributes, node.type, {}, nullptr, node.where,
              node.scope};
    for (std::uint32_t operand : tape.operands(node)) step.operands.push_back(source_of(operand));
    if (node.op->is_leaf() && tape.has_values(i)) step.value = std::make_shared<Array>(tape.constant(i));
    sources.emplace(i, Source{false, steps_.size()});
    steps_.push_back(std::move(step));
  }
  for (std::uint32_t output : last) outputs_.push_back(source_of(output));
}

std::vector<Var> Program::recorded() const {
  std::vector<Var> vars;
  for (const Captured& c : captured_) vars.push_back(c.var);
  return vars;
}

std::vector<Var> Program::captured(Tape& tape, std::size_t from) const {
  std::vector<Var> vars;
  for (std::size_t i = from; i < captured_.size(); ++i)
    vars.push_back(captured_[i].leaf ? tape.borrow(*captured_[i].leaf) : captured_[i].var);
  return vars;
}

std::vector<Var> Program::replay(Tape& tape, std::span<const Var> captured) const {
  return replay_batched(tape, captured, std::vector<bool>(captured.size())).outputs;
}

Program::Replayed Program::replay_batched(Tape& tape, std::span<const Var> captured,
                                          const std::vector<bool>& batched) const {
  std::vector<Var> vars;
  std::vector<bool> carries;
  const auto var_of = [&](const Source& s) { return s.outside ? captured[s.index] : vars[s.index]; };
  const auto is_batched = [&](const Source& s) { return s.outside ? batched[s.index] : carries[s.index]; };
  for (const Step& step : steps_) {
    const Scope scope(tape, step.scope);
    if (step.op->is_leaf()) {
      vars.push_back(step.value ? tape.input(*step.value, "", step.where) : tape.input(step.type, "", step.where));
      carries.push_back(false);
      continue;
    }
    bool any = false;
    for (const Source& source : step.operands) any = any || is_batched(source);
    std::vector<Var> inputs;
    std::vector<bool> flags;
    Index count = 0;
    for (const Source& source : step.operands) {
      inputs.push_back(var_of(source));
      flags.push_back(is_batched(source));
      if (flags.back()) count = inputs.back().extent(0);
    }
    if (any) {
      vars.push_back(step.op->batched({tape, *step.op, inputs, flags, count, step.attributes, step.type, step.where}));
    } else {
      std::vector<Operand> operands;
      for (Var input : inputs) operands.emplace_back(input, step.where);
      vars.push_back(tape.record(*step.op, operands, step.attributes, step.where));
    }
    carries.push_back(any);
  }
  Replayed result;
  for (const Source& output : outputs_) {
    result.outputs.push_back(var_of(output));
    result.batched.push_back(is_batched(output));
  }
  return result;
}

std::vector<bool> Program::depend(const std::vector<bool>& captured, By by) const {
  std::vector<bool> steps;
  const auto depends = [&](const Source& s) { return s.outside ? captured[s.index] : steps[s.index]; };
  for (const Step& step : steps_) {
    const bool passes = by == By::value || (step.op->linearity() != Linearity::none && is_float(step.type.dtype));
    steps.push_back(passes && std::any_of(step.operands.begin(), step.operands.end(), depends));
  }
  std::vector<bool> outputs;
  for (const Source& output : outputs_) outputs.push_back(depends(output));
  return outputs;
}

Rows Program::rows(std::size_t captured, int axis) const {
  std::vector<int> at(steps_.size(), 0);  // the axis of the rows; 0: none
  const auto axis_of = [&](const Source& s) { return s.outside ? (s.index == captured ? axis : 0) : at[s.index]; };
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    std::vector<const Type*> types;
    std::vector<int> axes;
    for (const Source& source : steps_[i].operands) types.push_back(&type_of(source));
    for (const Source& source : steps_[i].operands) axes.push_back(axis_of(source));
    const Rows rows = rows_through(*steps_[i].op, {types, steps_[i].attributes}, steps_[i].type, axes);
    if (!rows.kept()) return {RowRule::mixes, 0};
    at[i] = rows.axis;
  }
  const int result = axis_of(outputs_[0]);
  return result == 0 ? Rows{RowRule::reduces, 0} : Rows{RowRule::keeps, result};
}

}  // namespace wengert
