#include "autodiff/loops/scan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "autodiff/derivatives/reverse.hpp"
#include "autodiff/derivatives/stacks.hpp"
#include "autodiff/loops/lists.hpp"
#include "autodiff/loops/loop_op.hpp"
#include "autodiff/loops/tangent_step.hpp"
#include "autodiff/ops.hpp"

namespace wengert {
namespace {

using Vars = std::vector<Var>;

// The last carry, where it is given, and what a step keeps, of all steps.
std::vector<Type> results_of(const LoopBody& body, ScanRange range) {
  std::vector<Type> types;
  for (std::size_t i = range.gives_carry ? 0 : body.carry; i < body.outputs(); ++i) {
    types.push_back(body.output(i));
    if (i >= body.carry) types.back().shape = types.back().shape.prepended(range.length);
  }
  return types;
}

// carry, xs, constants -> the last carry and all ys, packed
class Scan final : public LoopOp {
 public:
  Scan(std::shared_ptr<const LoopBody> body, ScanRange range)
      : LoopOp("scan", static_cast<int>(body->graph.inputs.size()), Packing(results_of(*body, range))),
        body_(std::move(body)),
        range_(range) {}

  std::unique_ptr<plan::LoopRun> make_run() const override {
    return plan::scan_run(body_->graph, body_->carry, body_->xs, packing(), range_);
  }
  LoopParts parts() const override { return {nullptr, &body_->graph, body_->carry, body_->xs, range_}; }
  std::string describe(const Attributes&) const override {
    return fmt::format("steps={}{}", range_.length, range_.reverse ? " reverse" : "");
  }

  void vjps(const Call& c, Var g, std::span<Cotangent> operands) const override;
  Var jvp(const Call& c, std::span<const Var> tangents) const override;
  Var batched(const Batch& b) const override;

 private:
  friend class Adjoint;

  bool is_carry(std::size_t i) const { return i < body_->carry; }
  bool is_x(std::size_t i) const { return i >= body_->carry && i < body_->carry + body_->xs; }
  bool is_constant(std::size_t i) const { return i >= body_->carry + body_->xs; }
  Index length() const { return range_.length; }
  // The results of a call, as many as the body has outputs, of which a carry that is not given is null; and back.
  Vars results(Operand packed) const {
    Vars all = packing().unpacked(packed);
    if (!range_.gives_carry) all.insert(all.begin(), body_->carry, Var());
    return all;
  }
  Var packed(Tape& tape, std::span<const Var> results, Index count, Where where) const {
    return packing().packed(tape, results.last(packing().parts().size()), count, where);
  }

  std::shared_ptr<const LoopBody> body_;
  ScanRange range_;
};

// The reverse of a scan: from the last step to the first, the cotangents of the carry and the sums of those of
// constants are carried, and the cotangents of xs are kept. A step computes its values again, from the carry that it
// had.
class Adjoint {
 public:
  Adjoint(const Scan& scan, const Call& c, std::span<Cotangent> operands)
      : scan_(scan),
        body_(*scan.body_),
        tape_(c.tape()),
        where_(tape_.node(c.index()).where),
        in_(operands_of(c)),
        operands_(operands) {
    std::vector<bool> wanted(operands.size());
    for (std::size_t i = 0; i < operands.size(); ++i) wanted[i] = operands[i].wanted;
    active_ = body_.reached(wanted, Program::By::derivative);
    for (std::size_t i = 0; i < body_.carry; ++i) active_[i] = active_[i] && is_float(in_[i].dtype());
    const std::vector<bool> depends = body_.program.depend(active_, Program::By::derivative);
    for (std::size_t i = 0; i < active_.size(); ++i) {
      if (scan.is_carry(i) && active_[i]) carries_.push_back(i);
      if (scan.is_x(i) && wanted[i]) xs_.push_back(i);
      if (scan.is_constant(i) && wanted[i]) constants_.push_back(i);
    }
    for (std::size_t i = body_.carry; i < body_.outputs(); ++i)
      if (depends[i] && is_float(body_.output(i).dtype)) kept_.push_back(i);
  }

