// Seeded faults: the op and the line that made a NaN or an infinity are named, forwards, backwards and further.
#define BOOST_TEST_MODULE provenance
#include <boost/test/unit_test.hpp>

#include <cmath>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;

namespace {

Var values(Tape& tape, std::initializer_list<double> list) {
  return tape.input(Array::of<double>({static_cast<Index>(list.size())}, list), "x");
}

bool contains(const std::string& text, const std::string& part) {
  BOOST_TEST_MESSAGE(text);
  return text.find(part) != std::string::npos;
}

std::vector<double> numbers_of(Var x) { return wengert::testing::numbers(x); }

// As check_op draws them: the values that a sample states, or some of its range.
std::vector<Array> draw_inputs(const Example& example, Dtype dtype) {
  std::vector<Array> arrays;
  std::uint64_t seed = 0;
  for (const Sample& sample : example.inputs) {
    Array array =
        wengert::testing::random_array(sample.dtype.value_or(dtype), sample.shape, ++seed, sample.low, sample.high);
    for (Index i = 0; i < array.size() && !sample.values.empty(); ++i)
      array.set(i, sample.values[static_cast<std::size_t>(i)]);
    arrays.push_back(std::move(array));
  }
  return arrays;
}

std::string here(int line) { return "(test_provenance.cpp:" + std::to_string(line); }

// The fault is found afterwards from what it reached, and at once when tracked; both name `op` and `line`.
void check(const std::function<Var(Tape&)>& program, const std::string& op, int line, const std::string& more = "") {
  Tape tape(Dtype::f64), tracked(Dtype::f64);
  const std::string after = nonfinite_origin(program(tape));
  BOOST_TEST(contains(after, "[" + op + "] "));
  BOOST_TEST(contains(after, here(line)));
  BOOST_TEST(contains(after, more));
  tracked.track_nonfinite(true);
  BOOST_CHECK_EXCEPTION(program(tracked), Error, [&](const Error& e) {
    return contains(e.what(), "[" + op + "] ") && contains(e.what(), here(line));
  });
}

}  // namespace

// A fault and its __LINE__ stand on one line:
// clang-format off
BOOST_AUTO_TEST_CASE(forward_faults_of_every_family) {
  check([](Tape& t) { return sum(tanh(log(values(t, {1, 0, 2})) * 0.0)); }, "log", __LINE__, "made -inf at [1] of f64 [3]; operand 0, %0, lies in [0, 2]");
  check([](Tape& t) { return exp(values(t, {1, 800})) - 1; }, "exp", __LINE__, "made inf at [1]");
  check([](Tape& t) { return sqrt(values(t, {-1})) * 2; }, "sqrt", __LINE__, "made nan");
  check([](Tape& t) { return 1 / values(t, {3, 0}) + 1; }, "div", __LINE__, "made inf at [1]");
  check([](Tape& t) { return sum(1e308 * values(t, {1, 1}), 0) + 1; }, "sum", __LINE__, "made inf at [] of f64 []");
  check([](Tape& t) { const Var x = reshape(1e200 * values(t, {1, 1}), {1, 2}); return square(matmul(x, x, {.transpose_b = true})); }, "matmul", __LINE__, "made inf at [0, 0]");
  check([](Tape& t) { return silu(softplus(1e308 * (10 * values(t, {1})))); }, "mul", __LINE__, "made inf");
  check([](Tape& t) { return mean(slice(values(t, {1, 2}), 0, 2)); }, "div", __LINE__, "made nan");
}
// clang-format on

BOOST_AUTO_TEST_CASE(an_input_that_came_in_bad_is_named) {
  Tape tape(Dtype::f64);
  const Var x = values(tape, {1, NAN});
  BOOST_TEST(contains(nonfinite_origin(sum(sin(x))), "[input] x holds nan at [1] of f64 [2]"));
  BOOST_TEST(nonfinite_origin(tape.full(Shape{2}, 1)).empty());
}

BOOST_AUTO_TEST_CASE(of_two_sources_the_first_recorded_is_named) {
  for (bool log_first : {true, false}) {
    Tape tape(Dtype::f64);
    const Var x = values(tape, {0, 2}), y = values(tape, {-1, 2});
    const Var first = log_first ? log(x) : sqrt(y), second = log_first ? sqrt(y) : log(x);
    for (Var both : {first * second, second - 2 * first})
      BOOST_TEST(contains(nonfinite_origin(both), log_first ? "[log] made -inf at [0]" : "[sqrt] made nan at [0]"));
    BOOST_TEST(contains(nonfinite_origin(2 * second), log_first ? "[sqrt]" : "[log]"));
  }
}

