// Every solver converges at the order that it declares.
#define BOOST_TEST_MODULE every_solver
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "autodiff/autodiff.hpp"
#include "sde/sde.hpp"
#include "sde/step_control.hpp"
#include "tests/sde/registry.hpp"

using namespace wengert;
using namespace wengert::testing;
using sde::Grid;
using sde::State;
using sde::Tolerance;

namespace {

// y' = cos(t) y with z' = z y (2 - z): y = exp(sin t); coupled, not linear, of two arrays, with time in it.
sde::Ode coupled() {
  return [](const State& s, Var t) -> State {
    const Var y = s[0], z = s[1];
    return State({cos(t) * y, z * y * (2 - z)});
  };
}

const std::vector<Array> start{Array::of<double>({2, 1}, {1, 1.5}), Array::of<double>({2, 1}, {0.3, 0.1})};

double distance(const std::vector<Array>& a, const std::vector<Array>& b) {
  double largest = 0;
  for (std::size_t part = 0; part < a.size(); ++part)
    for (Index i = 0; i < a[part].size(); ++i) largest = std::max(largest, std::abs(a[part].at(i) - b[part].at(i)));
  return largest;
}

template <class Method>
void check_order(const Method& method, Index steps, double from, double to) {
  const std::vector<Array> exact = sde::Integrator(sde::DormandPrince{}, coupled())
                                       .run(start, Tolerance{.from = from, .to = to, .rtol = 1e-13, .atol = 1e-13})
                                       .require()
                                       .state;
  sde::Integrator integrator(method, coupled());
  const auto error = [&](Index count) {
    const sde::Solution end = integrator.run(start, Grid::uniform(from, to, count)).require();
    BOOST_TEST(end.statistics.evaluations == count * method.evaluations());
    BOOST_TEST(end.statistics.accepted == count);
    BOOST_TEST(end.t == to);
    return distance(end.state, exact);
  };
  const double order = std::log2(error(steps) / error(2 * steps));
  BOOST_TEST(std::abs(order - method.order) < 0.25, method.name << " from " << from << ": order " << order);
}

template <class Method>
void check_order(const Method& method, Index steps) {
  check_order(method, steps, 0.2, 1.4);
  check_order(method, steps, 1.4, 0.2);
}

// Noise [steps, n, 1] for a grid of 2^level steps, all of the same Brownian paths, of which the finest grid has
// 2^finest.
Array increments(int level, int finest, Index n) {
  const Index steps = Index{1} << level, each = Index{1} << (finest - level);
  const Array fine = Rng(7).normal({Dtype::f64, {steps * each, n, 1}});
  Array coarse(Dtype::f64, {steps, n, 1});
  for (Index k = 0; k < steps; ++k)
    for (Index i = 0; i < n; ++i) {
      double total = 0;
      for (Index j = 0; j < each; ++j) total += fine.at((k * each + j) * n + i);
      coarse.set(k * n + i, total / std::sqrt(static_cast<double>(each)));
    }
  return coarse;
}

// Of paths from 1 on [0, 1]: the mean distance to the exact ends, given W_1.
template <class Method>
double strong_error(const Method& method, const sde::Sde& equation, int level,
                    const std::function<double(double w)>& exact) {
  constexpr Index n = 4000;
  constexpr int finest = 10;
  Array ones(Dtype::f64, {n, 1});
  for (Index i = 0; i < n; ++i) ones.set(i, 1);
  sde::Integrator integrator(method, equation);
  const Array x =
      integrator
          .run(ones, Grid::uniform(0, 1, Index{1} << level), {.noise = sde::Noise::given(increments(level, finest, n))})
          .require()
          .x();
  const Array w = increments(0, finest, n);
  double total = 0;
  for (Index i = 0; i < n; ++i) total += std::abs(x.at(i) - exact(w.at(i)));
  return total / static_cast<double>(n);
}

// Mean and variance of all entries.
std::pair<double, double> moments(const Array& x) {
  const double n = static_cast<double>(x.size());
  double mean = 0, variance = 0;
  for (Index i = 0; i < x.size(); ++i) mean += x.at(i) / n;
  for (Index i = 0; i < x.size(); ++i) variance += (x.at(i) - mean) * (x.at(i) - mean) / n;
  return {mean, variance};
}

}  // namespace

BOOST_AUTO_TEST_CASE(methods_for_odes_have_their_order) {
  for_every<sde::Methods>([]<class M>(const M& method) {
    if constexpr (integrates_odes<M>) check_order(method, M::order < 2 ? 400 : M::order < 3 ? 100 : 35);
  });
}

