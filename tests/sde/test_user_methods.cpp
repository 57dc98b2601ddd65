// Methods and a process that are not the library's, defined here as a user would: the recipes of sde/README.md.
#define BOOST_TEST_MODULE user_methods
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numbers>

#include "autodiff/autodiff.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;
using sde::Grid;
using sde::Memory;
using sde::MethodStep;
using sde::Ode;
using sde::State;
using sde::Stepped;
using sde::Tolerance;

namespace {

struct Midpoint {
  static constexpr const char* name = "midpoint";
  static constexpr double order = 2;
  static constexpr Index evaluations() { return 2; }

  State step(const Ode& f, const State& y, const MethodStep& step) const {
    return y + step.h * f(y + 0.5 * step.h * f(y, step.t), step.t + 0.5 * step.h);
  }
};

// beta(t) such that mean_scale is cos(pi t / 2), 0 <= t < 1.
struct CosineVp {
  static constexpr double half_pi = std::numbers::pi / 2;
  Var beta(Operand t) const { return std::numbers::pi * tan(half_pi * t); }
  Var drift(Operand x, Operand t) const { return -0.5 * beta(t) * x; }
  Var diffusion(Operand t) const { return sqrt(beta(t)); }
  Var mean_scale(Operand t) const { return cos(half_pi * t); }
  Var std(Operand t) const { return sin(half_pi * t); }
  double prior_std() const { return 1; }
};

// Heun's method with Euler's as the estimate of its error. Its last slope is not the next step's first.
struct HeunEuler {
  static constexpr const char* name = "heun_euler";
  static constexpr double order = 2, error_order = 1;
  static constexpr Index evaluations() { return 2; }

  Stepped step(const Ode& f, const State& y, const MethodStep& step) const {
    const Var h = step.h;
    const State k1 = f(y, step.t), k2 = f(y + h * k1, step.end);
    return {.y = y + 0.5 * h * (k1 + k2), .error = 0.5 * h * (k2 + -1.0 * k1)};
  }
};

// The method of Adams and Bashforth on any grid. Its memory: the slope before and the length of that step; at the
// start infinitely long, which makes the first step one of Euler.
struct AdamsBashforth2 {
  static constexpr const char* name = "adams_bashforth_2";
  static constexpr double order = 2;
  static constexpr Index evaluations() { return 1; }

  Memory start(const Ode&, const State& y, Var t) const { return {y, INFINITY + 0 * t}; }
  Stepped step(const Ode& f, const State& y, const Memory& memory, const MethodStep& step) const {
    const State slope = f(y, step.t);
    const Var w = step.h / (2 * memory[1][0]);
    return {.y = y + step.h * ((1 + w) * slope + -w * memory[0]), .memory = {slope, step.h}};
  }
};

// The probability flow as a denoiser: E[x_0 | x_t], and the logarithm of the signal-to-noise ratio.
template <sde::Process P>
struct Denoiser {
  P process;
  sde::Field score;

  Var operator()(const State& y, Var t) const {
    return (y[0] + square(process.std(t)) * score(y, t)) / process.mean_scale(t);
  }
  Var log_snr(Var t) const { return log(process.mean_scale(t) / process.std(t)); }
};

// DPM-Solver++ 2M (Lu et al., "DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models", 2022).
// Its memory: the denoised point before and the step in log_snr that it came with, infinite at the start.
struct DpmSolver2M {
  static constexpr const char* name = "dpm_solver_2m";
  static constexpr double order = 2;
  static constexpr Index evaluations() { return 1; }

