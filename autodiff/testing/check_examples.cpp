// The examples of an op in plans.
#include <algorithm>
#include <optional>
#include <utility>

#include "autodiff/tape.hpp"
#include "autodiff/testing/check_parts.hpp"

namespace wengert {
namespace {

using Arrays = std::vector<Array>;

constexpr Index many = 200;  // rows

// A sample with another first extent: drawn, or rows of the stated values in a changing order and size, so that no two
// are likely to be equal.
Array stretched(Sample sample, const Shape& shape, Dtype dtype, std::mt19937_64& random) {
  const std::vector<double> values = std::exchange(sample.values, {});
  const Index rows = sample.shape == shape ? 1 : shape[0];
  const bool slices = shape.rank() > sample.shape.rank();
  const Index row = shape.size() / std::max<Index>(rows, 1), own = slices ? 1 : sample.shape[0];
  sample.shape = shape;
  if (values.empty()) return draw(sample, dtype, random);
  const bool whole = sample.dtype.value_or(dtype) == Dtype::i32;
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < row; ++j)
      sample.values.push_back(values[static_cast<std::size_t>(i * 7919 % 997 % own * row + j)] *
                              (whole ? 1 : 1 - static_cast<double>(i % 16) / 64));
  return draw(sample, dtype, random);
}

class ExampleChecker {
 public:
  ExampleChecker(const Op& op, const Example& example, Dtype dtype)
      : op_(op), example_(example), dtype_(dtype), orders_(dtype == Dtype::f64 ? 2 : 1) {
    if (op.linearity() == Linearity::none || op.is_detached()) orders_ = 0;
  }

  CheckReport run() {
    for (const Sample& sample : example_.inputs) inputs_.push_back(draw(sample, dtype_, random_));
    check("", inputs_, call(), {});
    // Slices of an elementwise op are rows of it.
    if (!check_rows() || !op_.fusable()) check_slices();
    return std::move(report_);
  }
  CheckReport run_as_it_stands() {
    for (const Sample& sample : example_.inputs) inputs_.push_back(draw(sample, dtype_, random_));
    check("", inputs_, call(), {});
    return std::move(report_);
  }

 private:
  FunctionOfMany call() const {
    return [this](std::span<const Var> xs) {
      return xs[0].tape().record(op_, std::vector<Operand>(xs.begin(), xs.end()), example_.attributes,
                                 Where::current());
    };
  }

  void check(const char* what, const Arrays& inputs, const FunctionOfMany& f, PlanCheck options) {
    if (inputs.empty()) return;
    options.orders = orders_;
    CheckReport found = check_plans(f, inputs, options);
    report_.checks += found.checks;
    for (const auto& [name, count] : found.planned) report_.planned[name] += count;
    for (const std::string& failure : found.failures) report_.failures.push_back(what + failure);
  }

  // The type that operands of these shapes give; none where the op refuses them.
  std::optional<Type> inferred(const std::vector<Shape>& shapes) const {
    std::vector<Type> types;
    std::vector<const Type*> pointers;
    for (std::size_t i = 0; i < shapes.size(); ++i) types.push_back({inputs_[i].dtype(), shapes[i]});
    for (const Type& type : types) pointers.push_back(&type);
    try {
      return op_.infer({pointers, example_.attributes});
    } catch (const Error&) {
      return {};
    }
  }

  // With many rows in the operands whose first axis is the output's first one. Returns whether there are such.
  bool check_rows() {
    std::vector<Shape> shapes;
    std::vector<const Type*> types;
    for (const Array& input : inputs_) {
      shapes.push_back(input.shape());
      types.push_back(&input.type());
    }
    const auto type = inferred(shapes);
    if (!type || type->shape.rank() == 0 || type->shape[0] == 0) return false;
    PlanCheck options;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const int first = -shapes[i].rank();
      const Rows rows = first == 0 ? Rows{} : op_.rows({types, example_.attributes}, *type, static_cast<int>(i), first);
      if (rows.kept() && rows.axis == -type->shape.rank() && shapes[i][0] == type->shape[0])
        options.rows.push_back(i);
      else
        options.parameters.push_back(i);
    }
    if (options.rows.empty()) return false;
    Shape wanted = type->shape;
    wanted.set(0, many);
    for (std::size_t i : options.rows) shapes[i].set(0, many);
    if (inferred(shapes) != Type{type->dtype, wanted}) return false;
    Arrays inputs = inputs_;
    for (std::size_t i : options.rows) inputs[i] = stretched(example_.inputs[i], shapes[i], dtype_, random_);
    check("of 200 rows, ", inputs, call(), options);
    return true;
  }

  // Under vmap over many slices, unless it takes them one by one.
  void check_slices() {
    const auto fixed = [](const Sample& sample) { return sample.dtype.has_value(); };
    if (std::all_of(example_.inputs.begin(), example_.inputs.end(), fixed)) return;
    const FunctionOfMany f = [f = call()](std::span<const Var> xs) { return vmap(f, xs); };
    const auto nodes = [&](Index count) {
      Tape tape(Dtype::f64, Tape::Mode::symbolic);
      std::vector<Var> xs;
      for (const Array& input : inputs_) xs.push_back(tape.input(Type{input.dtype(), input.shape().prepended(count)}));
      f(xs);
      return tape.size();
    };
    if (nodes(2) != nodes(3)) return;
    Arrays inputs;
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      inputs.push_back(stretched(example_.inputs[i], inputs_[i].shape().prepended(many), dtype_, random_));
    check("of 200 slices, ", inputs, f, {});
  }

  const Op& op_;
  const Example& example_;
  Dtype dtype_;
  int orders_;
  Arrays inputs_;
  std::mt19937_64 random_{20240607};
  CheckReport report_;
};

}  // namespace

Array draw(const Sample& sample, Dtype dtype, std::mt19937_64& random) {
  Array array(sample.dtype.value_or(dtype), sample.shape);
  const auto uniform = [&] { return std::uniform_real_distribution<double>(sample.low, sample.high)(random); };
  for (Index i = 0; i < array.size(); ++i) {
    double value = sample.values.empty() ? uniform() : sample.values[static_cast<std::size_t>(i)];
    const auto close = [&](double kink) { return std::abs(value - kink) < Sample::gap; };
    while (sample.values.empty() && std::any_of(sample.kinks.begin(), sample.kinks.end(), close)) value = uniform();
    array.set(i, value);
  }
  return array;
}

CheckReport check_example_in_plans(const Op& op, const Example& example, Dtype dtype) {
  return ExampleChecker(op, example, dtype).run();
}

CheckReport check_edge_case_in_plans(const Op& op, const EdgeCase& edge_case, Dtype dtype) {
  const Example example{edge_case.inputs, edge_case.attributes};
  return ExampleChecker(op, example, dtype).run_as_it_stands();
}

}  // namespace wengert
