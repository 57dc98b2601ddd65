// Loops in use: a recurrent network, an integration, a sampler, each one node, and differentiated.
#define BOOST_TEST_MODULE sde_loops
#include <boost/test/unit_test.hpp>

#include <array>
#include <cmath>
#include <numbers>

#include "autodiff/autodiff.hpp"
#include "autodiff/testing/check.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/plans.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

Var row_of(Var x, Index i) { return reshape(slice(x, 0, i, i + 1), x.shape().trailing(x.rank() - 1)); }

// A cell of long short-term memory (Hochreiter and Schmidhuber, 1997): w [in + n, 4 n], b [4 n].
struct Memory {
  Var h, c;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("h", h), visit("c", c);
  }
};
Memory lstm(const Memory& now, Var x, Var w, Var b) {
  const std::vector<Var> gates = split(matmul(concat({x, now.h}, 1), w) + b, 4, 1);
  const Var c = sigmoid(gates[0]) * now.c + sigmoid(gates[1]) * tanh(gates[2]);
  return {sigmoid(gates[3]) * tanh(c), c};
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_recurrent_network_over_1024_steps) {
  constexpr Index length = 1024, in = 2, n = 3, batch = 2;
  const Arrays given{random_array(Dtype::f64, {length, batch, in}, 1), random_array(Dtype::f64, {in + n, 4 * n}, 2),
                     random_array(Dtype::f64, {4 * n}, 3)};
  const auto zeros = [&](Var x) { return x.tape().zeros({batch, n}); };
  const auto loss = [](Var hs) { return mean(square(hs - 0.1)); };
  const auto by_scan = [&](const ScanOptions& options) {
    return [&, options](Vars x) {
      const Var zero = zeros(x[0]);
      const auto hs = scan(
                          [&](Memory now, Var each) {
                            const Memory next = lstm(now, each, x[1], x[2]);
                            return std::pair(next, next.h);
                          },
                          Memory{zero, zero}, x[0], options)
                          .ys;
      const Var y = loss(hs);
      std::vector<Var> all{hs, y};
      for (Var g : grad(y, x)) all.push_back(g);
      return all;
    };
  };
  const auto written_out = [&](Vars x) {
    const Var zero = zeros(x[0]);
    Memory now{zero, zero};
    std::vector<Var> hs;
    for (Index i = 0; i < length; ++i) {
      now = lstm(now, row_of(x[0], i), x[1], x[2]);
      hs.push_back(now.h);
    }
    const Var all_hs = stack(std::span<const Var>(hs), 0), y = loss(all_hs);
    std::vector<Var> all{all_hs, y};
    for (Var g : grad(y, x)) all.push_back(g);
    return all;
  };
  const Arrays wanted = eagerly(written_out, given, Dtype::f64);
  for (Index checkpoints : {0, 32}) {
    const auto f = by_scan({checkpoints});
    Plan plan = compile(f, types_of(given), {}, Dtype::f64);
    const Arrays got = run(plan, given);
    BOOST_TEST(same_bits(got[0], wanted[0]));
    BOOST_TEST(same_bits(got[1], wanted[1]));
    for (std::size_t i = 2; i < wanted.size(); ++i) BOOST_TEST(distance(got[i], wanted[i]) < 1e-12);
    BOOST_TEST(same_bits(eagerly(f, given, Dtype::f64), got));
  }
}

