#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "autodiff/derivatives.hpp"
#include "autodiff/derivatives/forward.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "autodiff/testing/check_parts.hpp"

namespace wengert {
namespace {

enum class Mode { reverse, forward };

const char* name_of(Mode mode) { return mode == Mode::reverse ? "reverse" : "forward"; }

// A scalar, and the sum of the magnitudes it was added up from: what its rounding errors are relative to.
struct Projection {
  Var value;
  double norm = 0;
};

class GradientChecker {
 public:
  GradientChecker(const FunctionOfMany& f, const std::vector<Array>& inputs, const GradientCheck& options)
      : f_(f), inputs_(inputs), options_(options) {}

  CheckReport run() {
    Tape tape(Dtype::f64);
    const auto single = [](Dtype dtype) { return dtype == Dtype::f32; };
    in_f64_ = !single(f_(leaves(tape, inputs_)).dtype()) &&
              std::none_of(inputs_.begin(), inputs_.end(), [&](const Array& input) { return single(input.dtype()); });
    for (int order = 1; order <= options_.order; ++order) check_order(order);
    return std::move(report_);
  }

 private:
  static std::vector<Var> leaves(Tape& tape, const std::vector<Array>& inputs) {
    std::vector<Var> vars;
    for (const Array& input : inputs) vars.push_back(tape.input(input));
    return vars;
  }

  static bool differentiable(const Array& input) { return is_float(input.dtype()) && input.size() > 0; }

  // The derivatives of a y of one element by those of the inputs that have one; null Vars for the others.
  std::vector<Var> derivatives(Tape& tape, Var y, const std::vector<Var>& xs, Mode mode) const {
    std::vector<Var> result(xs.size());
    for (std::size_t k = 0; k < xs.size(); ++k)
      if (differentiable(inputs_[k])) result[k] = mode == Mode::reverse ? grad(y, xs[k]) : pushed(tape, y, xs[k]);
    return result;
  }

  // dy/dx by a stack of all basis tangents of x.
  static Var pushed(Tape& tape, Var y, Var x) {
    const Index size = x.size();
    Array basis(x.dtype(), x.shape().prepended(size));
    for (Index i = 0; i < size; ++i) basis.set(i * size + i, 1);
    const std::array<std::uint32_t, 1> index{tape.index_of(x, Where::current())};
    const std::array<Var, 1> stack{tape.input(basis)};
    const std::uint32_t last = tape.index_of(y, Where::current());
    return cast(reshape(ForwardSweep(tape, index, stack, last).full(last, size), x.shape()), x.dtype());
  }

  // F_1 = sum of p * f(x), F_{n+1} = sum over inputs of q_i * dF_n/dx_i, with fixed random p and q.
  Projection project(Tape& tape, const std::vector<Var>& xs, int order, Mode mode) const {
    std::mt19937_64 random(7);
    Projection projection;
    const auto weigh = [&](Var x) {
      Array weights(x.type());
      for (Index i = 0; i < weights.size(); ++i)
        weights.set(i, std::uniform_real_distribution<double>(0.5, 1.5)(random) * (i % 3 == 1 ? -1 : 1));
      const Var terms = x * tape.input(weights), total = cast(sum(terms), Dtype::f64);
      projection.norm += cast(sum(abs(terms)), Dtype::f64).item();
      projection.value = projection.value.is_null() ? total : projection.value + total;
    };
    const Var y = f_(xs);
    if (!is_float(y.dtype())) return {tape.full(Shape{}, 0), 0};
    weigh(y);
    for (int n = 1; n < order; ++n) {
      const std::vector<Var> gradients = derivatives(tape, projection.value, xs, mode);
      projection = {tape.full(Shape{}, 0), 0};
      for (Var gradient : gradients)
        if (!gradient.is_null()) weigh(gradient);
    }
    return projection;
  }

  std::vector<Mode> modes() const {
    if (options_.modes == Modes::reverse) return {Mode::reverse};
    if (options_.modes == Modes::forward) return {Mode::forward};
    return {Mode::reverse, Mode::forward};
  }

  void check_order(int order) {
    const std::vector<Array> numeric = differences(order);
    for (Mode inner : modes()) {
      for (Mode outer : modes()) {
        const std::string how = order == 1 ? name_of(outer) : fmt::format("{} over {}", name_of(outer), name_of(inner));
        Tape tape(Dtype::f64);
        const std::vector<Var> xs = leaves(tape, inputs_);
        const Projection projection = project(tape, xs, order, inner);
        const std::vector<Var> analytic = derivatives(tape, projection.value, xs, outer);
        for (std::size_t k = 0; k < xs.size(); ++k)
          if (!analytic[k].is_null())
            compare(fmt::format("order {}, {}: d/d input {}", order, how, k), analytic[k].value(), numeric[k],
                    bound(order) * std::max(1.0, projection.norm));
      }
      if (order == 1) break;  // there is no inner derivative
    }
  }

  double bound(int order) const {
    constexpr double by_order[] = {1e-7, 1e-5, 1e-3};
    if (options_.tolerance > 0) return options_.tolerance;
    return in_f64_ ? by_order[std::min(order, 3) - 1] : 1e-3;
  }

  // Central differences of F_order by every entry. Differences of f32 see its rounding: wider steps there.
  std::vector<Array> differences(int order) const {
    std::vector<Array> numeric;
    for (std::size_t k = 0; k < inputs_.size(); ++k) {
      numeric.emplace_back(Dtype::f64, inputs_[k].shape());
      if (!differentiable(inputs_[k])) continue;
      const double h = in_f64_ ? 6e-6 : 5e-3;
      for (Index i = 0; i < inputs_[k].size(); ++i) {
        const auto [above, x_above] = shifted(order, k, i, h);
        const auto [below, x_below] = shifted(order, k, i, -h);
        numeric[k].set(i, (above - below) / (x_above - x_below));
      }
    }
    return numeric;
  }

  // F_order where an entry is moved by h times its size, and the entry as rounded.
  std::pair<double, double> shifted(int order, std::size_t k, Index i, double h) const {
    std::vector<Array> moved = inputs_;
    moved[k].set(i, moved[k].at(i) + h * std::max(1.0, std::abs(moved[k].at(i))));
    Tape tape(Dtype::f64);
    return {project(tape, leaves(tape, moved), order, modes().front()).value.item(), moved[k].at(i)};
  }

  void compare(const std::string& what, const Array& analytic, const Array& numeric, double bound) {
    ++report_.checks;
    for (Index i = 0; i < numeric.size(); ++i)
      if (!(std::abs(analytic.at(i) - numeric.at(i)) <= bound))
        return report_.failures.push_back(fmt::format("{} at {}: analytic {}, numeric {}", what,
                                                      place_in(numeric.shape(), i), analytic.at(i), numeric.at(i)));
  }

  const FunctionOfMany& f_;
  const std::vector<Array>& inputs_;
  GradientCheck options_;
  bool in_f64_ = true;
  CheckReport report_;
};

}  // namespace

std::string place_in(const Shape& shape, Index i) {
  std::string text;
  for (int axis = shape.rank(); axis-- > 0; i /= shape[axis])
    text = fmt::format("{}{}{}", i % shape[axis], text.empty() ? "" : ", ", text);
  return fmt::format("[{}]", text);
}

CheckReport check_grads(const FunctionOfMany& f, const std::vector<Array>& inputs, const GradientCheck& options) {
  if (options.order < 1) throw Error(fmt::format("[check_grads] order must be at least 1, got {}", options.order));
  return GradientChecker(f, inputs, options).run();
}

}  // namespace wengert
