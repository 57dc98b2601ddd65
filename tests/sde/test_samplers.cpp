// Samplers: the distributions that they reach, and their bits.
#define BOOST_TEST_MODULE samplers
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/parity/reference.hpp"
#include "tests/sde/registry.hpp"

using namespace wengert;
using namespace wengert::testing;
using sde::Grid;
using sde::Noise;

namespace {

const sde::Vp vp{.beta_min = 0.1, .beta_max = 20};
const sde::Ou ou{.theta = 0.5, .sigma = 0.5};

constexpr double data_variance = 0.25;

// The score of a process whose data are N(0, 0.25 I).
template <class P>
auto gaussian_score(const P& process) {
  return [process](Var x, Var t) -> Var {
    return -x / (data_variance * square(process.mean_scale(t)) + square(process.std(t)));
  };
}
template <class P>
double variance_at(const P& process, double time) {
  Tape tape(Dtype::f64);
  const Var t = tape.full(Shape{1, 1}, time);
  return (data_variance * square(process.mean_scale(t)) + square(process.std(t))).item();
}

double variance(const Array& x) {
  double total = 0;
  for (Index i = 0; i < x.size(); ++i) total += x.at(i) * x.at(i);
  return total / static_cast<double>(x.size());
}

Array normal(Index n, Index d, double std, Dtype dtype = Dtype::f64) {
  Array x = Rng(5).normal({dtype, {n, d}});
  for (Index i = 0; i < x.size(); ++i) x.set(i, std * x.at(i));
  return x;
}

// A network whose time is embedded, and scores of it for any rows.
struct Networks {
  Rng rng{3};
  nn::ScaledScoreNet circle{{.width = 32, .features = 16, .standard_deviation = [](Var t) { return sqrt(t); }}, rng};
  nn::TimeMlp rings{{.dimension = 2, .hidden = {40, 40}, .activation = relu, .features = 8}, rng};
};

}  // namespace

BOOST_AUTO_TEST_CASE(euler_maruyama_reaches_a_gaussian_and_converges_weakly_at_order_one) {
  sde::Integrator sampler(sde::EulerMaruyama{}, sde::reverse(vp, gaussian_score(vp)));
  const Array start = normal(40000, 1, 1);
  const auto bias = [&](Index steps) {
    return variance(sampler.run(start, Grid::uniform(1, 0, steps), {.noise = Noise::drawn(9)}).require().x()) -
           data_variance;
  };
  const double coarse = bias(100), fine = bias(200);
  // The statistical error of a variance of 0.25 from 40 000 points is 0.0018.
  BOOST_TEST(std::abs(fine) < 0.03);
  BOOST_TEST(coarse / fine > 1.5);
  BOOST_TEST(coarse / fine < 2.7);
}

BOOST_AUTO_TEST_CASE(every_sampler_reaches_the_data_of_every_process) {
  for_every<sde::Processes>([](const auto& process) {
    for_every<sde::Methods>([&]<class M>(const M& method) {
      if constexpr (samples<M>) {
        sde::Integrator sampler(method, sde::reverse(process, gaussian_score(process)));
        const Array start = normal(8000, 2, std::sqrt(variance_at(process, 1)));
        const Array end = sampler.run(start, Grid::uniform(1, 0.001, 300), {.noise = Noise::drawn(9)}).require().x();
        const double ratio = variance(end) / variance_at(process, 0.001);  // errs by 1.1 percent
        BOOST_TEST(std::abs(ratio - 1) < 0.08, method.name << ", " << process.name << ": " << ratio);
      }
    });
  });
}

BOOST_AUTO_TEST_CASE(correctors_bring_a_wrong_start_to_the_law) {
  // From half the standard deviation that the distribution at 1 has; 20 000 x 2 points, whose variance errs by 0.7
  // percent.
  const Array start = normal(20000, 2, 0.5 * std::sqrt(variance_at(ou, 1)));
  const auto reached = [&](const auto& method) {
    sde::Integrator sampler(method, sde::reverse(ou, gaussian_score(ou)));
    return variance(sampler.run(start, Grid::uniform(1, 0, 100), {.noise = Noise::drawn(4)}).require().x()) /
           data_variance;
  };
  using sde::PredictorCorrector;
  const double predicted = reached(sde::EulerMaruyama{}), corrected = reached(PredictorCorrector{.snr = 0.3}),
               twice = reached(PredictorCorrector{.snr = 0.3, .corrections = 2}),
               by_norms = reached(PredictorCorrector{.snr = 0.1, .size = PredictorCorrector::Size::norm_ratio});
  BOOST_TEST(predicted < 0.85);
  for (double ratio : {corrected, twice, by_norms}) BOOST_TEST(std::abs(ratio - 1) < 0.08, ratio);
  BOOST_TEST(std::abs(twice - 1) < 1 - predicted);
}

