#include <algorithm>
#include <map>

#include "autodiff/kernels/strided.hpp"
#include "autodiff/kernels/sums.hpp"
#include "autodiff/loops/loop_op.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/ops/reduction.hpp"
#include "autodiff/plan/scalars/builder.hpp"
#include "autodiff/plan/stages.hpp"

namespace wengert::plan::scalars {
namespace {

// Larger values gain more from vectors than from having no steps. What only moves elements costs nothing.
constexpr Index usual_elements = 32, most_computed = 256, most_moved = 1024, most_read = 4096;
constexpr std::size_t most_instructions = std::size_t{1} << 18;  // of which each is about 10 bytes of code

using Elements = std::vector<Number>;

// Thrown where a graph cannot be a program, or should not.
struct Unsuited {};

// Elementwise ops that are an instruction, or a few.
Number arithmetic(Builder& to, const Op& op, Dtype dtype, std::span<const Number> x, bool& known) {
  using enum Code;
  const auto is = [&](const Op& other) { return &op == &other; };
  const auto number = [&](double value) { return to.constant(value, dtype); };
  const auto larger = [&](Number a, Number b, Code compare) {  // or the one that is NaN
    const Number a_wins =
        to.compute(mask_or, dtype, to.compute(compare, dtype, a, b), to.compute(unordered, dtype, a, a));
    return to.compute(choose, dtype, a_wins, a, b);
  };
  static const std::map<const Op*, Code> plain{{&add_op(), add}, {&sub_op(), sub},   {&mul_op(), mul}, {&div_op(), div},
                                               {&neg_op(), neg}, {&sqrt_op(), sqrt}, {&abs_op(), abs}};
  static const std::map<const Op*, Code> comparisons{{&equal_op(), equal},     {&not_equal_op(), not_equal},
                                                     {&less_op(), less},       {&less_equal_op(), less_equal},
                                                     {&greater_op(), greater}, {&greater_equal_op(), greater_equal}};
  static const std::map<const Op*, Code> connectives{
      {&logical_and_op(), mask_and}, {&logical_or_op(), mask_or}, {&logical_xor_op(), mask_xor}};
  if (const auto code = plain.find(&op); code != plain.end())
    return to.compute(code->second, dtype, x[0], x.size() > 1 ? x[1] : none);
  if (const auto code = comparisons.find(&op); code != comparisons.end())
    return to.indicator(to.compute(code->second, dtype, x[0], x[1]));
  if (const auto code = connectives.find(&op); code != connectives.end())
    return to.indicator(to.compute(code->second, dtype, to.mask_of(x[0]), to.mask_of(x[1])));
  if (is(logical_not_op())) return to.indicator(to.compute(mask_not, dtype, to.mask_of(x[0])));
  if (is(where_op())) return to.compute(choose, dtype, to.mask_of(x[0]), x[1], x[2]);
  if (is(square_op())) return to.compute(mul, dtype, x[0], x[0]);
  if (is(reciprocal_op())) return to.compute(div, dtype, number(1), x[0]);
  if (is(rsqrt_op())) return to.compute(div, dtype, number(1), to.compute(sqrt, dtype, x[0]));
  if (is(maximum_op())) return larger(x[0], x[1], greater);
  if (is(minimum_op())) return larger(x[0], x[1], less);
  if (is(relu_op())) return larger(x[0], number(0), greater);
  if (is(relu_backward_op()))
    return to.compute(choose, dtype, to.compute(greater, dtype, x[1], number(0)), x[0], number(0));
  known = false;
  return none;
}

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
      to_.write(write, elements[write.id]);
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
    for (Index e = 0; e < value.type.shape.size(); ++e) result.push_back(to_.constant_of(*value.constant, e));
    return result;
  }
  Elements read_of(const Type& type, const Read& read) {
    check(type, most_read);
    const std::uint32_t array = to_.read_array(read);
    Elements result;
    for (Index e = 0; e < type.shape.size(); ++e)
      result.push_back(to_.read(array, static_cast<std::size_t>(e) * size_of(type.dtype), type.dtype));
    return result;
  }

