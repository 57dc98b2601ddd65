#include <algorithm>

#include "autodiff/kernels/strided.hpp"
#include "autodiff/loops/loop_op.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/ops/reduction.hpp"
#include "autodiff/plan/code/instructions_of_ops.hpp"
#include "autodiff/plan/stages.hpp"

namespace wengert::plan::code {
namespace {

// On packs, code took less time than steps at every size up to 2048 numbers of f64: a chain of six ops about half, what
// calls elementwise ops 0.8 to 1. What it computes is limited so that code stays in the caches, and is soon written.
// Moving elements costs nothing, or little.
struct Limit {
  Index usual, most;  // of a value, on average and at all
};
constexpr Limit computed = pack_bytes > 0 ? Limit{64, 128} : Limit{32, 256};  // numbers or packs
constexpr Limit called{32, 256};  // elements, which are brought to where a kernel finds them
constexpr Index most_moved = pack_bytes > 0 ? 2048 : 1024, most_read = 4096;  // elements
constexpr std::size_t most_instructions = std::size_t{1} << 18;               // of which each is about 10 bytes of code

// Thrown where a graph cannot be a program, or should not.
struct Unsuited {};

class Scalarizer {
 public:
  explicit Scalarizer(const Graph& graph) : graph_(graph) {}

  Program run(std::span<const Id> members, std::span<const Write> writes) {
    std::vector<Elements> elements(graph_.nodes.size());
    std::vector<bool> known(graph_.nodes.size(), false);
    const auto bring_in = [&](Id id) {
      if (!known[id]) elements[id] = from_outside(id);
      known[id] = true;
    };
    for (Id id : members) {
      for (Id operand : graph_.nodes[id].operands) bring_in(operand);
      elements[id] = of(graph_, id, elements);
      known[id] = true;
    }
    if (surplus_ > 0) throw Unsuited();
    for (const Write& write : writes) {
      bring_in(write.id);
      const Elements& all = elements[write.id];
      to_.write(write, packs_.in_order(all, graph_.nodes[write.id].type.dtype), all.size());
    }
    return to_.finish();
  }

 private:
  Elements from_outside(Id id) {
    const Value& value = graph_.nodes[id];
    return value.constant || value.parameter ? of_leaf(value) : read_of(value.type, {.id = id});
  }
  // A constant, or memory of a store.
  Elements of_leaf(const Value& value) {
    if (value.parameter) {
      to_.own(value.parameter->owner);
      return read_of(value.type, {.fixed = value.parameter->data});
    }
    check(value.type, most_read);
    Elements result;
    for (Index e = 0; e < value.type.shape.size(); ++e) result.push_back({to_.constant_of(*value.constant, e)});
    return result;
  }
  Elements read_of(const Type& type, const Read& read) {
    check(type, most_read);
    const std::uint32_t array = to_.read_array(read);
    Elements result;
    for (Index e = 0; e < type.shape.size(); ++e)
      result.push_back({to_.read(array, static_cast<std::size_t>(e) * size_of(type.dtype), type.dtype)});
    return result;
  }

  static void check(const Type& type, Index most) {
    if (type.shape.size() > most) throw Unsuited();
  }
  static std::vector<std::size_t> parts(const Type& type) {
    return parts_of(static_cast<std::size_t>(type.shape.size()), type.dtype);
  }
  void charge(Index size, const Limit& limit) {
    if (size > limit.most) throw Unsuited();
    surplus_ += size - limit.usual;
  }

  // The outputs of a body.
  std::vector<Elements> of_graph(const Graph& graph, std::span<const Elements> inputs) {
    std::vector<Elements> elements(graph.nodes.size());
    for (Id id = 0; id < graph.nodes.size(); ++id) {
      const Value& value = graph.nodes[id];
      if (value.input >= 0)
        elements[id] = inputs[static_cast<std::size_t>(value.input)];
      else
        elements[id] = value.is_leaf() ? of_leaf(value) : of(graph, id, elements);
    }
    std::vector<Elements> outputs;
    for (Id id : graph.outputs) outputs.push_back(elements[id]);
    return outputs;
  }

