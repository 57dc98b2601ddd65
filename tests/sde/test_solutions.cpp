// What solvers say where the end is not reached, and what they refuse.
#define BOOST_TEST_MODULE solutions
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "autodiff/autodiff.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/sde/densities.hpp"

using namespace wengert;
using namespace wengert::testing;
using sde::Grid;
using sde::Noise;
using sde::Outcome;
using sde::Tolerance;

namespace {

const Array points = Array::of<double>({2, 1}, {1, 0.5});

bool says(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    if (text.find(part) == std::string::npos) return false;
  return true;
}

// 1 until t = 0.55, NaN from then on.
Var broken(Var x, Var t) { return sqrt(0.55 - t) / sqrt(0.55 - t) + 0 * x; }

sde::Solution adaptively(const sde::Ode& f, const Tolerance& tolerance) {
  return sde::Integrator(sde::DormandPrince{}, f).run(points, tolerance);
}

// An estimate, and noise.
struct Drawing {
  static constexpr const char* name = "drawing";
  static constexpr double error_order = 1;
  static constexpr Index evaluations() { return 1; }
  static constexpr Index draws() { return 1; }
  sde::Stepped step(const sde::Ode&, const sde::State& y, sde::MethodStep& step) const {
    return {.y = y + step.h * sde::State(step.normal()), .error = y};
  }
};

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
                              "(test_solutions.cpp:29)", "the state lies in [1.1, 1.6]  (test_solutions.cpp:52)"}),
             s.message);
  BOOST_TEST(error_of([&] { s.require(); }) == s.message);
}

BOOST_AUTO_TEST_CASE(adaptive_steps_end_where_a_value_is_not_finite) {
  const sde::Solution s = adaptively(broken, {.to = 1});
  BOOST_TEST((s.outcome == Outcome::not_finite));
  BOOST_TEST(s.t > 0.5);
  BOOST_TEST(s.t <= 0.55);
  BOOST_TEST(std::abs(s.x().at(0) - 1 - s.t) < 1e-4);
  BOOST_TEST(s.statistics.rejected > 0);
  BOOST_TEST(says(s.message,
                  {"[dormand_prince]", "NaN or an infinity: [sqrt] made nan", "t = 0.5", "(test_solutions.cpp:29)"}),
             s.message);

  const sde::Solution at_once = adaptively([](Var x, Var) { return x / 0.0; }, {.to = 1});
  BOOST_TEST((at_once.outcome == Outcome::not_finite));
  BOOST_TEST(at_once.t == 0);
  BOOST_TEST(same_bits(at_once.x(), points));
  BOOST_TEST(at_once.statistics.evaluations == 1);
}

BOOST_AUTO_TEST_CASE(a_state_that_overflows_is_not_accepted) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    Array x(dtype, {1, 1});
    x.set(0, 1);
    const sde::Solution s = sde::Integrator(sde::DormandPrince{}, sde::Ode([](Var y, Var) { return 100 * y; }))
                                .run(x, Tolerance{.to = 100});
    BOOST_TEST((s.outcome != Outcome::reached));
    BOOST_TEST(std::isfinite(s.x().at(0)));
    BOOST_TEST(s.x().at(0) > (dtype == Dtype::f32 ? 1e35 : 1e300));
  }
}

BOOST_AUTO_TEST_CASE(a_trial_that_leaves_the_domain_is_tried_shorter) {
  // The first step reaches below 0, where the root is not a number; shorter ones do not.
  const sde::Solution s = adaptively([](Var x, Var) { return -sqrt(x); }, {.to = 1.2, .first_step = 1.2});
  BOOST_TEST((s.outcome == Outcome::reached), s.message);
  BOOST_TEST(s.statistics.rejected > 0);
  BOOST_TEST(std::abs(s.x().at(0) - 0.16) < 1e-4);  // (1 - t / 2)^2
}

BOOST_AUTO_TEST_CASE(a_singularity_makes_steps_too_small) {
  const sde::Solution s = adaptively([](Var x, Var) { return square(x); }, {.to = 2});  // 1 / (1 - t)
  BOOST_TEST((s.outcome == Outcome::step_too_small), name_of(s.outcome));
  BOOST_TEST(std::abs(s.t - 1) < 1e-3);
  BOOST_TEST(s.x().at(0) > 1e3);
  BOOST_TEST(says(s.message, {"[dormand_prince]", "step", "tolerance"}), s.message);
}

BOOST_AUTO_TEST_CASE(steps_are_counted_and_limited) {
  const sde::Ode f = [](Var x, Var t) { return cos(20 * t) * x; };
  const sde::Solution s = adaptively(f, {.to = 100, .max_steps = 30});
  BOOST_TEST((s.outcome == Outcome::too_many_steps));
  BOOST_TEST(s.statistics.accepted + s.statistics.rejected == 30);
  BOOST_TEST(s.t > 0);
  BOOST_TEST(s.t < 100);
  BOOST_TEST(s.times.back() == s.t);
  BOOST_TEST(says(s.message, {"30 steps"}), s.message);
  BOOST_TEST(name_of(s.outcome) == std::string("too many steps"));
}

