#include "autodiff/testing/check_parts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>

#include "autodiff/derivatives.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/plan.hpp"
#include "autodiff/plan/forced.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

using Arrays = std::vector<Array>;
using Vars = std::vector<Var>;
using Indices = std::vector<std::size_t>;

constexpr const char* machine_code = "machine code";  // of small values, as explain() names it
constexpr const char* lasting = "lasting values";

bool contains(const Indices& all, std::size_t i) { return std::find(all.begin(), all.end(), i) != all.end(); }

// True if both have the same bits, where one NaN is as good as another.
template <class T>
bool same_element(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0 || (a != a && b != b);
}

// The number of the first element that differs by more than `bound` or, without one, in a bit; -1 where none does.
Index first_difference(const Array& a, const Array& b, double bound) {
  Index first = -1;
  const auto look = [&]<class T>() {
    const auto x = a.data<T>(), y = b.data<T>();
    for (std::size_t i = 0; i < x.size() && first < 0; ++i)
      if (!same_element(x[i], y[i]) &&
          !(bound > 0 && std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i])) <= bound))
        first = static_cast<Index>(i);
  };
  if (a.dtype() == Dtype::i32)
    look.operator()<std::int32_t>();
  else
    dispatch_float(a.dtype(), look);
  return first;
}

double largest_of(const Array& array) {
  double largest = 0;
  for (Index i = 0; i < array.size(); ++i)
    if (std::isfinite(array.at(i))) largest = std::max(largest, std::abs(array.at(i)));
  return largest;
}

void reverse_elements(Array& array) {
  const auto reverse = [&]<class T>() { std::ranges::reverse(array.data<T>()); };
  if (array.dtype() == Dtype::i32)
    reverse.operator()<std::int32_t>();
  else
    dispatch_float(array.dtype(), reverse);
}

