// Adaptive integration against scipy's RK45, and likelihoods by the probability flow against PyTorch with that solver.
#define BOOST_TEST_MODULE likelihood_parity
#include <algorithm>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "autodiff/autodiff.hpp"
#include "tests/parity/reference.hpp"
#include "tests/parity/studies.hpp"
#include "tests/sde/densities.hpp"

using namespace wengert;
using parity::check_close;
using wengert::testing::Density;
using wengert::testing::density_of;
namespace data = boost::unit_test::data;

namespace {

const char* const both[] = {"f64", "f32"};

Array times_of(double from, const std::vector<double>& accepted) {
  Array all(Dtype::f64, {static_cast<Index>(accepted.size()) + 1});
  all.set(0, from);
  for (std::size_t i = 0; i < accepted.size(); ++i) all.set(static_cast<Index>(i) + 1, accepted[i]);
  return all;
}

struct System {
  const char* name;
  sde::Ode f;
  std::vector<double> start;
  double from, to;
};

std::vector<System> systems() {
  const auto column = [](Var y, Index i) { return slice(y, 1, i, i + 1); };
  const double rate = 0.7, omega = 2, mu = 1.5;
  return {{"decay", [=](Var y, Var) { return -rate * y; }, {1, 2, -3}, 0, 5},
          {"oscillator",
           [=](Var y, Var) {
             const Var a = column(y, 0), b = column(y, 1);
             return concat({omega * b, -omega * a - 0.1 * b}, 1);
           },
           {1, 0.5},
           0,
           10},
          {"vanderpol",
           [=](Var y, Var) {
             const Var a = column(y, 0), b = column(y, 1);
             return concat({b, mu * (1 - square(a)) * b - a}, 1);
           },
           {2, 0},
           0,
           20},
          {"backward", [](Var y, Var t) { return cos(t) * y; }, {1.5}, 3, 0}};
}

// The score of a mixture of unit masses at the patterns [n,2] under Brownian motion: normals of variance t.
Var mixture_score(Var patterns, Var x, Var t) {
  const Var between = reshape(patterns, {1, patterns.extent(0), 2}) - reshape(x, {x.extent(0), 1, 2});
  const Var weights = softmax(-sum(square(between), {2}) / (2 * t), 1);
  return (matmul(weights, patterns) - x) / t;
}

struct Run {
  Density likelihood;
  Array times;
};
Run run(const sde::Ode& flow, const Array& points, double from, double to, double prior_std, double tolerance = 1e-5) {
  const sde::Tolerance way{.from = from, .to = to, .rtol = tolerance, .atol = tolerance};
  Run result{density_of(flow, points.cast(Dtype::f64), way, prior_std), {}};
  result.likelihood.solution.require();
  result.times = times_of(from, result.likelihood.solution.times);
  return result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(steps_are_those_of_scipy) {
  const parity::Reference reference("rk45");
  for (const System& system : systems())
    for (const char* tolerance : {"1e-05", "1e-08"}) {
      const std::string prefix = std::string(system.name) + "/tol" + tolerance + "/";
      const double bound = std::stod(tolerance);
      sde::Integrator solver(sde::DormandPrince{}, system.f);
      const sde::Tolerance times{.from = system.from, .to = system.to, .rtol = bound, .atol = bound};
      const Index n = static_cast<Index>(system.start.size());
      const Array start = Array::of<double>({1, n}, std::span<const double>(system.start));
      const Array& wanted = reference[prefix + "y"];  // [n, times]
      double error = 0;
      const auto observe = [&](Index step, double, std::span<const Array> y) {
        for (Index i = 0; i < n && step < wanted.shape()[1]; ++i)
          error = std::max(error, std::abs(y[0].at(i) - wanted.at(i * wanted.shape()[1] + step)));
      };
      const sde::Solution end = solver.run(start, times, {.observe = observe}).require();
      check_close(times_of(system.from, end.times), reference[prefix + "t"], 1e-9, prefix + "t");
      BOOST_TEST(static_cast<double>(end.statistics.evaluations) == reference[prefix + "nfev"].at(0), prefix);
      BOOST_TEST(end.statistics.evaluations == 2 + 6 * (end.statistics.accepted + end.statistics.rejected));
      BOOST_TEST(error < 1e-8, prefix << "y: off by " << error);
    }
}

BOOST_DATA_TEST_CASE(likelihoods_of_networks,
                     data::make({"ou2", "ou4", "circle", "heat_plain", "heat_embed", "nano"}) * data::make(both),
                     network, name) {
  const Dtype dtype = std::string(name) == "f64" ? Dtype::f64 : Dtype::f32;
  const parity::Reference reference(std::string("sampling_") + network + "_" + name);
  parity::Study study = parity::study(network, dtype, reference.below("w/"));
  study.score = sde::in_dtype(dtype, study.score);
  for (const std::string prefix : {"lik/", "lik_eps1e-3/"}) {
    if (!reference.has(prefix + "x")) continue;
    const double from = reference[prefix + "eps"].at(0), to = reference[prefix + "t1"].at(0),
                 std = reference[prefix + "prior_std"].at(0);
    const Array& points = reference[prefix + "x"];
    const Run got = run(study.flow(), points, from, to, std);
    const Array& times = reference[prefix + "t_steps"];
    bool same_steps = got.times.size() == times.size();
    for (Index i = 0; same_steps && i < times.size(); ++i)
      same_steps = std::abs(got.times.at(i) - times.at(i)) < (dtype == Dtype::f64 ? 1e-7 : 1e-3);
    if (dtype == Dtype::f64) {
      BOOST_TEST(same_steps, prefix << "t_steps");
      BOOST_TEST(static_cast<double>(got.likelihood.solution.statistics.evaluations) ==
                 reference[prefix + "nfev"].at(0));
    }
    const double tolerance = dtype == Dtype::f64 ? 1e-7 : same_steps ? 1e-3 : 3e-2;
    check_close(got.likelihood.log_density, reference[prefix + "logp"], tolerance, prefix + "logp");
    check_close(got.likelihood.end, reference[prefix + "z"], tolerance, prefix + "z");
    check_close(got.likelihood.delta_log_p, reference[prefix + "delta"], tolerance, prefix + "delta");
    if (!reference.has(prefix + "logp_tight")) continue;
    check_close(got.likelihood.log_density, reference[prefix + "logp_tight"], 2e-3, prefix + "logp against tight");
    check_close(run(study.flow(), points, from, to, std, 1e-10).likelihood.log_density,
                reference[prefix + "logp_tight"], 1e-9, prefix + "logp_tight");
  }
}

BOOST_DATA_TEST_CASE(likelihoods_on_a_grid, data::make({"ou2", "ou4"}) * data::make(both), network, name) {
  const Dtype dtype = std::string(name) == "f64" ? Dtype::f64 : Dtype::f32;
  const parity::Reference reference(std::string("sampling_") + network + "_" + name);
  const parity::Study study = parity::study(network, dtype, reference.below("w/"));
  const double tolerance = dtype == Dtype::f64 ? 1e-9 : 2e-5, variance = reference["heunlik/prior_var"].at(0);
  const auto run = [&](double prior_std) {
    return density_of(study.flow(), reference["samp/init"], sde::Grid::uniform(0, 1, 20), prior_std, {.probes = 2},
                      {.noise = sde::Noise::given(reference["heunlik/probes"])}, sde::HeunLeftEnd{});
  };
  check_close(run(std::sqrt(variance)).log_density, reference["heunlik/logp"], tolerance, "heunlik/logp");
  // The text subtracts the integral and takes the variance for the standard deviation.
  Density literal = run(variance);
  for (Index i = 0; i < literal.delta_log_p.size(); ++i)
    literal.log_density.set(i, literal.log_density.at(i) - 2 * literal.delta_log_p.at(i));
  check_close(literal.log_density, reference["heunlik/logp_literal"], tolerance, "heunlik/logp_literal");
}

BOOST_DATA_TEST_CASE(likelihood_of_the_trained_circle, data::make(both), name) {
  const Dtype dtype = std::string(name) == "f64" ? Dtype::f64 : Dtype::f32;
  const parity::Reference weights("trained_circle_f32"), reference(std::string("trained_circle_") + name);
  parity::Study study = parity::study("trained_circle", dtype, parity::cast(weights.below("w/"), dtype));
  study.score = sde::in_dtype(dtype, study.score);
  for (const char* start : {"0.15", "0.001"}) {
    const std::string prefix = std::string("lik") + start + "/";
    const Run got = run(study.flow(), reference["points"], std::stod(start), 1, 1);
    const auto& statistics = got.likelihood.solution.statistics;
    BOOST_TEST(static_cast<double>(statistics.evaluations) == reference[prefix + "nfev"].at(0), prefix);
    if (dtype == Dtype::f64) check_close(got.times, reference[prefix + "t_steps"], 1e-7, prefix + "t_steps");
    check_close(got.likelihood.log_density, reference[prefix + "logp"], dtype == Dtype::f64 ? 1e-7 : 1e-3,
                prefix + "logp");
  }
}

BOOST_AUTO_TEST_CASE(likelihood_of_a_mixture) {
  const parity::Reference reference("mixture_likelihood");
  const sde::VeConstant process{.sigma = 1};
  const auto score = [&](Var x, Var t) { return mixture_score(x.tape().input(reference["patterns"]), x, t); };
  const sde::Ode flow = sde::probability_flow(process, score);
  const double from = reference["eps"].at(0), std = reference["prior_std"].at(0);
  const Run got = run(flow, reference["x"], from, 1, std), tight = run(flow, reference["x"], from, 1, std, 1e-10);
  BOOST_TEST(static_cast<double>(got.likelihood.solution.statistics.evaluations) == reference["nfev"].at(0));
  check_close(got.times, reference["t_steps"], 1e-7, "t_steps");
  check_close(got.likelihood.log_density, reference["logp"], 1e-7, "logp");
  check_close(tight.likelihood.log_density, reference["logp_tight"], 1e-9, "logp_tight");
}