  template <sde::Process P>
  Memory start(const Denoiser<P>&, const State& y, Var t) const {
    return {y, INFINITY + 0 * t};
  }
  template <sde::Process P>
  Stepped step(const Denoiser<P>& denoise, const State& y, const Memory& memory, const MethodStep& step) const {
    const P& process = denoise.process;
    const Var h = denoise.log_snr(step.end) - denoise.log_snr(step.t), w = h / (2 * memory[1][0]);
    const Var x0 = denoise(y, step.t), ahead = (1 + w) * x0 - w * memory[0][0];
    const Var x = process.std(step.end) / process.std(step.t) * y[0] - process.mean_scale(step.end) * expm1(-h) * ahead;
    return {.y = y.with({x}), .memory = {x0, h}};
  }
};

// y' = cos(t) y: y = y_0 exp(sin t - sin t_0), of rows that differ.
const Ode swinging = [](Var y, Var t) { return cos(t) * y; };
const Array points = Array::of<double>({3, 1}, {1, -0.5, 2});

double error_at(const Array& x, double from, double to) {
  double largest = 0;
  for (Index i = 0; i < x.size(); ++i)
    largest = std::max(largest, std::abs(x.at(i) - points.at(i) * std::exp(std::sin(to) - std::sin(from))));
  return largest;
}

// Steps that grow by the same factor from one to the next, twice the last one's length at the end.
Grid graded(double from, double to, Index steps) {
  std::vector<double> times;
  for (Index i = 0; i <= steps; ++i)
    times.push_back(from + (to - from) * (std::exp2(static_cast<double>(i) / static_cast<double>(steps)) - 1));
  return Grid(std::move(times));
}

template <class M>
void check_order(const M& method, Grid (*grid)(double, double, Index), double from, double to) {
  sde::Integrator integrator(method, swinging);
  const auto error = [&](Index steps) {
    const sde::Solution end = integrator.run(points, grid(from, to, steps)).require();
    BOOST_TEST(end.statistics.evaluations == steps * method.evaluations());
    return error_at(end.x(), from, to);
  };
  const double order = std::log2(error(60) / error(120));
  BOOST_TEST_MESSAGE(M::name << " from " << from << " to " << to << ": order " << order);
  BOOST_TEST(std::abs(order - M::order) < 0.1, M::name << " from " << from << ": order " << order);
}

}  // namespace

BOOST_AUTO_TEST_CASE(methods_of_users_have_their_order_on_every_grid) {
  for (const auto& grid : {+[](double a, double b, Index n) { return Grid::uniform(a, b, n); }, &graded}) {
    check_order(AdamsBashforth2{}, grid, 0.2, 1.4);
    check_order(AdamsBashforth2{}, grid, 1.4, 0.2);
    check_order(Midpoint{}, grid, 0.2, 1.4);
    check_order(HeunEuler{}, grid, 0.2, 1.4);
    check_order(HeunEuler{}, grid, 1.4, 0.2);
  }
}

BOOST_AUTO_TEST_CASE(a_pair_of_a_user_keeps_its_tolerance) {
  sde::Integrator integrator(HeunEuler{}, swinging);
  for (double tolerance : {1e-3, 1e-5, 1e-6}) {
    const sde::Solution chosen =
        integrator.run(points, Tolerance{.to = 3, .rtol = tolerance, .atol = tolerance}).require();
    BOOST_TEST(error_at(chosen.x(), 0, 3) < 30 * tolerance);
    BOOST_TEST(error_at(chosen.x(), 0, 3) > 1e-3 * tolerance);
    // Two evaluations choose the first step; without the choice there are those of the steps alone.
    const auto& counts = chosen.statistics;
    BOOST_TEST(counts.evaluations == 2 + 2 * (counts.accepted + counts.rejected));
    const auto given =
        integrator.run(points, Tolerance{.to = 3, .rtol = tolerance, .atol = tolerance, .first_step = 1}).statistics;
    BOOST_TEST(given.rejected > 0);
    BOOST_TEST(given.evaluations == 2 * (given.accepted + given.rejected));
  }
}

