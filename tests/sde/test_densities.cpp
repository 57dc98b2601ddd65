// Log-likelihoods by the probability flow against normal distributions, for which all is known.
#define BOOST_TEST_MODULE densities
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numbers>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/sde/densities.hpp"
#include "tests/sde/registry.hpp"

using namespace wengert;
using namespace wengert::testing;
using sde::Grid;
using sde::Tolerance;

namespace {

// Data N(0, S) in the plane with S = [[a, b], [b, a]]: eigenvalues a + b and a - b along (1, 1) and (1, -1), which the
// process keeps.
constexpr double a = 0.5, b = 0.3;

struct Eigenvalues {
  double sum, difference;
};
template <class P>
Eigenvalues eigenvalues_at(const P& process, double time) {
  Tape tape(Dtype::f64);
  const Var t = tape.full(Shape{1, 1}, time);
  const double m = process.mean_scale(t).item(), s = process.std(t).item();
  return {m * m * (a + b) + s * s, m * m * (a - b) + s * s};
}

// -S_t^{-1} x
template <class P>
auto correlated_score(const P& process) {
  return [process](Var x, Var t) -> Var {
    const Var m = square(process.mean_scale(t)), s = square(process.std(t));
    const Var first = slice(x, 1, 0, 1), second = slice(x, 1, 1, 2);
    const Var along = (first + second) / 2 / (m * (a + b) + s), across = (first - second) / 2 / (m * (a - b) + s);
    return -concat({along + across, along - across}, 1);
  };
}

double log_normal(double x, double y, const Eigenvalues& v) {
  const double along = (x + y) * (x + y) / 2, across = (x - y) * (x - y) / 2;
  return -0.5 * (along / v.sum + across / v.difference + std::log(v.sum * v.difference)) -
         std::log(2 * std::numbers::pi);
}

Array plane_points(Index n) { return random_array(Dtype::f64, {n, 2}, 8, -1.5, 1.5); }

// The distribution at the end of the flow is not isotropic: what it adds to the isotropic one that a likelihood
// assumes.
double excess(const Array& end, Index i, const Eigenvalues& v, double prior_std) {
  const double x = end.at(2 * i), y = end.at(2 * i + 1), variance = prior_std * prior_std;
  return log_normal(x, y, v) - log_normal(x, y, {variance, variance});
}

constexpr double from = 0.01;

Tolerance within(double tolerance) { return {.from = from, .to = 1, .rtol = tolerance, .atol = tolerance}; }

template <class P>
void check_exact(const P& process) {
  const Array points = plane_points(40);
  const Density got =
      density_of(sde::probability_flow(process, correlated_score(process)), points, within(1e-6), process.prior_std());
  const Eigenvalues start = eigenvalues_at(process, from), end = eigenvalues_at(process, 1);
  for (Index i = 0; i < 40; ++i) {
    const double wanted = log_normal(points.at(2 * i), points.at(2 * i + 1), start);
    const double density = got.log_density.at(i) + excess(got.end, i, end, process.prior_std());
    BOOST_TEST(std::abs(density - wanted) < 1e-5 * std::max(1.0, std::abs(wanted)),
               process.name << ", point " << i << ": " << density << " against " << wanted);
    BOOST_TEST(got.standard_error.at(i) == 0);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(exact_for_every_process) {
  for_every<sde::Processes>([](const auto& process) { check_exact(process); });
}

BOOST_AUTO_TEST_CASE(plans_serve_every_batch) {
  const sde::VeConstant process{.sigma = 1};
  const auto flow = sde::with_divergence(sde::probability_flow(process, correlated_score(process)));
  sde::Integrator integrator(sde::DormandPrince{}, flow);
  const auto density = [&](const Array& x) {
    return flow.log_density(integrator.run(flow.start(x), within(1e-8)).require(), 1);
  };
  const Array points = plane_points(30);
  const sde::LogDensity all = density(points);
  for (Index rows : {1, 7, 30}) {
    Array part(Dtype::f64, {rows, 2});
    for (Index i = 0; i < part.size(); ++i) part.set(i, points.at(i));
    const sde::LogDensity some = density(part);
    BOOST_TEST((some.log_density.type() == Type{Dtype::f64, {rows}}));
    for (Index i = 0; i < rows; ++i) BOOST_TEST(std::abs(some.log_density.at(i) - all.log_density.at(i)) < 1e-5);
  }
}

BOOST_AUTO_TEST_CASE(probes_estimate_the_trace_and_their_own_error) {
  const sde::VeConstant process{.sigma = 1};
  const sde::Ode flow = sde::probability_flow(process, correlated_score(process));
  const Array points = plane_points(12);
  const Density exact = density_of(flow, points, within(1e-5), 1);
  using Probe = sde::Divergence::Probe;
  for (Probe probe : {Probe::rademacher, Probe::gaussian}) {
    double squares = 0, expected = 0;
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      const Density got = density_of(flow, points, within(1e-5), 1, {.probes = 24, .probe = probe, .seed = seed});
      for (Index i = 0; i < 12; ++i) {
        const double off = got.log_density.at(i) - exact.log_density.at(i), error = got.standard_error.at(i);
        BOOST_TEST(error > 0.01);
        BOOST_TEST(std::abs(off) < 6 * error);
        squares += off * off;
        expected += error * error;
      }
    }
    // Of 96 estimates: 1 with a standard deviation of about 0.15.
    BOOST_TEST(std::abs(squares / expected - 1) < 0.6, squares / expected);
  }
  const Density single = density_of(flow, points, within(1e-5), 1, {.probes = 1});
  BOOST_TEST(std::isnan(single.standard_error.at(0)));
  BOOST_TEST(std::isfinite(single.log_density.at(0)));
}

// Of one coordinate v' J v is J where v is a sign.
BOOST_AUTO_TEST_CASE(signs_find_the_divergence_of_one_dimension_exactly) {
  const sde::Ode flow = [](Var x, Var t) { return cos(t) * tanh(x); };
  const Array points = random_array(Dtype::f64, {6, 1}, 2);
  const Grid grid = Grid::uniform(0, 1, 10);
  const auto check = [&](const auto& method) {
    const auto density = [&](Index probes) {
      return density_of(flow, points, grid, 1, {.probes = probes}, {.noise = sde::Noise::drawn(1)}, method);
    };
    const Density exact = density(0), probed = density(3);
    for (Index i = 0; i < 6; ++i) {
      BOOST_TEST(std::abs(probed.delta_log_p.at(i) - exact.delta_log_p.at(i)) < 1e-14);
      BOOST_TEST(probed.standard_error.at(i) < 1e-14);
    }
  };
  check(sde::Heun{});
  check(sde::HeunLeftEnd{});
}

BOOST_AUTO_TEST_CASE(probes_belong_to_rows) {
  const sde::VeConstant process{.sigma = 1};
  const sde::Ode flow = sde::probability_flow(process, correlated_score(process));
  const auto delta = [&](const Array& points, Index first) {
    return density_of(flow, points, within(1e-8), 1, {.probes = 3, .seed = 5, .first_row = first}).delta_log_p;
  };
  const Array points = plane_points(9);
  Array last(Dtype::f64, {4, 2});
  for (Index i = 0; i < 8; ++i) last.set(i, points.at(10 + i));
  const Array all = delta(points, 0), part = delta(last, 5);
  for (Index i = 0; i < 4; ++i) BOOST_TEST(std::abs(part.at(i) - all.at(5 + i)) < 1e-6);
}

// The left-end rule at order 1, methods on points and integrals together at their own.
BOOST_AUTO_TEST_CASE(methods_on_a_grid_find_densities_at_their_order) {
  const sde::Ou process{.theta = 0.5, .sigma = 0.5};
  const sde::Ode flow = sde::probability_flow(process, correlated_score(process));
  const Array points = plane_points(10);
  const Density exact = density_of(flow, points, within(1e-11), 1);
  const auto check = [&](const auto& method, double order, Index count) {
    const auto error = [&](Index steps) {
      const Density got =
          density_of(flow, points, Grid::uniform(from, 1, steps), 1, {}, {.noise = sde::Noise::drawn(0)}, method);
      double largest = 0;
      for (Index i = 0; i < 10; ++i)
        largest = std::max(largest, std::abs(got.log_density.at(i) - exact.log_density.at(i)));
      BOOST_TEST(got.standard_error.at(0) == 0);
      BOOST_TEST(got.solution.statistics.evaluations == steps * method.evaluations());
      return largest;
    };
    const double found = std::log2(error(count) / error(2 * count));
    BOOST_TEST_MESSAGE(method.name << " with divergence: order " << found);
    BOOST_TEST(std::abs(found - order) < 0.1, method.name << ": order " << found);
  };
  check(sde::HeunLeftEnd{}, 1, 50);
  check(sde::Euler{}, 1, 50);
  check(sde::Heun{}, 2, 50);
  check(sde::Rk4{}, 4, 10);
}

// Points do not depend on how integrals are found.
BOOST_AUTO_TEST_CASE(the_left_end_rule_moves_points_by_heuns_method) {
  const sde::Ou process{.theta = 0.5, .sigma = 0.5};
  const sde::Ode flow = sde::probability_flow(process, correlated_score(process));
  const Grid grid = Grid::uniform(from, 1, 7);
  const Array end = sde::Integrator(sde::Heun{}, flow).run(plane_points(10), grid).require().x();
  BOOST_TEST(same_bits(left_end_density(flow, plane_points(10), grid, 1).end, end));
  BOOST_TEST(same_bits(density_of(flow, plane_points(10), grid, 1, {}, {}, sde::Heun{}).end, end));
}

// Their error falls with the steps, unlike that of probes which stay.
BOOST_AUTO_TEST_CASE(the_left_end_rule_draws_probes_at_each_step) {
  const sde::Ou process{.theta = 0.5, .sigma = 0.5};
  const sde::Ode flow = sde::probability_flow(process, correlated_score(process));
  const auto error = [&](const auto& method, Index steps) {
    return density_of(flow, plane_points(10), Grid::uniform(from, 1, steps), 1, {.probes = 4},
                      {.noise = sde::Noise::drawn(0)}, method)
        .standard_error.at(0);
  };
  BOOST_TEST(error(sde::HeunLeftEnd{}, 400) < 0.5 * error(sde::HeunLeftEnd{}, 20));
  BOOST_TEST(error(sde::Heun{}, 400) > 0.9 * error(sde::Heun{}, 20));
}

BOOST_AUTO_TEST_CASE(a_network_in_f32_serves_a_state_in_f64) {
  Rng rng(4);
  const nn::TimeMlp net({.dimension = 2, .hidden = {16, 16}, .activation = silu, .features = 4}, rng);
  const sde::Ou process{.theta = 0.5, .sigma = 0.5};
  const sde::Ode flow = sde::probability_flow(process, sde::in_dtype(Dtype::f32, std::cref(net)));
  const Array points = plane_points(6);
  const Density got = density_of(flow, points, within(1e-5), 1);
  BOOST_TEST((got.solution.require().x().dtype() == Dtype::f64));
  const sde::Ode mixed = sde::probability_flow(process, std::cref(net));
  const std::string refused = error_of([&] { density_of(mixed, points, within(1e-5), 1); });
  BOOST_TEST(refused.find("f32") != std::string::npos, refused);
  BOOST_TEST(refused.find("f64") != std::string::npos, refused);
}

BOOST_AUTO_TEST_CASE(densities_have_the_same_bits_on_any_threads) {
  Rng rng(4);
  const nn::ScaledScoreNet net({.width = 128, .features = 16, .standard_deviation = [](Var t) { return sqrt(t); }},
                               rng);
  const sde::Ode flow = sde::probability_flow(sde::VeConstant{.sigma = 1}, sde::in_dtype(Dtype::f32, std::cref(net)));
  const Array points = plane_points(250);
  for (Index probes : {0, 2}) {
    const auto run = [&](int count) {
      const Threads guard(count);
      return density_of(flow, points, Tolerance{.from = 0.2, .to = 1}, 1, {.probes = probes});
    };
    const Density one = run(1);
    for (int count : {2, 7}) {
      const Density got = run(count);
      BOOST_TEST(same_bits(got.log_density, one.log_density), probes << " probes on " << count);
      BOOST_TEST(same_bits(got.end, one.end));
      BOOST_TEST(got.solution.times == one.solution.times, boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_density_may_be_carried_either_way) {
  // From data to noise and back: what is lost on one way is gained on the other.
  const sde::Ou process{.theta = 0.5, .sigma = 0.5};
  const sde::Ode flow = sde::probability_flow(process, correlated_score(process));
  const Tolerance there = within(1e-9);
  Tolerance back = there;
  std::swap(back.from, back.to);
  const Array points = plane_points(5);
  const Density first = density_of(flow, points, there, 1), second = density_of(flow, first.end, back, 1);
  for (Index i = 0; i < 5; ++i) {
    BOOST_TEST(std::abs(first.delta_log_p.at(i) + second.delta_log_p.at(i)) < 1e-7);
    BOOST_TEST(std::abs(second.end.at(2 * i) - points.at(2 * i)) < 1e-7);
  }
  const Density on_grid = left_end_density(flow, first.end, Grid::uniform(1, from, 4000), 1);
  for (Index i = 0; i < 5; ++i) BOOST_TEST(std::abs(on_grid.delta_log_p.at(i) - second.delta_log_p.at(i)) < 1e-2);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_a_density_is_refused) {
  const sde::Ou process{.theta = 0.5, .sigma = 0.5};
  const sde::Ode flow = sde::probability_flow(process, correlated_score(process));
  const Array points = plane_points(3);
  const auto with_probes = [&](const Shape& probes) {
    return error_of([&] {
      density_of(flow, points, Grid::uniform(from, 1, 4), 1, {.probes = 2},
                 {.noise = sde::Noise::given(Array(Dtype::f64, probes))}, sde::HeunLeftEnd{});
    });
  };
  BOOST_TEST(with_probes({4, 2, 3, 2}) == "nothing was thrown");
  for (const Shape& wrong :
       {Shape{4, 3, 3, 2}, Shape{8, 1, 3, 2}, Shape{2, 4, 3, 2}, Shape{7, 3, 2}, Shape{3, 2, 3, 2}})
    BOOST_TEST(contains(with_probes(wrong), "needs noise of 8 arrays f64 [3, 2], 2 for each step"), with_probes(wrong));
  for (double bad : {0.0, -1.0, double(NAN), double(INFINITY)})
    BOOST_TEST(contains(error_of([&] { density_of(flow, points, within(1e-3), bad); }), "prior_std must be positive"));
  BOOST_TEST(contains(error_of([&] { sde::with_divergence(flow, {.probes = -2}); }), "probes must be"));
  BOOST_TEST(contains(error_of([&] { sde::with_divergence(flow, {.first_row = -1}); }), "-1"));
  const sde::Ode mixing = [](Var x, Var) { return x - mean(x, 0, {.keepdims = true}); };
  for (Index probes : {0, 2}) {
    const std::string text = error_of([&] { density_of(mixing, points, within(1e-3), 1, {.probes = probes}); });
    BOOST_TEST(contains(text, "sum"), text);
  }
  // The end of another system.
  const auto exact = sde::with_divergence(flow), probed = sde::with_divergence(flow, {.probes = 2});
  const sde::Solution end = sde::Integrator(sde::Heun{}, exact).run(exact.start(points), Grid({from, 1}));
  const sde::Solution bare = sde::Integrator(sde::Heun{}, flow).run(points, Grid({from, 1}));
  for (const sde::Solution* wrong : {&end, &bare})
    BOOST_TEST(
        contains(error_of([&] { probed.log_density(*wrong, 1); }), "[log_density] needs the solution of this flow"));
}

BOOST_AUTO_TEST_CASE(a_condition_comes_along_to_the_density) {
  // The distribution of rows with condition c is that of the others, moved by m c.
  const sde::Ou process{.theta = 0.5, .sigma = 0.5};
  const auto centred = correlated_score(process);
  const auto moved = [&](const sde::State& y, Var t) { return centred(y[0] - process.mean_scale(t) * y.fixed(0), t); };
  const Array points = plane_points(6), conditions = random_array(Dtype::f32, {6, 2}, 3);
  Array at_centre = points;
  Tape tape(Dtype::f64);
  const double m = process.mean_scale(tape.full(Shape{1, 1}, from)).item();
  for (Index i = 0; i < 12; ++i) at_centre.set(i, points.at(i) - m * conditions.at(i));
  for (Index probes : {0, 3}) {
    const auto with = density_of(sde::probability_flow(process, moved), points, within(1e-8), 1, {.probes = probes},
                                 {.fixed = {conditions.cast(Dtype::f64)}});
    const auto without =
        density_of(sde::probability_flow(process, centred), at_centre, within(1e-8), 1, {.probes = probes});
    for (Index i = 0; i < 6; ++i) BOOST_TEST(std::abs(with.delta_log_p.at(i) - without.delta_log_p.at(i)) < 1e-6);
  }
  // A network's precision for both: the condition comes along in it, labels in i32 as they are.
  const auto labelled = [&](const sde::State& y, Var t) {
    BOOST_TEST((y[0].dtype() == Dtype::f32 && y.fixed(0).dtype() == Dtype::f32 && t.dtype() == Dtype::f32));
    BOOST_TEST((y.fixed(1).dtype() == Dtype::i32));
    return centred(y[0] - process.mean_scale(t) * index_select(y.fixed(0), 0, y.fixed(1)), t);
  };
  Array labels(Dtype::i32, {6});
  for (Index i = 0; i < 6; ++i) labels.set(i, static_cast<double>(i));
  const auto flow = sde::probability_flow(process, sde::in_dtype(Dtype::f32, labelled));
  const Density in_f32 = density_of(flow, points, within(1e-4), 1, {}, {.fixed = {conditions, labels}});
  const Density in_f64 = density_of(sde::probability_flow(process, centred), at_centre, within(1e-4), 1);
  for (Index i = 0; i < 6; ++i) BOOST_TEST(std::abs(in_f32.delta_log_p.at(i) - in_f64.delta_log_p.at(i)) < 1e-3);
  const auto on_grid = [&](const auto& score, const Array& x, const std::vector<Array>& fixed) {
    return left_end_density(sde::probability_flow(process, score), x, Grid::uniform(from, 1, 200), 1, {.probes = 2},
                            fixed)
        .delta_log_p.at(5);
  };
  BOOST_TEST(std::abs(on_grid(moved, points, {conditions.cast(Dtype::f64)}) - on_grid(centred, at_centre, {})) < 1e-9);
}

BOOST_AUTO_TEST_CASE(a_score_may_be_the_gradient_of_an_energy) {
  // A network's energy [B,1]: its score is a vjp within the step, the divergence a second derivative.
  Rng rng(8);
  const nn::Mlp energy({.in = 3, .hidden = {16, 16}, .out = 1, .activation = tanh, .dtype = Dtype::f64}, rng);
  const auto score = [&](Var x, Var t) { return -grad(sum(energy(concat({x, t}, 1))), x); };
  const sde::Ou process{.theta = 0.5, .sigma = 0.5};
  const Array points = plane_points(7);
  const Density got = density_of(sde::probability_flow(process, score), points, within(1e-8), 1);
  BOOST_TEST(got.solution.require().statistics.accepted > 0);
  // The change of volume by finite differences of the flow itself.
  sde::Integrator flow(sde::DormandPrince{}, sde::probability_flow(process, score));
  constexpr double h = 1e-4;
  const auto end = [&](Index axis, double by) {
    Array x = points;
    for (Index i = 0; i < 7; ++i) x.set(2 * i + axis, x.at(2 * i + axis) + by);
    return flow.run(x, within(1e-10)).require().x();
  };
  const Array right = end(0, h), left = end(0, -h), up = end(1, h), down = end(1, -h);
  for (Index i = 0; i < 7; ++i) {
    const auto slope = [&](const Array& ahead, const Array& behind, Index j) {
      return (ahead.at(2 * i + j) - behind.at(2 * i + j)) / (2 * h);
    };
    const double volume = slope(right, left, 0) * slope(up, down, 1) - slope(right, left, 1) * slope(up, down, 0);
    BOOST_TEST(std::abs(got.delta_log_p.at(i) - std::log(std::abs(volume))) < 1e-5);
  }
}
