// Loops that a plan runs as one.
#define BOOST_TEST_MODULE loop_merging
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <string>

#include "autodiff/autodiff.hpp"
#include "autodiff/plan/forced.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/autodiff/plans.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

// The steps of a plan of f that are loops. Its outputs have the eager tape's bits.
std::ptrdiff_t loops_of(const PlanFunction& f, const Arrays& given) {
  const plan::Force as_steps(plan::Way::steps_alone);
  Plan plan = compile(f, types_of(given));
  BOOST_TEST(same_bits(run(plan, given), eagerly(f, given, given[0].dtype())));
  const auto steps = plan.steps();
  return std::count_if(steps.begin(), steps.end(), [](const Plan::StepInfo& step) {
    return step.kernel.starts_with("scan of") || step.kernel.starts_with("while loop");
  });
}

const Arrays given{random_array(Dtype::f64, {3}, 1), random_array(Dtype::f64, {3}, 2),
                   random_array(Dtype::f64, {5, 3}, 3)};

Var halved(Var x, Var w) {
  return while_loop([](Var at) { return sum(square(at)) > 0.01; }, [&](Var at) { return at * 0.5 * cos(w); }, x);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_scan_runs_once_for_its_results_and_for_its_reverse) {
  const auto loss = [](Vars in) {
    const auto [last, ys] = scan(
        [&](const std::array<Var, 2>& h, Var x) {
          const Var next = tanh(h[0] * in[1] + x);
          return std::pair(std::array{next, h[1] + next}, std::array{next * x, sum(next)});
        },
        std::array{in[0], in[1]}, in[2]);
    return sum(last[0]) + sum(ys[0] * ys[0]) + sum(ys[1]) + sum(last[1]);
  };
  const auto gradient = [&](Vars in) { return grad(loss(in), {in[0], in[1], in[2]}); };
  const auto both = [&](Vars in) {
    const Var y = loss(in);
    std::vector<Var> all = grad(y, {in[0], in[1], in[2]});
    all.push_back(y);
    return all;
  };
  BOOST_TEST(loops_of([&](Vars in) { return std::vector{loss(in)}; }, given) == 1);
  BOOST_TEST(loops_of(gradient, given) == 2);
  BOOST_TEST(loops_of(both, given) == 2);
  // What a step keeps may be what its carry was, and the only result.
  const auto kept = [](Vars in) {
    const Var hs = scan([&](Var h, Var x) { return std::pair(sin(h) * x, h); }, in[0], in[2]).ys;
    return std::vector{hs, grad(sum(hs), in[0])};
  };
  BOOST_TEST(loops_of(kept, given) == 2);
}

BOOST_AUTO_TEST_CASE(tangents_bring_the_value_along) {
  const auto value = [](Vars in) { return [w = in[1]](Var x) { return sum(square(halved(x, w))); }; };
  const auto forward = [&](Vars in) {
    return std::vector{value(in)(in[0]), jacobian(value(in), in[0], {.mode = JacobianMode::forward})};
  };
  BOOST_TEST(loops_of(forward, given) == 1);
  const auto pushed = [](Vars in) {
    const auto f = [&](Var x) {
      return scan([&](Var h, Var row) { return std::pair(sin(h * row), h); }, x, in[2]).carry;
    };
    const auto [y, tangent] = jvp(f, in[0], in[1]);
    return std::vector{y, tangent, f(in[0])};
  };
  BOOST_TEST(loops_of(pushed, given) == 1);
}

BOOST_AUTO_TEST_CASE(loops_in_steps_of_loops_are_merged_too) {
  const auto f = [](Vars in) {
    const auto inner = [&](Var x) { return scan([&](Var h) { return sin(h * in[1]); }, x, 3); };
    const Var last = scan([&](Var h) { return inner(h) + cos(inner(h)); }, in[0], 4);
    return std::vector{last, grad(sum(last), in[0])};
  };
  BOOST_TEST(loops_of(f, given) == 2);
  const std::string text = compile(f, types_of(given)).explain();
  std::size_t scans = 0;
  for (std::size_t at = text.find("scan of 3"); at != std::string::npos; at = text.find("scan of 3", at + 1)) ++scans;
  BOOST_TEST(scans == 4U);  // one in the outer loop; in its reverse one again, and the reverse of each call
}

BOOST_AUTO_TEST_CASE(loops_of_the_same_kind_that_differ_stay_two) {
  const auto plain = [](Vars in, Index length, bool reverse) {
    return scan([&](Var h, Var x) { return sin(h * in[1]) + x; }, in[0], slice(in[2], 0, 0, length),
                {.reverse = reverse});
  };
  const auto pair = [&](auto other) {
    return loops_of([&](Vars in) { return std::vector{plain(in, 5, false), Var(other(in))}; }, given);
  };
  BOOST_TEST(pair([&](Vars in) { return plain(in, 5, false); }) == 1);
  BOOST_TEST(pair([&](Vars in) { return plain(in, 4, false); }) == 2);
  BOOST_TEST(pair([&](Vars in) { return plain(in, 5, true); }) == 2);
  const std::array<std::function<Var(Vars, Var, Var)>, 4> others{
      [](Vars in, Var h, Var x) { return cos(h * in[1]) + x; },        // another op
      [](Vars in, Var h, Var x) { return sin(h * in[0]) + x; },        // what it captured
      [](Vars in, Var h, Var x) { return sin(h * in[1]) + 2 * x; },    // another number
      [](Vars in, Var h, Var x) { return sin(h * in[1]) + sum(x); }};  // another shape on its way
  for (const auto& step : others)
    BOOST_TEST(pair([&](Vars in) { return scan([&](Var h, Var x) { return step(in, h, x); }, in[0], in[2]); }) == 2);
  BOOST_TEST(pair([&](Vars in) {
               return scan([&](Var h, Var x) { return sin(h * in[1]) + x; }, in[1], in[2]);  // another start
             }) == 2);
  const auto whiles = [](Vars in) {
    return std::vector{halved(in[0], in[1]), while_loop([](Var at) { return sum(square(at)) > 0.02; },
                                                        [&](Var at) { return at * 0.5 * cos(in[1]); }, in[0])};
  };
  BOOST_TEST(loops_of(whiles, given) == 2);
}

BOOST_AUTO_TEST_CASE(a_loop_that_needs_another_stays_behind_it) {
  // The second carries what the first does, and something that starts from its result.
  const auto f = [](Vars in) {
    const Var first = scan([&](Var h) { return sin(h * in[1]); }, in[0], 5);
    const auto second = scan(
        [&](const std::array<Var, 2>& h) {
          return std::array{sin(h[0] * in[1]), h[1] * 0.5};
        },
        std::array{in[0], first}, 5);
    return std::vector{first, second[0], second[1]};
  };
  BOOST_TEST(loops_of(f, given) == 2);
}

BOOST_AUTO_TEST_CASE(draws_and_counters_are_those_of_each_step) {
  const auto f = [](Vars in) {
    const Var state = in[0].tape().input(draw_state(7, 0));
    const auto noisy = [&](Var x) {
      return scan([&](Var h) { return std::pair(sin(h + Draw(state).normal({3})), h); }, x, 6);
    };
    const auto [last, ys] = noisy(in[0]);
    return std::vector{last, ys, grad(sum(last) + sum(ys), in[0])};
  };
  BOOST_TEST(loops_of(f, given) == 2);
}
