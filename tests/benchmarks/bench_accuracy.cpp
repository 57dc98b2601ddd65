// Errors of networks in f32: outputs, and gradients of a loss by all weights, on an eager tape and in a plan, against
// the same network in f64.
//
//   bench_accuracy [--seeds N]
//
// Weights, points, times and noise are drawn once, in f32, and are the same numbers in f64. An error is the root of the
// mean of its square over that of the values, and the largest over the same; each is the median over the seeds.
// peers/accuracy.py prints the same of PyTorch.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"

namespace {

using namespace wengert;

constexpr double earliest = 1e-5;  // times are uniform on [earliest, 1]

// What one dtype gives: the outputs, then the gradients.
using Results = std::vector<Array>;

struct Errors {
  double rms = 0, largest = 0;
};

struct Row {
  std::string name, what;
  std::function<std::vector<Errors>(std::uint64_t seed)> errors;  // eager outputs, gradients; planned ones
};

std::vector<double> numbers(const Results& all, std::size_t first, std::size_t last) {
  std::vector<double> result;
  for (std::size_t i = first; i < last; ++i)
    for (Index j = 0; j < all[i].size(); ++j) result.push_back(all[i].at(j));
  return result;
}

Errors errors_of(const std::vector<double>& got, const std::vector<double>& wanted) {
  double squares = 0, of_values = 0, largest = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = got[i] - wanted[i];
    squares += error * error;
    of_values += wanted[i] * wanted[i];
    largest = std::max(largest, std::abs(error));
  }
  const double count = static_cast<double>(got.size()), rms = std::sqrt(of_values / count);
  return {std::sqrt(squares / count) / rms, largest / rms};
}

Array converted(const Array& from, Dtype dtype) {
  Array to(dtype, from.shape());
  for (Index i = 0; i < from.size(); ++i) to.set(i, from.at(i));
  return to;
}

// `make(dtype)` is the network; `loss(net, x0, t, z)` of `batch` points in `dimension` dimensions.
template <class Make, class Loss>
std::vector<Errors> compared(const Make& make, const Loss& loss, Index batch, Index dimension, std::uint64_t seed) {
  auto narrow = make(Dtype::f32, seed), wide = make(Dtype::f64, seed);
  NamedArrays weights;
  for (const auto& [name, parameter] : narrow.parameters()) weights.emplace_back(name, parameter->value());
  nn::load(wide, weights, "the network in f32");

  Rng rng(seed + 1000);
  Array t(Dtype::f32, {batch, 1});
  const Array uniform = rng.uniform({Dtype::f32, {batch, 1}});
  for (Index i = 0; i < batch; ++i) t.set(i, earliest + (1 - earliest) * uniform.at(i));
  const std::vector<Array> points{rng.normal({Dtype::f32, {batch, dimension}}), t,
                                  rng.normal({Dtype::f32, {batch, dimension}})};

  const auto function = [&](const auto& net) {
    return [&](std::span<const Var> in) {
      Tape& tape = in[0].tape();
      std::vector<Var> results{net(in[0], in[1])}, leaves;
      for (const auto& [name, parameter] : net.parameters())
        if (parameter->role() == nn::Role::trained) leaves.push_back(parameter->on(tape));
      for (Var g : grad(loss(net, in[0], in[1], in[2]), leaves)) results.push_back(g);
      return results;
    };
  };
  const auto eager = [&](const auto& net, Dtype dtype) {
    Tape tape(dtype);
    std::vector<Var> in;
    for (const Array& each : points) in.push_back(tape.input(converted(each, dtype)));
    Results results;
    for (Var var : function(net)(in)) results.push_back(var.value());
    return results;
  };
  const auto planned = [&](const auto& net) {
    std::vector<Type> types;
    for (const Array& each : points) types.push_back(each.type());
    Plan plan = compile(function(net), types);
    const std::vector<PlanInput> in(points.begin(), points.end());
    const auto outputs = plan.run(in);
    return Results(outputs.begin(), outputs.end());
  };
  const Results truth = eager(std::as_const(wide), Dtype::f64);
  std::vector<Errors> all;
  for (const Results& results : {eager(std::as_const(narrow), Dtype::f32), planned(std::as_const(narrow))}) {
    all.push_back(errors_of(numbers(results, 0, 1), numbers(truth, 0, 1)));
    all.push_back(errors_of(numbers(results, 1, results.size()), numbers(truth, 1, truth.size())));
  }
  return all;
}

template <class Make, class Loss>
Row row(const std::string& name, const std::string& what, const Make& make, const Loss& loss, Index batch,
        Index dimension) {
  return {name, what, [=](std::uint64_t seed) { return compared(make, loss, batch, dimension, seed); }};
}