BOOST_AUTO_TEST_CASE(the_flow_carries_quantiles) {
  // Between centred normal distributions every point is scaled alike.
  const Array start = normal(50, 2, 1);
  for_every<sde::Processes>([&](const auto& process) {
    const double ratio = std::sqrt(variance_at(process, 0.05) / variance_at(process, 1));
    sde::Integrator flow(sde::Rk4{}, sde::probability_flow(process, gaussian_score(process)));
    const Array x = flow.run(start, Grid::uniform(1, 0.05, 400)).require().x();
    for (Index i = 0; i < x.size(); ++i) BOOST_TEST(x.at(i) == ratio * start.at(i), boost::test_tools::tolerance(1e-6));
  });
}

BOOST_AUTO_TEST_CASE(a_process_runs_forward_to_its_own_transition) {
  const Array start = normal(40000, 1, 0.5);
  sde::Integrator forward(sde::EulerMaruyama{}, sde::forward(ou));
  const Array x = forward.run(start, Grid::uniform(0, 1, 200), {.noise = Noise::drawn(2)}).require().x();
  BOOST_TEST(std::abs(variance(x) / variance_at(ou, 1) - 1) < 0.03);
}

BOOST_AUTO_TEST_CASE(the_last_step_may_be_its_mean) {
  sde::Integrator sampler(sde::EulerMaruyama{}, sde::reverse(ou, gaussian_score(ou)));
  const Array start = normal(3, 2, 1);
  const Grid grid({1, 0.7, 0.5});
  Array before;
  const auto keep = [&](Index step, double, std::span<const Array> x) {
    if (step == 1) before = x[0];
  };
  const Array end = sampler.run(start, grid, {.noise = Noise::drawn(6), .observe = keep, .denoise_last = true}).x();
  sde::Integrator drift(sde::Euler{}, sde::Ode(sde::reverse(ou, gaussian_score(ou)).drift));
  const Array mean = drift.run(before, Grid({0.7, 0.5})).x();
  for (Index i = 0; i < end.size(); ++i) BOOST_TEST(end.at(i) == mean.at(i), boost::test_tools::tolerance(1e-14));
  BOOST_TEST(!same_bits(sampler.run(start, grid, {.noise = Noise::drawn(6)}).x(), end));
}

BOOST_AUTO_TEST_CASE(states_have_the_same_bits_on_any_threads_and_in_any_split) {
  const Networks nets;
  const sde::VeConstant process{.sigma = 1};
  const Grid grid = Grid::uniform(1, 0.1, 5);
  const Array start = normal(601, 2, 1, Dtype::f32);
  const auto check = [&](const auto& method, const auto& equation, const char* name) {
    sde::Integrator integrator(method, equation);
    const auto run = [&](const Array& x, Index first) {
      return integrator.run(x, grid, {.noise = Noise::drawn(3, first)}).require().x();
    };
    Array whole;
    {
      const Threads one(1);
      whole = run(start, 0);
    }
    for (int count : {2, 3, 7}) {
      const Threads guard(count);
      BOOST_TEST(same_bits(run(start, 0), whole), name << " on " << count);
    }
    for (const auto& [first, rows] :
         std::initializer_list<std::pair<Index, Index>>{{0, 1}, {600, 1}, {77, 2}, {200, 97}, {300, 301}, {5, 596}}) {
      Array part(Dtype::f32, {rows, 2}), wanted = part;
      for (Index i = 0; i < part.size(); ++i) {
        part.set(i, start.at(2 * first + i));
        wanted.set(i, whole.at(2 * first + i));
      }
      BOOST_TEST(same_bits(run(part, first), wanted), name << ": " << rows << " rows from " << first);
    }
  };
  using sde::PredictorCorrector;
  for (const auto& [net, name] : {std::pair<sde::Field, const char*>{std::cref(nets.circle), "circle"},
                                  std::pair<sde::Field, const char*>{std::cref(nets.rings), "rings"}}) {
    check(sde::EulerMaruyama{}, sde::reverse(process, net), name);
    check(PredictorCorrector{.corrections = 2}, sde::reverse(process, net), name);
    check(sde::Heun{}, sde::probability_flow(process, net), name);
  }
}