  void run(Var g) {
    const Vars cotangents = scan_.results({g, where_}), seeds = chosen(cotangents, kept_);
    Vars carry;
    for (std::size_t i : carries_)
      carry.push_back(scan_.range_.gives_carry ? cotangents[i] : tape_.full(in_[i].type(), 0, where_));
    // A sum begins with -0, to which any number adds up to itself.
    for (std::size_t i : constants_) carry.push_back(tape_.full(in_[i].type(), -0.0, where_));

    // Per step: the carry and the xs that it had, the cotangents of what it kept.
    std::vector<Type> types;
    for (std::size_t i = 0; i < body_.carry + body_.xs; ++i) types.push_back(body_.input(i));
    for (std::size_t i : kept_) types.push_back(body_.output(i));
    const RecordedBody body = record_body(
        tape_, types_of(carry), types, [&](auto cotangent, auto xs) { return step(cotangent, xs); }, false, where_);

    Vars all = carries_before(body.xs);
    const std::span<const Var> mine = std::span<const Var>(in_).subspan(body_.carry, body_.xs);
    all.insert(all.end(), mine.begin(), mine.end());
    all.insert(all.end(), seeds.begin(), seeds.end());
    const auto [last, ys] =
        record_scan(tape_, body, carry, chosen(all, body.xs), {scan_.length(), !scan_.range_.reverse}, where_);
    std::size_t next = 0;
    for (std::size_t i : carries_) set(i, last[next++]);
    for (std::size_t i : constants_) set(i, last[next++]);
    for (std::size_t k = 0; k < xs_.size(); ++k) set(xs_[k], ys[k]);
  }

 private:
  void set(std::size_t operand, Var cotangent) {
    if (operands_[operand].wanted) operands_[operand].value = cotangent;
  }

  Vars step(std::span<const Var> cotangent, std::span<const Var> xs) const {
    Vars inputs(xs.begin(), xs.begin() + static_cast<std::ptrdiff_t>(body_.carry + body_.xs));
    for (std::size_t i = inputs.size(); i < in_.size(); ++i)
      inputs.push_back(operands_[i].wanted ? identity({in_[i], where_}) : in_[i]);
    const Vars outputs = body_.program.replay(tape_, inputs);
    Vars ys = chosen(outputs, carries_), seeds(cotangent.begin(), cotangent.begin() + count(carries_));
    for (std::size_t k = 0; k < kept_.size(); ++k) {
      ys.push_back(outputs[kept_[k]]);
      seeds.push_back(xs[body_.carry + body_.xs + k]);
    }
    Vars to = chosen(inputs, carries_);
    for (const auto* more : {&constants_, &xs_})
      for (std::size_t i : *more) to.push_back(inputs[i]);
    Vars pulled = pull_back(tape_, ys, seeds, to);
    for (std::size_t k = 0; k < pulled.size(); ++k) {
      const std::size_t sum = k - carries_.size();  // of a constant, where it is one
      if (k >= carries_.size() && sum < constants_.size())
        pulled[k] = pulled[k].is_null() ? cotangent[k] : add({cotangent[k], where_}, {pulled[k], where_});
      else if (pulled[k].is_null())
        pulled[k] = tape_.full(to[k].type(), 0, where_);
    }
    return pulled;
  }
  static std::ptrdiff_t count(const std::vector<std::size_t>& list) { return static_cast<std::ptrdiff_t>(list.size()); }

  // The carry that each step had, of those arrays that are read: another scan, that keeps them.
  Vars carries_before(std::span<const std::size_t> read) const {
    std::vector<std::size_t> which;
    for (std::size_t i : read)
      if (i < body_.carry) which.push_back(i);
    Vars result(body_.carry);
    if (which.empty()) return result;
    const std::span<const Var> in(in_), carry = in.first(body_.carry), xs = in.subspan(body_.carry, body_.xs);
    std::vector<Type> types;
    for (std::size_t i = 0; i < body_.xs; ++i) types.push_back(body_.input(body_.carry + i));
    const auto step = [&](std::span<const Var> now, std::span<const Var> x) {
      Vars inputs(now.begin(), now.end());
      inputs.insert(inputs.end(), x.begin(), x.end());
      inputs.insert(inputs.end(), in_.begin() + static_cast<std::ptrdiff_t>(inputs.size()), in_.end());
      Vars outputs = body_.program.replay(tape_, inputs);
      outputs.resize(body_.carry);
      for (std::size_t i : which) outputs.push_back(now[i]);
      return outputs;
    };
    const RecordedBody body = record_body(tape_, types_of(carry), types, step, false, where_);
    const Vars before =
        record_scan(tape_, body, carry, chosen(xs, body.xs), {scan_.length(), scan_.range_.reverse, false}, where_).ys;
    for (std::size_t k = 0; k < which.size(); ++k) result[which[k]] = before[k];
    return result;
  }