  Elements of(const Graph& graph, Id id, const std::vector<Elements>& elements) {
    const Value& value = graph.nodes[id];
    check(value.type, most_moved);
    if (to_.size() > most_instructions) throw Unsuited();
    std::vector<Elements> operands;
    for (Id operand : value.operands) operands.push_back(elements[operand]);
    if (value.is(identity_op()) || value.is(stop_gradient_op()) || value.is(reshape_op())) return operands[0];
    if (const auto* loop = dynamic_cast<const LoopOp*>(value.op)) return of_loop(value, *loop, operands);
    if (moves(graph, value)) return moved(graph, id, operands);
    check(value.type, most_read);
    if (value.op->fusable()) return elementwise(graph, id, operands);
    if (auto result = reduced(graph, value, operands)) {
      charge(static_cast<Index>(parts(value.type).size()), computed);
      return *result;
    }
    for (const Elements& operand : operands)
      if (static_cast<Index>(operand.size()) > called.most) throw Unsuited();
    charge(value.type.shape.size(), called);
    return result_of_call(graph, id, operands, 0);
  }

  // True if each element of the output is zero or an element of an operand, whatever these are.
  static bool moves(const Graph& graph, const Value& value) {
    if (!value.op->selects() || value.op->linearity() != Linearity::linear || value.op->is_local()) return false;
    for (std::size_t i = 0; i < value.operands.size(); ++i)
      if (graph.type_of(value, i).dtype != value.type.dtype) return false;
    return is_float(value.type.dtype);
  }
  // The op on the numbers 1, 2, ... tells where its elements come from.
  Elements moved(const Graph& graph, Id id, const std::vector<Elements>& operands) {
    const Value& value = graph.nodes[id];
    std::vector<Type> types;
    std::vector<Array> numbers;
    Elements all{{to_.constant(0, value.type.dtype)}};
    for (std::size_t i = 0; i < operands.size(); ++i) {
      types.push_back({Dtype::f64, graph.type_of(value, i).shape});
      numbers.emplace_back(types.back());
      check(types.back(), most_read);
      for (Index e = 0; e < numbers.back().size(); ++e)
        numbers.back().set(e, static_cast<double>(all.size() + static_cast<std::size_t>(e)));
      all.insert(all.end(), operands[i].begin(), operands[i].end());
    }
    std::vector<const Type*> pointers;
    std::vector<const void*> data;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      pointers.push_back(&types[i]);
      data.push_back(std::as_const(numbers[i]).raw());
    }
    const Signature signature{pointers, value.attributes};
    Array output(Dtype::f64, value.type.shape);
    Array scratch(Dtype::f64, {static_cast<Index>(value.op->scratch_bytes(signature, output.type()) / 8 + 1)});
    value.op->run({signature, data, output.type(), output.raw(), scratch.raw()});
    Elements result;
    for (Index e = 0; e < output.size(); ++e) result.push_back(all[static_cast<std::size_t>(output.at(e))]);
    return result;
  }

  Elements elementwise(const Graph& graph, Id id, const std::vector<Elements>& operands) {
    const Value& value = graph.nodes[id];
    const Shape& shape = value.type.shape;
    charge(static_cast<Index>(parts(value.type).size()), computed);
    std::vector<Elements> spread(operands.size());
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const Walk walk = broadcast_walk(graph.type_of(value, i).shape, shape);
      spread[i].resize(static_cast<std::size_t>(shape.size()));
      if (shape.size() > 0) gather(walk, operands[i].data(), 0, shape.size(), spread[i].data());
    }
    bool known = true;
    const bool of_one_type = std::all_of(value.operands.begin(), value.operands.end(), [&](Id operand) {
      return graph.nodes[operand].type.dtype == value.type.dtype;
    });
    if (!of_one_type) return result_of_call(graph, id, spread, shape.size());
    Elements result = packs_.apply(spread, static_cast<std::size_t>(shape.size()), value.type.dtype, [&](auto x) {
      const Number number = known ? ops_.elementwise(*value.op, value.type.dtype, x) : none;
      known = number != none;
      return number;
    });
    return known ? result : result_of_call(graph, id, spread, shape.size());
  }

  std::optional<Elements> reduced(const Graph& graph, const Value& value, const std::vector<Elements>& operands) {
    const auto shape = [&](std::size_t i) -> const Shape& { return graph.type_of(value, i).shape; };
    if (value.is(sum_op()))
      return ops_.sum(value.arguments<ReductionArguments>().axes, shape(0), operands[0], value.type.dtype);
    if (value.is(matmul_op()))
      return ops_.product(value.arguments<MatmulOptions>(), shape(0), shape(1), operands, value.type.dtype);
    return {};
  }

