#include <fmt/format.h>

#include <algorithm>

#include "autodiff/derivatives/stacks.hpp"
#include "autodiff/loops/lists.hpp"
#include "autodiff/loops/loop_op.hpp"
#include "autodiff/loops/scan.hpp"
#include "autodiff/loops/tangent_step.hpp"
#include "autodiff/ops.hpp"

namespace wengert {
namespace {

using Vars = std::vector<Var>;

struct WhileBodies {
  RecordedBody condition, step;
};

std::vector<Type> first_types(const LoopBody& body, std::size_t count) {
  return {body.graph.inputs.begin(), body.graph.inputs.begin() + static_cast<std::ptrdiff_t>(count)};
}

// [B] or [B, 1, ...] for a carry of rank `rank` in each slice
Var beside(Operand condition, int rank) {
  return reshape(condition, Shape{condition.extent(0)}.followed_by(Shape().padded(rank)));
}

// a where the condition holds, else b, of any dtype
Var chosen_where(Operand condition, Operand a, Operand b) {
  const Dtype dtype = a.dtype(), wide = is_float(dtype) ? dtype : Dtype::f64;
  const auto cast_to = [](Operand x, Dtype to) { return x.dtype() == to ? x : Operand(cast(x, to), x.where()); };
  return cast_to({where(cast_to(condition, wide), cast_to(a, wide), cast_to(b, wide)), a.where()}, dtype).var();
}

// carry, constants of the condition, constants of the step -> the last carry, packed
class WhileLoop final : public LoopOp {
 public:
  explicit WhileLoop(const WhileBodies& bodies)
      : LoopOp("while_loop",
               static_cast<int>(bodies.condition.body->graph.inputs.size() + bodies.step.constants.size()),
               Packing(first_types(*bodies.step.body, bodies.step.body->carry))),
        condition_(bodies.condition.body),
        step_(bodies.step.body) {}

  std::unique_ptr<plan::LoopRun> make_run() const override {
    return plan::while_run(condition_->graph, step_->graph, step_->carry, packing());
  }
  LoopParts parts() const override { return {&condition_->graph, &step_->graph, step_->carry, 0, {}}; }
  void vjps(const Call& c, Var, std::span<Cotangent>) const override {
    throw Error(
        fmt::format("[while_loop] has no reverse mode: the carry of each of unknown many steps would be kept. scan has "
                    "one, for a number of steps that is known; forward mode passes through both  ({})",
                    c.tape().location_of(c.index())));
  }
  Var jvp(const Call& c, std::span<const Var> tangents) const override;
  Var batched(const Batch& b) const override;

 private:
  // What belongs to the step among the loop's operands: all but the condition's constants.
  template <class T>
  std::vector<T> of_step(const std::vector<T>& all) const {
    std::vector<T> mine(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(step_->carry));
    mine.insert(mine.end(), all.begin() + static_cast<std::ptrdiff_t>(condition_->graph.inputs.size()), all.end());
    return mine;
  }
  // The inputs of a body in a step: the carry, and constants from operand `first` on.
  template <class T>
  static std::vector<T> inputs(std::span<const T> carry, std::span<const T> operands, std::size_t first,
                               std::size_t count) {
    std::vector<T> all(carry.begin(), carry.end());
    all.insert(all.end(), operands.begin() + static_cast<std::ptrdiff_t>(first),
               operands.begin() + static_cast<std::ptrdiff_t>(first + count));
    return all;
  }