Row time_mlp(const std::string& name, const std::string& what, const nn::TimeMlpOptions& options, Index batch,
             const auto& loss) {
  const auto make = [=](Dtype dtype, std::uint64_t seed) {
    Rng rng(seed);
    nn::TimeMlpOptions mine = options;
    mine.dtype = dtype;
    return nn::TimeMlp(mine, rng);
  };
  return row(name, what, make, loss, batch, options.dimension);
}

// The networks, batches and losses of the workloads (workloads.cpp), and a wide one.
std::vector<Row> rows() {
  const auto denoising = [](const auto& process) {
    return [=](const auto& net, Var x0, Var t, Var z) { return sde::denoising_loss(process, net, x0, t, z); };
  };
  const auto normalised = [](const auto& process) {
    return
        [=](const auto& net, Var x0, Var t, Var z) { return sde::normalised_denoising_loss(process, net, x0, t, z); };
  };
  const auto heat = [process = sde::VeExponential{.kappa = 1.1}](const auto& net, Var x0, Var t, Var z) {
    const auto scaled = [&](Var x, Var time) { return net(x, time) / process.std(time); };
    return sde::denoising_loss(process, scaled, x0, t, z);
  };
  const sde::VeConstant constant{.sigma = 1};
  const auto score_net = [=](Dtype dtype, std::uint64_t seed) {
    Rng rng(seed);
    return nn::ScaledScoreNet({.standard_deviation = [=](Var t) { return constant.std(t); }, .dtype = dtype}, rng);
  };
  const auto additive = [](Dtype dtype, std::uint64_t seed) {
    Rng rng(seed);
    return nn::AdditiveTimeNet({.dtype = dtype}, rng);
  };
  return {
      time_mlp("W1, W9", "68-256x4-4, ReLU, 64 of them of time",
               {.dimension = 4, .hidden = {256, 256, 256, 256}, .activation = relu, .features = 64}, 32,
               normalised(sde::Ou{.theta = 0.3, .sigma = 0.5})),
      time_mlp("W2", "4-512x2-2, ReLU, 2 of them of time",
               {.dimension = 2, .hidden = {512, 512}, .activation = relu, .features = 2}, 32,
               normalised(sde::Ou{.theta = 0.5, .sigma = 0.5})),
      row("W3b, W6, W7", "130-128x4-2, SiLU, LayerNorm, 128 Fourier features of time", score_net, denoising(constant),
          500, 2),
      time_mlp("W4", "3-64x5-2, ReLU", {.dimension = 2, .hidden = {64, 64, 64, 64, 64}, .activation = relu}, 5000,
               denoising(sde::Vp{.beta_min = 0.1, .beta_max = 20})),
      time_mlp("W5a", "2-8x3-1, SiLU", {.dimension = 1, .hidden = {8, 8, 8}, .activation = silu}, 1024, heat),
      row("W5b", "1-8-1, SiLU, 256 Fourier features of time", additive, heat, 1024, 1),
      time_mlp("W10a", "3-1024x3-2, SiLU", {.dimension = 2, .hidden = {1024, 1024, 1024}, .activation = silu}, 256,
               denoising(constant)),
      time_mlp("W11a", "3-256x3-2, SiLU", {.dimension = 2, .hidden = {256, 256, 256}, .activation = silu}, 10'000,
               denoising(constant)),
  };
}

double median(std::vector<double> all) {
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
  return all[all.size() / 2];
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("Errors of networks in f32 against f64");
  int seeds = 3;
  app.add_option("--seeds", seeds, "networks and batches of each kind")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, count, arguments);
  std::printf("%-13s%-44s%s\n", "", "rms of the error / rms", "largest error / rms");
  std::printf("%-13s%-22s%-22s%-22s%s\n%-13s", "", "eager", "in a plan", "eager", "in a plan", "");
  for (int i = 0; i < 4; ++i) std::printf("%-11s%-11s", "outputs", "gradients");
  std::printf("\n");
  for (const Row& each : rows()) {
    std::vector<std::vector<Errors>> all;
    for (int seed = 1; seed <= seeds; ++seed) all.push_back(each.errors(static_cast<std::uint64_t>(seed)));
    const auto print = [&](double Errors::*what) {
      for (std::size_t i = 0; i < 4; ++i) {
        std::vector<double> values;
        for (const auto& of_seed : all) values.push_back(of_seed[i].*what);
        std::printf("%-11.1e", median(values));
      }
    };
    std::printf("%-13s", each.name.c_str());
    print(&Errors::rms);
    print(&Errors::largest);
    std::printf("%s\n", each.what.c_str());
    std::fflush(stdout);
  }
}
