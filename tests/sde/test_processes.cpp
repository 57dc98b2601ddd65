// Every process against PyTorch's numbers and against the equations of its own moments.
#define BOOST_TEST_MODULE processes
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numbers>

#include "autodiff/autodiff.hpp"
#include "sde/sde.hpp"
#include "tests/parity/reference.hpp"
#include "tests/sde/registry.hpp"

using namespace wengert;
using parity::check_close;
using wengert::testing::for_every;

namespace {

// The constants of the reference arrays.
const sde::Ou ou{.theta = 0.5, .sigma = 0.5};
const sde::VeConstant ve_constant{.sigma = 1};
const sde::VeExponential ve_exponential{.kappa = 1.1};
const sde::Vp vp{.beta_min = 0.1, .beta_max = 20};

// d f(t) / dt at every row
template <class F>
Var rate(F f, Var t) {
  return grad(sum(f(t)), t);
}

}  // namespace

BOOST_AUTO_TEST_CASE(coefficients_agree_with_the_reference) {
  const parity::Reference reference("processes");
  const auto check = [&](const std::string& name, const auto& process) {
    Tape tape(Dtype::f64);
    const Var t = reshape(tape.input(reference["t"]), {103, 1});
    check_close(process.drift(1.0 + 0 * t, t).value(), reference[name + "/drift_coeff"], 1e-12, name + " drift");
    check_close(process.diffusion(t).value(), reference[name + "/g"], 1e-12, name + " g");
    check_close(process.mean_scale(t).value(), reference[name + "/mean_coeff"], 1e-12, name + " mean_scale");
    check_close(process.std(t).value(), reference[name + "/std"], 1e-9, name + " std");
  };
  check("ou", ou);
  check("ve_const", ve_constant);
  check("ve_kappa", ve_exponential);
  check("vp", vp);
}

BOOST_AUTO_TEST_CASE(transitions_solve_the_moment_equations) {  // m' = a m, (s^2)' = 2 a s^2 + g^2
  for_every<sde::Processes>([](const auto& process) {
    const std::string name = process.name;
    Tape tape(Dtype::f64);
    const Var t = tape.input(Array::of<double>({5, 1}, {0.01, 0.2, 0.4, 0.7, 1}));
    const Var m = process.mean_scale(t), a = process.drift(1.0 + 0 * t, t), variance = square(process.std(t));
    const auto mean_rate = rate([&](Var u) { return process.mean_scale(u); }, t).value();
    const auto variance_rate = rate([&](Var u) { return square(process.std(u)); }, t).value();
    check_close(mean_rate, (a * m).value(), 1e-12, name + " m'");
    check_close(variance_rate, (2.0 * a * variance + square(process.diffusion(t))).value(), 1e-12, name + " s^2'");
  });
}

BOOST_AUTO_TEST_CASE(standard_deviations_keep_their_digits_near_zero) {
  for_every<sde::Processes>([](const auto& process) {
    const std::string name = process.name;
    Tape tape(Dtype::f32), exact(Dtype::f64);
    const double t = 1e-6, wanted = process.diffusion(exact.full(Shape{1, 1}, 0)).item() * std::sqrt(t);
    const double got = process.std(tape.full(Shape{1, 1}, t)).item();
    BOOST_TEST(std::abs(got / wanted - 1) < 2e-4, name << ": " << got << " against " << wanted);
  });
}

BOOST_AUTO_TEST_CASE(times_keep_their_shape_and_dtype) {
  for_every<sde::Processes>([](const auto& process) {
    const std::string name = process.name;
    for (Index rows : {1, 7}) {
      Tape tape;
      const Var t = tape.full(Shape{rows, 1}, 0.5), x = tape.full(Shape{7, 3}, 1);
      for (Var each : {process.diffusion(t), process.mean_scale(t), process.std(t)})
        BOOST_TEST((each.type() == Type{Dtype::f32, {rows, 1}}), name);
      BOOST_TEST((process.drift(x, t).shape() == Shape{7, 3}), name);
    }
  });
}

BOOST_AUTO_TEST_CASE(priors_are_the_laws_they_stand_for) {
  Tape tape(Dtype::f64);
  BOOST_TEST(ou.prior_std() == ou.std(tape.full(Shape{1, 1}, 60)).item(), boost::test_tools::tolerance(1e-12));
  BOOST_TEST(ve_constant.prior_std() == ve_constant.std(tape.full(Shape{1, 1}, 1)).item(),
             boost::test_tools::tolerance(1e-12));
  BOOST_TEST(ve_exponential.prior_std() == ve_exponential.std(tape.full(Shape{1, 1}, 1)).item(),
             boost::test_tools::tolerance(1e-12));
}

// Two transitions, one after the other, are the one over both.
BOOST_AUTO_TEST_CASE(transitions_compose) {
  for_every<sde::Processes>([](const auto& process) {
    const std::string name = process.name;
    Tape tape(Dtype::f64);
    const auto at = [&](double t) { return tape.full(Shape{1, 1}, t); };
    const Var x = at(1.5), zero = at(0), one = at(1);
    const auto mean = [&](double s, double t, Var from) { return sde::transition(process, from, at(s), at(t), zero); };
    const auto variance = [&](double s, double t) {
      return square(sde::transition(process, zero, at(s), at(t), one)).item();
    };
    const double ratio = mean(0.3, 0.8, one).item();
    BOOST_TEST(mean(0.3, 0.8, mean(0, 0.3, x)).item() == mean(0, 0.8, x).item(), boost::test_tools::tolerance(1e-12));
    BOOST_TEST(ratio * ratio * variance(0, 0.3) + variance(0.3, 0.8) == variance(0, 0.8),
               boost::test_tools::tolerance(1e-12));
    BOOST_TEST(mean(0, 0.8, x).item() == sde::perturb(process, x, at(0.8), zero).item(),
               boost::test_tools::tolerance(1e-12));
    BOOST_TEST(variance(0.3, 0.3) < 1e-15, name);
  });
}

