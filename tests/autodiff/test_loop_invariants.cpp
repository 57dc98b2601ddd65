// What a plan computes before a loop instead of in every step of it, and what it leaves there.
#define BOOST_TEST_MODULE loop_invariants
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <random>
#include <string>

#include "autodiff/autodiff.hpp"
#include "autodiff/plan/passes.hpp"
#include "autodiff/plan/passes/loops_of_graphs.hpp"
#include "autodiff/testing/check_parts.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/autodiff/plans.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

const Arrays given{random_array(Dtype::f64, {4, 3}, 1), random_array(Dtype::f64, {3, 3}, 2),
                   random_array(Dtype::f64, {5, 4, 3}, 3)};

// The graph of f as it is around its loops, once what does not change in them is out of them.
plan::Graph around(const PlanFunction& f, const Arrays& inputs = given) {
  const plan::Graph graph = graph_of(f, types_of(inputs), Dtype::f64);
  return plan::eliminate_dead_code(plan::hoist_loop_invariants(plan::merge_loops(graph)));
}
const plan::Graph& body(const plan::Graph& graph, std::size_t loop = 0) {
  return *plan::loops_of(graph)[loop].parts.body;
}
const plan::Graph& condition(const plan::Graph& graph) { return *plan::loops_of(graph)[0].parts.condition; }

void expect_the_bits_of_a_tape(const PlanFunction& f, const Arrays& inputs = given) {
  Plan plan = compile(f, types_of(inputs), {}, Dtype::f64);
  BOOST_TEST(same_bits(run(plan, inputs), eagerly(f, inputs, Dtype::f64)));
}

// A loop over the rows of in[2], whose step adds g(in) to the carry.
template <class G>
PlanFunction adding(G g) {
  return [g](Vars in) { return std::vector<Var>{scan([&](Var h, Var x) { return h + x + g(in); }, in[0], in[2])}; };
}

// How many nodes of this op a step has where it adds g(in).
template <class G>
int left_by(const std::string& op, G g, const Arrays& inputs = given) {
  expect_the_bits_of_a_tape(adding(g), inputs);
  return count(body(around(adding(g), inputs)), op);
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_depends_on_constants_alone_is_computed_before_the_loop) {
  const PlanFunction f = [](Vars in) {
    return std::vector<Var>{scan(
        [&](Var h, Var x) {
          const Var w = exp(in[1]), all = logsumexp(matmul(w, w), 1, {.keepdims = true});
          return tanh(matmul(h, w) + x) * sum(softmax(all, 0) * all);
        },
        in[0], in[2])};
  };
  const plan::Graph before = graph_of(f, types_of(given), Dtype::f64), after = around(f);
  BOOST_TEST(count(body(before), "matmul") == 2);
  BOOST_TEST(count(body(after), "matmul") == 1);
  BOOST_TEST(count(after, "matmul") == 1);
  for (const char* op : {"exp", "logsumexp", "softmax", "sum"}) {
    BOOST_TEST(count(body(after), op) == 0, op);
    BOOST_TEST(count(after, op) == 1, op);
  }
  const std::size_t computed = 4;  // a product, a sum, tanh, a product by a number
  const plan::Graph& step = body(after);
  BOOST_TEST(static_cast<std::size_t>(std::ranges::count_if(
                 step.nodes, [](const plan::Value& value) { return !value.is_leaf(); })) == computed);
  BOOST_TEST(step.inputs.size() == 4U);  // the carry, x, exp(w), a number: what nobody reads any more is not given
  expect_the_bits_of_a_tape(f);
}

BOOST_AUTO_TEST_CASE(a_condition_has_invariants_too) {
  const PlanFunction f = [](Vars in) {
    return std::vector<Var>{while_loop([&](Var at) { return sum(square(at)) > 0.1 * sum(exp(in[1])); },
                                       [&](Var at) { return matmul(at, cos(in[1])) * 0.3; }, in[0])};
  };
  const plan::Graph after = around(f);
  BOOST_TEST(count(condition(after), "exp") == 0);
  BOOST_TEST(count(condition(after), "sum") == 1);
  BOOST_TEST(count(body(after), "cos") == 0);
  BOOST_TEST(count(after, "exp") + count(after, "sum") + count(after, "cos") == 3);
  expect_the_bits_of_a_tape(f);
}

BOOST_AUTO_TEST_CASE(an_invariant_is_a_result_of_a_loop_like_any_other) {
  const PlanFunction f = [](Vars in) {
    const auto [last, ys] = scan(
        [&](Var, Var) {
          return std::pair(sin(in[0]), std::array{exp(in[1]), in[1]});
        },
        in[0], in[2]);
    return std::vector<Var>{last, ys[0], ys[1]};
  };
  BOOST_TEST(count(body(around(f)), "exp") + count(body(around(f)), "sin") == 0);
  expect_the_bits_of_a_tape(f);
}

BOOST_AUTO_TEST_CASE(a_loop_and_its_derivatives_share_what_is_computed_before_them) {
  const PlanFunction f = [](Vars in) {
    const auto last = [&](Var start) {
      return sum(scan([&](Var h, Var x) { return tanh(matmul(h, exp(in[1])) + x); }, start, in[2]));
    };
    const Var loss = last(in[0]);
    return std::vector<Var>{loss, grad(loss, in[1]), grad(loss, in[0]), jvp(last, in[0], in[0]).tangent};
  };
  const plan::Graph after = plan::eliminate_common_subexpressions(around(f));
  BOOST_TEST(count(after, "exp") == 1);
  const auto loops = plan::loops_of(after);
  BOOST_TEST(loops.size() >= 2U);
  for (const plan::Loop& loop : loops) BOOST_TEST(count(*loop.parts.body, "exp") == 0);
  expect_the_bits_of_a_tape(f);
}

