// Thousands of random programs: reverse mode, forward mode and differences agree to second order; vmap agrees with a
// loop, plans with an eager tape. A program on which they do not is shrunk and printed as C++.
#define BOOST_TEST_MODULE programs
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <set>

#include "autodiff/autodiff.hpp"
#include "autodiff/derivatives/forward.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/autodiff/programs.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

using Arrays = std::vector<Array>;

Arrays directions_for(const Program& program, std::uint64_t seed) {
  Arrays directions;
  for (const Array& input : inputs_of(program)) directions.push_back(random_array(Dtype::f64, input.shape(), ++seed));
  return directions;
}

double inner(const Arrays& a, const Arrays& b) {
  double total = 0;
  for (std::size_t k = 0; k < a.size(); ++k)
    for (Index i = 0; i < a[k].size(); ++i) total += a[k].at(i) * b[k].at(i);
  return total;
}

double size_of(const Arrays& arrays) { return std::sqrt(inner(arrays, arrays)); }

Arrays values_of(const std::vector<Var>& vars) {
  Arrays values;
  for (Var var : vars) values.push_back(var.value());
  return values;
}

// a + factor * b
Arrays combined(Arrays a, double factor, const Arrays& b) {
  for (std::size_t k = 0; k < a.size(); ++k)
    for (Index i = 0; i < a[k].size(); ++i) a[k].set(i, a[k].at(i) + factor * b[k].at(i));
  return a;
}

std::vector<Var> on(Tape& tape, const Arrays& arrays) {
  std::vector<Var> vars;
  for (const Array& array : arrays) vars.push_back(tape.input(array));
  return vars;
}

Arrays gradients_of(const Program& program) {
  Tape tape(Dtype::f64);
  const Recording recording = record(program, tape);
  return values_of(grad(recording.loss, recording.inputs));
}

Array loss_of(const Program& program) {
  Tape tape(Dtype::f64);
  return record(program, tape).loss.value();
}

// Two directions side by side, [2, ...], for the forward sweep.
Arrays stacked(const Arrays& a, const Arrays& b) {
  Arrays stacks;
  for (std::size_t k = 0; k < a.size(); ++k) {
    Array stack(Dtype::f64, a[k].shape().prepended(2));
    for (Index i = 0; i < a[k].size(); ++i) {
      stack.set(i, a[k].at(i));
      stack.set(a[k].size() + i, b[k].at(i));
    }
    stacks.push_back(stack);
  }
  return stacks;
}

Array of_stack(const Array& stack, Index which, const Shape& shape) {
  Array result(Dtype::f64, shape);
  for (Index i = 0; i < result.size(); ++i) result.set(i, stack.at(which * result.size() + i));
  return result;
}

// The derivative of f along v by central differences, where f gives some arrays: of two steps, extrapolated
// (L. F. Richardson, 1911).
template <class F>
Arrays differences(const Program& program, const Arrays& v, F&& f) {
  const Arrays x = inputs_of(program);
  const auto central = [&](double h) {
    Arrays change =
        combined(f(with_inputs(program, combined(x, h, v))), -1, f(with_inputs(program, combined(x, -h, v))));
    for (Array& array : change)
      for (Index i = 0; i < array.size(); ++i) array.set(i, array.at(i) / (2 * h));
    return change;
  };
  const Arrays coarse = central(2e-4), fine = central(1e-4);
  return combined(fine, 1.0 / 3, combined(fine, -1, coarse));
}

std::string apart(const char* what, const Arrays& got, const char* other, const Arrays& wanted, double tolerance) {
  const double distance = size_of(combined(got, -1, wanted));
  if (distance <= tolerance * (1 + size_of(wanted))) return {};
  return fmt::format("{} and {} are {} apart, of {}", what, other, distance, size_of(wanted));
}

// First order: gradients, against a stack of two tangents and against differences.
std::string first_order_fault(const Program& program, const Arrays& v, const Arrays& w) {
  Tape tape(Dtype::f64);
  const Recording recording = record(program, tape);
  const Arrays gradients = values_of(grad(recording.loss, recording.inputs));
  const auto index = [&](Var var) { return tape.index_of(var, Where::current()); };
  std::vector<std::uint32_t> xs;
  for (Var input : recording.inputs) xs.push_back(index(input));
  const std::vector<Var> tangents = on(tape, stacked(v, w));
  const Array pushed = ForwardSweep(tape, xs, tangents, index(recording.loss)).full(index(recording.loss), 2).value();
  const Array pulled = Array::of<double>({2}, {inner(gradients, v), inner(gradients, w)});
  if (auto fault = apart("order 1: forward", {pushed}, "reverse", {pulled}, 1e-9); !fault.empty()) return fault;
  const Arrays numeric = differences(program, v, [](const Program& p) { return Arrays{loss_of(p)}; });
  return apart("order 1: reverse", {of_stack(pulled, 0, {})}, "differences", numeric, 1e-6);
}