BOOST_AUTO_TEST_CASE(half_open_grids_stop_one_step_short) {
  const sde::Grid grid = sde::Grid::half_open(0, 1, 4);
  BOOST_TEST(grid.steps() == 3);
  for (Index i = 0; i < 4; ++i) BOOST_TEST(grid[i] == 0.25 * static_cast<double>(i));
  const sde::Grid back = grid.reversed();
  for (Index i = 0; i < 4; ++i) BOOST_TEST(back[i] == grid[3 - i]);
  BOOST_CHECK_THROW(sde::Grid::half_open(0, 1, 1), Error);
}

// The mixture of transitions: its density against the definition, its score as the gradient of its logarithm.
BOOST_AUTO_TEST_CASE(empirical_densities_and_scores_are_those_of_the_mixture) {
  const Array points = Rng(3).normal({Dtype::f64, {5, 2}}), where = Rng(4).normal({Dtype::f64, {7, 2}});
  const sde::Empirical exact(ou, points);
  for (double at : {0.001, 0.2, 1.0}) {
    Tape tape(Dtype::f64);
    const Var x = tape.input(where), t = tape.full(Shape{1, 1}, at), log_p = exact.log_density(x, t);
    const double m = std::exp(-0.5 * at), variance = 0.25 * (1 - std::exp(-at));
    for (Index i = 0; i < 7; ++i) {
      double nearest = 1e300, sum = 0;
      const auto squared = [&](Index k) {
        const double dx = where.at(2 * i) - m * points.at(2 * k), dy = where.at(2 * i + 1) - m * points.at(2 * k + 1);
        return dx * dx + dy * dy;
      };
      for (Index k = 0; k < 5; ++k) nearest = std::min(nearest, squared(k));
      for (Index k = 0; k < 5; ++k) sum += std::exp((nearest - squared(k)) / (2 * variance));
      const double expected = std::log(sum / (5 * 2 * std::numbers::pi * variance)) - nearest / (2 * variance);
      BOOST_TEST(log_p.value().at(i) == expected, boost::test_tools::tolerance(1e-10));
    }
    const Array score = exact(x, t).value(), gradient = grad(sum(log_p), x).value();
    for (Index i = 0; i < score.size(); ++i)
      BOOST_TEST(score.at(i) == gradient.at(i), boost::test_tools::tolerance(1e-9));
  }
  BOOST_CHECK_THROW(sde::Empirical(ou, Array(Dtype::f32, {0, 2})), Error);
  BOOST_CHECK_THROW(sde::Empirical(ou, Array(Dtype::f32, {3})), Error);
}

// By the trapezoid rule on the line: p_t is a distribution, and for every distribution that vanishes far out E[s] = 0
// and E[x s] = -1 (Stein), with E[s^2] = -E[s'].
BOOST_AUTO_TEST_CASE(empirical_scores_keep_the_identities_of_a_score_by_quadrature) {
  const Array points = Array::of<double>({4, 1}, {-1.5, 0.2, 0.3, 2});
  const sde::Empirical exact(ou, points);
  constexpr Index nodes = 6001;
  const double low = -6, cell = 12.0 / (nodes - 1);
  Array where(Dtype::f64, {nodes, 1});
  for (Index i = 0; i < nodes; ++i) where.set(i, low + cell * static_cast<double>(i));
  for (double at : {0.01, 0.1, 0.25, 0.5, 1.0}) {
    Tape tape(Dtype::f64);
    const Var x = tape.input(where), t = tape.full(Shape{1, 1}, at), s = exact(x, t), slope = grad(sum(s), x);
    const Var p = exp(exact.log_density(x, t));
    const auto expectation = [&](Var f) { return sum(p * f).item() * cell; };
    const double m = std::exp(-0.5 * at), variance = 0.25 * (1 - std::exp(-at));
    BOOST_TEST(sum(p).item() * cell == 1, boost::test_tools::tolerance(1e-10));
    BOOST_TEST(expectation(x) == 0.25 * m, boost::test_tools::tolerance(1e-10));
    BOOST_TEST(expectation(square(x)) == m * m * (1.5 * 1.5 + 0.04 + 0.09 + 4) / 4 + variance,
               boost::test_tools::tolerance(1e-10));
    BOOST_TEST(std::abs(expectation(s)) < 1e-9);
    BOOST_TEST(expectation(x * s) == -1, boost::test_tools::tolerance(1e-9));
    BOOST_TEST(expectation(square(s)) == -expectation(slope), boost::test_tools::tolerance(1e-9));
  }
}

// Each row with a time of its own, and points of another dtype.
BOOST_AUTO_TEST_CASE(empirical_scores_take_a_time_for_each_row) {
  const Array points = Rng(3).normal({Dtype::f32, {4, 2}}), where = Rng(4).normal({Dtype::f64, {3, 2}});
  const sde::Empirical exact(sde::VeConstant{.sigma = 1}, points);
  Tape tape(Dtype::f64);
  const Var x = tape.input(where), times = tape.input(Array::of<double>({3, 1}, {0.1, 0.5, 0.9}));
  const Array all = exact(x, times).value();
  for (Index i = 0; i < 3; ++i) {
    const Array one = exact(slice(x, 0, i, i + 1), slice(times, 0, i, i + 1)).value();
    for (Index j = 0; j < 2; ++j) BOOST_TEST(one.at(j) == all.at(2 * i + j), boost::test_tools::tolerance(1e-12));
  }
}
