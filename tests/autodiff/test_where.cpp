// Where errors point to: the user's line and the path of modules, never the library's lines.
#define BOOST_TEST_MODULE where
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cstring>

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

std::string placed(const Tape& tape, Var var) { return fmt::format("({})", tape.location_of(tape.index_of(var, {}))); }

struct Fixture {
  Tape tape{Dtype::f32, Tape::Mode::symbolic};
  Var x = tape.input(Type{Dtype::f32, {32, 68}}), w = tape.input(Type{Dtype::f32, {70, 256}});
};

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
  check(line, refused([](Operand x) { return slice_backward(x, 4, 9, 0); }), "slice_backward");
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

BOOST_AUTO_TEST_CASE(what_any_op_refuses_has_its_name_and_the_callers_line) {
  for (const Op* op : registry())
    for (const InvalidInput& invalid : op->invalid_inputs())
      for (Tape::Mode mode : {Tape::Mode::eager, Tape::Mode::symbolic}) {
        Tape tape(Dtype::f32, mode);
        const Var x = tape.full(Shape{2}, 1);
        std::vector<Operand> operands;
        for (const Type& type : invalid.inputs) operands.push_back(tape.input(Array(type)));
        const auto call = [&](Var z) { return record(*op, operands, invalid.attributes) + z; };
        if (operands.empty()) continue;
        const int line = operands[0].where().line;
        for (const std::string& text :
             {error_of([&] { call(x); }), error_of([&] { vmap(call, x); }), error_of([&] { jvp(call, x, x); }),
              error_of([&] { jacobian(call, x); }), error_of([&] { checkpoint(call, x); })}) {
          BOOST_TEST(text.rfind("[" + op->name() + "] ", 0) == 0U, text);
          BOOST_TEST(contains(text, fmt::format("(test_where.cpp:{}", line)), text);
          BOOST_TEST(contains(text, invalid.text), text);
        }
      }
}

BOOST_AUTO_TEST_CASE(a_number_where_a_var_is_needed) {
  Tape tape;
  const Var x = tape.full(Shape{3}, 1), m = tape.full(Shape{3, 3}, 1);
  const Var i = tape.input(Array(Dtype::i32, {2}));
  const Function f = [](Var z) { return sum(z); };
  const std::vector<std::pair<const char*, std::function<void()>>> calls{
      {"sum", [] { sum(3.0); }},
      {"sum", [] { sum(3.0, 0); }},
      {"mean", [] { mean(3.0); }},
      {"mean", [] { mean(3.0, 0); }},
      {"max", [] { max(3.0); }},
      {"argmax", [] { argmax(3.0); }},
      {"min", [] { min(3.0, 0); }},
      {"prod", [] { prod(3.0); }},
      {"prod", [] { prod(3.0, 0); }},
      {"logsumexp", [] { logsumexp(3.0, 0); }},
      {"variance", [] { variance(3.0); }},
      {"stddev", [] { stddev(3.0); }},
      {"norm", [] { norm(3.0); }},
      {"argmax", [] { argmax(3.0, 0); }},
      {"softmax", [] { softmax(3.0, 0); }},
      {"log_softmax", [] { log_softmax(3.0, 0); }},
      {"cumsum", [] { cumsum(3.0, 0); }},
      {"layer_norm", [] { layer_norm(3.0, 1, 0); }},
      {"sum_to", [] { sum_to(3.0, {1}); }},
      {"reshape", [] { reshape(3.0, {1}); }},
      {"flatten", [] { flatten(3.0); }},
      {"broadcast_to", [] { broadcast_to(3.0, {1}); }},
      {"transpose", [] { transpose(3.0); }},
      {"transpose", [] { transpose(3.0, {0}); }},
      {"swapaxes", [] { swapaxes(3.0, 0, 1); }},
      {"concat", [] { concat({3.0}, 0); }},
      {"stack", [] { stack({3.0}, 0); }},
      {"stack",
       [&] {
         stack({x, 3.0}, 0);
       }},
      {"slice", [] { slice(3.0, 0, 0); }},
      {"slice_backward", [] { slice_backward(3.0, 0, 1, 0); }},
      {"split", [] { split(3.0, 2, 0); }},
      {"flip", [] { flip(3.0, 0); }},
      {"roll", [] { roll(3.0, 1, 0); }},
      {"tile", [] { tile(3.0, {2}); }},
      {"unsqueeze", [] { unsqueeze(3.0, 0); }},
      {"squeeze", [] { squeeze(3.0); }},
      {"take_along", [&] { take_along(3.0, i, 0); }},
      {"scatter_add", [&] { scatter_add(3.0, i, 0, 4); }},
      {"index_select", [&] { index_select(3.0, 0, i); }},
      {"index_select", [&] { index_select(x, 0, 1); }},
      {"index_add", [&] { index_add(3.0, 0, i, x); }},
      {"index_add", [&] { index_add(x, 0, 1, x); }},
      {"one_hot", [] { one_hot(3, 4); }},
      {"argsort", [] { argsort(3.0, 0); }},
      {"sort", [] { sort(3.0, 0); }},
      {"outer", [&] { outer(3.0, x); }},
      {"outer", [&] { outer(x, 3.0); }},
      {"dot", [&] { dot(x, 3.0); }},
      {"trace", [] { trace(3.0); }},
      {"triangular_solve", [&] { triangular_solve(3.0, m); }},
      {"triangular_solve", [&] { triangular_solve(m, 3.0); }},
      {"matmul", [&] { matmul(3.0, m); }},
      {"matmul", [&] { matmul(m, 3.0); }},
      {"grad", [&] { grad(3.0, x); }},
      {"vjp", [&] { vjp(3.0, x, std::vector<Var>{x}); }},
      {"jvp", [&] { jvp(f, 3.0, x); }},
      {"jvp", [&] { jvp(f, x, 3.0); }},
      {"hvp", [&] { hvp(f, 3.0, x); }},
      {"value_and_grad", [&] { value_and_grad(f, 3.0); }},
      {"jacobian", [&] { jacobian(f, 3.0); }},
      {"hessian", [&] { hessian(f, 3.0); }},
      {"divergence", [&] { divergence(f, 3.0); }},
      {"laplacian", [&] { laplacian(f, 3.0); }},
      {"vmap", [&] { vmap(f, 3.0); }},
      {"checkpoint", [&] { checkpoint(f, 3.0); }},
      {"custom_derivative",
       [&] {
         custom_derivative(
             f, [](Var, Var, Var g) { return g; }, 3.0);
       }},
      {"exp", [] { wengert::exp(Operand(3.0)); }},
      {"add", [] { add(3.0, 2.0); }},
  };
  for (const auto& [name, call] : calls) {
    const std::string text = error_of(call);
    BOOST_TEST(text.rfind(fmt::format("[{}] ", name), 0) == 0U, name << ": " << text);
    BOOST_TEST(contains(text, "(test_where.cpp:"), name << ": " << text);
    BOOST_TEST((contains(text, "number") || contains(text, "needs at least 2 axes")), name << ": " << text);
  }
  const int line = __LINE__ + 1;
  BOOST_TEST(error_of([] { sum(3.0); }) == "[sum] needs a Var, got the number 3  " + here(line));
}