// dx = a x dt + b x dW: exp((a - b^2 / 2) t + b W) in Itô's sense, without the correction in Stratonovich's.
BOOST_AUTO_TEST_CASE(methods_for_sdes_have_their_strong_order) {
  const double a = 0.5, b = 0.8;
  const sde::Sde equation{[=](Var x, Var) { return a * x; }, [=](Var x, Var) { return b * x; }};
  for_every<sde::Methods>([&]<class M>(const M& method) {
    if constexpr (integrates_sdes<M>) {
      constexpr bool stratonovich = requires { M::stratonovich; };
      const auto exact = [=](double w) { return std::exp(a - (stratonovich ? 0 : 0.5 * b * b) + b * w); };
      const auto error = [&](int level) { return strong_error(method, equation, level, exact); };
      const double order = std::log2(error(3) / error(7)) / 4;
      BOOST_TEST(std::abs(order - M::order) < 0.1, method.name << ": order " << order);
    }
  });
}

// On any grid: the distribution at the end, and the covariance of two times.
BOOST_AUTO_TEST_CASE(exact_transitions_have_the_moments_of_the_process_on_any_grid) {
  constexpr Index n = 200000;
  const sde::Ou ou{.theta = 0.5, .sigma = 0.5};
  Array twos(Dtype::f64, {n, 1});
  for (Index i = 0; i < n; ++i) twos.set(i, 2);
  for (const Grid& grid : {Grid({0.0, 1.0}), Grid({0.0, 0.01, 0.6, 1.0}), Grid::uniform(0, 1, 50)}) {
    const Array x =
        sde::Integrator(sde::ExactTransition{}, ou).run(twos, grid, {.noise = sde::Noise::drawn(5)}).require().x();
    const auto [mean, variance] = moments(x);
    const double exact_mean = 2 * std::exp(-0.5), exact_variance = 0.25 * (1 - std::exp(-1));
    BOOST_TEST(std::abs(mean - exact_mean) < 0.005);  // five standard errors
    BOOST_TEST(std::abs(variance - exact_variance) < 0.003);
  }
}

// Paths from two points, at five times on the way: the distribution is the mixture of both transitions. The
// Euler-Maruyama method may be off by its step, the others by no more than chance.
BOOST_AUTO_TEST_CASE(forward_paths_have_the_law_of_the_process_at_every_time) {
  constexpr Index n = 100000;
  const sde::Ou ou{.theta = 0.5, .sigma = 0.5};
  Array points(Dtype::f64, {n, 1});
  for (Index i = 0; i < n; ++i) points.set(i, i % 2 == 0 ? 1 : -0.5);
  const auto check = [&](sde::Integrator paths, double allowed) {
    Index seen = 0;
    const auto observe = [&](Index step, double t, std::span<const Array> x) {
      if (step % 4 != 0) return;
      ++seen;
      const auto [mean, variance] = moments(x[0]);
      const double m = std::exp(-0.5 * t), of_transition = 0.25 * (1 - std::exp(-t));
      const double exact = 0.5625 * m * m + of_transition;
      BOOST_TEST(std::abs(mean - 0.25 * m) < 5 * std::sqrt(of_transition / n) + allowed, "mean at " << t);
      BOOST_TEST(std::abs(variance - exact) < 5 * std::sqrt(2.0 / n) * exact + allowed, "variance at " << t);
    };
    paths.run(points, Grid::uniform(0, 1, 20), {.noise = sde::Noise::drawn(6), .observe = observe}).require();
    BOOST_TEST(seen == 5);
  };
  check({sde::ExactTransition{}, ou}, 0);
  check({sde::EulerMaruyama{}, sde::forward(ou)}, 0.01);
  check({sde::StochasticHeun{}, sde::forward(ou)}, 0.0002);
}

// dx = a x dt + b x o dW has E x = exp((a + b^2 / 2) t) and E x^2 = exp(2 (a + b^2) t); Itô's equation has neither.
BOOST_AUTO_TEST_CASE(stochastic_heun_has_the_moments_of_stratonovichs_equation) {
  constexpr Index n = 200000;
  const double a = 0.3, b = 0.6;
  const sde::Sde equation{[=](Var x, Var) { return a * x; }, [=](Var x, Var) { return b * x; }};
  Array ones(Dtype::f64, {n, 1});
  for (Index i = 0; i < n; ++i) ones.set(i, 1);
  const Array x = sde::Integrator(sde::StochasticHeun{}, equation)
                      .run(ones, Grid::uniform(0, 1, 40), {.noise = sde::Noise::drawn(7)})
                      .require()
                      .x();
  const auto [mean, variance] = moments(x);
  const double exact_mean = std::exp(a + b * b / 2), exact_square = std::exp(2 * (a + b * b));
  const double deviation = std::sqrt(exact_square - exact_mean * exact_mean);
  BOOST_TEST(std::abs(mean - exact_mean) < 5 * deviation / std::sqrt(n) + 0.003);  // and the method's own error
  BOOST_TEST(std::abs(variance / (deviation * deviation) - 1) < 0.06);
}

