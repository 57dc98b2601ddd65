// Nano diffusion: a variance-preserving process learns a ring in the plane whose angle is not uniform.
//
// Data: the direction of a uniform point of the square [-1, 1]^2, at a Gamma(200, rate 200) radius. A ReLU network on
// [x, t] predicts the score from the loss mean((s net + z)^2); reverse Euler-Maruyama with step 5e-3 samples it.
// The text's `loss.backward(loss)` scales every gradient by the loss.
#include <fmt/format.h>
#include <algorithm>

#include <cmath>
#include <numbers>

#include "autodiff/autodiff.hpp"
#include "autodiff/io/npy.hpp"
#include "experiments/common/common.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"

using namespace wengert;
using namespace wengert::experiments;

namespace {

constexpr double pi = std::numbers::pi;
constexpr sde::Vp vp{.beta_min = 0.1, .beta_max = 20};
const nn::MlpOptions network{.in = 3, .hidden = {64, 64, 64, 64, 64}, .out = 2, .activation = relu};

// The parts that the seed of a run is divided into.
enum Part : std::uint64_t { weights, training, start, noise, data };

// n points of the data, [n,2]
Var ring(Draw& draw, Index n) {
  const Var square_point = draw.uniform({n, 2}, -1, 1);
  const Var radius = draw.gamma({n, 1}, 200, 200);
  return square_point / sqrt(sum(square(square_point), 1, {.keepdims = true})) * radius;
}

auto score_of(const nn::Mlp& net) {
  return [&net](Var x, Var t) { return net(concat({x, t}, 1)); };
}

// The densities of the data's radius and angle.
double radius_density(double r) {
  return std::exp(200 * std::log(200.0) + 199 * std::log(r) - 200 * r - std::lgamma(200.0));
}
double angle_density(double phi) {
  return 1 / (8 * std::max(std::cos(phi) * std::cos(phi), std::sin(phi) * std::sin(phi)));
}

struct Polar {
  std::vector<double> radius, angle, cos_4phi;