BOOST_AUTO_TEST_CASE(impossible_shapes_have_the_callers_line) {
  Tape tape;
  const Var x = tape.full(Shape{3}, 1);
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { broadcast_to(x, {3, -1}); });
  BOOST_TEST(text == "[shape] a shape's extents cannot be negative, got -1  " + here(line));
}

// An op that cannot serve some values says so in the same words wherever it runs: on an eager tape, while constants are
// folded, in a plan by ranges of rows or by pieces of them.
BOOST_AUTO_TEST_CASE(plans_refuse_values_in_the_words_of_an_eager_tape) {
  using Vars = std::span<const Var>;
  Array matrices(Dtype::f64, {1000, 2, 2}), x(Dtype::f64, {1000, 3}), bad(Dtype::i32, {1000, 1}), ten(Dtype::i32, {10});
  for (Index k = 0; k < 1000; ++k) {
    matrices.set(4 * k, k == 700 || k == 800 ? -1 : 1);
    matrices.set(4 * k + 3, 1);
    bad.set(k, k == 700 ? 7 : 0);
  }
  for (Index k = 0; k < 10; ++k) ten.set(k, k == 7 ? -4 : 0);
  struct Refusal {
    const char* op;
    std::vector<Array> inputs;
    PlanFunction f;
  };
  const std::vector<Refusal> refusals{
      {"cholesky", {matrices}, [](Vars in) { return std::vector<Var>{exp(cholesky(2 * in[0]))}; }},
      {"cholesky",
       {matrices},
       [](Vars in) {
         return std::vector<Var>{cholesky(reshape(in[0], {10, 100, 2, 2}))};
       }},
      {"take_along", {x, bad}, [](Vars in) { return std::vector<Var>{exp(take_along(in[0] + 1, in[1], 1))}; }},
      {"take_along", {x, ten}, [](Vars in) { return std::vector<Var>{exp(index_select(in[0], 0, in[1]))}; }},
      {"scatter_add", {bad}, [](Vars in) { return std::vector<Var>{one_hot(in[0], 5)}; }},
  };
  for (const Refusal& refusal : refusals) {
    std::vector<Type> types;
    std::vector<PlanInput> given;
    for (const Array& input : refusal.inputs) {
      types.push_back(input.type());
      given.emplace_back(input);
    }
    const auto all = [&](Tape& tape) {
      std::vector<Var> vars;
      for (const Array& input : refusal.inputs) vars.push_back(tape.input(input));
      return refusal.f(vars);
    };
    const std::string eager = error_of([&] {
      Tape tape(Dtype::f64);
      all(tape);
    });
    BOOST_TEST(eager.rfind(fmt::format("[{}] ", refusal.op), 0) == 0U, eager);
    BOOST_TEST(contains(eager, "(test_where.cpp:"), eager);
    for (int threads : {1, 2}) {
      const wengert::testing::Threads set(threads);
      for (bool rewrites : {false, true}) {
        Plan plan = compile(refusal.f, types, {.rewrites = rewrites}, Dtype::f64);
        BOOST_TEST(error_of([&] { plan.run(given); }) == eager);
        BOOST_TEST(error_of([&] { plan.run(given); }) == eager);  // nothing is left of the first
      }
    }
    // What is constant is computed while compiling.
    const std::string folded = error_of([&] {
      compile([&](Vars in) { return all(in[0].tape()); }, {{Dtype::f64, {1}}}, {}, Dtype::f64);
    });
    BOOST_TEST(folded == eager);
  }
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