  Elements result_of_call(const Graph& graph, Id id, const std::vector<Elements>& operands, Index count) {
    const Value& value = graph.nodes[id];
    CallSite site{.op = value.op,
                  .attributes = value.attributes,
                  .type = value.type,
                  .types = {},
                  .operands = {},
                  .count = count,
                  .origins = {{value.op->name(), value.location}}};
    site.origins.insert(site.origins.end(), loops_.rbegin(), loops_.rend());
    for (std::size_t i = 0; i < operands.size(); ++i) site.types.push_back(graph.type_of(value, i));
    to_.own(value.owned);
    Elements result;
    if (value.type.shape.size() == 0) return result;
    std::vector<std::vector<Number>> arguments;
    for (std::size_t i = 0; i < operands.size(); ++i)
      arguments.push_back(packs_.in_order(operands[i], site.types[i].dtype));
    const std::vector<std::size_t> lanes = parts(value.type);
    const std::vector<Number> numbers = to_.call(std::move(site), arguments, lanes);
    for (std::size_t i = 0; i < lanes.size(); ++i) Packs::append(numbers[i], lanes[i], result);
    return result;
  }

  Elements of_loop(const Value& value, const LoopOp& op, const std::vector<Elements>& operands) {
    const LoopParts parts = op.parts();
    if (parts.condition == nullptr) throw Unsuited();
    const Graph condition = rewritten(*parts.condition, {}, Keeps::bits),
                body = rewritten(*parts.body, {}, Keeps::bits);
    const std::span<const Elements> begin(operands.data(), parts.carry);
    std::vector<Elements> carry = in_parts(begin, to_.begin_loop(parts_in_order(begin)));
    loops_.push_back({op.name(), value.location});
    const auto inputs = [&](std::size_t first, std::size_t count) {
      std::vector<Elements> all = carry;
      all.insert(all.end(), operands.begin() + static_cast<std::ptrdiff_t>(first),
                 operands.begin() + static_cast<std::ptrdiff_t>(first + count));
      return all;
    };
    const std::size_t constants = condition.inputs.size() - parts.carry;
    const Number holds = packs_.single(of_graph(condition, inputs(parts.carry, constants))[0][0]);
    if (!is_float(to_.dtype(holds))) throw Unsuited();
    to_.leave(to_.compute(Code::mask_not, to_.dtype(holds), to_.mask_of(holds)));
    const std::vector<Elements> next =
        of_graph(body, inputs(condition.inputs.size(), body.inputs.size() - parts.carry));
    Elements last;
    for (const Elements& each : in_parts(begin, to_.end_loop(parts_in_order(next))))
      for (const Element& element : each) last.push_back(converted(element, value.type.dtype));
    loops_.pop_back();
    return last;
  }
  // Values as the numbers and packs that a loop changes, and the values that these are.
  std::vector<Number> parts_in_order(std::span<const Elements> values) {
    std::vector<Number> result;
    for (const Elements& each : values) {
      if (each.empty()) continue;
      const auto parts = packs_.in_order(each, to_.dtype(each[0].number), true);
      result.insert(result.end(), parts.begin(), parts.end());
    }
    return result;
  }
  std::vector<Elements> in_parts(std::span<const Elements> like, std::span<const Number> numbers) const {
    std::vector<Elements> result(like.size());
    for (std::size_t i = 0, at = 0; i < like.size(); ++i)
      if (!like[i].empty())
        for (std::size_t part : parts_of(like[i].size(), to_.dtype(like[i][0].number)))
          Packs::append(numbers[at++], part, result[i]);
    return result;
  }
  // As a loop's packed output has it.
  Element converted(Element x, Dtype dtype) {
    const Dtype from = to_.dtype(x.number);
    if (from == dtype) return x;
    return {to_.compute(from == Dtype::i32 ? Code::i32_to_f64 : Code::f32_to_f64, from, packs_.single(x))};
  }

  const Graph& graph_;
  Builder to_;
  Packs packs_{to_};
  InstructionsOfOps ops_{to_, packs_};
  std::vector<Origin> loops_;  // around the node at hand
  Index surplus_ = 0;          // what is computed or called beyond the usual of as many values
};

}  // namespace

std::optional<Program> scalarize(const Graph& graph, std::span<const Id> members, std::span<const Write> writes) {
  try {
    return Scalarizer(graph).run(members, writes);
  } catch (const Unsuited&) {
    return {};
  }
}

}  // namespace wengert::plan::code