// Second order: H v by reverse over reverse, forward over reverse and differences of gradients.
std::string second_order_fault(const Program& program, const Arrays& v, const Arrays& w) {
  Tape tape(Dtype::f64);
  const Recording recording = record(program, tape);
  const std::vector<Var> gradients = grad(recording.loss, recording.inputs);
  const auto index = [&](Var var) { return tape.index_of(var, Where::current()); };
  std::vector<std::uint32_t> xs;
  for (Var input : recording.inputs) xs.push_back(index(input));
  const std::vector<Var> tangents = on(tape, stacked(v, w));
  Var along = tape.full(Shape{}, 0);
  const std::vector<Var> vs = on(tape, v);
  Arrays forward;
  for (std::size_t k = 0; k < gradients.size(); ++k) {
    along = along + sum(gradients[k] * vs[k]);
    const std::uint32_t last = index(gradients[k]);
    const Array pushed = ForwardSweep(tape, xs, tangents, last).full(last, 2).value();
    forward.push_back(of_stack(pushed, 0, gradients[k].shape()));
  }
  const Arrays reverse = values_of(grad(along, recording.inputs));
  const char* hvp = "order 2: forward over reverse";
  if (auto fault = apart(hvp, forward, "reverse over reverse", reverse, 1e-9); !fault.empty()) return fault;
  const Arrays numeric = differences(program, v, gradients_of);
  return apart("order 2: reverse over reverse", reverse, "differences", numeric, 1e-5);
}

// vmap of the gradients over two sets of inputs, against one after the other.
std::string vmap_fault(const Program& program, const Arrays& v, const Arrays&) {
  const Arrays x = inputs_of(program), y = combined(x, 0.1, v);
  const Arrays first = gradients_of(program), second = gradients_of(with_inputs(program, y));
  for (std::size_t k = 0; k < x.size(); ++k) {
    Tape tape(Dtype::f64);
    const auto gradient = [&](std::span<const Var> inputs) {
      const Recording recording = record(program, inputs);
      return grad(recording.loss, recording.inputs[k]);
    };
    const Array both = vmap(gradient, on(tape, stacked(x, y))).value();
    const Arrays wanted = stacked({first[k]}, {second[k]});
    if (auto fault = apart("vmap", {both}, "a loop", wanted, 1e-10); !fault.empty()) return fault;
  }
  return {};
}

// The loss, gradients and forward over reverse in plans, against an eager tape: to the bit as long as nothing is
// rewritten.
std::string plan_fault(const Program& program, const Arrays& v, const Arrays& w) {
  const Arrays x = inputs_of(program), stacks = stacked(v, w);
  Arrays inputs = x;
  inputs.insert(inputs.end(), stacks.begin(), stacks.end());
  const PlanFunction f = [&](std::span<const Var> in) {
    Tape& tape = in[0].tape();
    const Recording recording = record(program, in.first(x.size()));
    std::vector<std::uint32_t> xs;
    for (Var input : recording.inputs) xs.push_back(tape.index_of(input, Where::current()));
    std::vector<Var> results = grad(recording.loss, recording.inputs);
    for (std::size_t k = 0; k < x.size(); ++k) {
      const std::uint32_t last = tape.index_of(results[k], Where::current());
      results.push_back(ForwardSweep(tape, xs, in.subspan(x.size()), last).full(last, 2));
    }
    results.push_back(recording.loss);
    return results;
  };
  Tape tape(Dtype::f64);
  const Arrays eager = values_of(f(on(tape, inputs)));
  std::vector<Type> types;
  for (const Array& input : inputs) types.push_back(input.type());
  for (bool rewrites : {false, true}) {
    Plan plan = compile(f, types, {.rewrites = rewrites}, Dtype::f64);
    const std::vector<PlanInput> given(inputs.begin(), inputs.end());
    const auto outputs = plan.run(given);
    const Arrays planned(outputs.begin(), outputs.end());
    if (!rewrites && !same_bits(planned, eager)) return "the bits of a plan without rewrites are not an eager tape's";
    if (auto fault = apart("plan", planned, "an eager tape", eager, 1e-12); !fault.empty()) return fault;
  }
  return {};
}

using Check = std::string (*)(const Program&, const Arrays&, const Arrays&);