  static void check(const Type& type, Index most) {
    if (type.shape.size() > most) throw Unsuited();
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
    check(value.type, most_computed);
    surplus_ += value.type.shape.size() - usual_elements;
    if (value.op->fusable()) return elementwise(graph, id, operands);
    if (value.is(sum_op()))
      if (auto result = sum(value, graph.type_of(value, 0).shape, operands[0])) return *result;
    if (value.is(matmul_op()))
      if (auto result = product(graph, value, operands)) return *result;
    return called(graph, id, operands, 0);
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
    Elements all{to_.constant(0, value.type.dtype)};
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
    std::vector<Elements> spread(operands.size());
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const Walk walk = broadcast_walk(graph.type_of(value, i).shape, shape);
      spread[i].resize(static_cast<std::size_t>(shape.size()));
      if (shape.size() > 0) gather(walk, operands[i].data(), 0, shape.size(), spread[i].data());
    }
    Elements result;
    bool known = true;
    std::vector<Number> x(operands.size());
    for (std::size_t e = 0; known && e < static_cast<std::size_t>(shape.size()); ++e) {
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = spread[i][e];
      result.push_back(arithmetic(to_, *value.op, value.type.dtype, x, known));
    }
    return known ? result : called(graph, id, spread, shape.size());
  }

  // The order of kernels/sums.hpp: short chains from zero.
  std::optional<Elements> sum(const Value& value, Shape shape, Elements x) {
    const AxisList axes = value.arguments<ReductionArguments>().axes;
    if (axes.empty()) return x;
    const Dtype dtype = value.type.dtype;
    bool chains = true;
    visit_runs(axes, shape, [&](const Run& run, bool) {
      chains = chains && run.partial_sums(dtype).groups == 1 && run.reduced() <= (run.inner == 1 ? 8 : chain_length);
    });
    if (!chains) return {};
    visit_runs(axes, shape, [&](const Run& run, bool) {
      Elements sums;
      for (Index o = 0; o < run.outer; ++o)
        for (Index i = 0; i < run.inner; ++i) {
          Number total = to_.constant(0, dtype);
          for (Index r = 0; r < run.reduced(); ++r)
            total = to_.compute(Code::add, dtype, total,
                                x[static_cast<std::size_t>((o * run.reduced() + r) * run.inner + i)]);
          sums.push_back(total);
        }
      x = std::move(sums);
    });
    return x;
  }

  // The order of kernels/products.hpp: a chain of fused multiply-adds from zero.
  std::optional<Elements> product(const Graph& graph, const Value& value, const std::vector<Elements>& operands) {
    const Shape &a = graph.type_of(value, 0).shape, &b = graph.type_of(value, 1).shape;
    if (a.rank() != 2 || b.rank() != 2) return {};
    const auto [ta, tb] = value.arguments<MatmulOptions>();
    const Index m = value.type.shape[0], n = value.type.shape[1], k = ta ? a[0] : a[1];
    if (m * n * k > 4 * usual_elements) return {};
    const auto at = [](const Elements& x, const Shape& shape, bool transposed, Index i, Index j) {
      return x[static_cast<std::size_t>(transposed ? j * shape[1] + i : i * shape[1] + j)];
    };
    Elements result;
    for (Index i = 0; i < m; ++i)
      for (Index j = 0; j < n; ++j) {
        Number total = to_.constant(0, value.type.dtype);
        for (Index l = 0; l < k; ++l)
          total = to_.compute(Code::fma, value.type.dtype, at(operands[0], a, ta, i, l), at(operands[1], b, tb, l, j),
                              total);
        result.push_back(total);
      }
    return result;
  }

  Elements called(const Graph& graph, Id id, const std::vector<Elements>& operands, Index count) {
    const Value& value = graph.nodes[id];
    CallSite site{.op = value.op,
                  .attributes = value.attributes,
                  .type = value.type,
                  .types = {},
                  .operands = {},
                  .count = count,
                  .origins = {{value.op->name(), value.location}}};
    site.origins.insert(site.origins.end(), loops_.rbegin(), loops_.rend());
    for (std::size_t i = 0; i < operands.size(); ++i) {
      site.types.push_back(graph.type_of(value, i));
      check({site.types.back().dtype, {static_cast<Index>(operands[i].size())}}, most_computed);
    }
    to_.own(value.owned);
    return value.type.shape.size() == 0 ? Elements{} : to_.call(std::move(site), operands);
  }

  Elements of_loop(const Value& value, const LoopOp& op, const std::vector<Elements>& operands) {
    const LoopParts parts = op.parts();
    if (parts.condition == nullptr) throw Unsuited();
    const Graph condition = rewritten(*parts.condition, {}, Keeps::bits),
                body = rewritten(*parts.body, {}, Keeps::bits);
    Elements start;
    for (std::size_t i = 0; i < parts.carry; ++i) start.insert(start.end(), operands[i].begin(), operands[i].end());
    const Elements variables = to_.begin_loop(start);
    loops_.push_back({op.name(), value.location});
    std::vector<Elements> carry;
    for (std::size_t i = 0, at = 0; i < parts.carry; at += operands[i++].size())
      carry.emplace_back(variables.begin() + static_cast<std::ptrdiff_t>(at),
                         variables.begin() + static_cast<std::ptrdiff_t>(at + operands[i].size()));
    const auto inputs = [&](std::size_t first, std::size_t count) {
      std::vector<Elements> all = carry;
      all.insert(all.end(), operands.begin() + static_cast<std::ptrdiff_t>(first),
                 operands.begin() + static_cast<std::ptrdiff_t>(first + count));
      return all;
    };
    const std::size_t constants = condition.inputs.size() - parts.carry;
    const Number holds = of_graph(condition, inputs(parts.carry, constants))[0][0];
    if (!is_float(to_.dtype(holds))) throw Unsuited();
    to_.leave(to_.compute(Code::mask_not, to_.dtype(holds), to_.mask_of(holds)));
    Elements next;
    for (const Elements& each : of_graph(body, inputs(condition.inputs.size(), body.inputs.size() - parts.carry)))
      next.insert(next.end(), each.begin(), each.end());
    Elements last = to_.end_loop(next);
    loops_.pop_back();
    for (Number& each : last) each = converted(each, value.type.dtype);
    return last;
  }
  // As a loop's packed output has it.
  Number converted(Number x, Dtype dtype) {
    if (to_.dtype(x) == dtype) return x;
    return to_.compute(to_.dtype(x) == Dtype::i32 ? Code::i32_to_f64 : Code::f32_to_f64, to_.dtype(x), x);
  }

  const Graph& graph_;
  Builder to_;
  std::vector<Origin> loops_;  // around the node at hand
  Index surplus_ = 0;          // elements that are computed, beyond the usual ones of as many values
};

}  // namespace

std::optional<Program> scalarize(const Graph& graph, std::span<const Id> members, std::span<const Write> writes) {
  try {
    return Scalarizer(graph).run(members, writes);
  } catch (const Unsuited&) {
    return {};
  }
}

}  // namespace wengert::plan::scalars
