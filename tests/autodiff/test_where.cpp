// Where errors point to, and what a tape prints: the user's line and the path of modules, never the library's lines.
#define BOOST_TEST_MODULE where
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <sstream>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using wengert::testing::contains;
using wengert::testing::error_of;

namespace {

// "(test_where.cpp:41, in score.0)"
std::string here(int line, const char* scope = "") {
  return fmt::format("(test_where.cpp:{}{}{})", line, *scope ? ", in " : "", scope);
}

// Library functions of a user: one that names itself, one that only hides its lines, one that calls another.
Var layer(Operand x, const Var& w) {
  const Scope scope(x, "0");
  return matmul(x, w);
}
Var score(Operand x, const Var& w) {
  const Scope scope(x, "score");
  return layer(x, w);
}
Var hidden(Operand x, const Var& w) {
  const Scope scope(x);
  return layer(x, w);
}

std::string placed(const Tape& tape, Var var) { return fmt::format("({})", tape.place_of(tape.index_of(var, {}))); }

struct Fixture {
  Tape tape{Dtype::f32, Tape::Mode::symbolic};
  Var x = tape.input(Type{Dtype::f32, {32, 68}}), w = tape.input(Type{Dtype::f32, {70, 256}});
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_line_of_a_call) {
  Fixture f;
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { matmul(f.x, f.w); });
  BOOST_TEST(text == "[matmul] inner extents differ: [32, 68] x [70, 256]  " + here(line));
}

BOOST_AUTO_TEST_CASE(the_outermost_line_and_the_path_of_scopes) {
  Fixture f;
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { score(f.x, f.w); });
  BOOST_TEST(text == "[matmul] inner extents differ: [32, 68] x [70, 256]  " + here(line, "score.0"));
  const int other = __LINE__ + 1;
  const std::string nameless = error_of([&] { hidden(f.x, f.w); });
  BOOST_TEST(nameless == "[matmul] inner extents differ: [32, 68] x [70, 256]  " + here(other, "0"));
}

BOOST_AUTO_TEST_CASE(a_scope_ends_with_an_error) {
  Fixture f;
  error_of([&] { score(f.x, f.w); });
  const int line = __LINE__ + 1;
  BOOST_TEST(contains(error_of([&] { f.x + f.w; }), here(line)));
}

BOOST_AUTO_TEST_CASE(operators_numbers_and_members_report_the_callers_line) {
  Fixture f;
  const Var i = f.tape.input(Type{Dtype::i32, {2}});
  int line = 0;
  const auto at = [&](const std::string& text) { return contains(text, here(line)); };
  line = __LINE__ + 1;
  BOOST_TEST(at(error_of([&] { f.x + f.w; })));
  line = __LINE__ + 1;
  BOOST_TEST(at(error_of([&] { 2 * (f.x - f.w); })));
  line = __LINE__ + 1;
  BOOST_TEST(at(error_of([&] { static_cast<void>(f.x < f.w); })));
  line = __LINE__ + 1;
  BOOST_TEST(at(error_of([&] { -i; })));
  line = __LINE__ + 1;
  BOOST_TEST(at(error_of([&] { 1 / i; })));
  line = __LINE__ + 1;
  BOOST_TEST(at(error_of([&] { concat({f.x, f.w}, 0); })));  // inside an initializer list
  line = __LINE__ + 1;
  BOOST_TEST(at(error_of([&] { sum(i, {0}, {.keepdims = true}); })));
  line = __LINE__ + 1;
  BOOST_TEST(at(error_of([&] { f.x.extent(5); })));  // a trailing default
  line = __LINE__ + 1;
  BOOST_TEST(at(error_of([&] { Var{}.shape(); })));
}

BOOST_AUTO_TEST_CASE(the_line_is_that_of_the_operand_in_a_call_of_several_lines) {
  Fixture f;
  const int line = __LINE__ + 3;
  const std::string text = error_of([&] {
    return f.x +  //
           f.w;
  });
  // Compilers give a call of several lines the line of its operator or of an operand.
  BOOST_TEST((contains(text, here(line - 1)) || contains(text, here(line))));
}

BOOST_AUTO_TEST_CASE(errors_of_axes_and_options_know_their_scope) {
  Fixture f;
  const auto inside = [](Operand x, auto&& body) {
    const Scope scope(x, "score");
    return body(x);
  };
  const auto check = [&](int line, const std::string& text, const std::string& op) {
    BOOST_TEST(text.rfind(fmt::format("[{}] ", op), 0) == 0U, text);
    BOOST_TEST(contains(text, here(line, "score")), text);
  };
  const int line = __LINE__ + 1;
  const auto refused = [&](auto&& body) { return error_of([&] { inside(f.x, body); }); };
  check(line, refused([](Operand x) { return sum(x, 5); }), "sum");
  check(line, refused([](Operand x) { return sum(x, {0, -2}); }), "sum");
  check(line, refused([](Operand x) { return slice(x, 4, 0); }), "slice");
  check(line, refused([](Operand x) { return slice(x, 0, 0, 3, 0); }), "slice");
  check(line, refused([](Operand x) { return embed(x, 4, 9, 0); }), "embed");
  check(line, refused([](Operand x) { return concat({x, x}, 4); }), "concat");
  check(line, refused([](Operand x) { return clip(x, 2, 1); }), "clip");
  check(line, refused([](Operand x) { return transpose(x, {0}); }), "transpose");
  check(line, refused([](Operand x) { return transpose(x, {0, 2}); }), "transpose");
  check(line, refused([](Operand x) { return reshape(x, {5}); }), "reshape");
  check(line, refused([](Operand x) { return broadcast_to(x, {68}); }), "broadcast_to");
  check(line, refused([](Operand x) { return broadcast_to(x, {32, 69}); }), "broadcast_to");
  check(line, refused([](Operand x) { return sum_to(x, {3}); }), "sum_to");
  check(line, refused([](Operand x) { return grad(x, x.var()); }), "grad");
  check(line, refused([](Operand x) { return vjp(x, 1, std::vector<Var>{x.var()})[0]; }), "vjp");
}

