// What every method of the library's list keeps, on the equation that it integrates: the bits of an eager tape, of rows
// and of any number of threads, its counts, what it says where a value is not finite. Orders are in test_every_solver.
// The thread sanitizer runs this file.
#define BOOST_TEST_MODULE every_method
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "autodiff/autodiff.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/sde/registry.hpp"

using namespace wengert;
using namespace wengert::testing;
using sde::Grid;
using sde::Noise;
using sde::State;

namespace {

// Without products, which plans may sum in another order than an eager tape.
const sde::Field elementwise = [](Var x, Var t) { return -x / (0.3 + square(t)) + 0.1 * tanh(x); };
// A network's first layer.
const Array weights = random_array(Dtype::f32, {3, 2}, 2);
const sde::Field layer = [](Var x, Var t) {
  return tanh(matmul(concat({x, broadcast_to(t, {x.extent(0), 1})}, 1), x.tape().input(weights))) - x;
};

State inputs(Tape& tape, const std::vector<Array>& arrays) {
  std::vector<Var> parts;
  for (const Array& each : arrays) parts.push_back(tape.input(each));
  return State(std::move(parts));
}

// A step on a tape of its own, without an integrator.
template <class M, class Equation>
std::vector<Array> eager_step(const M& method, const Equation& equation, const std::vector<Array>& state, double from,
                              double to, std::span<const Array> noise) {
  const Dtype dtype = state[0].dtype();
  Tape tape(dtype);
  std::vector<Var> given;
  for (const Array& each : noise) given.push_back(tape.input(each));
  const auto number = [&](double value) { return tape.full(Shape{1, 1}, value); };
  sde::MethodStep step({number(from), number(to), number(to - from), number(1)}, given);
  const State y = inputs(tape, state);
  const State next = [&] {
    if constexpr (std::is_same_v<decltype(method.step(equation, y, step)), State>)
      return method.step(equation, y, step);
    else
      return method.step(equation, y, step).y;
  }();
  std::vector<Array> result;
  for (std::size_t i = 0; i < next.size(); ++i) result.push_back(next[i].value());
  return result;
}

Array rows_of(const Array& all, Index first, Index rows) {
  const Index width = all.size() / all.shape()[0];
  Array part(all.dtype(), {rows, width});
  for (Index i = 0; i < part.size(); ++i) part.set(i, all.at(first * width + i));
  return part;
}

}  // namespace

BOOST_AUTO_TEST_CASE(steps_have_the_bits_of_an_eager_tape) {
  for_every<sde::Methods>([](const auto& method) {
    for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
      const auto problem = problem_of(method, random_array(dtype, {7, 2}, 1), elementwise);
      const Index draws = draws_of(method, problem.equation), steps = problem.grid.steps();
      const Array noise = random_array(dtype, {std::max<Index>(1, draws * steps), 7, 2}, 3);
      std::vector<Array> each;
      for (Index i = 0; i < draws * steps; ++i) {
        each.emplace_back(dtype, Shape{7, 2});
        for (Index j = 0; j < 14; ++j) each.back().set(j, noise.at(14 * i + j));
      }
      std::vector<Array> state = problem.start;
      const auto compare = [&](Index step, double t, std::span<const Array> got) {
        const double from = problem.grid[step - 1];
        state = eager_step(
            method, problem.equation, state, from, t,
            std::span(each).subspan(static_cast<std::size_t>((step - 1) * draws), static_cast<std::size_t>(draws)));
        for (std::size_t i = 0; i < got.size(); ++i)
          BOOST_TEST(same_bits(got[i], state[i]), method.name << ", step " << step << ", array " << i);
      };
      const auto end = sde::Integrator(method, problem.equation)
                           .run(problem.start, problem.grid, {.noise = Noise::given(noise), .observe = compare})
                           .require();
      BOOST_TEST(end.statistics.evaluations == steps * method.evaluations(), method.name);
      BOOST_TEST(end.statistics.accepted == steps);
      BOOST_TEST(end.statistics.rejected == 0);
      BOOST_TEST(end.times.size() == static_cast<std::size_t>(steps));
      BOOST_TEST(end.t == problem.grid[steps]);
    }
  });
}

BOOST_AUTO_TEST_CASE(states_have_the_same_bits_on_any_threads_and_in_any_split) {
  const Array points = random_array(Dtype::f32, {301, 2}, 1);
  for_every<sde::Methods>([&](const auto& method) {
    const auto run = [&](Index first, Index rows, int threads) {
      const Threads guard(threads);
      const auto problem = problem_of(method, rows_of(points, first, rows), layer);
      return sde::Integrator(method, problem.equation)
          .run(problem.start, problem.grid, {.noise = Noise::drawn(3, first)})
          .require()
          .x();
    };
    const Array whole = run(0, 301, 1);
    for (int threads : {2, 7}) BOOST_TEST(same_bits(run(0, 301, threads), whole), method.name << " on " << threads);
    for (const auto& [first, rows] : {std::pair<Index, Index>{0, 1}, {300, 1}, {77, 2}, {5, 296}})
      BOOST_TEST(same_bits(run(first, rows, 3), rows_of(whole, first, rows)),
                 method.name << ": " << rows << " rows from " << first);
  });
}

BOOST_AUTO_TEST_CASE(a_state_that_is_not_finite_ends_the_run_by_name) {
  for_every<sde::Methods>([](const auto& method) {
    Array points = random_array(Dtype::f64, {3, 2}, 1);
    points.set(3, INFINITY);
    const auto problem = problem_of(method, points, elementwise);
    const sde::Solution end =
        sde::Integrator(method, problem.equation).run(problem.start, problem.grid, {.noise = Noise::drawn(1)});
    BOOST_TEST((end.outcome == sde::Outcome::not_finite), method.name);
    BOOST_TEST(end.message.starts_with("[" + std::string(method.name) + "] step 1 from t = "), end.message);
    BOOST_TEST(end.t == problem.grid[0]);
    BOOST_TEST(same_bits(end.x(), points));
  });
}

BOOST_AUTO_TEST_CASE(methods_that_draw_ask_for_noise_and_may_leave_it_out_of_the_last_step) {
  for_every<sde::Methods>([](const auto& method) {
    const auto problem = problem_of(method, random_array(Dtype::f64, {3, 2}, 1), elementwise, 1);
    sde::Integrator integrator(method, problem.equation);
    const auto run = [&](std::uint64_t seed, bool denoise_last) {
      return integrator.run(problem.start, problem.grid, {.noise = Noise::drawn(seed), .denoise_last = denoise_last})
          .require()
          .x();
    };
    BOOST_TEST(same_bits(run(1, true), run(2, true)), method.name);
    const bool draws = draws_of(method, problem.equation) > 0;
    const std::string refused = error_of([&] { integrator.run(problem.start, problem.grid); });
    BOOST_TEST(contains(refused, draws ? "draws, but was given no noise" : "nothing was thrown"), method.name);
    if (draws && !finds_densities<std::decay_t<decltype(method)>>)  // whose points are moved without noise
      BOOST_TEST(!same_bits(run(1, false), run(2, false)), method.name);
  });
}
