#include "tests/benchmarks/workloads.hpp"

#include <cmath>
#include <functional>
#include <numbers>
#include <optional>
#include <sstream>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/benchmarks/classic.hpp"

namespace wengert::benchmarks {
namespace {

constexpr double earliest = 1e-5;  // times are uniform on [earliest, 1]

// Rows of a batch, and the hidden layers of a network; 0 of what cannot be chosen.
struct Sizes {
  Index batch = 0, width = 0, depth = 0;

  std::vector<Index> hidden() const { return std::vector<Index>(static_cast<std::size_t>(depth), width); }
  // "32 x 68-256x4-4"
  std::string network(Index in, Index out) const {
    return std::to_string(batch) + " x " + std::to_string(in) + "-" + std::to_string(width) + "x" +
           std::to_string(depth) + "-" + std::to_string(out);
  }
};

// A network, its optimizer and the compiled step; they live as long as the workload.
template <class Net>
struct Training {
  Net net;
  nn::Adam adam;
  std::unique_ptr<nn::TrainStep> step;

  Training(Net made, const nn::AdamOptions& options) : net(std::move(made)), adam(net, options) {}
};

template <class Net, class Loss>
Workload training(const std::string& name, const std::string& what, Net made, const nn::AdamOptions& options,
                  const Loss& loss) {
  auto all = std::make_shared<Training<Net>>(std::move(made), options);
  all->step = std::make_unique<nn::TrainStep>(
      nn::TrainStep(all->adam, 1, [&, all = all.get()](Draw& draw) { return loss(all->net, draw); }));
  const auto run = [all] {
    all->step->run();
    return Index{0};
  };
  return {name, what, run, [all] { return all->step->explain(); }, [all] { return all->step->profile(); }};
}

Array on_circle(Index count) {
  Array points(Dtype::f32, {count, 2});
  for (Index i = 0; i < count; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(count);
    points.set(2 * i, std::cos(angle));
    points.set(2 * i + 1, std::sin(angle));
  }
  return points;
}

// `count` rows of a table, at random.
Var batch_of(Draw& draw, const Array& pool, Index count) {
  return index_select(draw.tape().input(pool), 0, draw.index({count}, pool.shape()[0]));
}

nn::TimeMlp triangles_net(Rng& rng, bool zero_output, const std::vector<Index>& hidden = {256, 256, 256, 256}) {
  return nn::TimeMlp({.dimension = 4, .hidden = hidden, .activation = relu, .features = 64, .zero_output = zero_output},
                     rng);
}

template <class Net>
Workload rings_like(const std::string& name, const std::string& what, Net net, const sde::Ou& process, double lr,
                    Index pool_size, Index dimension, Index batch) {
  const Array pool = Rng(2).normal({Dtype::f32, {pool_size, dimension}});
  return training(name, what, std::move(net), {.lr = lr}, [=](const Net& score, Draw& draw) {
    const Var x0 = batch_of(draw, pool, batch), t = draw.uniform({batch, 1}, earliest, 1),
              z = draw.normal({batch, dimension});
    return sde::normalised_denoising_loss(process, score, x0, t, z);
  });
}

Workload w1(const std::string& name, const Sizes& sizes) {
  Rng rng(1);
  return rings_like(name, "triangles: " + sizes.network(68, 4), triangles_net(rng, true, sizes.hidden()),
                    sde::Ou{.theta = 0.3, .sigma = 0.5}, 1e-2, 1024, 4, sizes.batch);
}

Workload w2(const std::string& name, const Sizes& sizes) {
  Rng rng(1);
  nn::TimeMlp net({.dimension = 2, .hidden = sizes.hidden(), .activation = relu, .features = 2, .zero_output = true},
                  rng);
  return rings_like(name, "rings: " + sizes.network(4, 2), std::move(net), sde::Ou{.theta = 0.5, .sigma = 0.5}, 1e-3,
                    2048, 2, sizes.batch);
}

Workload w3(const std::string& name, const Sizes& sizes) {
  Rng rng(1);
  const sde::VeConstant process{.sigma = 1};
  nn::ScaledScoreNet net(
      {.width = sizes.width, .features = sizes.width, .standard_deviation = [=](Var t) { return process.std(t); }},
      rng);
  const Index batch = sizes.batch;
  const Array patterns = on_circle(batch);
  const std::string what = "circle: " + std::to_string(batch) + " x ScaledScoreNet " + std::to_string(sizes.width);
  return training(name, what, std::move(net), {.lr = 1e-4, .common = {.ema_decay = 0.9999}},
                  [=](const nn::ScaledScoreNet& score, Draw& draw) {
                    const Var x0 = draw.tape().input(patterns), t = draw.uniform({batch, 1}, earliest, 1),
                              z = draw.normal({batch, 2});
                    return sde::denoising_loss(process, score, x0, t, z);
                  });
}

Workload w4(const std::string& name, const Sizes& sizes) {
  Rng rng(1);
  nn::TimeMlp net({.dimension = 2, .hidden = sizes.hidden(), .activation = relu}, rng);
  return training(name, "nano ring: " + sizes.network(3, 2), std::move(net), {.lr = 1e-3},
                  [n = sizes.batch](const nn::TimeMlp& score, Draw& draw) {
                    const Var p = draw.uniform({n, 2}, -1, 1);
                    const Var x0 = p / norm(p, 1, {.keepdims = true}) * draw.gamma({n, 1}, 200, 200);
                    const Var t = draw.uniform({n, 1}), z = draw.normal({n, 2});
                    return sde::denoising_loss(sde::Vp{.beta_min = 0.1, .beta_max = 20}, score, x0, t, z);
                  });
}

// What the studies do not reach: wide layers, and many rows.
Workload large(const std::string& name, const Sizes& sizes) {
  Rng rng(1);
  nn::TimeMlp net({.dimension = 2, .hidden = sizes.hidden(), .activation = silu}, rng);
  return training(
      name, sizes.network(3, 2), std::move(net), {.lr = 1e-3},
      [batch = sizes.batch](const nn::TimeMlp& score, Draw& draw) {
        const Var x0 = draw.normal({batch, 2}), t = draw.uniform({batch, 1}, earliest, 1), z = draw.normal({batch, 2});
        return sde::denoising_loss(sde::VeConstant{.sigma = 1}, score, x0, t, z);
      });
}

template <class Net>
Workload heat(const std::string& name, const std::string& what, Net net, Index batch) {
  const sde::VeExponential process{.kappa = 1.1};
  return training(name, what, std::move(net), {.lr = 1e-3}, [=](const Net& score, Draw& draw) {
    const Var x0 = draw.tape().full(Shape{batch, 1}, 0), t = draw.uniform({batch, 1}, earliest, 1),
              z = draw.normal({batch, 1});
    const auto scaled = [&](Var x, Var time) { return score(x, time) / process.std(time); };
    return sde::denoising_loss(process, scaled, x0, t, z);
  });
}

Workload w5a(const std::string& name, const Sizes& sizes) {
  Rng rng(1);
  nn::TimeMlp net({.dimension = 1, .hidden = sizes.hidden(), .activation = silu}, rng);
  return heat(name, "heat kernel: " + sizes.network(2, 1), std::move(net), sizes.batch);
}
Workload w5b() {
  Rng rng(1);
  return heat("W5b", "heat kernel: 1024 x 256 Fourier features, 8", nn::AdditiveTimeNet({}, rng), 1024);
}

// A student moves away from its teacher where a reward says so, and stays near it elsewhere.
Workload w8() {
  Rng rng(1);
  const nn::Frozen base(triangles_net(rng, false));
  using Score = nn::ResidualScore<nn::TimeMlp>;
  const Score teacher(base, {.dimension = 4, .hidden = {64, 64}}, rng);
  Score student(base, {.dimension = 4, .hidden = {64, 64}}, rng);
  const Array pool = Rng(2).normal({Dtype::f32, {1024, 4}});
  const sde::Ou process{.theta = 0.3, .sigma = 0.5};
  return training("W8", "S-MEME: 32 x 68-256x4-4, correction 5-64x2-4", std::move(student),
                  {.lr = 1e-4, .weight_decay = 0.01}, [=](const Score& score, Draw& draw) {
                    const Var x0 = batch_of(draw, pool, 32), t = draw.uniform({32, 1}, earliest, 1);
                    const Var x = sde::perturb(process, x0, t, draw.normal({32, 4}));
                    const Var from = stop_gradient(teacher(x, t)), change = score(x, t) - from;
                    const Var reward = 5.0 * sum(-from * change, 1, {.keepdims = true}) * (t <= 0.1);
                    return 1e-3 * mean(sum(square(change), 1)) - mean(reward);
                  });
}

// A network and a sampler of it.
template <class Net>
struct Sampling {
  Net net;
  std::optional<sde::Integrator> integrator{};
};

template <class Net, class Method, class Process>
Workload sampling(const std::string& name, const std::string& what, Net net, const Method& method,
                  const Process& process, const Array& start, const sde::Grid& grid) {
  auto all = std::make_shared<Sampling<Net>>(Sampling<Net>{std::move(net)});
  all->integrator.emplace(method, sde::reverse(process, std::cref(all->net)));
  const auto run = [=] {
    all->integrator->run(start, grid, {.noise = sde::Noise::drawn(3), .denoise_last = true}).require();
    return Index{0};
  };
  const auto after_run = [=](std::string (sde::Integrator::*what_of)() const) {
    run();
    return (*all->integrator.*what_of)();
  };
  return {name, what, run, [=] { return after_run(&sde::Integrator::explain); },
          [=] { return after_run(&sde::Integrator::profile); }};
}

Workload w6() {
  Rng rng(1);
  const sde::VeConstant process{.sigma = 1};
  nn::ScaledScoreNet net({.standard_deviation = [=](Var t) { return process.std(t); }}, rng);
  return sampling("W6", "circle: 1000 steps of 1500 by Euler-Maruyama", std::move(net), sde::EulerMaruyama{}, process,
                  on_circle(1500), sde::Grid::uniform(1, 1e-5, 1000));
}

Workload w9() {
  Rng rng(1);
  return sampling("W9", "triangles: 100 steps of 1024, predictor and corrector", triangles_net(rng, false),
                  sde::PredictorCorrector{.snr = 0.15}, sde::Ou{.theta = 0.3, .sigma = 0.5},
                  Rng(2).normal({Dtype::f32, {1024, 4}}), sde::Grid::uniform(1, 0, 100));
}

// The energy landscape of the trained network: log densities on a grid of 75 x 75 points.
Workload w7() {
  struct All {
    nn::ScaledScoreNet net;
    std::optional<sde::FlowWithDivergence> flow{};
    std::optional<sde::Integrator> integrator{};
  };
  Rng rng(1);
  const sde::VeConstant process{.sigma = 1};
  auto all = std::make_shared<All>(
      All{nn::ScaledScoreNet({.standard_deviation = [=](Var t) { return process.std(t); }}, rng)});
  NamedArrays weights;
  for (const auto& [name, array] : read_safetensors(TRAINED_CIRCLE))
    if (name.starts_with("w/")) weights.emplace_back(name.substr(2), array);
  nn::load(all->net, weights, TRAINED_CIRCLE);
  all->flow = sde::with_divergence(sde::probability_flow(process, sde::in_dtype(Dtype::f32, std::cref(all->net))));
  all->integrator.emplace(sde::DormandPrince{}, *all->flow);
  Array points(Dtype::f64, {75 * 75, 2});
  for (Index i = 0; i < 75 * 75; ++i) {
    points.set(2 * i, -1.5 + 3.0 * static_cast<double>(i / 75) / 74);
    points.set(2 * i + 1, -1.5 + 3.0 * static_cast<double>(i % 75) / 74);
  }
  const auto run = [=] {
    const sde::Solution end = all->integrator->run(all->flow->start(points), sde::Tolerance{.from = 0.15, .to = 1});
    all->flow->log_density(end.require(), 1);
    return end.statistics.evaluations;
  };
  const auto after_run = [=](std::string (sde::Integrator::*what_of)() const) {
    run();
    return (*all->integrator.*what_of)();
  };
  return {"W7", "circle: likelihood of 75 x 75 points", run, [=] { return after_run(&sde::Integrator::explain); },
          [=] { return after_run(&sde::Integrator::profile); }};
}

struct Maker {
  std::string name;
  std::function<Workload()> as_it_is{};
  Workload (*of_sizes)(const std::string& name, const Sizes& sizes) = nullptr;
  Sizes sizes{};
};

const std::vector<Maker> makers = {
    {.name = "W1", .of_sizes = w1, .sizes = {32, 256, 4}},
    {.name = "W2", .of_sizes = w2, .sizes = {32, 512, 2}},
    {.name = "W3a", .of_sizes = w3, .sizes = {9, 128}},
    {.name = "W3b", .of_sizes = w3, .sizes = {500, 128}},
    {.name = "W4", .of_sizes = w4, .sizes = {5000, 64, 5}},
    {.name = "W5a", .of_sizes = w5a, .sizes = {1024, 8, 3}},
    {"W5b", w5b},
    {"W6", w6},
    {"W7", w7},
    {"W8", w8},
    {"W9", w9},
    {.name = "W10a", .of_sizes = large, .sizes = {256, 1024, 3}},
    {.name = "W10b", .of_sizes = large, .sizes = {256, 2048, 3}},
    {.name = "W11a", .of_sizes = large, .sizes = {10'000, 256, 3}},
    {.name = "W11b", .of_sizes = large, .sizes = {100'000, 256, 3}},
    {"G1", kmeans},
    {"G2", least_squares},
    {"G3a", [] { return log_sum_exp(false); }},
    {"G3b", [] { return log_sum_exp(true); }},
    {"G4", mixture},
    {"G5", lstm},
    {"G6a", [] { return runge_kutta(true); }},
    {"G6b", [] { return runge_kutta(false); }},
    {"G7", determinant},
    {"G8", hand},
    {"G9", bundle_adjustment},
    {"G10a", saddle_point},
    {"G10b", particle},
};

// "batch=41", for one that has such a size.
void set_size(const std::string& name, Sizes& sizes, const std::string& word) {
  const std::size_t sign = word.find('=');
  const std::string key = word.substr(0, sign);
  Index* size = key == "batch" ? &sizes.batch : key == "width" ? &sizes.width : key == "depth" ? &sizes.depth : nullptr;
  std::istringstream value(sign == std::string::npos ? "" : word.substr(sign + 1));
  Index number = 0;
  if (size == nullptr || *size == 0 || !(value >> number) || number < 1 || value.peek() != EOF)
    throw Error("workload " + name + ": no size " + word);
  *size = number;
}

}  // namespace

std::vector<std::string> workload_names() {
  std::vector<std::string> names;
  for (const Maker& maker : makers) names.push_back(maker.name);
  return names;
}

Workload make_workload(const std::string& request) {
  std::istringstream words(request);
  std::string name, known;
  words >> name;
  for (const Maker& maker : makers) {
    known += " " + maker.name;
    if (maker.name != name) continue;
    Sizes sizes = maker.sizes;
    for (std::string word; words >> word;) set_size(name, sizes, word);
    return maker.of_sizes == nullptr ? maker.as_it_is() : maker.of_sizes(name, sizes);
  }
  throw Error("no workload " + name + ": there are" + known);
}

}  // namespace wengert::benchmarks