BOOST_AUTO_TEST_CASE(parameters_are_read_as_they_are_at_each_run) {
  Rng rng(1);
  nn::Mlp net({.in = 3, .hidden = {8}, .out = 2, .activation = relu}, rng);
  const auto score = [&net](Var x, Var t) { return net(concat({x, t}, 1)); };
  sde::Integrator flow(sde::Heun{}, sde::probability_flow(ou, score));
  const Array start = normal(4, 2, 1, Dtype::f32);
  const Grid grid = Grid::uniform(1, 0, 3);
  const Array before = flow.run(start, grid).x();
  for (const auto& [name, parameter] : net.parameters()) parameter->set(Array(parameter->value().type()));
  const Array after = flow.run(start, grid).x();
  BOOST_TEST(!same_bits(after, before));
  sde::Integrator drift(sde::Heun{}, sde::Ode([](Var x, Var t) { return ou.drift(x, t); }));
  const Array wanted = drift.run(start, grid).x();
  for (Index i = 0; i < after.size(); ++i) BOOST_TEST(after.at(i) == wanted.at(i), boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(what_is_fixed_comes_along) {
  const sde::Ode towards = [](const sde::State& y, Var) -> sde::State { return y.fixed(0) - y[0]; };
  const Array start = normal(5, 2, 1), target = normal(5, 2, 3);
  const double left = std::exp(-2.0);
  sde::Integrator rk4(sde::Rk4{}, towards);
  const Array on_grid = rk4.run({start}, Grid::uniform(0, 2, 200), {.fixed = {target}}).require().x();
  sde::Integrator adaptive(sde::DormandPrince{}, towards);
  const sde::Tolerance tolerance{.from = 0, .to = 2, .rtol = 1e-9, .atol = 1e-9};
  const Array by_control = adaptive.run({start}, tolerance, {.fixed = {target}}).require().x();
  for (Index i = 0; i < start.size(); ++i) {
    const double exact = target.at(i) + left * (start.at(i) - target.at(i));
    BOOST_TEST(std::abs(on_grid.at(i) - exact) < 1e-8);
    BOOST_TEST(std::abs(by_control.at(i) - exact) < 1e-7);
  }
}

BOOST_AUTO_TEST_CASE(a_condition_comes_along_to_the_score) {
  // The score of N(c, 0.25 I) data for a condition c of each row.
  const auto score = [](const sde::State& y, Var t) -> Var {
    const Var m = ou.mean_scale(t);
    return (m * y.fixed(0) - y[0]) / (data_variance * square(m) + square(ou.std(t)));
  };
  const Index n = 20000;
  Array conditions(Dtype::f64, {n, 1});
  for (Index i = 0; i < n; ++i) conditions.set(i, i % 2 == 0 ? 1.5 : -0.5);
  Array start = normal(n, 1, std::sqrt(variance_at(ou, 1)));
  for (Index i = 0; i < n; ++i) start.set(i, start.at(i) + std::exp(-0.5) * conditions.at(i));
  const auto check = [&](const auto& method) {
    sde::Integrator sampler(method, sde::reverse(ou, score));
    const Array x =
        sampler.run({start}, Grid::uniform(1, 0, 100), {.noise = Noise::drawn(5), .fixed = {conditions}}).require().x();
    double even = 0, odd = 0;
    for (Index i = 0; i < n; ++i) (i % 2 == 0 ? even : odd) += x.at(i) / static_cast<double>(n / 2);
    BOOST_TEST(std::abs(even - 1.5) < 0.03);
    BOOST_TEST(std::abs(odd + 0.5) < 0.03);
  };
  check(sde::EulerMaruyama{});
  check(sde::PredictorCorrector{});
}

BOOST_AUTO_TEST_CASE(a_run_may_go_on_where_another_ended) {
  sde::Integrator sampler(sde::EulerMaruyama{}, sde::reverse(ou, gaussian_score(ou)));
  const Array start = normal(5, 2, 1);
  const Array whole = sampler.run(start, Grid({1, 0.8, 0.5, 0.2}), {.noise = Noise::drawn(3)}).x();
  const Array half = sampler.run(start, Grid({1, 0.8}), {.noise = Noise::drawn(3)}).x();
  BOOST_TEST(same_bits(sampler.run(half, Grid({0.8, 0.5, 0.2}), {.noise = Noise::drawn(3, 0, 1)}).x(), whole));
}

BOOST_AUTO_TEST_CASE(methods_say_what_they_take_after_a_change) {
  sde::PredictorCorrector method;
  method.corrections = 3;
  method.size = sde::PredictorCorrector::Size::norm_ratio;
  sde::Integrator sampler(method, sde::reverse(ou, gaussian_score(ou)));
  const Array images = random_array(Dtype::f64, {4, 2, 3}, 1);  // rows of any shape
  const sde::Solution s =
      sampler.run(images, Grid::uniform(1, 0, 5), {.noise = Noise::given(random_array(Dtype::f64, {20, 4, 2, 3}, 2))});
  BOOST_TEST((s.outcome == sde::Outcome::reached), s.message);
  BOOST_TEST(s.statistics.evaluations == 20);
}
