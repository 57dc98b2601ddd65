// Seeded faults: the op and the line that made a NaN or an infinity are named, forwards, backwards and further.
#define BOOST_TEST_MODULE provenance
#include <boost/test/unit_test.hpp>

#include <cmath>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"

using namespace wengert;

namespace {

Var values(Tape& tape, std::initializer_list<double> list) {
  return tape.input(Array::of<double>({static_cast<Index>(list.size())}, list), "x");
}

bool contains(const std::string& text, const std::string& part) {
  BOOST_TEST_MESSAGE(text);
  return text.find(part) != std::string::npos;
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
