// The distributions that are known exactly, of finitely many points and of a whole circle, against reference arrays,
// against Boost with many digits and against each other.
#define BOOST_TEST_MODULE exact_distributions
#include <algorithm>
#include <boost/math/special_functions/bessel.hpp>
#include <boost/multiprecision/cpp_bin_float.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numbers>

#include "autodiff/autodiff.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using namespace wengert::testing;
using Exact = boost::multiprecision::cpp_bin_float_50;

namespace {

constexpr sde::VeConstant ve{.sigma = 1};

template <class F>
Array values(const F& f, const Array& points, double t) {
  Tape tape(points.dtype());
  return f(tape.input(points), tape.full(Shape{1, 1}, t)).value();
}

template <class Distribution>
Array log_density(const Distribution& distribution, const Array& points, double t) {
  return values([&](Var x, Var at) { return distribution.log_density(x, at); }, points, t);
}

// Points at a distance from the origin, in different directions.
Array at_radii(const std::vector<double>& radii) {
  Array points(Dtype::f64, {static_cast<Index>(radii.size()), 2});
  for (std::size_t i = 0; i < radii.size(); ++i) {
    const double angle = 0.7 * static_cast<double>(i);
    points.set(2 * static_cast<Index>(i), radii[i] * std::cos(angle));
    points.set(2 * static_cast<Index>(i) + 1, radii[i] * std::sin(angle));
  }
  return points;
}

}  // namespace

BOOST_AUTO_TEST_CASE(mixtures_of_nine_patterns_are_the_references) {
  const parity::Reference reference("energy");
  const sde::Empirical distribution(ve, reference["patterns9"]);
  for (const auto& [name, t] : {std::pair{"t0.001", 0.001}, {"t0.15", 0.15}, {"t1", 1.0}}) {
    const std::string group = std::string("mixture/K9/") + name;
    const Array log_p = log_density(distribution, reference["points"], t);
    parity::check_close(log_p, reference[group + "/logp"], 1e-12, group + "/logp");
    parity::check_close(values(distribution, reference["points"], t), reference[group + "/score"], 1e-11,
                        group + "/score");
    Array energy(Dtype::f64, log_p.shape());  // -2 t log sum exp(-|x - x_i|^2 / (2 t))
    for (Index i = 0; i < energy.size(); ++i)
      energy.set(i, -2 * t * (log_p.at(i) + std::log(9 * 2 * std::numbers::pi * t)));
    parity::check_close(energy, reference[group + "/energy_dm"], 1e-12, group + "/energy_dm");
  }
}

BOOST_AUTO_TEST_CASE(energies_and_scores_of_the_circle_are_the_references) {
  const parity::Reference reference("energy");
  const sde::UniformCircle distribution(ve);
  for (const auto& [name, beta] : {std::pair{"am/beta1.0000", 1.0},
                                   {"am/beta3.3333", 1 / 0.3},
                                   {"am/beta20.0000", 20.0},
                                   {"am/beta400.0000", 400.0}}) {
    const std::string group = name;
    const Array log_p = log_density(distribution, reference["points"], 1 / (2 * beta));
    Array energy(Dtype::f64, log_p.shape()), score = values(distribution, reference["points"], 1 / (2 * beta));
    double lowest = INFINITY;
    for (Index i = 0; i < energy.size(); ++i) lowest = std::min(lowest, -log_p.at(i) / beta);
    for (Index i = 0; i < energy.size(); ++i) energy.set(i, -log_p.at(i) / beta - lowest);
    for (Index i = 0; i < score.size(); ++i) score.set(i, score.at(i) / beta);
    parity::check_close(energy, reference[group + "/energy"], 1e-12, group + "/energy");
    parity::check_close(score, reference[group + "/score"], 1e-12, group + "/score");
  }
}