std::string fault_of(const Program& program, Check check) {
  try {
    return check(program, directions_for(program, 1), directions_for(program, 1000));
  } catch (const Error& error) {
    return fmt::format("threw {}", error.what());
  }
}

std::string shrunk(const Program& program, Check check) {
  const Program smallest = shrink(program, [&](const Program& smaller) { return !fault_of(smaller, check).empty(); });
  return fmt::format("{}\n{}", fault_of(smallest, check), to_cpp(smallest));
}

struct Count {
  int programs = 0, values = 0, faults = 0;
  std::set<std::string> words;
};

Count check_programs(int count, int steps, Check check) {
  if (SANITIZED) count /= 5;
  Count result;
  for (int seed = 1; seed <= count; ++seed) {
    const Program program = draw_program(static_cast<std::uint64_t>(seed), 5 + seed % (steps - 4));
    result.programs += 1;
    result.values += static_cast<int>(program.size());
    for (const Value& value : program)
      if (value.word != nullptr) result.words.insert(value.word->text);
    const std::string fault = fault_of(program, check);
    if (!fault.empty() && ++result.faults <= 3) BOOST_ERROR("seed " << seed << ": " << shrunk(program, check));
  }
  BOOST_TEST_MESSAGE(result.programs << " programs, " << result.values << " values");
  return result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(first_derivatives_agree) {
  const Count count = check_programs(3000, 60, first_order_fault);
  BOOST_TEST(count.faults == 0);
  BOOST_TEST(count.values > 20 * count.programs);
  for (const Word& word : vocabulary()) BOOST_TEST(count.words.count(word.text) == 1U, word.text << " was never drawn");
}

BOOST_AUTO_TEST_CASE(second_derivatives_agree) { BOOST_TEST(check_programs(2000, 60, second_order_fault).faults == 0); }

BOOST_AUTO_TEST_CASE(vmap_agrees_with_a_loop) { BOOST_TEST(check_programs(500, 30, vmap_fault).faults == 0); }

BOOST_AUTO_TEST_CASE(plans_agree_with_an_eager_tape) { BOOST_TEST(check_programs(150, 30, plan_fault).faults == 0); }

BOOST_AUTO_TEST_CASE(a_wrong_rule_is_found_and_shrunk_to_the_step_that_has_it) {
  const auto wrong = [](std::span<const Var> v, const std::vector<Index>&) {
    const auto rule = [](Var x, Var, Var g) { return g * cos(x) * 1.01; };
    return custom_derivative([](Var x) { return sin(x); }, rule, v[0]);
  };
  std::vector<Word> words = vocabulary();
  words.push_back({"wrong_sin($0)", 1, words[0].choose, wrong});
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Program program = draw_program(seed, 60, words);
    const auto fails = [](const Program& p) {
      return fault_of(p, first_order_fault).rfind("order 1: reverse", 0) == 0;
    };
    if (!fails(program)) continue;
    ++found;
    const Program smallest = shrink(program, fails);
    BOOST_TEST(smallest.size() == 2U);  // its input and the step
    BOOST_TEST(contains(to_cpp(smallest), "const Var v1 = wrong_sin(v0);"), to_cpp(smallest));
  }
  BOOST_TEST(found > 5);
}

BOOST_AUTO_TEST_CASE(programs_print_as_they_are_written) {
  const auto word = [](const std::string& text) {
    for (const Word& each : vocabulary())
      if (each.text == text) return &each;
    throw Error(text);
  };
  Program program;
  program.push_back({.input = Array::of<double>({2, 2}, {0.5, -1, 2, 0.25})});
  program.push_back({.word = word("sum($0, #0)"), .operands = {0}, .numbers = {-1}});
  program.push_back({.word = word("$0 * $1"), .operands = {0, 1}});
  program.push_back({.word = word("exp($0)"), .operands = {0}});
  BOOST_TEST(to_cpp(program) ==
             "Tape tape(Dtype::f64);\n"
             "const Var v0 = tape.input(Array::of<double>({2, 2}, {0.5, -1, 2, 0.25}));\n"
             "const Var v1 = sum(v0, -1);\n"
             "const Var v2 = v0 * v1;\n"
             "const Var v3 = exp(v0);\n"
             "const Var loss = sum(sin(v2)) + sum(sin(v3));\n");
  // And compute what the text says.
  Tape tape(Dtype::f64);
  const Var v0 = tape.input(Array::of<double>({2, 2}, {0.5, -1, 2, 0.25}));
  const Var v1 = sum(v0, -1);
  const Var v2 = v0 * v1;
  const Var v3 = exp(v0);
  const Var loss = sum(sin(v2)) + sum(sin(v3));
  BOOST_TEST(record(program, tape).loss.item() == loss.item());
}