BOOST_AUTO_TEST_CASE(the_range_of_one_value_and_of_none) {
  Tape tape(Dtype::f64);
  BOOST_TEST(contains(nonfinite_origin(log(values(tape, {0}))), "operand 0, %0, lies in [0, 0]"));
  BOOST_TEST(contains(nonfinite_origin(log(values(tape, {-3, -3}))), "lies in [-3, -3]"));
  BOOST_TEST(contains(nonfinite_origin(sqrt(values(tape, {NAN}))), "[input] x holds nan"));
  BOOST_TEST(contains(nonfinite_origin(mean(slice(values(tape, {1}), 0, 1)) + 1), "lies in [0, 0]"));  // 0 / 0
}

BOOST_AUTO_TEST_CASE(an_infinite_constant_is_a_fault_once_something_is_computed_with_it) {
  Tape tape(Dtype::f64);
  tape.track_nonfinite(true);
  const Var x = values(tape, {1, 2}), mask = values(tape, {0, 1}), far = tape.full(Shape{2}, INFINITY);
  // Arranged, chosen, compared, masked away.
  BOOST_TEST(numbers_of(softmax(where(mask, x, -INFINITY), 0)) == (std::vector<double>{0, 1}));
  BOOST_TEST(numbers_of(minimum(x, broadcast_to(tape.full(Shape{}, INFINITY), {2}))) == (std::vector<double>{1, 2}));
  BOOST_TEST(numbers_of(exp(-1 * maximum(x, 1)) < far) == (std::vector<double>{1, 1}));
  concat({x, reshape(slice(far, 0, 1), {1})}, 0);
  // Computed with.
  using wengert::testing::error_of;
  const int line = __LINE__ + 1;
  const std::string product = error_of([&] { x* far; });
  BOOST_TEST(contains(product,
                      "[mul] made inf at [0] of f64 [2]; operand 0, %0, lies in [1, 2]; operand 1, %2, lies in "
                      "[inf, inf]  " +
                          here(line)));
  BOOST_TEST(contains(error_of([&] { where(mask, x, far) - far; }), "[sub] made"));
  BOOST_TEST(contains(error_of([&] { cast(1e300 * x, Dtype::f32); }), "[cast] made inf"),
             error_of([&] { cast(1e300 * x, Dtype::f32); }));
  // Asked for by itself it is named.
  BOOST_TEST(contains(nonfinite_origin(reshape(far, {2, 1})), "[full] made inf"));
}

// Every op's examples, and the operators made of them: finite values with finite derivatives raise no alarm.
BOOST_AUTO_TEST_CASE(no_false_alarms) {
  int walked = 0;
  for (const Op* op : registry()) {
    std::vector<Example> points = op->examples();
    for (const EdgeCase& edge_case : op->edge_cases()) points.push_back({edge_case.inputs, edge_case.attributes});
    for (const Example& example : points)
      for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
        if (!op->supports(dtype) || !is_float(dtype)) continue;
        const auto all = [&](bool track) {
          Tape tape(dtype);
          tape.track_nonfinite(track);
          std::vector<Operand> operands;
          std::vector<Var> xs;
          for (const Array& array : draw_inputs(example, dtype)) {
            operands.emplace_back(tape.input(array));
            if (is_float(array.dtype())) xs.push_back(operands.back().var());
          }
          std::vector<Var> results{tape.record(*op, operands, example.attributes, Where::current())};
          for (int order = 1; order <= 2 && is_float(results.back().dtype()); ++order) {
            Var total = sum(results[0]);
            if (order == 2) {
              total = tape.full(Shape{}, 0);
              for (std::size_t i = 1; i < results.size(); ++i) total = total + cast(sum(square(results[i])), dtype);
              results.resize(1);
            }
            for (Var g : grad(total, xs)) results.push_back(g);
          }
          bool finite = true;
          for (Var result : results)
            for (double number : numbers_of(result)) finite = finite && std::isfinite(number);
          return finite;
        };
        if (!all(false)) continue;
        ++walked;
        BOOST_TEST_CONTEXT(op->name() << " of " << name_of(dtype)) BOOST_CHECK_NO_THROW(all(true));
      }
  }
  BOOST_TEST(walked > 400);
  Tape tape;
  tape.track_nonfinite(true);
  const Var x = tape.input(Array::of<float>({3}, {1, 2, 3}));
  const std::vector<Function> functions{
      [](Var z) { return logsumexp(z); },
      [](Var z) { return sum(clip(z, 0, INFINITY)); },
      [](Var z) { return max(z); },
      [](Var z) { return sum(log_softmax(z, 0)); },
      [](Var z) { return sum(pow(z - 1, 2)); },
      [](Var z) { return sum(where(z > 1, log(z), 0)); },
      [](Var z) { return logsumexp(where(z > 1, z, -INFINITY)); },
  };
  for (const Function& f : functions) {
    BOOST_CHECK_NO_THROW(hessian(f, x));
    BOOST_CHECK_NO_THROW(grad(sum(grad(sum(square(grad(f(x), x))), x)), x));
  }
}

