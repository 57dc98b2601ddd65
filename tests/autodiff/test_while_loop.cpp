// while_loop against the loop written out: bits, forward mode, batches, draws, plans; what it refuses.
#define BOOST_TEST_MODULE while_loop
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <utility>

#include "autodiff/autodiff.hpp"
#include "autodiff/testing/check.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/autodiff/plans.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

Var row_of(Var x, Index i) { return reshape(slice(x, 0, i, i + 1), x.shape().trailing(x.rank() - 1)); }

// x halved and turned by a matrix until its square sum is below a bound, and the number of steps.
using State = std::pair<Var, Var>;
State step_of(const State& now, Var w) { return {0.5 * tanh(matmul(now.first, w)) + 0.1 * now.first, now.second + 1}; }
Var goes_on(const State& now, Var bound) { return sum(square(now.first)) > bound; }

std::vector<Var> by_loop(std::span<const Var> in) {
  const State last = while_loop([&](const State& now) { return goes_on(now, in[2]); },
                                [&](const State& now) { return step_of(now, in[1]); },
                                State{in[0], in[0].tape().zeros({}, in[0].dtype())});
  return {last.first, last.second};
}
// On an eager tape alone.
std::vector<Var> written_out(std::span<const Var> in) {
  State now{in[0], in[0].tape().zeros({}, in[0].dtype())};
  while (goes_on(now, in[2]).item() != 0) now = step_of(now, in[1]);
  return {now.first, now.second};
}

Arrays inputs_of(Dtype dtype, double bound, Index rows = 2) {
  return {random_array(dtype, {rows, 3}, 1), random_array(dtype, {3, 3}, 2),
          random_array(dtype, {}, 3, bound, bound + 1e-9)};
}
std::vector<Var> on(Tape& tape, const Arrays& arrays) {
  std::vector<Var> vars;
  for (const Array& array : arrays) vars.push_back(tape.input(array));
  return vars;
}

}  // namespace

BOOST_AUTO_TEST_CASE(values_have_the_bits_of_the_loop_written_out) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    // One plan for any number of steps.
    Plan plan = compile(by_loop, types_of(inputs_of(dtype, 1)), {}, dtype);
    double most = 0;
    for (double bound : {1e3, 0.5, 0.1, 1e-6}) {
      const Arrays given = inputs_of(dtype, bound);
      const Arrays wanted = eagerly(written_out, given, dtype);
      for (int count : {1, 3}) {
        const Threads team(count);
        BOOST_TEST(same_bits(eagerly(by_loop, given, dtype), wanted));
        BOOST_TEST(same_bits(run(plan, given), wanted));
      }
      most = std::max(most, wanted[1].at(0));
      if (bound == 1e3) BOOST_TEST(wanted[1].at(0) == 0);  // no step at all
    }
    BOOST_TEST(most > 5);
  }
}

BOOST_AUTO_TEST_CASE(forward_mode_passes_through) {
  const Arrays given = inputs_of(Dtype::f64, 1e-3, 1);
  Tape tape(Dtype::f64);
  const std::vector<Var> in = on(tape, given);
  for (std::size_t by : {0u, 1u}) {
    const auto f = [&](auto&& loop) {
      return [&, loop](Var x) {
        std::vector<Var> all = in;
        all[by] = x;
        return sum(square(loop(all)[0])) + sum(loop(all)[0]);
      };
    };
    const auto loop = f(by_loop), plainly = f(written_out);
    const Var v = tape.input(random_array(Dtype::f64, in[by].shape(), 7));
    const Var wanted = jvp(plainly, in[by], v).tangent;
    BOOST_TEST(distance(jvp(loop, in[by], v).tangent.value(), wanted.value()) < 1e-13);
    // Forward over forward, by stacks: the second derivatives.
    const auto slope = [&](auto&& g) { return [&](Var x) { return jvp(g, x, v).tangent; }; };
    BOOST_TEST(distance(jvp(slope(loop), in[by], v).tangent.value(), jvp(slope(plainly), in[by], v).tangent.value()) <
               1e-12);
  }
  // The Jacobian of a result that is larger than x goes forward, in one stack, on a tape and in a plan.
  const auto rows = [&](Vars x, auto&& loop) {
    std::vector<Var> all(x.begin(), x.end());
    return std::vector<Var>{jacobian(
        [&](Var z) {
          all[0] = z;
          return loop(all)[0];
        },
        x[0])};
  };
  const Arrays wanted = eagerly([&](Vars x) { return rows(x, written_out); }, given, Dtype::f64);
  const auto by_stacks = [&](Vars x) { return rows(x, by_loop); };
  const Arrays got = eagerly(by_stacks, given, Dtype::f64);
  BOOST_TEST(distance(got[0], wanted[0]) < 1e-13);
  Plan plan = compile(by_stacks, types_of(given), {}, Dtype::f64);
  BOOST_TEST(same_bits(run(plan, given), got));
}