BOOST_AUTO_TEST_CASE(euler_maruyama_has_weak_order_one) {
  const double a = 0.5, b = 0.3;
  const sde::Sde equation{[=](Var x, Var) { return a * x; }, [=](Var x, Var) { return b * x; }};
  // Without noise in the mean: E x_1 = exp(a), and of the method (1 + a h)^(1/h), in which paths play no part.
  constexpr Index n = 100000;
  Array ones(Dtype::f64, {n, 1});
  for (Index i = 0; i < n; ++i) ones.set(i, 1);
  const auto bias = [&](Index steps) {
    sde::Integrator integrator(sde::EulerMaruyama{}, equation);
    const Array x = integrator.run(ones, Grid::uniform(0, 1, steps), {.noise = sde::Noise::drawn(3)}).require().x();
    double mean = 0;
    for (Index i = 0; i < n; ++i) mean += x.at(i) / static_cast<double>(n);
    return mean - std::exp(a);
  };
  const double coarse = bias(2), fine = bias(4);  // -0.086 and -0.047, with an error of 0.002
  BOOST_TEST(std::abs(coarse - (std::pow(1 + a / 2, 2) - std::exp(a))) < 0.01);
  BOOST_TEST(std::abs(fine - (std::pow(1 + a / 4, 4) - std::exp(a))) < 0.01);
}

BOOST_AUTO_TEST_CASE(adaptive_steps_meet_their_tolerance) {
  const auto end = [](double tolerance) {
    sde::Integrator solver(sde::DormandPrince{}, coupled());
    return solver.run(start, Tolerance{.from = 0.2, .to = 3, .rtol = tolerance, .atol = tolerance}).require();
  };
  const sde::Solution exact = end(1e-13);
  Index before = 0;
  for (double tolerance : {1e-3, 1e-5, 1e-7, 1e-9}) {
    const sde::Solution got = end(tolerance);
    BOOST_TEST(distance(got.state, exact.state) < 30 * tolerance);
    BOOST_TEST(distance(got.state, exact.state) > 0.001 * tolerance);
    BOOST_TEST(got.statistics.accepted > before);
    BOOST_TEST(got.times.back() == 3);
    before = got.statistics.accepted;
  }
}

BOOST_AUTO_TEST_CASE(tolerances_are_relative_and_absolute) {
  // At y of about 10^4 the relative one rules.
  const Array large = Array::of<double>({1, 1}, {1e4});
  const sde::Ode f = [](Var x, Var t) { return cos(5 * t) * x; };
  const auto steps = [&](double rtol, double atol) {
    return sde::Integrator(sde::DormandPrince{}, f)
        .run(large, Tolerance{.from = 0, .to = 5, .rtol = rtol, .atol = atol})
        .require()
        .statistics.accepted;
  };
  BOOST_TEST(steps(1e-9, 1e-3) > 2 * steps(1e-4, 1e-3));
  BOOST_TEST(steps(1e-4, 1e-9) == steps(1e-4, 1e-3));
  BOOST_TEST(steps(1e-20, 1e-3) > 0);  // which is taken for the least that f64 can tell
}

BOOST_AUTO_TEST_CASE(f32_states_are_integrated_both_ways) {
  const sde::Ode f = [](Var x, Var t) { return cos(t) * x; };
  sde::Integrator solver(sde::DormandPrince{}, f);
  const auto run = [&](const Array& x, double from, double to) {
    return solver.run(x, Tolerance{.from = from, .to = to, .rtol = 1e-6, .atol = 1e-6}).require().x();
  };
  const Array one = Array::of<float>({2, 1}, {1, 2});
  const Array there = run(one, 0, 2), back = run(there, 2, 0);
  BOOST_TEST(std::abs(there.at(0) - std::exp(std::sin(2))) < 1e-5);
  for (Index i = 0; i < 2; ++i) BOOST_TEST(std::abs(back.at(i) - one.at(i)) < 2e-5);
  // Times beyond what f32 can tell: no endless crawl.
  const sde::Solution s = sde::Integrator(sde::DormandPrince{}, sde::Ode([](Var x, Var) { return square(x); }))
                              .run(one, Tolerance{.from = 0, .to = 3});
  BOOST_TEST((s.outcome == sde::Outcome::step_too_small), name_of(s.outcome));
}

