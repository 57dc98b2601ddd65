#include <array>
#include <cmath>

#include "autodiff/autodiff.hpp"
#include "tests/benchmarks/classic.hpp"

namespace wengert::benchmarks {
namespace {

constexpr Index bits = 14;  // of a character

// The hidden and the cell state of two layers.
using LstmState = std::array<Var, 4>;

// A layer whose weight matrices are diagonal: weights and biases of the forget, input and output gates and the change,
// [4, bits] each.
void lstm_layer(Var weight, Var bias, Var input, Var& hidden, Var& cell) {
  const Var forget = sigmoid(input * weight[0] + bias[0]), in = sigmoid(hidden * weight[1] + bias[1]);
  const Var out = sigmoid(input * weight[2] + bias[2]), change = tanh(hidden * weight[3] + bias[3]);
  cell = cell * forget + in * change;
  hidden = out * tanh(cell);
}

}  // namespace

// The gradient of the mean log likelihood of each character after those before it.
Workload lstm() {
  constexpr Index characters = 1024;
  const auto f = [](std::span<const Var> in) {
    const auto loss = [&](std::span<const Var> p) {
      const Var layers = reshape(p[0], {4, 4, bits}), extra = p[1];
      const auto step = [&](const LstmState& before, const std::array<Var, 2>& x) {
        LstmState state = before;
        Var h = x[0] * extra[0];
        for (Index layer = 0; layer < 2; ++layer) {
          const auto i = static_cast<std::size_t>(2 * layer);
          lstm_layer(layers[2 * layer], layers[2 * layer + 1], h, state[i], state[i + 1]);
          h = state[i];
        }
        const Var y = h * extra[1] + extra[2];
        return std::pair(state, sum(x[1] * (y - log(sum(exp(y)) + 2))));
      };
      const LstmState start{in[2][0], in[2][1], in[2][2], in[2][3]};
      const std::array<Var, 2> xs{slice(in[3], 0, 0, -1), slice(in[3], 0, 1)};
      return -sum(scan(step, start, xs).ys) / static_cast<double>((characters - 1) * bits);
    };
    const auto [y, g] = value_and_grad(loss, {in[0], in[1]});
    return std::vector{y, g[0], g[1]};
  };
  Array text = drawn(4, {characters, bits});
  for (Index i = 0; i < text.size(); ++i) text.set(i, std::round(text.at(i)));
  return evaluation("G5", "LSTM: 2 layers of 14, 1024 characters",
                    {drawn(1, {4, 4 * bits}), drawn(2, {3, bits}), drawn(3, {4, bits}), text}, f);
}

// The gradient of the last component at time 2 of y_0' = x_0, y_i' = x_i y_(i-1), y(0) = 0.
Workload runge_kutta(bool unrolled) {
  const Index steps = unrolled ? 40 : 1000;
  const auto f = [=](std::span<const Var> in) {
    const double h = 2 / static_cast<double>(steps);
    const auto last = [&](Var x) {
      const Var one = x.tape().ones({1});
      const auto slope = [&](Var y) { return x * concat({one, slice(y, 0, 0, -1)}, 0); };
      const auto step = [&](Var y) {
        const Var k1 = slope(y), k2 = slope(y + h / 2 * k1), k3 = slope(y + h / 2 * k2), k4 = slope(y + h * k3);
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
      };
      Var y = zeros_like(x);
      if (!unrolled) return scan(step, y, steps)[-1];
      for (Index i = 0; i < steps; ++i) y = step(y);
      return y[-1];
    };
    const auto [y, g] = value_and_grad(last, in[0]);
    return std::vector{y, g};
  };
  Array x = drawn(1, {64});
  for (Index i = 0; i < x.size(); ++i) x.set(i, 0.5 + x.at(i));
  return evaluation(unrolled ? "G6a" : "G6b", "Runge-Kutta: 64 components, " + std::to_string(steps) + " steps", {x},
                    f);
}

namespace {

// Of a function of a vector, by forward mode, which goes through loops.
ValueAndGrad value_and_gradient(const Function& f, Var x) {
  return {f(x), jacobian(f, x, {.mode = JacobianMode::forward})};
}

struct Descent {
  Var x, value, gradient, rate, successes, moves;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("x", x), visit("value", value), visit("gradient", gradient), visit("rate", rate);
    visit("successes", successes), visit("moves", moves);
  }
};

// Gradient descent that doubles its step after ten successes, and halves it where the function does not fall. It ends
// where the gradient or a step is below 1e-5.
Var argmin(const std::function<ValueAndGrad(Var)>& f, Var start) {
  const auto go_on = [](const Descent& at) { return logical_and(at.moves, sum(square(at.gradient)) > 1e-10); };
  const auto step = [&](const Descent& at) {
    const Var faster = equal(at.successes, 10), x = at.x - at.rate * at.gradient;
    const auto [value, gradient] = f(x);
    const Var moves = logical_or(faster, sum(square(x - at.x)) > 1e-10);
    const Var better = logical_and(value < at.value, logical_and(moves, logical_not(faster)));
    return Descent{.x = where(better, x, at.x),
                   .value = where(better, value, at.value),
                   .gradient = where(better, gradient, at.gradient),
                   .rate = at.rate * where(faster, 2, where(better, 1, 0.5)),
                   .successes = where(better, at.successes + 1, 0),
                   .moves = moves};
  };
  Tape& tape = start.tape();
  const auto [value, gradient] = f(start);
  return while_loop(go_on, step,
                    Descent{start, value, gradient, tape.full(Shape{}, 1e-3), tape.zeros({}), tape.ones({})})
      .x;
}

}  // namespace

