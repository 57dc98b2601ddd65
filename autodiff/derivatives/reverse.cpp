#include "autodiff/derivatives.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "autodiff/derivatives/parts.hpp"
#include "autodiff/derivatives/reverse.hpp"
#include "autodiff/ops.hpp"

namespace wengert {
namespace {

// The reverse sweep over nodes [first, last]: which of them lie on a path from an x, and their cotangents so far.
class Sweep {
 public:
  Sweep(Tape& tape, std::span<const std::uint32_t> xs, std::span<const std::uint32_t> ys)
      : tape_(tape),
        first_(std::min(*std::min_element(xs.begin(), xs.end()), *std::min_element(ys.begin(), ys.end()))),
        last_(*std::max_element(ys.begin(), ys.end())),
        on_path_(last_ - first_ + 1),
        cotangents_(on_path_.size()) {
    for (std::uint32_t x : xs)
      if (x <= last_) on_path_[x - first_] = true;
    for (std::uint32_t i = first_; i <= last_; ++i) {
      const Node& node = tape_.node(i);
      if (node.op->linearity() == Linearity::none || !is_float(node.type.dtype)) continue;
      for (std::uint32_t operand : tape_.operands(node))
        if (operand >= first_ && on_path_[operand - first_]) on_path_[i - first_] = true;
    }
  }

  void run(std::span<const std::uint32_t> ys, std::span<const Var> seeds) {
    for (std::size_t k = 0; k < ys.size(); ++k) {
      if (!on_path_[ys[k] - first_]) continue;
      Var& total = cotangents_[ys[k] - first_];
      total = total.is_null() ? seeds[k] : add(total, seeds[k]);
    }
    for (std::uint32_t i = last_ + 1; i-- > first_;) {
      if (!parts_.empty()) add_parts(i);
      if (!cotangents_[i - first_].is_null()) pull_back(i);
    }
  }

  Var cotangent(std::uint32_t x) const { return x - first_ < cotangents_.size() ? cotangents_[x - first_] : Var{}; }

 private:
  void pull_back(std::uint32_t i) {
    const Node& node = tape_.node(i);
    if (node.op->linearity() == Linearity::none) return;
    const Origin origin(tape_, i);
    asked_.clear();
    for (std::uint32_t operand : tape_.operands(node))
      asked_.push_back(
          {.wanted = operand >= first_ && on_path_[operand - first_] && is_float(tape_.node(operand).type.dtype)});
    node.op->vjps(Call(tape_, i), cotangents_[i - first_], asked_);
    for (std::size_t k = 0; k < asked_.size(); ++k)
      if (asked_[k].wanted && !asked_[k].value.is_null()) add_to(tape_.operands(node)[k], asked_[k], i);
  }

  // The cotangent of an operand that was broadcast is the sum over its copies.
  void add_to(std::uint32_t operand, const Cotangent& pulled, std::uint32_t reader) {
    if (pulled.part) {
      Shape shape = tape_.node(operand).type.shape;
      const auto [axis, start] = *pulled.part;
      const Index extent = pulled.value.extent(axis);
      if (start < 0 || extent > shape[axis] - start)
        throw Error(fmt::format("[{}] gave a cotangent of {} from {} on along axis {} of {}  ({})",
                                tape_.node(reader).op->name(), to_string(pulled.value.type()), start, axis,
                                to_string(shape), tape_.location_of(reader)));
      shape.set(axis, extent);
      tape_.check_tracked(parts_[operand].add(axis, start, sum_to(pulled.value, shape), reader));
      return;
    }
    const Shape& shape = tape_.node(operand).type.shape;
    const Var value = pulled.value.shape() == shape ? pulled.value : sum_to(pulled.value, shape);
    Var& total = cotangents_[operand - first_];
    total = total.is_null() ? value : add(total, value);
    tape_.check_tracked(total);
  }

  // All readers of node i have been pulled back: the parts of its cotangent are whole.
  void add_parts(std::uint32_t i) {
    const auto parts = parts_.find(i);
    if (parts == parts_.end()) return;
    const Origin origin(tape_, parts->second.reader());
    Var& total = cotangents_[i - first_];
    total = parts->second.added_to(total, tape_.node(i).type.shape);
    if (!total.is_null()) tape_.check_tracked(total);
    parts_.erase(parts);
  }

  Tape& tape_;
  std::uint32_t first_, last_;
  std::vector<std::uint8_t> on_path_;
  std::vector<Var> cotangents_;
  std::vector<Cotangent> asked_;                    // by the call that is pulled back
  std::unordered_map<std::uint32_t, Parts> parts_;  // of cotangents, besides these
};

// The same of one y, with zeros where it does not depend on an x.
std::vector<Var> pull_back(const char* name, const Operand& y, Var seed, std::span<const Var> xs) {
  Tape& tape = y.tape();
  for (Var x : xs) tape.index_of(x, y.where(), name);
  const Var var = y.var();
  std::vector<Var> result = wengert::pull_back(tape, {&var, 1}, {&seed, 1}, xs);
  for (std::size_t i = 0; i < xs.size(); ++i)
    if (result[i].is_null()) result[i] = tape.full(xs[i].type(), 0, y.where());
  return result;
}

}  // namespace

std::vector<Var> pull_back(Tape& tape, std::span<const Var> ys, std::span<const Var> cotangents,
                           std::span<const Var> xs) {
  if (xs.empty() || ys.empty()) return std::vector<Var>(xs.size());
  std::vector<std::uint32_t> indices;  // of ys, then of xs
  indices.reserve(ys.size() + xs.size());
  for (std::span<const Var> vars : {ys, xs})
    for (Var var : vars) indices.push_back(tape.index_of(var, Where::current()));
  const std::span<const std::uint32_t> all(indices), from = all.first(ys.size()), to = all.subspan(ys.size());
  Sweep sweep(tape, to, from);
  sweep.run(from, cotangents);
  std::vector<Var> result;
  result.reserve(to.size());
  for (std::uint32_t x : to) result.push_back(sweep.cotangent(x));
  return result;
}

std::vector<Var> grad(Operand y, std::span<const Var> xs) {
  Tape& tape = y.tape();
  if (y.shape().size() != 1 || !is_float(y.dtype()))
    throw Error(fmt::format("[grad] needs a float of one element to differentiate, got {}  ({})", to_string(y.type()),
                            location_of(y)));
  const Scope scope(y, "grad");
  return pull_back("grad", y, tape.full(y.type(), 1, y.where()), xs);
}

std::vector<Var> grad(Operand y, std::initializer_list<Var> xs) {
  return grad(y, std::span<const Var>(xs.begin(), xs.size()));
}
Var grad(Operand y, Var x) { return grad(y, {x})[0]; }

std::vector<Var> vjp(Operand y, Operand v, std::span<const Var> xs) {
  if (v.is_number() || v.type() != y.type())
    throw Error(fmt::format("[vjp] the cotangent must be of y's type {}, got {}  ({})", to_string(y.type()),
                            v.is_number() ? "a number" : to_string(v.type()), location_of(y)));
  y.tape().index_of(v.var(), v.where(), "vjp");
  const Scope scope(y, "vjp");
  return pull_back("vjp", y, v.var(), xs);
}

}  // namespace wengert
