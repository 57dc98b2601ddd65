// Seconds that compile() takes, over the number of nodes of the graph: unrolled recurrences, which have the most.
//
//   bench_compile [--nodes N] [--rounds N]
//
// Each family of graphs is compiled at lengths that double until it has about N nodes. The slope is the exponent of the
// number of nodes since the line before: 1 where compiling is linear. peers/compile.py has JAX's first calls of the
// same.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"

namespace {

using namespace wengert;

// A recurrence of `steps` steps, and the types of its inputs.
struct Family {
  const char* name;
  std::vector<Var> (*record)(std::span<const Var> in, Index steps);
  std::vector<Type> (*inputs)(Index steps);
};

// The mean square of the last state of an LSTM.
Var lstm(std::span<const Var> in, Index steps) {
  const Var xs = in[0], w = in[1];
  const Index width = w.shape()[1] / 4, batch = xs.shape()[1];
  Var h = xs.tape().full(Type{xs.dtype(), {batch, width}}, 0), c = h;
  for (Index t = 0; t < steps; ++t) {
    const Var gates = matmul(concat({xs[t], h}, 1), w);
    const auto gate = [&](Index i) { return slice(gates, 1, i * width, (i + 1) * width); };
    c = sigmoid(gate(0)) * c + sigmoid(gate(1)) * tanh(gate(2));
    h = sigmoid(gate(3)) * tanh(c);
  }
  return mean(square(h));
}
std::vector<Type> lstm_inputs(Index steps) { return {{Dtype::f64, {steps, 4, 8}}, {Dtype::f64, {8 + 16, 4 * 16}}}; }

std::vector<Var> lstm_gradient(std::span<const Var> in, Index steps) { return grad(lstm(in, steps), in.subspan(1)); }

// The Lorenz system by Runge and Kutta, elements of the state one by one.
std::vector<Var> lorenz_gradient(std::span<const Var> in, Index steps) {
  const Var x0 = in[0], theta = in[1];
  const double dt = 0.01;
  const auto slope = [&](const std::vector<Var>& s) {
    return std::vector<Var>{theta[0] * (s[1] - s[0]), s[0] * (theta[1] - s[2]) - s[1], s[0] * s[1] - theta[2] * s[2]};
  };
  const auto moved = [](const std::vector<Var>& s, const std::vector<Var>& by, double h) {
    std::vector<Var> result;
    for (std::size_t i = 0; i < s.size(); ++i) result.push_back(s[i] + h * by[i]);
    return result;
  };
  std::vector<Var> s{x0[0], x0[1], x0[2]};
  for (Index t = 0; t < steps; ++t) {
    const auto a = slope(s), b = slope(moved(s, a, dt / 2)), c = slope(moved(s, b, dt / 2)), d = slope(moved(s, c, dt));
    for (std::size_t i = 0; i < s.size(); ++i) s[i] = s[i] + dt / 6 * (a[i] + 2 * b[i] + 2 * c[i] + d[i]);
  }
  return grad(s[0] + s[1] + s[2], std::vector{x0, theta});
}
std::vector<Type> lorenz_inputs(Index) { return {{Dtype::f64, {3}}, {Dtype::f64, {3}}}; }

// A residual network over the rows of a batch.
std::vector<Var> network_gradient(std::span<const Var> in, Index steps) {
  Var x = in[0];
  for (Index t = 0; t < steps; ++t) x = x + tanh(matmul(x, in[1][t]));
  return grad(mean(square(x)), in.subspan(1));
}
std::vector<Type> network_inputs(Index steps) { return {{Dtype::f32, {512, 16}}, {Dtype::f32, {steps, 16, 16}}}; }

constexpr Family families[] = {{"LSTM, gradient", lstm_gradient, lstm_inputs},
                               {"Lorenz by RK4 in scalars, gradient", lorenz_gradient, lorenz_inputs},
                               {"residual network, gradient", network_gradient, network_inputs}};

struct Measured {
  double nodes, seconds;
};

Measured measure(const Family& family, Index steps, int rounds) {
  std::vector<double> seconds;
  double nodes = 0;
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const Plan plan = compile([&](std::span<const Var> in) { return family.record(in, steps); }, family.inputs(steps));
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    nodes = static_cast<double>(plan.passes().front().nodes);
  }
  std::nth_element(seconds.begin(), seconds.begin() + rounds / 2, seconds.end());
  return {nodes, seconds[static_cast<std::size_t>(rounds / 2)]};
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("Seconds that compile() takes over the number of nodes");
  int nodes = 100'000, rounds = 3;
  app.add_option("--nodes", nodes, "of the largest graph, about")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--rounds", rounds, "of which the median is taken")->check(CLI::PositiveNumber)->capture_default_str();
  CLI11_PARSE(app, count, arguments);
  for (const Family& family : families) {
    fmt::print("{}\n  {:>6} {:>8} {:>10} {:>8} {:>6}\n", family.name, "steps", "nodes", "seconds", "us/node", "slope");
    Measured before{};
    for (Index steps = 16; before.nodes < nodes; steps *= 2) {
      const Measured now = measure(family, steps, rounds);
      const double slope = std::log(now.seconds / before.seconds) / std::log(now.nodes / before.nodes);
      fmt::print("  {:6} {:8.0f} {:10.4f} {:8.2f} {:>6}\n", steps, now.nodes, now.seconds,
                 1e6 * now.seconds / now.nodes, before.nodes == 0 ? "" : fmt::format("{:.2f}", slope));
      std::fflush(stdout);
      before = now;
    }
  }
}
