#include "autodiff/testing/check_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>

#include "autodiff/derivatives.hpp"
#include "autodiff/derivatives/forward.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

using Arrays = std::vector<Array>;

class Checker {
 public:
  Checker(const Op& op, int orders) : op_(op), orders_(orders) {}

  CheckReport run() {
    const auto examples = op_.examples();
    expect(op_.is_leaf() || !examples.empty(), [] { return "has no examples"; });
    for (std::size_t i = 0; i < examples.size(); ++i)
      guarded(fmt::format("example {}", i), [&] { check_example(examples[i]); });
    const auto edge_cases = op_.edge_cases();
    for (std::size_t i = 0; i < edge_cases.size(); ++i)
      guarded(fmt::format("edge case {}", i), [&] { check_edge_case(edge_cases[i]); });
    const auto invalid_inputs = op_.invalid_inputs();
    for (std::size_t i = 0; i < invalid_inputs.size(); ++i)
      guarded(fmt::format("invalid input {}", i), [&] { check_invalid_input(invalid_inputs[i]); });
    return std::move(report_);
  }

 private:
  template <class Text>
  void expect(bool holds, Text&& text) {
    ++report_.checks;
    if (!holds) report_.failures.push_back(fmt::format("[{}] {}{}", op_.name(), label_, text()));
  }

  template <class F>
  void guarded(const std::string& label, F&& f) {
    label_ = label + ": ";
    try {
      f();
    } catch (const std::exception& error) {
      expect(false, [&] { return fmt::format("threw: {}", error.what()); });
    }
  }

  Array draw(const Sample& sample, Dtype dtype) { return wengert::draw(sample, dtype, random_); }
  Arrays draw(const std::vector<Sample>& samples, Dtype dtype) {
    Arrays arrays;
    for (const Sample& sample : samples) arrays.push_back(draw(sample, dtype));
    return arrays;
  }

  Var record_on(Tape& tape, const Arrays& inputs, const Attributes& attributes, std::vector<Var>& leaves) {
    leaves.clear();
    std::vector<Operand> operands;
    for (const Array& input : inputs) operands.emplace_back(leaves.emplace_back(tape.input(input)));
    return tape.record(op_, operands, attributes, Where::current());
  }

  Array evaluate(const Arrays& inputs, const Attributes& attributes) {
    Tape tape(Dtype::f64);
    std::vector<Var> leaves;
    return record_on(tape, inputs, attributes, leaves).value();
  }

  // Equal as far as `tolerance` (of the largest finite entry) goes; infinities and NaNs must agree.
  void compare(const Array& value, const Array& wanted, double tolerance, const char* what) {
    if (value.size() != wanted.size())
      return expect(false,
                    [&] { return fmt::format("{} has {} entries, {} are wanted", what, value.size(), wanted.size()); });
    double largest = 1e-300;
    for (Index i = 0; i < wanted.size(); ++i)
      if (std::isfinite(wanted.at(i))) largest = std::max(largest, std::abs(wanted.at(i)));
    for (Index i = 0; i < wanted.size(); ++i) {
      const double a = value.at(i), b = wanted.at(i);
      const bool same =
          std::isfinite(b) ? std::abs(a - b) <= tolerance * largest : (std::isnan(a) && std::isnan(b)) || a == b;
      if (!same) return expect(false, [&] { return fmt::format("{} at {}: got {}, wanted {}", what, i, a, b); });
    }
    expect(true, [] { return ""; });
  }

