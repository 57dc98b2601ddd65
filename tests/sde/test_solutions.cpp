// What solvers say where the end is not reached, and what they refuse.
#define BOOST_TEST_MODULE solutions
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "autodiff/autodiff.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;
using sde::Grid;
using sde::Noise;
using sde::Outcome;

namespace {

const Array points = Array::of<double>({2, 1}, {1, 0.5});

bool says(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    if (text.find(part) == std::string::npos) return false;
  return true;
}

// 1 until t = 0.55, NaN from then on.
Var broken(Var x, Var t) { return sqrt(0.55 - t) / sqrt(0.55 - t) + 0 * x; }

sde::Solution adaptively(const sde::Ode& f, double to, const sde::AdaptiveOptions& options = {}) {
  return sde::AdaptiveIntegrator(sde::DormandPrince{}, f, options).run(points, 0, to);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_grid_ends_where_a_value_is_not_finite) {
  sde::Integrator euler(sde::Euler{}, sde::Ode(broken));
  Index observed = 0;
  const sde::Solution s =
      euler.run(points, Grid::uniform(0, 1, 10), {.observe = [&](Index step, double, auto) { observed = step; }});
  BOOST_TEST((s.outcome == Outcome::not_finite));
  BOOST_TEST(s.t == 0.6, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(s.statistics.accepted == 6);
  BOOST_TEST(observed == 6);
  BOOST_TEST(s.x().at(0) == 1.6, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(says(s.message, {"[euler]", "step 7", "t = 0.6", "NaN or an infinity: [sqrt] made nan",
                              "(test_solutions.cpp:27)", "the state lies in [1.1, 1.6]  (test_solutions.cpp:39)"}),
             s.message);
  BOOST_TEST(error_of([&] { s.require(); }) == s.message);
}

BOOST_AUTO_TEST_CASE(adaptive_steps_end_where_a_value_is_not_finite) {
  const sde::Solution s = adaptively(broken, 1);
  BOOST_TEST((s.outcome == Outcome::not_finite));
  BOOST_TEST(s.t > 0.5);
  BOOST_TEST(s.t <= 0.55);
  BOOST_TEST(std::abs(s.x().at(0) - 1 - s.t) < 1e-4);
  BOOST_TEST(s.statistics.rejected > 0);
  BOOST_TEST(says(s.message,
                  {"[dormand_prince]", "NaN or an infinity: [sqrt] made nan", "t = 0.5", "(test_solutions.cpp:27)"}),
             s.message);

  const sde::Solution at_once = adaptively([](Var x, Var) { return x / 0.0; }, 1);
  BOOST_TEST((at_once.outcome == Outcome::not_finite));
  BOOST_TEST(at_once.t == 0);
  BOOST_TEST(same_bits(at_once.x(), points));
  BOOST_TEST(at_once.statistics.evaluations == 1);
}

BOOST_AUTO_TEST_CASE(a_state_that_overflows_is_not_accepted) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    Array x(dtype, {1, 1});
    x.set(0, 1);
    const sde::Solution s =
        sde::AdaptiveIntegrator(sde::DormandPrince{}, sde::Ode([](Var y, Var) { return 100 * y; })).run(x, 0, 100);
    BOOST_TEST((s.outcome != Outcome::reached));
    BOOST_TEST(std::isfinite(s.x().at(0)));
    BOOST_TEST(s.x().at(0) > (dtype == Dtype::f32 ? 1e35 : 1e300));
  }
}

BOOST_AUTO_TEST_CASE(a_trial_that_leaves_the_domain_is_tried_shorter) {
  // The first step reaches below 0, where the root is not a number; shorter ones do not.
  const sde::Solution s = adaptively([](Var x, Var) { return -sqrt(x); }, 1.2, {.first_step = 1.2});
  BOOST_TEST((s.outcome == Outcome::reached), s.message);
  BOOST_TEST(s.statistics.rejected > 0);
  BOOST_TEST(std::abs(s.x().at(0) - 0.16) < 1e-4);  // (1 - t / 2)^2
}

BOOST_AUTO_TEST_CASE(a_singularity_makes_steps_too_small) {
  const sde::Solution s = adaptively([](Var x, Var) { return square(x); }, 2);  // 1 / (1 - t)
  BOOST_TEST((s.outcome == Outcome::step_too_small), name_of(s.outcome));
  BOOST_TEST(std::abs(s.t - 1) < 1e-3);
  BOOST_TEST(s.x().at(0) > 1e3);
  BOOST_TEST(says(s.message, {"[dormand_prince]", "step", "tolerance"}), s.message);
}

BOOST_AUTO_TEST_CASE(steps_are_counted_and_limited) {
  const sde::Ode f = [](Var x, Var t) { return cos(20 * t) * x; };
  const sde::Solution s = adaptively(f, 100, {.max_steps = 30});
  BOOST_TEST((s.outcome == Outcome::too_many_steps));
  BOOST_TEST(s.statistics.accepted + s.statistics.rejected == 30);
  BOOST_TEST(s.t > 0);
  BOOST_TEST(s.t < 100);
  BOOST_TEST(s.times.back() == s.t);
  BOOST_TEST(says(s.message, {"30 steps"}), s.message);
  BOOST_TEST(name_of(s.outcome) == std::string("too many steps"));
}

BOOST_AUTO_TEST_CASE(a_likelihood_that_does_not_end_holds_no_number) {
  sde::LogLikelihood likelihood(sde::Ode(broken), {.from = 0, .to = 1, .prior_std = 1});
  const sde::Likelihood got = likelihood(points);
  BOOST_TEST((got.solution.outcome == Outcome::not_finite));
  for (const Array* each : {&got.log_density, &got.change, &got.standard_error}) BOOST_TEST(std::isnan(each->at(0)));
  BOOST_TEST(std::isfinite(got.end.at(0)));
  BOOST_TEST(error_of([&] { got.require(); }) == got.solution.message);
}

BOOST_AUTO_TEST_CASE(grids_are_strictly_monotone) {
  BOOST_TEST(says(error_of([] { Grid::uniform(1, 0, 0); }), {"at least one step, got 0"}));
  BOOST_TEST(says(error_of([] { Grid::uniform(1, 1, 3); }), {"not strictly monotone"}));
  BOOST_TEST(says(error_of([] { Grid({1, 0.5, 0.5}); }), {"not strictly monotone: 0.5 follows 0.5"}));
  BOOST_TEST(says(error_of([] { Grid({0, 0.5, 0.4}); }), {"not strictly monotone: 0.4 follows 0.5"}));
  BOOST_TEST(says(error_of([] { Grid(std::vector<double>{}); }), {"at least two times, got 0"}));
  BOOST_TEST(says(error_of([] { Grid({1}); }), {"at least two times"}));
  BOOST_TEST(says(error_of([] { Grid({1, NAN}); }), {"time 1 is nan"}));
  for (double to : {0.1, 0.05, 0.2, 0.7, 1e-5, -0.3})
    for (Index steps = 1; steps <= 1000; ++steps) {
      const Grid grid = Grid::uniform(0.9, to, steps);
      if (grid[0] != 0.9 || grid[steps] != to) BOOST_ERROR("a grid to " << to << " of " << steps);
    }
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  const Grid grid = Grid::uniform(0, 1, 4);
  const sde::Ode same = [](Var x, Var) { return x; };
  sde::Integrator euler(sde::Euler{}, same);
  BOOST_TEST(says(error_of([&] { euler.run(std::vector<Array>{}, grid); }), {"[euler]", "at least one array"}));
  BOOST_TEST(says(error_of([&] { euler.run(Array(Dtype::i32, {2, 1}), grid); }), {"[euler]", "i32 [2, 1]"}));
  BOOST_TEST(says(error_of([&] {
                    euler.run({points, Array(Dtype::f64, {3, 1})}, grid);
                  }),
                  {"f64 [3, 1]", "f64 [2, 1]"}));
  BOOST_TEST(says(error_of([&] { euler.run({points, points}, grid); }), {"1 arrays for a state of 2"}));
  sde::Integrator wider(sde::Euler{}, sde::Ode([](Var x, Var) { return concat({x, x}, 1); }));
  BOOST_TEST(
      says(error_of([&] { wider.run(points, grid); }), {"[ode]", "f64 [2, 1]", "f64 [2, 2]", "(test_solutions.cpp:"}));
  BOOST_TEST(says(error_of([&] { (void)euler.explain(); }), {"[euler]", "before the first run"}));

  sde::Integrator sampler(sde::EulerMaruyama{}, sde::forward(sde::Ou{}));
  BOOST_TEST(says(error_of([&] { sampler.run(points, grid); }), {"[euler_maruyama]", "no noise"}));
  const Array short_noise(Dtype::f64, {3, 2, 1}), wide_noise(Dtype::f64, {4, 2, 2}), f32_noise(Dtype::f32, {4, 2, 1});
  for (const Array* wrong : {&short_noise, &wide_noise, &f32_noise})
    BOOST_TEST(says(error_of([&] { sampler.run(points, grid, {.noise = Noise::given(*wrong)}); }),
                    {"[euler_maruyama] needs noise of 4 arrays f64 [2, 1]", "given"}));
  BOOST_TEST(says(error_of([] { Noise::drawn(1, -1); }), {"[noise]", "-1"}));

  sde::Integrator backward(sde::EulerMaruyama{}, sde::reverse(sde::Ou{}, [](Var x, Var) { return -x; }));
  BOOST_TEST(says(error_of([&] { backward.run(points, grid, {.noise = Noise::drawn(1)}); }), {"falling times"}));
  BOOST_TEST(says(error_of([&] { euler.run(Array(Dtype::f64, {5}), grid); }), {"[euler]", "f64 [5]"}));
  const sde::Ode two = [](const sde::State& y, Var) -> sde::State { return sde::State({y[0], y[0]}); };
  BOOST_TEST(says(error_of([&] { sde::AdaptiveIntegrator(sde::DormandPrince{}, two).run(points, 0, 1); }),
                  {"2 arrays for a state of 1"}));
  const sde::Ode conditioned = [](const sde::State& y, Var) -> sde::State { return y.fixed(0); };
  BOOST_TEST(
      says(error_of([&] { sde::Integrator(sde::Euler{}, conditioned).run(points, grid); }), {"no fixed array 0"}));

  const auto refused = [&](const sde::AdaptiveOptions& options) {
    return error_of([&] { sde::AdaptiveIntegrator(sde::DormandPrince{}, same, options); });
  };
  BOOST_TEST(says(refused({.rtol = -1}), {"rtol", "-1"}));
  BOOST_TEST(says(refused({.atol = NAN}), {"atol", "nan"}));
  BOOST_TEST(says(refused({.rtol = 0, .atol = 0}), {"rtol + atol"}));
  BOOST_TEST(says(refused({.first_step = -0.1}), {"first_step"}));
  BOOST_TEST(says(refused({.max_step = 0}), {"max_step"}));
  BOOST_TEST(says(refused({.max_steps = 0}), {"max_steps"}));
  sde::AdaptiveIntegrator adaptive(sde::DormandPrince{}, same);
  BOOST_TEST(says(error_of([&] { adaptive.run(points, 1, 1); }), {"two finite times that differ"}));
  BOOST_TEST(says(error_of([&] { adaptive.run(points, 0, INFINITY); }), {"inf"}));

  BOOST_TEST(says(error_of([&] { sde::LogLikelihood(same, {.prior_std = 0}); }), {"prior_std"}));
  BOOST_TEST(says(error_of([&] { sde::LogLikelihood(same, {.prior_std = 1, .divergence = {.probes = -2}}); }),
                  {"probes", "-2"}));
  sde::LogLikelihood likelihood(same, {.prior_std = 1});
  BOOST_TEST(says(error_of([&] { likelihood(Array(Dtype::f32, {4})); }), {"[B,d]", "f32 [4]"}));
}

BOOST_AUTO_TEST_CASE(no_points_are_carried_to_the_end) {
  const Array none(Dtype::f64, {0, 2});
  const sde::Ode f = [](Var x, Var) { return -x; };
  const sde::Solution on_grid = sde::Integrator(sde::Heun{}, f).run(none, Grid::uniform(0, 1, 3));
  const sde::Solution adaptive = sde::AdaptiveIntegrator(sde::DormandPrince{}, f).run(none, 0, 1);
  for (const sde::Solution* s : {&on_grid, &adaptive}) {
    BOOST_TEST((s->outcome == Outcome::reached));
    BOOST_TEST(s->t == 1);
    BOOST_TEST(s->x().size() == 0);
  }
  BOOST_TEST(sde::LogLikelihood(f, {.prior_std = 1})(none).require().log_density.size() == 0);
}

BOOST_AUTO_TEST_CASE(integrators_move_and_go_on_after_an_observer_threw) {
  const sde::Ode f = [](Var x, Var t) { return cos(t) * x; };
  std::vector<sde::Integrator> all;
  for (int i = 0; i < 3; ++i) all.emplace_back(sde::Rk4{}, f);
  const Grid grid = Grid::uniform(0, 1, 5);
  const Array first = all[0].run(points, grid).require().x();
  sde::Integrator moved = std::move(all[0]);
  BOOST_TEST(same_bits(moved.run(points, grid).require().x(), first));
  BOOST_TEST(says(error_of([&] { (void)all[0].explain(); }), {"before the first run"}));
  BOOST_TEST(moved.explain().find("stage 0") != std::string::npos);
  const auto stop = [](Index step, double, auto) {
    if (step == 3) throw Error("enough");
  };
  BOOST_TEST(error_of([&] { moved.run(points, grid, {.observe = stop}); }) == "enough");
  BOOST_TEST(same_bits(moved.run(points, grid).require().x(), first));
}