// R^2 + 1 - log I_0(2 beta R) / beta and 2 (I_1 / I_0 - R), where I_0 itself is up to e^1000000.
BOOST_AUTO_TEST_CASE(the_circles_energy_is_bessels_at_any_radius_and_temperature) {
  const sde::UniformCircle distribution(ve);
  const std::vector<double> radii{0, 1e-9, 1e-3, 0.1, 0.5, 0.9, 1, 1.1, 1.5, 3, 10, 50};
  const Array points = at_radii(radii);
  for (double beta : {1e-2, 0.5, 1.0, 1 / 0.3, 20.0, 400.0, 1e4}) {
    const Array log_p = log_density(distribution, points, 1 / (2 * beta)),
                score = values(distribution, points, 1 / (2 * beta));
    for (std::size_t i = 0; i < radii.size(); ++i) {
      const Index row = static_cast<Index>(i);
      const Exact x = points.at(2 * row), y = points.at(2 * row + 1), r = sqrt(x * x + y * y), z = 2 * Exact(beta) * r;
      const Exact i0 = boost::math::cyl_bessel_i(0, z), i1 = boost::math::cyl_bessel_i(1, z);
      const double energy = static_cast<double>(r * r + 1 - log(i0) / beta);
      const double got = -(log_p.at(row) + std::log(std::numbers::pi / beta)) / beta;
      BOOST_TEST(std::abs(got - energy) <= 4e-15 * std::max({1.0, energy, 1 / beta * std::abs(std::log(beta))}),
                 "R = " << radii[i] << ", beta = " << beta << ": " << got << " against " << energy);
      for (Index j = 0; j < 2; ++j) {
        const Exact along = radii[i] == 0 ? Exact(0) : (j == 0 ? x : y) / r;
        const double slope = static_cast<double>(2 * (i1 / i0 - r) * along);
        BOOST_TEST(
            std::abs(score.at(2 * row + j) / beta - slope) <= 1e-14 * std::max(1.0, radii[i]),
            "R = " << radii[i] << ", beta = " << beta << ": " << score.at(2 * row + j) / beta << " against " << slope);
      }
    }
  }
}

// Of any process and radius: the mixture of so many points around the circle that it cannot be told from all of them.
BOOST_AUTO_TEST_CASE(the_circle_is_the_limit_of_its_points) {
  const sde::Ou ou{.theta = 0.5, .sigma = 0.5};
  const Array points = at_radii({0, 0.2, 1, 1.3, 2.5});
  const sde::UniformCircle circle(ou, 1.7);
  Array around(Dtype::f64, {400, 2});
  for (Index i = 0; i < 400; ++i) {
    around.set(2 * i, 1.7 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / 400));
    around.set(2 * i + 1, 1.7 * std::sin(2 * std::numbers::pi * static_cast<double>(i) / 400));
  }
  const sde::Empirical many(ou, around);
  for (double t : {0.05, 0.3, 1.0}) {
    parity::check_close(log_density(circle, points, t), log_density(many, points, t), 1e-12, "log density");
    parity::check_close(values(circle, points, t), values(many, points, t), 1e-11, "score");
  }
}

// At the origin too, where the direction of the score is none, and its derivative all the same.
BOOST_AUTO_TEST_CASE(the_circles_score_is_the_gradient_of_its_log_density) {
  const sde::UniformCircle distribution(ve);
  const Array points = at_radii({1e-6, 0.3, 1, 2});
  for (double t : {0.001, 0.15, 1.0}) {
    Tape tape(Dtype::f64);
    const Var x = tape.input(points), at = tape.full(Shape{1, 1}, t);
    parity::check_close(distribution(x, at).value(), grad(sum(distribution.log_density(x, at)), x).value(), 1e-9,
                        "score");
  }
  const Array origin(Dtype::f64, {1, 2});
  const auto trace = [&](const Array& at, double t) {
    Tape tape(Dtype::f64);
    return divergence([&](Var x) { return distribution(x, tape.full(Shape{1, 1}, t)); }, tape.input(at)).item();
  };
  for (double t : {0.15, 1.0}) {
    for (Index j = 0; j < 2; ++j) BOOST_TEST(values(distribution, origin, t).at(j) == 0);
    BOOST_TEST(trace(origin, t) == 2 * (1 / (2 * t) - 1) / t, boost::test_tools::tolerance(1e-12));
    BOOST_TEST(trace(at_radii({1e-5}), t) == trace(origin, t), boost::test_tools::tolerance(1e-8));
  }
}

BOOST_AUTO_TEST_CASE(circles_that_are_none_are_refused) {
  for (double radius : {0.0, -1.0, double(INFINITY), double(NAN)})
    BOOST_TEST(contains(error_of([&] { sde::UniformCircle(ve, radius); }), "radius"));
}