BOOST_AUTO_TEST_CASE(a_likelihood_that_does_not_end_holds_no_number) {
  const Density got = density_of(broken, points, Tolerance{.to = 1}, 1);
  BOOST_TEST((got.solution.outcome == Outcome::not_finite));
  for (const Array* each : {&got.log_density, &got.delta_log_p, &got.standard_error})
    BOOST_TEST(std::isnan(each->at(0)));
  BOOST_TEST(std::isfinite(got.end.at(0)));
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
  BOOST_TEST(
      says(error_of([&] { backward.run(points, grid, {.noise = Noise::drawn(1)}); }), {"needs decreasing times"}));
  BOOST_TEST(says(error_of([&] { euler.run(Array(Dtype::f64, {5}), grid); }), {"[euler]", "f64 [5]"}));
  const sde::Ode two = [](const sde::State& y, Var) -> sde::State { return sde::State({y[0], y[0]}); };
  BOOST_TEST(says(error_of([&] { sde::Integrator(sde::DormandPrince{}, two).run(points, Tolerance{.to = 1}); }),
                  {"2 arrays for a state of 1"}));
  const sde::Ode conditioned = [](const sde::State& y, Var) -> sde::State { return y.fixed(0); };
  BOOST_TEST(
      says(error_of([&] { sde::Integrator(sde::Euler{}, conditioned).run(points, grid); }), {"no fixed array 0"}));

  sde::Integrator adaptive(sde::DormandPrince{}, same);
  const auto refused = [&](Tolerance tolerance) {
    tolerance.to = 1;
    return error_of([&] { adaptive.run(points, tolerance); });
  };
  BOOST_TEST(says(refused({.rtol = -1}), {"rtol", "-1"}));
  BOOST_TEST(says(refused({.atol = NAN}), {"atol", "nan"}));
  BOOST_TEST(says(refused({.rtol = 0, .atol = 0}), {"rtol + atol"}));
  BOOST_TEST(says(refused({.first_step = -0.1}), {"first_step"}));
  BOOST_TEST(says(refused({.max_step = 0}), {"max_step"}));
  BOOST_TEST(says(refused({.max_steps = 0}), {"max_steps"}));
  const auto over = [&](double from, double to) {
    return error_of([&] { adaptive.run(points, Tolerance{.from = from, .to = to}); });
  };
  BOOST_TEST(says(over(1, 1), {"two finite times that differ"}));
  BOOST_TEST(says(over(0, INFINITY), {"inf"}));
}

