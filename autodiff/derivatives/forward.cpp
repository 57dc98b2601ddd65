#include "autodiff/derivatives/forward.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "autodiff/derivatives.hpp"
#include "autodiff/ops.hpp"

namespace wengert {
namespace {

constexpr int no_rows = 0;  // a node off the path

// The operand types of a recorded call, as rows() wants them.
std::vector<const Type*> types_of(const Call& call) {
  std::vector<const Type*> types;
  for (std::uint32_t operand : call.tape().operands(call.tape().node(call.index())))
    types.push_back(&call.tape().node(operand).type);
  return types;
}

// [K, S] -> [K, 1, ..., 1, S], up to `rank` axes after the first
Var padded(Var stack, int rank) {
  const Shape& shape = stack.shape();
  if (shape.rank() - 1 >= rank) return stack;
  return reshape(stack, shape.trailing(shape.rank() - 1).padded(rank).prepended(shape[0]));
}

}  // namespace

ForwardSweep::ForwardSweep(Tape& tape, std::span<const std::uint32_t> xs, std::span<const Var> tangents,
                           std::span<const std::uint32_t> ys, RowCheck check)
    : tape_(tape), first_(*std::min_element(xs.begin(), xs.end())), check_(check) {
  const std::uint32_t last = *std::max_element(ys.begin(), ys.end());
  stacks_.resize(last < first_ ? 0 : last - first_ + 1);
  row_axis_.assign(stacks_.size(), no_rows);
  for (std::size_t i = 0; i < xs.size(); ++i) {
    if (xs[i] > last) continue;
    stacks_[xs[i] - first_] = tangents[i];
    row_axis_[xs[i] - first_] = -tape_.node(xs[i]).type.shape.rank();
  }
  const std::vector<bool> needed = tape_.needed_by(ys, first_);
  for (std::uint32_t i = first_; i <= last; ++i) {
    const Node& node = tape_.node(i);
    if (!needed[i - first_] || !stacks_[i - first_].is_null() || node.op->linearity() == Linearity::none ||
        !is_float(node.type.dtype))
      continue;
    const auto operands = tape_.operands(node);
    if (std::none_of(operands.begin(), operands.end(), [&](std::uint32_t operand) { return !at(operand).is_null(); }))
      continue;
    const Origin origin(tape_, i);
    if (check_ == RowCheck::independent) follow_rows(Call(tape_, i));
    stacks_[i - first_] = push(i);
    if (const Var pushed = stacks_[i - first_]; !pushed.is_null()) tape_.check_tracked(pushed);
  }
}

Var ForwardSweep::at(std::uint32_t index) const {
  return index >= first_ && index - first_ < stacks_.size() ? stacks_[index - first_] : Var{};
}

Var ForwardSweep::full(std::uint32_t index, Index count) const {
  const Type& type = tape_.node(index).type;
  const Var stack = at(index);
  const Shape shape = type.shape.prepended(count);
  if (stack.is_null()) return tape_.full(Type{type.dtype, shape}, 0);
  return stack.shape() == shape ? stack : broadcast_to(stack, shape);
}

void ForwardSweep::follow_rows(const Call& call) {
  const auto types = types_of(call);
  std::vector<int> axes;
  for (std::uint32_t operand : tape_.operands(tape_.node(call.index())))
    axes.push_back(at(operand).is_null() ? no_rows : row_axis_[operand - first_]);
  const Rows rows = rows_through(call.op(), {types, call.attributes()}, tape_.node(call.index()).type, axes);
  if (!rows.kept())
    throw Error(fmt::format(
        "[{}] {} rows, but a function of rows was wanted: each row of its result must depend on the same row of its "
        "argument alone  ({})",
        call.op().name(), rows.rule == RowRule::reduces ? "reduces" : "mixes", tape_.location_of(call.index())));
  row_axis_[call.index() - first_] = rows.axis;
}

std::vector<Var> ForwardSweep::stacks(const Call& call) const {
  std::vector<Var> result;
  for (std::uint32_t operand : tape_.operands(tape_.node(call.index()))) result.push_back(at(operand));
  return result;
}

// The stack of an operand with an axis in full wherever the op would notice that it stands for equal tangents, and with
// the output's rank where that is larger.
Var ForwardSweep::ready(const Call& call, int operand, Var stack) const {
  const auto types = types_of(call);
  const Shape& shape = call.shape(operand);
  Shape wanted = stack.shape();
  for (int axis = -shape.rank(); axis < 0; ++axis) {
    if (!call.op().rows({types, call.attributes()}, tape_.node(call.index()).type, operand, axis).kept())
      wanted.set(axis, shape[axis]);
  }
  if (wanted != stack.shape()) stack = broadcast_to(stack, wanted);
  return padded(stack, call.out_shape().rank());
}

Var ForwardSweep::push(std::uint32_t index) {
  const Call call(tape_, index);
  switch (call.op().linearity()) {
    case Linearity::elementwise: {
      Var total;
      const auto mine = stacks(call);
      for (std::size_t i = 0; i < mine.size(); ++i) {
        if (mine[i].is_null()) continue;
        const Var part = call.op().local_jvp(call, static_cast<int>(i), padded(mine[i], call.out_shape().rank()));
        if (!part.is_null()) total = total.is_null() ? part : total + part;
      }
      return total;
    }
    case Linearity::linear:
      return push_linear(call);
    case Linearity::bilinear:
      return push_bilinear(call);
    case Linearity::custom_jvp:
      return call.op().jvp(call, stacks(call));
    case Linearity::transpose_vjp:
      return push_transposed(call);
    case Linearity::none:
      break;
  }
  return {};
}

Var ForwardSweep::push_linear(const Call& call) {
  const auto types = types_of(call);
  auto mine = stacks(call);
  std::vector<Operand> operands;
  for (std::size_t i = 0; i < mine.size(); ++i) {
    const int k = static_cast<int>(i);
    if (mine[i].is_null()) {  // no tangent: zeros, as thin as the op allows
      const Shape thin(std::vector<Index>(static_cast<std::size_t>(call.shape(k).rank()) + 1, 1));
      mine[i] = tape_.full(Type{types[i]->dtype, thin}, 0);
    }
    operands.emplace_back(ready(call, k, mine[i]));
  }
  return record(call.op(), operands, call.attributes());
}

Var ForwardSweep::push_bilinear(const Call& call) {
  const auto mine = stacks(call);
  Var total;
  for (int i = 0; i < 2; ++i) {
    if (mine[static_cast<std::size_t>(i)].is_null()) continue;
    const Var stack = ready(call, i, mine[static_cast<std::size_t>(i)]);
    const Var part = i == 0 ? record(call.op(), {stack, call.in(1)}, call.attributes())
                            : record(call.op(), {call.in(0), stack}, call.attributes());
    total = total.is_null() ? part : total + part;
  }
  return total;
}

// u -> vjp(u) is linear: the tangent is its own transpose's, taken by differentiating <vjp(u), tangent> by u at zero.
Var ForwardSweep::push_transposed(const Call& call) {
  const auto mine = stacks(call);
  Index count = 1;
  for (const Var& stack : mine)
    if (!stack.is_null()) count = std::max(count, stack.extent(0));
  std::vector<Operand> parts;
  for (Index k = 0; k < count; ++k) {
    const Var u = identity(tape_.full(tape_.node(call.index()).type, 0));
    Var product = sum(0 * u);
    std::vector<Cotangent> pulled(mine.size());
    for (std::size_t i = 0; i < mine.size(); ++i) pulled[i].wanted = !mine[i].is_null();
    call.op().vjps(call, u, pulled);
    for (std::size_t i = 0; i < mine.size(); ++i) {
      if (mine[i].is_null() || pulled[i].value.is_null()) continue;
      const Shape& shape = call.shape(static_cast<int>(i));
      const Var one = slice(mine[i], 0, mine[i].extent(0) == 1 ? 0 : k, mine[i].extent(0) == 1 ? 1 : k + 1);
      product = product + sum(sum_to(pulled[i].whole(shape), shape) * one);
    }
    parts.emplace_back(reshape(grad(product, u), call.out_shape().prepended(1)));
  }
  return concat(std::span<const Operand>(parts), 0);
}

}  // namespace wengert