BOOST_AUTO_TEST_CASE(invariants_leave_as_many_loops_as_they_can) {
  const PlanFunction f = [](Vars in) {
    return std::vector<Var>{scan(
        [&](Var h, Var x) {
          return scan([&](Var g) { return tanh(matmul(g, exp(in[1])) + cos(x)); }, h, 3) + sum(exp(in[1]));
        },
        in[0], in[2])};
  };
  const plan::Graph after = around(f), &outer = body(after), &inner = body(outer);
  BOOST_TEST(count(after, "exp") == 1);
  BOOST_TEST(count(outer, "exp") + count(inner, "exp") == 0);
  BOOST_TEST(count(outer, "cos") == 1);
  BOOST_TEST(count(inner, "cos") == 0);
  expect_the_bits_of_a_tape(f);
}

BOOST_AUTO_TEST_CASE(what_a_step_gets_for_nothing_or_for_less_than_reading_stays) {
  BOOST_TEST(left_by("reshape", [](Vars in) { return sum(reshape(slice(in[1], 0, 0, 1), {3}) * in[0][0]); }) == 0);
  BOOST_TEST(left_by("slice", [](Vars in) { return in[1][0]; }) == 1);
  BOOST_TEST(left_by("broadcast_to", [](Vars in) { return matmul(in[2][0], broadcast_to(in[1][0], {3, 3})); }) == 0);
  const Arrays wide{random_array(Dtype::f64, {300, 200}, 1), random_array(Dtype::f64, {3, 200}, 2),
                    random_array(Dtype::f64, {2, 300, 1}, 3)};
  const auto column = [](Vars in) { return slice(in[0], 1, 0, 1); };
  // A row and a column of 4 kB against an array of 480 kB: read, if that saves sixteen operations an element and more.
  BOOST_TEST(left_by(
                 "mul", [&](Vars in) { return column(in) * slice(in[1], 0, 0, 1); }, wide) == 1);
  BOOST_TEST(left_by(
                 "matmul", [&](Vars in) { return matmul(column(in), slice(in[1], 0, 0, 1)); }, wide) == 1);
  const auto long_chain = [&](Vars in) {
    Var product = column(in) * slice(in[1], 0, 0, 1);
    for (int i = 0; i < 40; ++i) product = sin(product);
    return product;
  };
  BOOST_TEST(left_by("sin", long_chain, wide) == 0);
  // What they are made of does not stay.
  BOOST_TEST(left_by(
                 "exp", [&](Vars in) { return column(in) * exp(slice(in[1], 0, 0, 1)); }, wide) == 0);
}

BOOST_AUTO_TEST_CASE(draws_and_what_may_refuse_values_stay) {
  BOOST_TEST(left_by("take_along", [](Vars in) {
               const Var first = cast(in[0][0] * 0, Dtype::i32);
               return sum(index_select(in[1], 0, first), {0});
             }) == 1);
  BOOST_TEST(left_by("cholesky", [](Vars in) {
               return sum(cholesky(matmul(in[1], in[1], {.transpose_b = true}) + in[1].tape().eye(3)));
             }) == 1);
  const PlanFunction draws = [](Vars in) {
    const Var state = in[0].tape().input(draw_state(1, 0));
    Draw draw(state);
    return std::vector<Var>{scan([&](Var h, Var x) { return h * draw.normal({4, 3}) + x; }, in[0], in[2])};
  };
  BOOST_TEST(count(body(around(draws)), "draw_normal") == 1);
  expect_the_bits_of_a_tape(draws);
}

// Nothing that a loop of no steps does not need may throw, whatever values it is of.
BOOST_AUTO_TEST_CASE(a_loop_of_no_steps_computes_nothing_that_refuses) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  int in_steps = 0, before = 0;
  for (const Op* op : registry()) {
    if (op->is_leaf()) continue;
    for (const Example& example : op->examples()) {
      if (example.inputs.empty()) continue;
      const PlanFunction f = [&](Vars in) {
        const auto call = [&](Var h) {
          const Var y = in[0].tape().record(*op, std::vector<Operand>(in.begin(), in.end()), example.attributes,
                                            Where::current());
          return h + sum(y.dtype() == Dtype::f64 ? y : cast(y, Dtype::f64));
        };
        return std::vector<Var>{while_loop([](Var at) { return at < 0; }, call, in[0].tape().full(Shape{}, 1))};
      };
      for (double value : {nan, 0.0, -1.0}) {
        Arrays inputs;
        std::mt19937_64 random{1};
        for (const Sample& sample : example.inputs) {
          inputs.push_back(draw(sample, Dtype::f64, random));
          const bool whole = inputs.back().dtype() == Dtype::i32;
          for (Index i = 0; i < inputs.back().size(); ++i) inputs.back().set(i, whole && value != 0 ? 1 << 30 : value);
        }
        Plan plan = compile(f, types_of(inputs), {}, Dtype::f64);
        BOOST_TEST(error_of([&] { BOOST_TEST(run(plan, inputs)[0].at(0) == 1, op->name()); }) == "nothing was thrown",
                   op->name());
        const bool stays = count(body(around(f, inputs)), op->name()) > 0;
        ++(stays ? in_steps : before);
      }
    }
  }
  BOOST_TEST_MESSAGE(before << " calls before the loop, " << in_steps << " in its steps");
  BOOST_TEST(before > in_steps);
}
