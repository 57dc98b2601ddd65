#include "tests/benchmarks/classic.hpp"

#include <cmath>
#include <numbers>

#include "autodiff/autodiff.hpp"

namespace wengert::benchmarks {

Array drawn(std::uint64_t seed, const Shape& shape) {
  Array result(Dtype::f64, shape);
  for (Index i = 0; i < result.size(); ++i) {
    // A counter through splitmix64. (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.)
    std::uint64_t z = (seed << 32) + static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    result.set(i, static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53);
  }
  return result;
}

Workload evaluation(const std::string& name, const std::string& what, std::vector<Array> inputs,
                    const PlanFunction& f) {
  struct All {
    std::vector<Array> arrays;
    std::vector<PlanInput> inputs;
    Plan plan;
  };
  std::vector<Type> types;
  for (const Array& array : inputs) types.push_back(array.type());
  auto all = std::make_shared<All>(All{std::move(inputs), {}, compile(f, types)});
  all->inputs.assign(all->arrays.begin(), all->arrays.end());
  const auto run = [all] {
    all->plan.run(all->inputs);
    return Index{0};
  };
  const auto checksum = [all] {
    double sum = 0;
    Index n = 0;
    for (const Array& output : all->plan.run(all->inputs))
      for (Index i = 0; i < output.size(); ++i) sum += output.at(i) * std::cos(static_cast<double>(n++));
    return sum;
  };
  return {name,    what, run, [all] { return all->plan.explain(); }, [all] { return all->plan.profile(all->inputs); },
          checksum};
}

// Newton's direction for the centroids: the gradient over the diagonal of the Hessian, which has nothing beside it.
Workload kmeans() {
  const auto f = [](std::span<const Var> in) {
    const auto cost = [&](Var centroids) {
      const Var squares = sum(square(in[0]), 1, {.keepdims = true}) + sum(square(centroids), 1);
      return sum(min(squares - 2 * matmul(in[0], centroids, {.transpose_b = true}), 1));
    };
    const auto gradient = [&](Var centroids) { return value_and_grad(cost, centroids).gradient; };
    const auto [g, h] = jvp(gradient, in[1], ones_like(in[1]));
    return std::vector{cost(in[1]), g / h};
  };
  return evaluation("G1", "kmeans: 10000 points in 8 dimensions, 32 centroids",
                    {drawn(1, {10000, 8}), drawn(2, {32, 8})}, f);
}

// The gradient of half the sum of squared residuals of a polynomial through the signs of -1 .. 1.
Workload least_squares() {
  const auto f = [](std::span<const Var> in) {
    const auto cost = [&](Var x) {
      Var y = x[-1];
      for (Index j = x.extent(0) - 1; j-- > 0;) y = y * in[1] + x[j];
      return 0.5 * sum(square(sign(in[1]) - y));
    };
    const auto [y, g] = value_and_grad(cost, in[0]);
    return std::vector{y, g};
  };
  Array t(Dtype::f64, {20000});
  for (Index i = 0; i < t.size(); ++i) t.set(i, -1 + 2 * static_cast<double>(i) / static_cast<double>(t.size() - 1));
  return evaluation("G2", "least squares: 16 coefficients, 20000 points", {drawn(1, {16}), t}, f);
}

Workload log_sum_exp(bool as_op) {
  const auto f = [=](std::span<const Var> in) {
    const auto value = [&](Var x) {
      if (as_op) return logsumexp(x);
      const Var largest = max(x);
      return largest + log(sum(exp(x - largest)));
    };
    const auto [y, g] = value_and_grad(value, in[0]);
    return std::vector{y, g};
  };
  return evaluation(as_op ? "G3b" : "G3a", "logsumexp of 100000", {drawn(1, {100'000})}, f);
}

// The log posterior of a mixture of Gaussians, up to a constant, and its gradient: precision matrices are q' q with a
// lower triangular q, of which the diagonal's logarithms and what lies below, column by column, are given; a Wishart
// prior with gamma = 1 and m = 0.
Workload mixture() {
  constexpr Index n = 1000, d = 10, count = 25, below = d * (d - 1) / 2;
  Array places(Dtype::i32, {below});
  for (Index column = 0, i = 0; column < d; ++column)
    for (Index row = column + 1; row < d; ++row) places.set(i++, static_cast<double>(row * d + column));
  const auto f = [=](std::span<const Var> in) {
    const auto log_posterior = [&](std::span<const Var> p) {
      const auto [alpha, means, q, l] = std::tuple(p[0], p[1], p[2], p[3]);
      Tape& tape = q.tape();
      const Var zeros = tape.zeros({count, d * d});
      const Var lower = reshape(index_add(zeros, 1, tape.input(places), l), {count, d, d});
      const Var centred = unsqueeze(in[0], 1) - means;  // [n, count, d]
      const Var scaled = exp(q) * centred + einsum("kab,nkb->nka", {lower, centred});
      const Var inner = alpha + sum(q, 1) - 0.5 * sum(square(scaled), 2);
      return sum(logsumexp(inner, 1)) - n * logsumexp(alpha) - 0.5 * (sum(exp(2 * q)) + sum(square(l)));
    };
    const auto [y, g] = value_and_grad(log_posterior, {in[1], in[2], in[3], in[4]});
    return std::vector{y, g[0], g[1], g[2], g[3]};
  };
  return evaluation(
      "G4", "Gaussian mixture: 1000 points in 10 dimensions, 25 components",
      {drawn(1, {n, d}), drawn(2, {count}), drawn(3, {count, d}), drawn(4, {count, d}), drawn(5, {count, below})}, f);
}

}  // namespace wengert::benchmarks