  explicit Polar(const Array& points) {
    const std::vector<double> x = column(points, 0), y = column(points, 1);
    for (std::size_t i = 0; i < x.size(); ++i) {
      radius.push_back(std::hypot(x[i], y[i]));
      angle.push_back(std::atan2(y[i], x[i]));
      cos_4phi.push_back(std::cos(4 * angle.back()));
    }
  }
};

// The printed gradient is scaled by the loss.
Array train_score(nn::Mlp& score, const Run& run, std::int64_t steps, Index batch, bool scaled) {
  nn::Adam adam(score, {.lr = 1e-3});
  nn::TrainStep step(adam, run.seed(training), [&](Draw& draw) {
    const Var x0 = ring(draw, batch), t = draw.uniform({batch, 1}), z = draw.normal({batch, 2});
    const Var loss = sde::denoising_loss(vp, score_of(score), x0, t, z);
    return scaled ? stop_gradient(loss) * loss : loss;
  });
  return train(scaled ? "train as printed" : "train", steps, step,
               [&](double loss) { return scaled ? std::sqrt(loss) : loss; });
}

Array sampled(const nn::Mlp& score, const Run& run, Index count) {
  const Array x = Rng(run.seed(start)).normal({Dtype::f32, {count, 2}});
  sde::Integrator sampler(sde::EulerMaruyama{}, sde::reverse(vp, score_of(score)));
  return sample("sample", sampler, x, sde::Grid::uniform(1, 0, 200), {.noise = sde::Noise::drawn(run.seed(noise))});
}

void report_samples(Run& run, const Polar& samples) {
  const Histogram angles(samples.angle, {-pi, pi}, 60);
  std::vector<double> masses;
  for (Index bin = 0; bin < angles.bins(); ++bin) {  // by the midpoint rule
    double mass = 0;
    for (int i = 0; i < 200; ++i)
      mass += angle_density(angles.edge(bin) + (i + 0.5) / 200 * angles.width()) * angles.width() / 200;
    masses.push_back(mass);
  }
  run.quantity("radius_mean", mean(samples.radius));
  run.quantity("radius_sd", sd(samples.radius));
  run.quantity("share_radius_0.8_1.2", share(samples.radius, {0.8, 1.2}));
  run.quantity("angle_tv_60", total_variation(angles, masses));
  run.quantity("mean_cos_4phi", mean(samples.cos_4phi));
}

void draw_samples(Run& run, const Array& points) {
  Tape tape;
  Draw draw(tape, run.seed(data));
  const Array truth = ring(draw, points.shape()[0]).value();
  const Range plane{-1.5, 1.5}, radii{0.6, 1.4}, circle{-pi, pi};
  run.figure("density", density_maps({{"data", {truth, plane, plane, 75}}, {"samples", {points, plane, plane, 75}}}),
             "Densities of data and samples in one scale of colours. The ring is darker towards the square's corners, "
             "where more of the square lies in a direction.");
  const Polar exact(truth), sampled(points);
  run.figure(
      "radius_and_angle",
      densities({{.x_label = "radius",
                  .data = {exact.radius, radii, 60},
                  .samples = {sampled.radius, radii, 60},
                  .exact = radius_density},
                 {.x_label = "angle",
                  .data = {exact.angle, circle, 60},
                  .samples = {sampled.angle, circle, 60},
                  .exact = angle_density,
                  .angle = true}}),
      "Radius and angle of data and samples beside their exact densities. The sampled ring is a little wider than "
      "the data's.");
}

// The first steps of a training whose gradient is scaled by the loss, beside the same ones of the right gradient.
void explain_fault(Run& run, const Array& losses, Index batch) {
  constexpr std::int64_t most = 1000;
  const std::int64_t steps = std::min<std::int64_t>(most, losses.size());
  Rng rng(run.seed(weights));
  nn::Mlp score(network, rng);
  const Array scaled = train_score(score, run, steps, batch, true);
  const std::int64_t first = std::max<std::int64_t>(1, steps - 99);
  run.fault({"loss",
             "The text calls loss.backward(loss), which scales every gradient by the loss. Adam divides most of the "
             "factor out again; what is left is noise in its moments. The whole training as printed: "
             "--as-printed.",
             {{fmt::format("mean loss of steps {} to {}", first, steps), mean_loss(scaled, first, steps).value(),
               mean_loss(losses, first, steps).value()}}},
            loss_curves({{"as printed", scaled}, {"corrected", losses}}),
            "Losses with the gradient as printed (the first steps) and corrected (all of them).");
}

void study(Run& run, Index batch, Index count, bool scaled) {
  run.paragraph(
      "A diffusion model in a hundred lines: a variance-preserving process turns a ring, denser along the diagonals, "
      "into a normal distribution; a network of five small layers learns the score; the reversed equation draws the "
      "ring "
      "again.");
  Rng rng(run.seed(weights));
  nn::Mlp score(network, rng);
  const Array losses =
      run.timed("train", [&] { return train_score(score, run, run.options().steps(), batch, scaled); });
  for (const auto& [first, last] : {std::pair{1, 1000}, {4001, 5000}, {19001, 20000}})
    run.quantity(fmt::format("loss_steps_{}_{}", first, last), mean_loss(losses, first, last));
  nn::save(score, run.file("model.safetensors"));
  save_npy(run.file("losses.npy"), losses);
  run.figure("losses", loss_curves({{"", losses}}),
             "The loss of each step: after a thousand steps what is left is the noise "
             "that no network can tell.");
  if (run.interrupted()) return;
  const Array points_sampled = run.timed("sample", [&] { return sampled(score, run, count); });
  run.cover("density");
  save_npy(run.file("samples.npy"), points_sampled);
  report_samples(run, Polar(points_sampled));
  draw_samples(run, points_sampled);
  if (!scaled) explain_fault(run, losses, batch);
}

}  // namespace

int main(int count, char** arguments) {
  Options options("nano_ring", "Nano diffusion: a ring in the plane by a variance-preserving process",
                  {.study = 20000, .quick = 200});
  const Index& batch =
      options.size("--batch", {.study = 5000, .quick = 5000, .bytes = 500}, "fresh points in each training step");
  const Index& samples = options.size("--samples", {.study = 20000, .quick = 20000, .bytes = 500}, "points to sample");
  const bool& scaled = options.fault("loss", "gradients are scaled by the loss");
  return run_main(options, count, arguments, [&](Run& run) { study(run, batch, samples, scaled); });
}