// min over x of max over y of |x|^2 - |y|^2, by a descent whose function is the maximum that another descent finds.
Workload saddle_point() {
  const auto f = [](std::span<const Var> in) {
    const Var start = in[0];
    const auto worst = [&](Var x) {
      const auto negative = [&](Var y) { return sum(square(y)) - sum(square(x)); };
      return argmin([&](Var y) { return value_and_grad(negative, y); }, start);
    };
    const auto objective = [&](Var x) { return sum(square(x)) - sum(square(worst(x))); };
    const Var x = argmin([&](Var at) { return value_and_gradient(objective, at); }, start);
    return std::vector{x, worst(x)};
  };
  return evaluation("G10a", "saddle point by nested gradient descent", {Array::of<double>({2}, {1, 1})}, f);
}

// The place of a charge that steers a particle through the origin: a descent on the squared x at which its path, by
// Euler's method in the field of two charges, meets the axis.
Workload particle() {
  const auto f = [](std::span<const Var> in) {
    Tape& tape = in[0].tape();
    constexpr double dt = 0.1;
    const auto miss = [&](Var w) {
      const Var fixed = tape.input(Array::of<double>({2}, {10, 0}));
      const Var steered = concat({tape.full(Shape{1}, 10), 10 - w}, 0);
      const auto potential = [&](Var x) {
        return 1 / sqrt(sum(square(x - steered))) + 1 / sqrt(sum(square(x - fixed)));
      };
      using Motion = std::array<Var, 2>;  // place and velocity
      const auto above = [&](const Motion& at) { return at[0][1] + dt * at[1][1] > 0; };
      const auto step = [&](const Motion& at) {
        const Var force = -value_and_grad(potential, at[0]).gradient;
        return Motion{at[0] + dt * at[1], at[1] + dt * force};
      };
      const Motion start{tape.input(Array::of<double>({2}, {0, 8})), tape.input(Array::of<double>({2}, {0.75, 0}))};
      const Motion end = while_loop(above, step, start);
      return square(end[0][0] - end[0][1] / end[1][1] * end[1][0]);
    };
    return std::vector{argmin([&](Var w) { return value_and_gradient(miss, w); }, in[0])};
  };
  return evaluation("G10b", "charged particle steered by gradient descent", {Array::of<double>({1}, {0})}, f);
}

}  // namespace wengert::benchmarks