// Between centred normal distributions the flow scales every point alike.
BOOST_AUTO_TEST_CASE(a_sampler_with_history_has_its_order_on_the_flow_of_a_gaussian) {
  const sde::Vp vp{.beta_min = 0.1, .beta_max = 20};
  constexpr double data_variance = 0.25, last = 0.05;
  const auto score = [=](Var x, Var t) -> Var {
    return -x / (data_variance * square(vp.mean_scale(t)) + square(vp.std(t)));
  };
  const auto deviation_at = [&](double time) {
    Tape tape(Dtype::f64);
    const Var t = tape.full(Shape{1, 1}, time);
    return std::sqrt((data_variance * square(vp.mean_scale(t)) + square(vp.std(t))).item());
  };
  sde::Integrator sampler(DpmSolver2M{}, Denoiser<sde::Vp>{vp, score});
  const double scale = deviation_at(last) / deviation_at(1);
  const auto error = [&](Index steps) {
    const sde::Solution end = sampler.run(points, Grid::uniform(1, last, steps)).require();
    BOOST_TEST(end.statistics.evaluations == steps);
    double largest = 0;
    for (Index i = 0; i < 3; ++i) largest = std::max(largest, std::abs(end.x().at(i) - scale * points.at(i)));
    return largest;
  };
  const double order = std::log2(error(200) / error(400));
  BOOST_TEST_MESSAGE("DPM-Solver++ 2M: order " << order << ", error of 20 steps " << error(20));
  BOOST_TEST(std::abs(order - DpmSolver2M::order) < 0.1, "order " << order);
  BOOST_TEST(error(20) < 0.02);
}

BOOST_AUTO_TEST_CASE(a_process_of_a_user_solves_its_moment_equations) {  // m' = a m, (s^2)' = 2 a s^2 + g^2
  Tape tape(Dtype::f64);
  const CosineVp process;
  const Var t = tape.input(Array::of<double>({3, 1}, {0.1, 0.5, 0.9}));
  const Var m = process.mean_scale(t), a = process.drift(1.0 + 0 * t, t), variance = square(process.std(t));
  const Array mean_error = (grad(sum(m), t) - a * m).value();
  const Array variance_error = (grad(sum(variance), t) - 2 * a * variance - square(process.diffusion(t))).value();
  for (Index i = 0; i < 3; ++i) {
    BOOST_TEST(std::abs(mean_error.at(i)) < 1e-12);
    BOOST_TEST(std::abs(variance_error.at(i)) < 1e-12);
  }
  const auto score = [=](Var x, Var at) { return -x / (square(process.mean_scale(at)) + square(process.std(at))); };
  const auto flow = sde::probability_flow(process, score);  // of N(0, 1), which stays
  const Array end = sde::Integrator(sde::Heun{}, flow).run(points, Grid::uniform(0.9, 0, 10)).require().x();
  for (Index i = 0; i < 3; ++i) BOOST_TEST(std::abs(end.at(i) - points.at(i)) < 1e-9);
}

// What is kept from step to step belongs to its rows, whatever the threads and the split of the batch.
BOOST_AUTO_TEST_CASE(memory_keeps_the_bits_of_rows) {
  const Array start = random_array(Dtype::f32, {301, 2}, 1), weights = random_array(Dtype::f32, {3, 2}, 2);
  const auto score = [&](Var x, Var t) {
    return tanh(matmul(concat({x, broadcast_to(t, {x.extent(0), 1})}, 1), x.tape().input(weights))) - x;
  };
  sde::Integrator sampler(DpmSolver2M{}, Denoiser<sde::Ou>{sde::Ou{}, score});
  const Grid grid = Grid::uniform(1, 0.1, 8);
  const auto run = [&](Index first, Index rows, int threads) {
    const Threads guard(threads);
    Array part(Dtype::f32, {rows, 2});
    for (Index i = 0; i < part.size(); ++i) part.set(i, start.at(2 * first + i));
    return sampler.run(part, grid).require().x();
  };
  const Array whole = run(0, 301, 1);
  for (int threads : {2, 7}) BOOST_TEST(same_bits(run(0, 301, threads), whole));
  for (const auto& [first, rows] : {std::pair<Index, Index>{0, 1}, {300, 1}, {77, 2}, {5, 296}}) {
    const Array part = run(first, rows, 3);
    for (Index i = 0; i < part.size(); ++i) BOOST_TEST(part.at(i) == whole.at(2 * first + i));
  }
}