BOOST_AUTO_TEST_CASE(a_masked_fault_is_no_fault) {
  Tape tape(Dtype::f64);
  const Var x = values(tape, {1, 0});
  BOOST_TEST(nonfinite_origin(where(x > 0, log(x), 0)).empty());
  // But its gradient is 0 / 0, and the blame falls on the derivative of log.
  BOOST_TEST(contains(nonfinite_origin(grad(sum(where(x > 0, log(x), 0)), x)), "in the derivative of [log]"));
}

BOOST_AUTO_TEST_CASE(faults_of_a_first_and_a_second_backward_name_the_forward_op) {
  const int line = __LINE__ + 1;
  const auto root = [](Var x) { return sum(sqrt(x)); };
  Tape tape(Dtype::f64);
  const Var x = values(tape, {4, 0});
  const std::string first = nonfinite_origin(grad(root(x), x));
  BOOST_TEST(contains(first, "[div] made inf at [1]"));
  BOOST_TEST(contains(first, "in the derivative of [sqrt]"));
  BOOST_TEST(contains(first, here(line)));
  // x^1.5: the value and the first derivative are finite at 0, the second is not.
  const int power = __LINE__ + 1;
  const auto rough = [](Var v) { return sum(v * sqrt(v)); };
  const Var y = identity(values(tape, {4, 0}));
  const Var g = grad(rough(y), y);
  const std::string second = nonfinite_origin(grad(sum(g), y));
  BOOST_TEST(contains(second, "in the derivative of ["));
  BOOST_TEST(contains(second, here(power)));
}

BOOST_AUTO_TEST_CASE(a_fault_inside_a_divergence_names_the_function) {
  Tape tape(Dtype::f64);
  const Var x = tape.input(Array::of<double>({2, 2}, {1, 2, 0, 1}));
  const int line = __LINE__ + 1;
  const Function f = [](Var v) { return sqrt(v) * 2; };
  const std::string text = nonfinite_origin(divergence(f, x));
  BOOST_TEST(contains(text, "in divergence), in the derivative of [sqrt]"));
  BOOST_TEST(contains(text, here(line) + ")"));
  const int second_line = __LINE__ + 1;
  const Function g = [](Var v) { return tanh(log(v - 1)); };
  BOOST_TEST(contains(nonfinite_origin(value_and_divergence(g, x).value), here(second_line) + ")"));
}

BOOST_AUTO_TEST_CASE(a_module_is_named_by_its_path_and_call) {
  Rng rng(1);
  nn::Mlp net({.in = 2, .hidden = {4}, .out = 1, .activation = exp}, rng);
  Tape tape;
  const Var x = tape.full(Shape{1, 2}, 1e30);
  const int line = __LINE__ + 1;
  const Var y = net(x);
  const std::string text = nonfinite_origin(y);
  BOOST_TEST(contains(text, here(line) + ", in layers.0)"));
}

BOOST_AUTO_TEST_CASE(tracking_keeps_the_node_and_a_symbolic_tape_has_no_values) {
  Tape tape;
  tape.track_nonfinite(true);
  const Var x = tape.full(Shape{1}, 0);
  const std::uint32_t before = tape.size();
  BOOST_CHECK_THROW(log(x), Error);
  BOOST_TEST(tape.size() == before + 1);
  Tape batch(Dtype::f64);
  const int line = __LINE__ + 1;
  const Var logs = vmap([](Var s) { return log(s); }, values(batch, {1, 0}));
  BOOST_TEST(contains(nonfinite_origin(logs), here(line) + ")"));
  Tape symbolic(Dtype::f32, Tape::Mode::symbolic);
  BOOST_CHECK_THROW(nonfinite_origin(symbolic.full(Shape{1}, 0)), Error);
}