BOOST_AUTO_TEST_CASE(forward_derivatives_agree_with_differences) {
  // The number of steps is the same nearby.
  const auto f = [](Vars in) {
    const State last =
        while_loop([&](const State& now) { return now.second < 3; },
                   [&](const State& now) { return step_of(now, in[1]); }, State{in[0], in[0].tape().zeros({})});
    return sum(square(last.first)) + sum(last.first);
  };
  Arrays given = inputs_of(Dtype::f64, 1, 1);
  given.pop_back();
  const CheckReport report = check_grads(f, given, {.order = 2, .modes = Modes::forward});
  for (const std::string& failure : report.failures) BOOST_ERROR(failure);
  BOOST_TEST(report.checks > 0);
}

BOOST_AUTO_TEST_CASE(each_slice_of_a_batch_ends_by_its_own_condition) {
  Tape tape(Dtype::f64);
  const Arrays all = inputs_of(Dtype::f64, 0.01);
  const std::vector<Var> in = on(tape, all);
  const Var starts =
      tape.input(random_array(Dtype::f64, {4, 2, 3}, 9)) * tape.input(Array::of<double>({4, 1, 1}, {1e-3, 1, 3, 100}));
  const Var weights = tape.input(random_array(Dtype::f64, {4, 3, 3}, 10));
  const Var bounds = tape.input(Array::of<double>({4}, {1e3, 0.5, 1e-2, 1e-5}));
  const auto check = [&](const std::vector<Var>& slices, auto&& operands) {
    for (std::size_t result : {0u, 1u}) {
      const auto call = [&](Vars s) { return by_loop(operands(s))[result]; };
      const Var got = vmap(call, slices);
      for (Index k = 0; k < 4; ++k) {
        std::vector<Var> mine;
        for (Var x : slices) mine.push_back(row_of(x, k));
        BOOST_TEST(distance(row_of(got, k).value(), written_out(operands(mine))[result].value()) < 1e-13);
      }
    }
  };
  using List = std::vector<Var>;
  check({starts}, [&](Vars s) { return List{s[0], in[1], in[2]}; });
  check({bounds}, [&](Vars s) { return List{in[0], in[1], s[0]}; });
  check({starts, weights, bounds}, [&](Vars s) { return List{s[0], s[1], s[2]}; });
  // Where all have the same condition; with an integer in the carry.
  const auto counted = [&](Var x) {
    using Count = std::pair<Var, Var>;
    const auto last = while_loop([](const Count& now) { return cast(now.second, Dtype::f64) < 3; },
                                 [](const Count& now) {
                                   return Count{sin(now.first), cast(cast(now.second, Dtype::f64) + 1, Dtype::i32)};
                                 },
                                 Count{x, x.tape().zeros({}, Dtype::i32)});
    return last.first * cast(last.second, Dtype::f64);
  };
  BOOST_TEST(same_bits(vmap(counted, starts).value(), (sin(sin(sin(starts))) * 3).value()));
  // Tangents of a batch.
  const auto each = [&](Var x) { return vmap([&](Var z) { return by_loop(List{z, in[1], in[2]})[0]; }, x); };
  const Var pushed = jvp(each, starts, starts).tangent;
  for (Index k = 0; k < 4; ++k) {
    const Var x = row_of(starts, k);
    const Var wanted = jvp([&](Var z) { return written_out(List{z, in[1], in[2]})[0]; }, x, x).tangent;
    BOOST_TEST(distance(row_of(pushed, k).value(), wanted.value()) < 1e-13);
  }
}

