#include "autodiff/transforms.hpp"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "autodiff/derivatives/checkpoint.hpp"
#include "autodiff/derivatives/forward.hpp"
#include "autodiff/derivatives/local_op.hpp"
#include "autodiff/derivatives/stacks.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/sources.hpp"
#include "autodiff/tape/program.hpp"

namespace wengert {
namespace {

class RematerialisationBarrier final : public LocalOp {
 public:
  RematerialisationBarrier() : LocalOp("rematerialisation_barrier", 1, Linearity::linear) {}
  Type infer(const Signature& s) const override { return *s.in[0]; }
  void run(const Kernel& k) const override { std::memcpy(k.output, k.operands[0], k.type.bytes()); }
  Var vjp(const Call&, int, Var g) const override { return g; }
  Rows rows(const Signature&, const Type&, int, int axis) const override { return {RowRule::pointwise, axis}; }
};

// The value of a program: that of dropped nodes on an eager tape; on a symbolic one the last operand, whose nodes a
// plan needs at first, for values and tangents, and records again for cotangents.
class Checkpoint final : public LocalOp {
 public:
  Checkpoint(Program program, std::optional<Array> value, int arity)
      : LocalOp("checkpoint", arity, Linearity::custom_jvp), program_(std::move(program)), value_(std::move(value)) {}

  void run(const Kernel& k) const override {
    std::memcpy(k.output, value_ ? value_->raw() : k.operands.back(), k.type.bytes());
  }

  Type infer(const Signature&) const override { return program_.type(); }

  void vjps(const Call& c, Var g, std::span<Cotangent> operands) const override {
    const std::vector<Var> fresh = fresh_nodes(c);
    const Var y = program_.replay(c.tape(), fresh)[0];
    std::vector<Var> xs;
    for (std::size_t i = 0; i < fresh.size(); ++i)
      if (operands[i].wanted) xs.push_back(fresh[i]);
    const std::vector<Var> pulled = wengert::vjp(y, g, xs);
    for (std::size_t i = 0, next = 0; i < fresh.size(); ++i)
      if (operands[i].wanted) operands[i].value = pulled[next++];
  }

  Var jvp(const Call& c, std::span<const Var> tangents) const override {
    if (!value_) return tangents.back();
    const std::vector<Var> fresh = fresh_nodes(c);
    const Var y = program_.replay(c.tape(), fresh)[0];
    std::vector<std::uint32_t> indices;
    std::vector<Var> stacks;
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      if (tangents[i].is_null()) continue;
      indices.push_back(c.tape().index_of(fresh[i], Where::current()));
      stacks.push_back(tangents[i]);
    }
    const std::uint32_t last = c.tape().index_of(y, Where::current());
    return ForwardSweep(c.tape(), indices, stacks, last).at(last);
  }

  // The program for all slices, as a checkpoint of its own.
  Var batched(const Batch& b) const override {
    const Function all = [&](Var) {
      const std::span<const Var> captured = b.operands.first(b.operands.size() - (value_ ? 0 : 1));
      std::vector<bool> batched = b.batched;
      batched.resize(captured.size());
      const auto [y, carries] = program_.replay_batched(b.tape, captured, batched);
      return with_slices({y[0], b.where}, carries[0], b.count);
    };
    return checkpoint(all, {b.operands[0], b.where});
  }

  Rows rows(const Signature& s, const Type&, int operand, int axis) const override {
    if (!value_ && operand + 1 == s.arity()) return {RowRule::pointwise, axis};
    return program_.rows(static_cast<std::size_t>(operand), axis);
  }

 private:
  int captured(const Call& c) const { return c.arity() - (value_ ? 0 : 1); }

  // Nodes of their own for what was captured. A parameter changes nothing by being read twice.
  std::vector<Var> fresh_nodes(const Call& c) const {
    std::vector<Var> fresh;
    for (int i = 0; i < captured(c); ++i) {
      const Operand x(c.in(i));
      const Node& node = c.tape().node(c.tape().index_of(c.in(i), Where::current()));
      const bool again = c.tape().symbolic() && node.op != &parameter_op();
      fresh.push_back(again ? record_local(c.tape(), std::make_shared<RematerialisationBarrier>(), {&x, 1}, x.where())
                            : identity(x));
    }
    return fresh;
  }