// Sets the number of threads until the end of the scope.
class Threads {
 public:
  explicit Threads(int count) : before_(threads()) { set_threads(std::min(count, most_threads())); }
  ~Threads() { set_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

// The value of a function and gradients of projections of it, by its inputs and by weights that are inputs as well, so
// that they bring rows of their own.
class PlanChecker {
 public:
  PlanChecker(const FunctionOfMany& f, const Arrays& inputs, const PlanCheck& options)
      : f_(f), inputs_(inputs), options_(options), parameters_(options.parameters) {
    for (const Array& input : inputs)
      if (is_float(input.dtype())) dtype_ = std::max(dtype_, input.dtype(), wider);
  }

  CheckReport run() {
    find_weights();
    Tape tape(dtype_);
    Vars given;
    for (std::size_t i = 0; i < all_.size(); ++i) given.push_back(leaf(tape, i));
    for (Var var : results(given)) wanted_.push_back(var.value());
    const plan::Force shortest(plan::Way::shortest_ranges);
    const bool cut = std::any_of(all_.begin(), all_.end(), [](const Array& array) {
      return array.shape().rank() > 0 && array.shape()[0] >= 192;  // there are ranges of rows
    });
    for (bool rewrites : {false, true}) {
      check({.rewrites = rewrites});
      if (cut) check({.rewrites = rewrites, .split_rows = false});
    }
    if (report_.planned.contains(machine_code)) {
      const plan::Force steps(plan::Way::steps_alone);
      check({});
    }
    if (!options_.rows.empty()) check({.rows = rows()});
    if (orders_ > 0) check_lasting();
    return std::move(report_);
  }

 private:
  static bool wider(Dtype a, Dtype b) { return a == Dtype::f32 && b == Dtype::f64; }

  // Beside the inputs: weights of the value and of each gradient, of the types of these.
  void find_weights() {
    all_ = inputs_;
    Tape tape(dtype_, Tape::Mode::symbolic);
    Vars xs;
    for (const Array& input : inputs_) xs.push_back(tape.input(input.type()));
    const Type value = f_(xs).type();
    const auto differentiable = [](const Array& input) { return is_float(input.dtype()); };
    if (options_.orders == 0 || !is_float(value.dtype) || std::none_of(inputs_.begin(), inputs_.end(), differentiable))
      return;
    orders_ = options_.orders;
    all_.push_back(weights(value));
    if (options_.rows.empty()) return add_weights_of_gradients();
    const Index extent = inputs_[options_.rows[0]].shape()[0];
    if (value.shape.rank() > 0 && value.shape[0] == extent) rows_of_weights_.push_back(inputs_.size());
    add_weights_of_gradients();
  }
  void add_weights_of_gradients() {
    for (std::size_t i = 0; orders_ > 1 && i < inputs_.size(); ++i)
      if (is_float(inputs_[i].dtype())) {
        if (contains(options_.rows, i)) rows_of_weights_.push_back(all_.size());
        all_.push_back(weights(inputs_[i].type()));
      }
  }
  static Array weights(const Type& type) {
    Array array(type);
    dispatch_float(type.dtype, [&]<class T>() {
      Index i = 0;
      for (T& weight : array.data<T>()) {
        weight = static_cast<T>((0.5 + static_cast<double>(i * 7919 % 997) / 997) * (i % 3 == 1 ? -1 : 1));
        ++i;
      }
    });
    return array;
  }
  Indices rows() const {
    Indices all = options_.rows;
    all.insert(all.end(), rows_of_weights_.begin(), rows_of_weights_.end());
    return all;
  }

  Var leaf(Tape& tape, std::size_t i) const {
    if (!contains(parameters_, i)) return tape.symbolic() ? tape.input(all_[i].type()) : tape.input(all_[i]);
    return tape.borrow(all_[i].type(), all_[i].raw(), nullptr, &version_, "");
  }

  // All inputs as parameters: what is computed of them alone, without the weights, lasts from run to run.
  void check_lasting() {
    parameters_.resize(inputs_.size());
    std::iota(parameters_.begin(), parameters_.end(), std::size_t{0});
    const plan::Force steps(plan::Way::steps_alone);
    check({});
  }
  // The plan run with the parameters' elements in reverse, an Error or not: nothing that lasts is to be left of it.
  void run_reversed(Plan& plan, std::span<const PlanInput> inputs) {
    const auto reverse = [&] {
      for (std::size_t i : parameters_) reverse_elements(all_[i]);
      ++version_;
    };
    reverse();
    try {
      plan.run(inputs);
    } catch (const Error&) {
    }
    reverse();
  }

  // y = f(x), g = d <weights, y> / dx, then the same of <weights, g>.
  Vars results(std::span<const Var> given) const {
    const std::span<const Var> xs = given.first(inputs_.size());
    Vars floats, now{f_(xs)}, all = now;
    for (Var x : xs)
      if (is_float(x.dtype())) floats.push_back(x);
    for (int order = 1; order <= orders_; ++order) {
      Var projection;
      for (std::size_t i = 0; i < now.size(); ++i) {
        const Var term = sum(now[i] * given[inputs_.size() + (order == 1 ? 0 : 1 + i)]);
        projection = projection.is_null() ? term : projection + cast(term, projection.dtype());
      }
      now = grad(projection, floats);
      all.insert(all.end(), now.begin(), now.end());
    }
    return all;
  }
  std::string name_of_result(std::size_t i) const {
    const std::size_t floats = orders_ > 0 ? (wanted_.size() - 1) / static_cast<std::size_t>(orders_) : 1;
    if (i == 0) return "value";
    return fmt::format("gradient of order {}, {} of {},", 1 + (i - 1) / floats, (i - 1) % floats, floats);
  }

  void check(const CompileOptions& options) {
    const std::string what = fmt::format("plan{}{}{}", options.rewrites ? "" : " without rewrites",
                                         options.split_rows ? "" : " without split rows",
                                         options.rows.empty() ? "" : fmt::format(" with rows {}", options.rows));
    try {
      compare(what, options);
    } catch (const std::exception& error) {
      report_.failures.push_back(fmt::format("{}: threw: {}", what, error.what()));
    }
  }
  void compare(const std::string& what, const CompileOptions& options) {
    std::vector<Type> types;
    Arrays given;
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (!contains(parameters_, i)) {
        types.push_back(all_[i].type());
        given.push_back(all_[i]);
      }
    CompileOptions renumbered = options;
    for (std::size_t& row : renumbered.rows)
      row -= static_cast<std::size_t>(std::count_if(parameters_.begin(), parameters_.end(),
                                                    [&](std::size_t parameter) { return parameter < row; }));
    const PlanFunction f = [&](std::span<const Var> in) {
      Vars vars;
      for (std::size_t i = 0, next = 0; i < all_.size(); ++i)
        vars.push_back(contains(parameters_, i) ? leaf(in[0].tape(), i) : in[next++]);
      return results(vars);
    };
    Plan plan = compile(f, types, renumbered, dtype_);
    const bool bits = count_what_it_did(plan);
    const bool lasts = std::ranges::count(plan.steps(), Plan::StepInfo::Part::lasting, &Plan::StepInfo::part) > 0;
    const std::vector<PlanInput> inputs(given.begin(), given.end());
    for (int count : {1, 3}) {
      if (count == 1 && !options.split_rows) continue;  // it shows nothing that three threads do not
      const Threads team(count);
      std::optional<plan::Force> shared;
      if (count > 1) shared.emplace(plan::Way::shared_steps);
      if (lasts) run_reversed(plan, inputs);
      for (int run = 1; run <= (lasts ? 2 : 1); ++run) {
        const auto outputs = plan.run(inputs);
        for (std::size_t i = 0; i < outputs.size(); ++i)
          compare(fmt::format("{}, {} thread{}{}", what, count, count > 1 ? "s" : "", run == 2 ? ", again" : ""), i,
                  outputs[i], bits);
      }
    }
  }
  // Enters what the plan did in the report. Returns whether it has to give the bits of an eager tape.
  bool count_what_it_did(const Plan& plan) {
    bool bits = true;
    for (const Plan::PassInfo& pass : plan.passes()) {
      if (!pass.changed) continue;
      ++report_.planned[pass.name];
      bits = bits && pass.keeps_bits;
    }
    const std::vector<Plan::StepInfo> steps = plan.steps();
    const auto note = [&](const char* name, auto&& holds) {
      if (std::any_of(steps.begin(), steps.end(), holds)) ++report_.planned[name];
    };
    using Part = Plan::StepInfo::Part;
    note("ranges of rows", [](const auto& step) { return step.part == Part::range; });
    note("fusion", [](const auto& step) { return step.ops > 1; });
    note("sums over rows", [](const auto& step) { return step.part == Part::combined; });
    note(machine_code, [](const auto& step) { return step.kernel.starts_with(machine_code); });
    note(lasting, [](const auto& step) { return step.part == Part::lasting; });
    note("tasks", [](const auto& step) { return step.part != Part::range && step.tasks > 1; });
    return bits;
  }
  void compare(const std::string& what, std::size_t which, const Array& got, bool bits) {
    ++report_.checks;
    const Array& wanted = wanted_[which];
    // The bounds that README promises.
    const double bound = got.dtype() == Dtype::f64 ? 1e-12 : which == 0 ? 2e-6 : 1e-5;
    const Index at =
        got.type() == wanted.type() ? first_difference(got, wanted, bits ? 0 : bound * largest_of(wanted)) : 0;
    if (at < 0) return;
    if (got.type() != wanted.type())
      return report_.failures.push_back(fmt::format("{}: {} is {}, wanted {}", what, name_of_result(which),
                                                    to_string(got.type()), to_string(wanted.type())));
    report_.failures.push_back(fmt::format("{}: {} at {}: got {}, the eager tape {}", what, name_of_result(which),
                                           place_in(wanted.shape(), at), got.at(at), wanted.at(at)));
  }

  const FunctionOfMany& f_;
  const Arrays& inputs_;
  const PlanCheck& options_;
  Indices parameters_;
  std::uint64_t version_ = 1;  // of all of them
  Dtype dtype_ = Dtype::f32;
  int orders_ = 0;
  Arrays all_, wanted_;  // inputs, then weights; results on an eager tape
  Indices rows_of_weights_;
  CheckReport report_;
};

}  // namespace

CheckReport check_plans(const FunctionOfMany& f, const Arrays& inputs, const PlanCheck& options) {
  return PlanChecker(f, inputs, options).run();
}

}  // namespace wengert