  void check_example(const Example& example) {
    const std::string label = label_;
    for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::i32}) {
      const bool fixed = std::all_of(example.inputs.begin(), example.inputs.end(),
                                     [](const Sample& s) { return s.dtype.has_value(); });
      if (fixed ? dtype != Dtype::f64 : !op_.supports(dtype)) continue;
      label_ = label + (fixed ? "" : std::string(name_of(dtype)) + ": ");
      const Arrays inputs = draw(example.inputs, dtype);
      check_value(inputs, example.attributes);
      add(check_example_in_plans(op_, example, dtype));
      if (dtype != Dtype::f64) continue;
      check_rows(inputs, example.attributes);
      if (!fixed) check_batches(inputs, draw(example.inputs, dtype), example.attributes);
      if (op_.linearity() != Linearity::none) check_forward(inputs, example.attributes);
      if (!op_.is_detached() && !inputs.empty()) check_orders(inputs, example.attributes);
    }
  }

  void check_value(const Arrays& inputs, const Attributes& attributes) {
    Tape tape(Dtype::f64), symbolic(Dtype::f64, Tape::Mode::symbolic);
    std::vector<Var> leaves;
    const Var out = record_on(tape, inputs, attributes, leaves);
    const Var described = record_on(symbolic, inputs, attributes, leaves);
    expect(described.type() == out.type(), [&] { return "a symbolic tape infers another type"; });
    Arrays in_f64;
    for (const Array& input : inputs) in_f64.push_back(input.cast(Dtype::f64));
    compare(out.value(), op_.reference(in_f64, attributes, out.type()), op_.tolerance(out.dtype()), "value");
    const Array again = evaluate(inputs, attributes), first = out.value();
    expect(std::memcmp(again.raw(), first.raw(), first.type().bytes()) == 0,
           [] { return "recorded again it gives other bits"; });
    if (op_.selects()) check_selection(inputs, first);
    check_memory(inputs, attributes, out.type());
  }

  void check_selection(const Arrays& inputs, const Array& output) {
    std::set<double> known{0};
    for (const Array& input : inputs) {
      const Array values = input.cast(output.dtype());
      for (Index i = 0; i < values.size(); ++i) known.insert(values.at(i));
    }
    for (Index i = 0; i < output.size(); ++i)
      expect(known.count(output.at(i)) == 1,
             [&] { return fmt::format("is to select values of its operands, and made {} at {}", output.at(i), i); });
  }

  // Runs the kernel with a mark behind its scratch memory.
  void check_memory(const Arrays& inputs, const Attributes& attributes, const Type& type) {
    constexpr std::size_t mark = 64;
    std::vector<const Type*> types;
    std::vector<const void*> operands;
    for (const Array& input : inputs) {
      types.push_back(&input.type());
      operands.push_back(input.raw());
    }
    const Signature signature{types, attributes};
    const std::size_t bytes = op_.scratch_bytes(signature, type);
    Array scratch(Dtype::i32, {static_cast<Index>((bytes + mark) / 4 + 1)}), output(type);
    unsigned char* end = static_cast<unsigned char*>(scratch.raw()) + bytes;
    std::memset(end, 0x5a, mark);
    {
      const FloatingPointMode mode;
      op_.run({signature, operands, type, output.raw(), scratch.raw()});
    }
    expect(std::all_of(end, end + mark, [](unsigned char c) { return c == 0x5a; }),
           [] { return "writes beyond its scratch memory"; });
    if (op_.is_view())
      expect(type.dtype == types[0]->dtype && type.bytes() == types[0]->bytes() &&
                 std::memcmp(output.raw(), operands[0], type.bytes()) == 0,
             [] { return "is to be a view of operand 0, and has other elements"; });
  }

  // Only cast has an f32 on the way when all is to be f64.
  static bool in_f64(const Arrays& inputs, Dtype out) {
    const auto single = [](const Array& input) { return input.dtype() == Dtype::f32; };
    return out != Dtype::f32 && std::none_of(inputs.begin(), inputs.end(), single);
  }

  void check_orders(const Arrays& inputs, const Attributes& attributes) {
    const auto f = [&](std::span<const Var> xs) {
      return xs[0].tape().record(op_, std::vector<Operand>(xs.begin(), xs.end()), attributes, Where::current());
    };
    // Without a rule the derivative is 0, of any order.
    const int orders = op_.linearity() == Linearity::none ? 1 : orders_;
    add(check_grads(f, inputs, {.order = orders, .modes = Modes::reverse}));
  }
  void add(const CheckReport& found) {
    report_.checks += found.checks;
    for (const auto& [name, count] : found.planned) report_.planned[name] += count;
    for (const std::string& failure : found.failures)
      report_.failures.push_back(fmt::format("[{}] {}{}", op_.name(), label_, failure));
  }

  // An axis of stacks of tangents that stands for equal tangents with extent 1: of the operands' from the end, or the
  // one in front; of the stacks of all operands, or of one alone.
  struct Thin {
    enum class Axis { none, operands, front } axis = Axis::none;
    int which = 0;  // of the operands' axes
    std::size_t operand = all;
    static constexpr std::size_t all = static_cast<std::size_t>(-1);

    Shape shape(Shape of, Index count, std::size_t i) const {
      const bool mine = operand == all || operand == i;
      if (mine && axis == Axis::operands && of.rank() >= -which && of[which] > 0) of.set(which, 1);
      return of.prepended(mine && axis == Axis::front ? 1 : count);
    }
  };
  static std::vector<Thin> thin_stacks(std::size_t operands) {
    std::vector<Thin> all{{}};
    for (std::size_t operand = 0; operand <= (operands > 1 ? operands : 0); ++operand) {
      const std::size_t i = operand == 0 ? Thin::all : operand - 1;
      for (int axis = -3; axis < 0; ++axis) all.push_back({Thin::Axis::operands, axis, i});
      if (i != Thin::all) all.push_back({Thin::Axis::front, 0, i});
    }
    return all;
  }

  void check_forward(const Arrays& inputs, const Attributes& attributes) {
    for (Index count : {Index{1}, Index{3}, inputs.empty() || inputs[0].shape().rank() == 0 ? 2 : inputs[0].shape()[0]})
      for (const Thin& thin : thin_stacks(inputs.size()))
        if (thin.operand == Thin::all || count == 3) check_stacks(inputs, attributes, count, thin);
  }

  // Stacks of tangents against the transposed vjp: <u, J t> = <J'u, t> for each tangent of the stack.
  void check_stacks(const Arrays& inputs, const Attributes& attributes, Index count, const Thin& thin) {
    Tape tape(Dtype::f64);
    std::vector<Var> leaves, stacks;
    const Var y = record_on(tape, inputs, attributes, leaves);
    if (!is_float(y.dtype()) || count == 0) return;
    std::vector<std::uint32_t> indices;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!is_float(inputs[i].dtype())) continue;
      indices.push_back(tape.index_of(leaves[i], Where::current()));
      stacks.push_back(tape.input(draw(Sample{thin.shape(inputs[i].shape(), count, i)}, inputs[i].dtype())));
    }
    if (indices.empty()) return;
    const std::uint32_t last = tape.index_of(y, Where::current());
    const Var pushed = ForwardSweep(tape, indices, stacks, last).full(last, count);
    const Var u = tape.input(draw(Sample{y.shape()}, y.dtype()));
    std::vector<Var> xs;
    for (std::uint32_t index : indices) xs.push_back(tape.var(index));
    const std::vector<Var> pulled = vjp(y, u, xs);
    for (Index k = 0; k < count; ++k) {
      const double forward = sum(u * reshape(slice(pushed, 0, k, k + 1), y.shape())).item();
      double reverse = 0, norm = std::abs(forward);
      for (std::size_t i = 0; i < xs.size(); ++i) {
        const Index mine = stacks[i].extent(0) == 1 ? 0 : k;
        const double part = sum(cast(pulled[i] * slice(stacks[i], 0, mine, mine + 1), Dtype::f64)).item();
        reverse += part;
        norm += std::abs(part);
      }
      const double tolerance = in_f64(inputs, y.dtype()) ? 1e-11 : 1e-5;
      if (!(std::abs(forward - reverse) <= tolerance * std::max(norm, 1.0)))
        return expect(false, [&] {
          const std::string of = thin.operand == Thin::all ? "all stacks" : fmt::format("stack {}", thin.operand);
          const std::string where = thin.axis == Thin::Axis::none ? "none is thin"
                                    : thin.axis == Thin::Axis::front
                                        ? of + " with extent 1 in front"
                                        : fmt::format("{} thin on axis {}", of, thin.which);
          return fmt::format("forward {} and reverse {} differ for tangent {} of {}, {}", forward, reverse, k, count,
                             where);
        });
    }
    expect(true, [] { return ""; });
  }

  // With a batch in front of all operands, or of one alone, against one after the other.
  void check_batches(const Arrays& first, const Arrays& second, const Attributes& attributes) {
    const std::size_t arity = first.size();
    for (std::size_t alone = 0; alone <= arity && arity > 0; ++alone) {
      const auto batched = [&](std::size_t i) { return alone == arity || alone == i; };
      Tape tape(Dtype::f64);
      Arrays other = first;
      std::vector<Var> stacks;
      for (std::size_t i = 0; i < arity; ++i)
        if (batched(i)) {
          other[i] = second[i];
          stacks.push_back(stack({tape.input(first[i]), tape.input(second[i])}, 0));
        }
      const auto f = [&](std::span<const Var> slices) {
        std::vector<Operand> operands;
        for (std::size_t i = 0, next = 0; i < arity; ++i)
          operands.emplace_back(batched(i) ? slices[next++] : tape.input(first[i]));
        return tape.record(op_, operands, attributes, Where::current());
      };
      const Var both = vmap(f, stacks), one = tape.input(evaluate(first, attributes));
      const Var wanted = stack({one, tape.input(evaluate(other, attributes))}, 0);
      const std::string what = fmt::format("value under vmap of {}", alone == arity ? "all" : std::to_string(alone));
      compare(both.value(), wanted.value(), op_.tolerance(one.dtype()), what.c_str());
    }
  }

  // Changes one row of one operand and sees which rows of the output change.
  void check_rows(const Arrays& inputs, const Attributes& attributes) {
    std::vector<const Type*> types;
    for (const Array& input : inputs) types.push_back(&input.type());
    const Array before = evaluate(inputs, attributes);
    for (std::size_t k = 0; k < inputs.size(); ++k)
      for (int axis = -inputs[k].shape().rank(); axis < 0; ++axis) {
        const Rows rows = op_.rows({types, attributes}, before.type(), static_cast<int>(k), axis);
        if (!rows.kept() || inputs[k].size() == 0) continue;
        const Index extent = inputs[k].shape()[axis];
        for (int other = -inputs[k].shape().rank(); other < 0 && rows.rule == RowRule::pointwise; ++other)
          if (other >= -before.shape().rank() && inputs[k].shape()[other] == before.shape()[other])
            expect(op_.rows({types, attributes}, before.type(), static_cast<int>(k), other).rule == RowRule::pointwise,
                   [&] {
                     return fmt::format("row rule of operand {}, axis {}: pointwise, but axis {} is not", k, axis,
                                        other);
                   });
        expect(before.shape()[rows.axis] == extent,
               [&] { return fmt::format("row rule of operand {}, axis {}: extents differ", k, axis); });
        for (Index changed : {Index{0}, extent - 1}) {
          Arrays moved = inputs;
          for_row(moved[k].shape(), axis, changed, [&](Index i) { moved[k].set(i, moved[k].at(i) + 0.25); });
          const Array after = evaluate(moved, attributes);
          bool apart = true;
          for (Index row = 0; row < extent; ++row)
            if (row != changed)
              for_row(before.shape(), rows.axis, row, [&](Index i) {
                const double a = before.at(i), b = after.at(i);
                apart = apart && (a == b || (std::isnan(a) && std::isnan(b)));
              });
          expect(apart, [&] {
            return fmt::format("row rule of operand {}, axis {}: other rows change with row {}", k, axis, changed);
          });
        }
      }
  }

  template <class F>
  static void for_row(const Shape& shape, int axis, Index row, F&& f) {
    Index inside = 1;
    for (int a = axis + 1; a < 0; ++a) inside *= shape[a];
    for (Index i = 0; i < shape.size(); ++i)
      if (i / inside % shape[axis] == row) f(i);
  }

  void check_edge_case(const EdgeCase& edge_case) {
    const std::string label = label_;
    for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
      label_ = label + name_of(dtype) + ": ";
      Tape tape(dtype);
      std::vector<Var> leaves;
      const Var out = record_on(tape, draw(edge_case.inputs, dtype), edge_case.attributes, leaves);
      const double tolerance = std::max(op_.tolerance(dtype), dtype == Dtype::f32 ? 1e-6 : 0.0);
      const Array value = out.value();
      expect(value.size() == static_cast<Index>(edge_case.value.size()),
             [&] { return fmt::format("has {} values, {} are stated", value.size(), edge_case.value.size()); });
      if (value.size() != static_cast<Index>(edge_case.value.size())) return;
      compare(value, Array::of<double>(value.shape(), std::span<const double>(edge_case.value)), tolerance, "value");
      for (std::size_t i = 0; i < edge_case.gradient.size(); ++i) {
        const auto& wanted = edge_case.gradient[i];
        if (wanted.empty()) continue;
        const Array gradient = grad(sum(out), leaves[i]).value();
        compare(gradient, Array::of<double>(gradient.shape(), std::span<const double>(wanted)),
                dtype == Dtype::f32 ? 4e-6 : 1e-13, "derivative");
      }
      add(check_edge_case_in_plans(op_, edge_case, dtype));
    }
    label_ = label;
    if (smooth(edge_case)) check_orders(draw(edge_case.inputs, Dtype::f64), edge_case.attributes);
  }

  // True if differences make sense at an edge case: their steps fit operands of moderate size.
  bool smooth(const EdgeCase& edge_case) const {
    const auto all_within = [](const std::vector<double>& values, double bound) {
      return std::all_of(values.begin(), values.end(), [&](double x) { return std::abs(x) <= bound; });
    };
    constexpr double largest = std::numeric_limits<double>::max();
    bool within = !edge_case.kink && !edge_case.gradient.empty() && all_within(edge_case.value, largest);
    for (const auto& gradient : edge_case.gradient) within = within && all_within(gradient, largest);
    for (const Sample& sample : edge_case.inputs)
      for (double x : sample.values) within = within && (x == 0 || (std::abs(x) >= 1e-3 && std::abs(x) <= 100));
    return within && op_.linearity() != Linearity::none && !op_.is_detached();
  }

  void check_invalid_input(const InvalidInput& invalid) {
    Tape tape(Dtype::f32, Tape::Mode::symbolic);
    std::vector<Operand> operands;
    for (const Type& type : invalid.inputs) operands.emplace_back(tape.input(type));
    std::string text = "nothing was thrown";
    try {
      tape.record(op_, operands, invalid.attributes, Where::current());
    } catch (const Error& error) {
      text = error.what();
    }
    const bool named = text.find("[" + op_.name() + "] ") == 0, said = text.find(invalid.text) != std::string::npos;
    expect(named && said && text.find("check.cpp:") != std::string::npos,
           [&] { return fmt::format("wanted \"{}\", got \"{}\"", invalid.text, text); });
  }

  const Op& op_;
  int orders_;
  std::mt19937_64 random_{20240607};
  std::string label_;
  CheckReport report_;
};

}  // namespace

CheckReport check_op(const Op& op, int orders) { return Checker(op, orders).run(); }

}  // namespace wengert