BOOST_AUTO_TEST_CASE(the_last_stage_is_on_the_grid) {
  // In f32 t + h misses 1e-8 and meets 0, where this is infinite.
  const sde::Ode f = [](Var x, Var t) { return x / sqrt(t); };
  const Array one = Array::of<float>({1, 1}, {1});
  const Grid grid({1, 1e-8});
  BOOST_TEST((sde::Integrator(sde::Heun{}, f).run(one, grid).outcome == sde::Outcome::reached));
  BOOST_TEST((sde::Integrator(sde::Rk4{}, f).run(one, grid).outcome == sde::Outcome::reached));
}

BOOST_AUTO_TEST_CASE(steps_are_bounded_as_asked) {
  const sde::Ode still = [](Var x, Var) { return 0 * x; };
  const Array x = Array::of<double>({1, 1}, {1});
  const auto times = [&](Tolerance tolerance) {
    tolerance.to = 1;
    return sde::Integrator(sde::DormandPrince{}, still).run(x, tolerance).require().times;
  };
  BOOST_TEST(times({.first_step = 0.01}) == (std::vector<double>{0.01, 0.11, 1}), boost::test_tools::tolerance(1e-12));
  BOOST_TEST(times({.max_step = 0.25}).size() >= 4U);
  for (double t : {0.25, 0.5}) BOOST_TEST(times({.first_step = t, .max_step = t}).front() == t);
}

BOOST_AUTO_TEST_CASE(the_least_step_is_what_the_dtype_of_times_can_tell) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (double from : {1.0, -3.0, 0.125}) {
      sde::StepControl control({.from = from, .to = 10}, sde::DormandPrince::error_order, dtype);
      control.start(0);
      const double up =
          dtype == Dtype::f32 ? double{std::nextafter(static_cast<float>(from), 10.0F)} : std::nextafter(from, 10.0);
      BOOST_TEST(control.propose() == 10 * (up - from), name_of(dtype) << " from " << from);
    }
  // An error of just the tolerance is too much, as for SciPy.
  sde::StepControl control({.from = 0, .to = 1}, sde::DormandPrince::error_order, Dtype::f64);
  control.start(0.1);
  control.propose();
  BOOST_TEST(!control.accept(1));
  control.propose();
  BOOST_TEST(control.accept(std::nextafter(1, 0)));
  // A time that f64 tells apart within one of f32.
  const sde::Ode f = [](Var x, Var) { return 0 * x + 1; };
  const auto end = [&](Dtype dtype) {
    return sde::Integrator(sde::DormandPrince{}, f)
        .run(Array(dtype, {1, 1}), Tolerance{.from = 1, .to = 1 + 1e-6, .max_step = 1e-8});
  };
  BOOST_TEST(end(Dtype::f64).statistics.accepted >= 100);
  BOOST_TEST(end(Dtype::f32).statistics.accepted <= 2);
}

BOOST_AUTO_TEST_CASE(an_entry_that_is_0_may_have_no_absolute_tolerance) {
  const sde::Ode decay = [](Var x, Var) { return -x; };
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    Array x(dtype, {3, 1});
    x.set(1, 1);
    for (double atol : {0.0, 1e-300, 1e-40, 1e-30}) {
      const sde::Solution s =
          sde::Integrator(sde::DormandPrince{}, decay).run(x, Tolerance{.from = 0, .to = 1, .atol = atol});
      BOOST_TEST((s.outcome == sde::Outcome::reached), s.message);
      BOOST_TEST(std::abs(s.require().x().at(1) - std::exp(-1)) < 1e-4);
      BOOST_TEST(s.x().at(0) == 0);
    }
    // From 0 on, where every first error is large beside the tolerance.
    const sde::Ode away = [](Var y, Var t) { return 0 * y + cos(t); };
    for (double atol : {0.0, 1e-300, 1e-30, 1e-12}) {
      const sde::Solution s = sde::Integrator(sde::DormandPrince{}, away)
                                  .run(Array(dtype, {1, 1}), Tolerance{.from = 0, .to = 1, .atol = atol});
      BOOST_TEST((s.outcome == sde::Outcome::reached), s.message);
      BOOST_TEST(std::abs(s.x().at(0) - std::sin(1)) < 1e-4);
    }
  }
}