BOOST_AUTO_TEST_CASE(an_integration_of_1000_steps_of_runge_and_kutta) {
  // x'' = -k x from (1, 0): x(t) = cos(sqrt(k) t), and dx/dk = -t sin(sqrt(k) t) / (2 sqrt(k)).
  constexpr Index steps = 1000;
  constexpr double end = 5;
  const auto position = [](Var k) {
    Tape& tape = k.tape();
    const Var turn = concat({tape.full(Shape{1, 1}, 0.0), reshape(-k, {1, 1})}, 1);  // x' = v, v' = -k x
    const sde::Ode ode([&](Var y, Var) {
      const Var x = slice(y, 1, 0, 1), v = slice(y, 1, 1, 2);
      return concat({v, slice(turn, 1, 1) * x}, 1);
    });
    const Var h = tape.full(Shape{1, 1}, end / steps), start = tape.input(Array::of<double>({1, 2}, {1, 0}));
    const auto [last, path] = scan(
        [&](Var y, Var i) {
          sde::MethodStep step({.t = i * h, .end = (i + 1) * h, .h = h});
          const Var next = sde::Rk4{}.step(ode, y, step)[0];
          return std::pair(next, slice(next, 1, 0, 1));
        },
        start, tape.arange(steps), {.checkpoints = 32});
    return reshape(slice(last, 1, 0, 1), Shape{}) + 0 * sum(path);
  };
  Tape tape(Dtype::f64);
  const double k = 2.5, root = std::sqrt(k);
  const Var at = tape.input(Array::of<double>({}, {k}));
  const Var x = position(at), slope = grad(x, at);
  BOOST_TEST(std::abs(x.item() - std::cos(root * end)) < 1e-9);
  BOOST_TEST(std::abs(slope.item() + end * std::sin(root * end) / (2 * root)) < 1e-8);
  BOOST_TEST(distance(jvp(position, at, tape.ones({})).tangent.value(), slope.value()) < 1e-12);
  BOOST_TEST(tape.size() < 500u);  // of 1000 steps, forwards and back, twice
}

BOOST_AUTO_TEST_CASE(a_sampler_as_one_differentiable_node) {
  // The reverse equation of a process by Euler and Maruyama, with a score -s (x - m) of two parameters: how far the
  // samples are from where they should be, by the parameters.
  const sde::Vp vp{.beta_min = 0.1, .beta_max = 5};
  constexpr Index steps = 20;
  const auto distance_of = [&](Vars in, bool loop) {
    Tape& tape = in[0].tape();
    const auto equation = sde::reverse(vp, [&](Var x, Var) { return -in[1] * (x - in[2]); });
    const Var h = tape.full(Shape{1, 1}, -0.99 / steps), state = tape.input(draw_state(11, 5));
    const Var one = tape.ones({1, 1});
    const auto step_of = [&](Var x, Var t, Draw draw) {
      sde::MethodStep step({.t = t, .end = t + h, .h = h, .noise_scale = one}, draw, x.shape(), 1);
      return sde::EulerMaruyama{}.step(equation, x, step)[0];
    };
    const Var times = reshape(1 + tape.arange(steps) * h, {steps, 1, 1});
    Var x = in[0];
    if (loop)
      x = scan([&](Var now, Var t) { return step_of(now, t, Draw(state)); }, x, times);
    else
      for (Index i = 0; i < steps; ++i) {
        const Var number = tape.input(Array::of<std::int32_t>({}, {static_cast<int>(i)}));
        x = step_of(x, row_of(times, i), Draw(draw_state_at(state, number)));
      }
    return mean(square(x - 1));
  };
  const Arrays given{random_array(Dtype::f64, {16, 2}, 1), random_array(Dtype::f64, {2}, 2, 0.5, 1),
                     random_array(Dtype::f64, {2}, 3)};
  const auto with_gradients = [&](bool loop) {
    return [&, loop](Vars in) {
      const Var y = distance_of(in, loop);
      std::vector<Var> all{y};
      for (Var g : grad(y, in)) all.push_back(g);
      return all;
    };
  };
  const Arrays wanted = eagerly(with_gradients(false), given, Dtype::f64);
  const Arrays got = eagerly(with_gradients(true), given, Dtype::f64);
  BOOST_TEST(same_bits(got[0], wanted[0]));
  for (std::size_t i = 1; i < wanted.size(); ++i) BOOST_TEST(distance(got[i], wanted[i]) < 1e-13);
  Plan plan = compile(with_gradients(true), types_of(given), {}, Dtype::f64);
  BOOST_TEST(same_bits(run(plan, given)[0], got[0]));
  const FunctionOfMany f = [&](Vars in) { return distance_of(in, true); };
  const CheckReport report = check_grads(f, {given[0], given[1], given[2]}, {.order = 1});
  for (const std::string& failure : report.failures) BOOST_ERROR(failure);
}