BOOST_AUTO_TEST_CASE(draws_count_steps) {
  Tape tape(Dtype::f64);
  const Var state = tape.input(draw_state(3, 1));
  // A walk until it leaves [-2, 2], by steps that the condition does not see.
  const auto walk = [&](Var start) {
    Draw draw(state);
    return while_loop([](Var x) { return abs(x) < 2; }, [&](Var x) { return x + draw.normal({}); }, start);
  };
  Var x = tape.zeros({});
  int steps = 0;
  for (; abs(x).item() < 2; ++steps)
    x = x + Draw(draw_state_at(state, tape.input(Array::of<std::int32_t>({}, {steps})))).normal({});
  BOOST_TEST(steps > 1);
  BOOST_TEST(same_bits(walk(tape.zeros({})).value(), x.value()));
  BOOST_TEST(jvp(walk, tape.zeros({}), tape.ones({})).tangent.item() == 1);
}

BOOST_AUTO_TEST_CASE(a_loop_of_loops_with_a_gradient_in_each_step) {
  // Minimizes |x - b|^2 + x'x / 10 by steps along its gradient; the minimum is b / 1.1, and its slope by b is 1 / 1.1.
  const auto minimum = [](Var b) {
    const auto slope = [&](Var x) { return grad(sum(square(x - b)) + 0.1 * sum(square(x)), x); };
    return while_loop([&](Var x) { return sum(square(slope(identity(x)))) > 1e-24; },
                      [&](Var x) {
                        const Var at = identity(x);
                        return scan([&](Var y) { return y - 0.2 * slope(identity(y)); }, at, 2);
                      },
                      zeros_like(b));
  };
  Tape tape(Dtype::f64);
  const Var b = tape.input(random_array(Dtype::f64, {3}, 4));
  BOOST_TEST(distance(minimum(b).value(), (b / 1.1).value()) < 1e-11);
  BOOST_TEST(distance(jacobian(minimum, b).value(), (tape.eye(3) / 1.1).value()) < 1e-11);
}

BOOST_AUTO_TEST_CASE(errors_name_while_loop_what_was_wanted_what_came_and_the_line) {
  Tape tape(Dtype::f64);
  const Var x = tape.input(random_array(Dtype::f64, {3}, 1));
  const auto expect = [](auto&& f, const std::string& text) {
    const std::string error = error_of(f);
    BOOST_TEST(contains(error, text), error);
    BOOST_TEST(contains(error, "test_while_loop.cpp:"), error);
  };
  const auto small = [](Var h) { return sum(h) > 100; };
  expect(
      [&] {
        while_loop(
            small, [](Var h) { return sum(h); }, x);
      },
      "[while_loop] a step must give the carry as it got it: f64 [3], it gave f64 []");
  expect([&] { while_loop([](Var h) { return h > 0; }, [](Var h) { return h; }, x); },
         "[while_loop] the condition must be of one element, got f64 [3]");
  expect(
      [&] {
        while_loop(
            small, [](Var h) { return h; }, Var());
      },
      "[while_loop] this Var belongs to no tape");
  const Var last = while_loop(
      small, [](Var h) { return h + 1; }, x);
  expect([&] { grad(sum(last), x); }, "[while_loop] has no reverse mode");
  expect([&] { grad(sum(last), x); }, "scan");
  BOOST_TEST(!tape.symbolic());
}