  std::shared_ptr<const LoopBody> condition_, step_;
};

Vars record_while(Tape& tape, const WhileBodies& bodies, std::span<const Var> carry, Where where) {
  std::vector<Operand> operands;
  for (std::span<const Var> vars :
       {carry, std::span<const Var>(bodies.condition.constants), std::span<const Var>(bodies.step.constants)})
    for (Var var : vars) operands.emplace_back(var, where);
  const auto op = std::make_shared<WhileLoop>(bodies);
  return op->packing().unpacked({record_local(tape, op, operands, where), where});
}

Var WhileLoop::jvp(const Call& c, std::span<const Var> tangents) const {
  Tape& tape = c.tape();
  const Where where = tape.node(c.index()).where;
  const Vars in = operands_of(c), mine = of_step(in), moving = of_step(Vars(tangents.begin(), tangents.end()));
  const TangentStep step(tape, *step_, mine, moving, where);
  if (!step.has_tangents()) return {};
  Vars carry(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(step_->carry));
  for (std::size_t i : step.carries()) carry.push_back(in_full({moving[i], where}, tape, mine[i].type(), step.count()));
  const auto condition = [&](std::span<const Var> now, std::span<const Var>) {
    return condition_->program.replay(tape,
                                      inputs<Var>(now.first(step_->carry), in, step_->carry, condition_->constants()));
  };
  const auto next = [&](std::span<const Var> now, std::span<const Var> x) { return step(now, x); };
  const Vars last = record_while(tape,
                                 {record_body(tape, types_of(carry), {}, condition, false, where),
                                  record_body(tape, types_of(carry), {}, next, false, where)},
                                 carry, where);
  Vars parts(step_->carry);
  for (std::size_t k = 0; k < step.carries().size(); ++k) parts[step.carries()[k]] = last[step_->carry + k];
  return packing().packed(tape, parts, step.count(), where);
}

// Where the condition differs between slices, steps are taken as long as it holds for any, and a slice for which it
// does not hold any more stays as it is.
Var WhileLoop::batched(const Batch& b) const {
  const std::size_t count = step_->carry, constants = condition_->constants();
  std::vector<bool> flags = step_->reached(of_step(b.batched), Program::By::value);
  flags.resize(count);
  const auto flags_of = [&](std::size_t first, std::size_t size) {
    std::vector<bool> all = flags;
    for (std::size_t i = first; i < first + size; ++i) all.push_back(b.batched[i]);
    return all;
  };
  const bool each = condition_->program.depend(flags_of(count, constants), Program::By::value)[0];
  if (each) flags.assign(count, true);
  Vars carry;
  for (std::size_t i = 0; i < count; ++i)
    carry.push_back(flags[i] ? with_slices({b.operands[i], b.where}, b.batched[i], b.count) : b.operands[i]);

  const auto holds = [&](std::span<const Var> now) {
    return condition_->program
        .replay_batched(b.tape, inputs<Var>(now, b.operands, count, constants), flags_of(count, constants))
        .outputs[0];
  };
  const auto condition = [&](std::span<const Var> now, std::span<const Var>) {
    return Vars{each ? any({holds(now), b.where}) : holds(now)};
  };
  const auto next = [&](std::span<const Var> now, std::span<const Var>) {
    const std::size_t first = count + constants;
    auto [outputs, batched] = step_->program.replay_batched(
        b.tape, inputs<Var>(now, b.operands, first, step_->constants()), flags_of(first, step_->constants()));
    for (std::size_t i = 0; i < count; ++i)
      if (flags[i]) outputs[i] = with_slices({outputs[i], b.where}, batched[i], b.count);
    if (!each) return outputs;
    const Operand running(holds(now), b.where);
    for (std::size_t i = 0; i < count; ++i)
      outputs[i] =
          chosen_where({beside(running, now[i].rank() - 1), b.where}, {outputs[i], b.where}, {now[i], b.where});
    return outputs;
  };
  const Vars last = record_while(b.tape,
                                 {record_body(b.tape, types_of(carry), {}, condition, false, b.where),
                                  record_body(b.tape, types_of(carry), {}, next, false, b.where)},
                                 carry, b.where);
  Vars parts;
  for (std::size_t i = 0; i < count; ++i) parts.push_back(with_slices({last[i], b.where}, flags[i], b.count));
  return packing().packed(b.tape, parts, b.count, b.where);
}

// With the number of the step as one more array of the carry, where a body reads it.
LoopStepFunction counting(const RecordedBody& body, Tape& tape, bool steps, Where where) {
  return [body, &tape, steps, where](std::span<const Var> carry, std::span<const Var>) {
    const std::span<const Var> number = carry.last(1);
    Vars result = replaying(body, tape)(carry.first(carry.size() - 1), body.counts ? number : std::span<const Var>());
    if (steps) {
      const Operand in_f64(cast({number[0], where}, Dtype::f64), where);
      result.push_back(cast({add(in_f64, {1, where}), where}, Dtype::i32));
    }
    return result;
  };
}

}  // namespace

namespace detail {

VarList while_loop(const ListFunction& condition, const ListFunction& step, std::span<const Var> carry, Where where) {
  if (carry.empty()) throw Error(fmt::format("[while_loop] needs a carry of one Var at least  ({})", to_string(where)));
  Tape& tape = Tape::of(carry[0], where, "while_loop");
  for (Var var : carry) tape.index_of(var, where, "while_loop");
  const auto holds = [&](std::span<const Var> now, std::span<const Var>) {
    const Var value = condition(now)[0];
    tape.index_of(value, where, "while_loop");
    if (value.size() != 1)
      throw Error(fmt::format("[while_loop] the condition must be of one element, got {}  ({})",
                              to_string(value.type()), tape.here(where)));
    return Vars{cast({reshape({value, where}, Shape{}), where}, Dtype::f64)};
  };
  const auto next = [&](std::span<const Var> now, std::span<const Var>) {
    VarList result = step(now);
    check_carry(tape, "while_loop", now, result, where);
    return result;
  };
  const std::vector<Type> types = types_of(carry);
  WhileBodies bodies{record_body(tape, types, {}, holds, true, where), record_body(tape, types, {}, next, true, where)};
  const Scope scope(tape, "while_loop", where);
  if (!bodies.condition.counts && !bodies.step.counts) return record_while(tape, bodies, carry, where);
  Vars with_number(carry.begin(), carry.end());
  with_number.push_back(tape.full(Type{Dtype::i32, {}}, 0, where));
  const std::vector<Type> more = types_of(with_number);
  const auto again = [&](const RecordedBody& body, bool steps) {
    return record_body(tape, more, {}, counting(body, tape, steps, where), false, where);
  };
  Vars last = record_while(tape, {again(bodies.condition, false), again(bodies.step, true)}, with_number, where);
  last.pop_back();
  return last;
}

}  // namespace detail
}  // namespace wengert