BOOST_AUTO_TEST_CASE(no_points_are_carried_to_the_end) {
  const Array none(Dtype::f64, {0, 2});
  const sde::Ode f = [](Var x, Var) { return -x; };
  const sde::Solution on_grid = sde::Integrator(sde::Heun{}, f).run(none, Grid::uniform(0, 1, 3));
  const sde::Solution adaptive = sde::Integrator(sde::DormandPrince{}, f).run(none, Tolerance{.to = 1});
  for (const sde::Solution* s : {&on_grid, &adaptive}) {
    BOOST_TEST((s->outcome == Outcome::reached));
    BOOST_TEST(s->t == 1);
    BOOST_TEST(s->x().size() == 0);
  }
  BOOST_TEST(density_of(f, none, Tolerance{.to = 1}, 1).log_density.size() == 0);
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

BOOST_AUTO_TEST_CASE(states_are_saved_at_given_times_and_steps_stay_what_they_are) {
  const sde::Ode swinging = [](Var x, Var t) { return cos(t) * x; };
  sde::Integrator flow(sde::DormandPrince{}, swinging);
  const auto exact = [](double t) { return std::exp(std::sin(t)); };
  const std::vector<double> there{0, 0.3, 0.31, 0.32, 1.7, 2}, back{2, 1.7, 0.32, 0.31, 0.3, 0};
  for (const auto& [from, to, times] : {std::tuple<double, double, std::vector<double>>{0, 2, there}, {2, 0, back}}) {
    Array start = points;
    for (Index i = 0; i < 2; ++i) start.set(i, points.at(i) * exact(from));
    const Tolerance tolerance{.from = from, .to = to, .rtol = 1e-8, .atol = 1e-8};
    for (const sde::Times& way : {sde::Times(tolerance), sde::Times(Grid::uniform(from, to, 50))}) {
      const sde::Solution saved = flow.run(start, way, {.save_at = times}).require(),
                          plain = flow.run(start, way).require();
      BOOST_TEST_REQUIRE(saved.saved.size() == times.size());
      for (std::size_t i = 0; i < times.size(); ++i)
        BOOST_TEST(std::abs(saved.saved[i][0].at(0) - exact(times[i])) < 1e-7, "at " << times[i]);
      BOOST_TEST(same_bits(saved.saved.front()[0], start));
      BOOST_TEST(same_bits(saved.saved.back()[0], saved.x()));
      BOOST_TEST(same_bits(saved.x(), plain.x()));
      BOOST_TEST(saved.times == plain.times, boost::test_tools::per_element());
      BOOST_TEST(plain.saved.empty());
    }
  }
}

// The polynomial is of order 4: within one step its largest error is of h^5.
BOOST_AUTO_TEST_CASE(dense_output_has_its_order) {
  sde::Integrator flow(sde::DormandPrince{}, [](Var x, Var t) { return cos(t) * x; });
  const auto error = [&](double h) {
    std::vector<double> times;
    for (int i = 1; i < 20; ++i) times.push_back(0.5 + h * i / 20);
    const sde::Solution end = flow.run(points, Grid({0.5, 0.5 + h}), {.save_at = times}).require();
    double largest = 0;
    for (std::size_t i = 0; i < times.size(); ++i)
      largest = std::max(largest, std::abs(end.saved.at(i)[0].at(0) - std::exp(std::sin(times[i]) - std::sin(0.5))));
    return largest;
  };
  const double order = std::log2(error(0.1) / error(0.05));
  BOOST_TEST(std::abs(order - 5) < 0.3, order);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_saved_is_refused) {
  sde::Integrator rk4(sde::Rk4{}, [](Var x, Var) { return -x; }),
      pair(sde::DormandPrince{}, [](Var x, Var) { return -x; });
  const Grid grid = Grid::uniform(0, 1, 4);
  const auto refused = [&](std::vector<double> times) {
    return error_of([&] { rk4.run(points, grid, {.save_at = std::move(times)}); });
  };
  BOOST_TEST(rk4.run(points, grid, {.save_at = {0, 0.5, 1}}).require().saved.size() == 3U);
  BOOST_TEST(says(refused({0.3}), {"[rk4] has no dense output", "(test_solutions.cpp:"}), refused({0.3}));
  BOOST_TEST(says(refused({0.5, 0.25}), {"[rk4] save_at must go from 0 to 1, got 0.25 after 0.5"}));
  BOOST_TEST(says(refused({1.5}), {"got 1.5 after 0"}));
  BOOST_TEST(says(refused({-0.5}), {"got -0.5 after 0"}));
  BOOST_TEST(says(refused({NAN}), {"got nan after 0"}));
  // As far as the run came.
  const sde::Solution broke =
      sde::Integrator(sde::DormandPrince{}, broken).run(points, Tolerance{.to = 1}, {.save_at = {0.1, 0.4, 0.9}});
  BOOST_TEST((broke.outcome == Outcome::not_finite));
  BOOST_TEST(broke.saved.size() == 2U);
}

BOOST_AUTO_TEST_CASE(a_tolerance_needs_an_estimate_and_no_noise) {
  const sde::Ode f = [](Var x, Var) { return -x; };
  BOOST_TEST(says(error_of([&] { sde::Integrator(sde::Rk4{}, f).run(points, Tolerance{.to = 1}); }),
                  {"[rk4] has no estimate of its error", "(test_solutions.cpp:"}));
  BOOST_TEST(
      says(error_of([&] { sde::Integrator(Drawing{}, f).run(points, Tolerance{.to = 1}, {.noise = Noise::drawn(1)}); }),
           {"[drawing] draws noise"}));
  sde::Integrator paths(sde::ExactTransition{}, sde::Ou{});
  BOOST_TEST(says(error_of([&] {
                    paths.run(points, Grid({1, 0}), {.noise = Noise::drawn(1)});
                  }),
                  {"[exact_transition] needs increasing times"}));
}

BOOST_AUTO_TEST_CASE(the_controller_is_an_option) {
  const auto steps = [](const sde::Controller& controller) {
    return adaptively([](Var x, Var t) { return cos(5 * t) * x; }, {.to = 5, .controller = controller})
        .require()
        .statistics.accepted;
  };
  BOOST_TEST(steps({.safety = 0.5}) > steps({}));
  BOOST_TEST(steps({.most_factor = 1}) > 2 * steps({}));
  const auto refused = [](const sde::Controller& controller) {
    return error_of([&] { adaptively(broken, {.to = 1, .controller = controller}); });
  };
  for (double bad : {0.0, 1.5, double(NAN)}) BOOST_TEST(says(refused({.safety = bad}), {"safety must be"}));
  for (double bad : {0.0, 1.0, double(NAN)}) BOOST_TEST(says(refused({.least_factor = bad}), {"least_factor must be"}));
  for (double bad : {0.5, double(INFINITY), double(NAN)})
    BOOST_TEST(says(refused({.most_factor = bad}), {"most_factor must be"}));
}