  Program program_;
  std::optional<Array> value_;
};

// x, f(x) -> f(x), with the user's rule for x
class Custom final : public LocalOp {
 public:
  explicit Custom(PullBack rule) : LocalOp("custom_derivative", 2, Linearity::transpose_vjp), rule_(std::move(rule)) {}
  Type infer(const Signature& s) const override { return *s.in[1]; }
  void run(const Kernel& k) const override { std::memcpy(k.output, k.operands[1], k.type.bytes()); }
  Var vjp(const Call& c, int i, Var g) const override {
    if (i == 1) return {};
    const Var cotangent = rule_(c.in(0), c.out(), g);
    if (cotangent.type() != c.in(0).type())
      throw Error(fmt::format("[custom_derivative] the rule's cotangent must be of x's type {}, got {}  ({})",
                              to_string(c.in(0).type()), to_string(cotangent.type()), c.tape().location_of(c.index())));
    return cotangent;
  }

  // The rule of each slice; where they share x, its cotangent is the sum of theirs.
  Var batched(const Batch& b) const override {
    const PullBack all = [rule = rule_, own = b.batched[0]](Var x, Var y, Var g) {
      if (own) return vmap([&](std::span<const Var> s) { return rule(s[0], s[1], s[2]); }, {x, y, g});
      return sum(vmap([&](std::span<const Var> s) { return rule(x, s[0], s[1]); }, {y, g}), 0);
    };
    const Operand operands[] = {{b.operands[0], b.where},
                                {with_slices({b.operands[1], b.where}, b.batched[1], b.count), b.where}};
    return record_local(b.tape, std::make_shared<Custom>(all), operands, b.where);
  }

 private:
  PullBack rule_;
};

}  // namespace

bool is_checkpoint(const Op& op) { return dynamic_cast<const Checkpoint*>(&op) != nullptr; }
bool is_rematerialisation_barrier(const Op& op) {
  return dynamic_cast<const RematerialisationBarrier*>(&op) != nullptr;
}

Var checkpoint(const Function& f, Operand x) {
  Tape& tape = x.tape();
  const Tape::Mark start = tape.mark();
  const Var y = f(x.var());
  if (tape.index_of(y, x.where()) < start.nodes) return y;  // nothing was recorded for it
  Program program(tape, start.nodes, y);
  std::optional<Array> value;
  if (!tape.symbolic()) {
    value = y.value();
    tape.rewind(start);
  }
  std::vector<Operand> operands;
  for (Var var : program.captured(tape)) operands.emplace_back(var, x.where());
  if (tape.symbolic()) operands.emplace_back(y, x.where());
  const int arity = static_cast<int>(operands.size());
  return record_local(tape, std::make_shared<Checkpoint>(std::move(program), std::move(value), arity), operands,
                      x.where());
}

Var custom_derivative(const Function& f, const PullBack& rule, Operand x) {
  Tape& tape = x.tape();
  const Var y = stop_gradient({f(x.var()), x.where()});
  const std::vector<Operand> operands{x, {y, x.where()}};
  return record_local(tape, std::make_shared<Custom>(rule), operands, x.where());
}

Var vmap(const FunctionOfMany& f, std::span<const Var> xs, Where where) {
  if (xs.empty()) throw Error(fmt::format("[vmap] needs at least one argument  ({})", to_string(where)));
  Tape& tape = xs[0].tape(where);
  Index count = -1;
  for (Var x : xs) {
    const Shape& shape = x.shape(where);
    if (shape.rank() < 1 || shape[0] < 1 || (count >= 0 && shape[0] != count))
      throw Error(fmt::format("[vmap] arguments need one first extent, at least 1, in common: got {}{}  ({})",
                              to_string(shape), count >= 0 ? fmt::format(" after {}", count) : "", to_string(where)));
    count = shape[0];
  }
  const Tape::Mark start = tape.mark();
  std::vector<Var> first;
  for (Var x : xs) first.push_back(identity(reshape(slice({x, where}, 0, 0, 1), x.shape().trailing(x.rank() - 1))));
  const std::uint32_t begin = tape.size();
  const Program program(tape, begin, f(first));
  tape.rewind(start);
  std::vector<Var> captured = program.captured(tape);
  std::vector<bool> batched(captured.size());
  for (std::size_t i = 0; i < captured.size(); ++i)
    for (std::size_t k = 0; k < first.size(); ++k)
      if (captured[i] == first[k]) {
        captured[i] = xs[k];
        batched[i] = true;
      }
  const auto [y, carries] = program.replay_batched(tape, captured, batched);
  return carries[0] ? y[0] : broadcast_to({y[0], where}, program.type().shape.prepended(count));
}

Var vmap(const FunctionOfMany& f, std::initializer_list<Var> xs, Where where) {
  return vmap(f, std::span<const Var>(xs.begin(), xs.size()), where);
}

Var vmap(const Function& f, Operand x) {
  x.tape();
  const Var var = x.var();
  return vmap([&](std::span<const Var> slices) { return f(slices[0]); }, std::span<const Var>(&var, 1), x.where());
}

}  // namespace wengert