  const Scan& scan_;
  const LoopBody& body_;
  Tape& tape_;
  Where where_;
  Vars in_;
  std::span<Cotangent> operands_;
  std::vector<bool> active_;                                  // inputs that depend on what wants a cotangent
  std::vector<std::size_t> carries_, xs_, constants_, kept_;  // those of them; outputs
};

void Scan::vjps(const Call& c, Var g, std::span<Cotangent> operands) const { Adjoint(*this, c, operands).run(g); }

Var Scan::jvp(const Call& c, std::span<const Var> tangents) const {
  Tape& tape = c.tape();
  const Where where = tape.node(c.index()).where;
  const Vars in = operands_of(c);
  const TangentStep step(tape, *body_, in, tangents, where);
  if (!step.has_tangents()) return {};

  Vars carry(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(body_->carry)), xs;
  for (std::size_t i : step.carries()) carry.push_back(in_full({tangents[i], where}, tape, in[i].type(), step.count()));
  for (std::size_t i = body_->carry; i < body_->carry + body_->xs; ++i) xs.push_back(in[i]);
  for (std::size_t i : step.xs())
    xs.push_back(first_axes_swapped({in_full({tangents[i], where}, tape, in[i].type(), step.count()), where}));
  const RecordedBody body = record_body(
      tape, types_of(carry), slices_of(xs), [&](auto now, auto x) { return step(now, x); }, false, where);
  const auto [last, ys] = record_scan(tape, body, carry, chosen(xs, body.xs), range_, where);

  Vars parts(body_->outputs());
  for (std::size_t k = 0; range_.gives_carry && k < step.carries().size(); ++k)
    parts[step.carries()[k]] = last[body_->carry + k];
  for (std::size_t k = 0; k < step.kept().size(); ++k) parts[step.kept()[k]] = first_axes_swapped({ys[k], where});
  return packed(tape, parts, step.count(), where);
}

Var Scan::batched(const Batch& b) const {
  const std::vector<bool> carries = body_->reached(b.batched, Program::By::value);
  Vars carry, xs;
  for (std::size_t i = 0; i < body_->carry; ++i)
    carry.push_back(carries[i] ? with_slices({b.operands[i], b.where}, b.batched[i], b.count) : b.operands[i]);
  for (std::size_t i = body_->carry; i < body_->carry + body_->xs; ++i)
    xs.push_back(b.batched[i] ? first_axes_swapped({b.operands[i], b.where}) : b.operands[i]);
  std::vector<bool> has_slices;
  const auto step = [&](std::span<const Var> now, std::span<const Var> x) {
    Vars inputs(now.begin(), now.end());
    inputs.insert(inputs.end(), x.begin(), x.end());
    for (std::size_t i = inputs.size(); i < b.operands.size(); ++i) inputs.push_back(b.operands[i]);
    auto [outputs, batched] = body_->program.replay_batched(b.tape, inputs, carries);
    for (std::size_t i = 0; i < body_->carry; ++i)
      if (carries[i]) outputs[i] = with_slices({outputs[i], b.where}, batched[i], b.count);
    has_slices = batched;
    return outputs;
  };
  const RecordedBody body = record_body(b.tape, types_of(carry), slices_of(xs), step, false, b.where);
  const auto [last, ys] = record_scan(b.tape, body, carry, chosen(xs, body.xs), range_, b.where);
  Vars parts;
  for (std::size_t i = 0; i < last.size(); ++i) parts.push_back(with_slices({last[i], b.where}, carries[i], b.count));
  for (std::size_t k = 0; k < ys.size(); ++k) {
    const bool own = has_slices[body_->carry + k];
    const Var y = own ? first_axes_swapped({ys[k], b.where}) : ys[k];
    parts.push_back(with_slices({y, b.where}, own, b.count));
  }
  return packed(b.tape, parts, b.count, b.where);
}

}  // namespace

detail::VarLists record_scan(Tape& tape, const RecordedBody& body, std::span<const Var> carry, std::span<const Var> xs,
                             ScanRange range, Where where) {
  std::vector<Operand> operands;
  for (std::span<const Var> vars : {carry, xs, std::span<const Var>(body.constants)})
    for (Var var : vars) operands.emplace_back(var, where);
  const auto op = std::make_shared<Scan>(body.body, range);
  const Var packed = record_local(tape, op, operands, where);
  const Vars all = op->packing().unpacked({packed, where});
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(range.gives_carry ? carry.size() : 0);
  return {Vars(all.begin(), middle), Vars(middle, all.end())};
}

}  // namespace wengert