BOOST_AUTO_TEST_CASE(nodes_remember_their_line_and_scope) {
  Tape tape;
  const Var x = tape.full({2, 3}, 1), w = tape.full({3, 4}, 1);
  const int line = __LINE__ + 1;
  const Var y = score(x, w);
  BOOST_TEST(placed(tape, y) == here(line, "score.0"));
  const int second = __LINE__ + 1;
  const Var z = exp(y);
  BOOST_TEST(placed(tape, z) == here(second));
  const int third = __LINE__ + 1;
  const Var g = grad(sum(z), x);
  BOOST_TEST(placed(tape, g) == here(third, "grad"));
}

BOOST_AUTO_TEST_CASE(an_error_while_differentiating_points_to_the_call_of_grad) {
  struct NoRule final : Op {
    NoRule() : Op({.name = "no_rule"}) {}
    Type infer(const Signature& s) const override { return *s.in[0]; }
    void run(const Kernel& k) const override { std::memcpy(k.output, k.operands[0], k.type.bytes()); }
    std::vector<Example> examples() const override { return {}; }
    Array reference(std::span<const Array> in, const Attributes&, const Type&) const override { return in[0]; }
  };
  const NoRule op;
  Tape tape;
  const Var x = tape.full(Shape{2}, 1);
  const int line = __LINE__ + 1;
  const Var y = record(op, {x});
  const std::string text = error_of([&] { grad(sum(y), x); });
  BOOST_TEST(text == "[no_rule] has no derivative rule for operand 0  " + here(line));
}

BOOST_AUTO_TEST_CASE(a_wrong_number_of_operands) {
  Tape tape;
  const Var x = tape.full(Shape{2}, 1);
  const Op& add_op = *tape.node(tape.index_of(x + x, {})).op;
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { record(add_op, {x, x, x}); });
  BOOST_TEST(text == "[add] takes 2 operands, got 3  " + here(line));
}

BOOST_AUTO_TEST_CASE(a_list_has_a_line_for_each_node) {
  Tape tape;
  const int line = __LINE__ + 1;
  const Var x = tape.input(Array(Dtype::f32, {2, 3}), "points");
  const Var y = sum(tanh(x), 1, {.keepdims = true});
  const Var g = grad(sum(y), x);
  const std::vector<std::string> lines = lines_of(tape.list());
  BOOST_TEST_REQUIRE(lines.size() == tape.size());
  BOOST_TEST(contains(lines[0], "input points"));
  BOOST_TEST(contains(lines[0], "f32 [2, 3]"));
  BOOST_TEST(contains(lines[0], fmt::format("test_where.cpp:{}", line)));
  BOOST_TEST(contains(lines[1], "tanh %0"));
  BOOST_TEST(contains(lines[2], "sum {axes -1; 1} %1"));
  BOOST_TEST(contains(lines[2], "f32 [2, 1]"));
  for (std::size_t i = 0; i < lines.size(); ++i) BOOST_TEST(lines[i].rfind(fmt::format("%{} ", i), 0) == 0U);
  // The chain of tanh's derivative says where it comes from; forward nodes do not.
  BOOST_TEST(contains(lines[tape.index_of(g, {})], ", in grad, derivative of %1"));
  BOOST_TEST(!contains(lines[1], "derivative"));
}

BOOST_AUTO_TEST_CASE(a_graph_has_every_node_and_edge) {
  Tape tape;
  const Var x = tape.input(Array(Dtype::f32, {2, 3}), "points");
  const Var y = mul(x, exp(x));
  const std::string text = tape.dot();
  BOOST_TEST(text.rfind("digraph", 0) == 0U);
  BOOST_TEST(contains(text, "%0 input points\\nf32 [2, 3]"));
  BOOST_TEST(contains(text, "%1 exp\\nf32 [2, 3]"));
  BOOST_TEST(contains(text, "n0 -> n1;"));
  BOOST_TEST(contains(text, "n0 -> n2;"));
  BOOST_TEST(contains(text, "n1 -> n2;"));
  BOOST_TEST(!contains(text, "n2 ->"));
  BOOST_TEST((y.shape() == Shape{2, 3}));
}

BOOST_AUTO_TEST_CASE(a_name_with_quotes_does_not_break_the_graph) {
  Tape tape;
  tape.input(Array(Dtype::f32, {1}), "the \"x\"");
  BOOST_TEST(contains(tape.dot(), "the \\\"x\\\""));
}
