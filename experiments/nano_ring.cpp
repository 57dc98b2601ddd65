// Nano diffusion: a variance-preserving process learns a ring in the plane whose angle is not uniform.
//
// Data: the direction of a uniform point of the square [-1, 1]^2, at a Gamma(200, rate 200) radius. A ReLU network on
// [x, t] predicts the score from the loss mean((s net + z)^2); reverse Euler-Maruyama with step 5e-3 samples it.
// As printed, the text's `loss.backward(loss)` scales every gradient by the loss.
#include <cmath>
#include <numbers>

#include "autodiff/autodiff.hpp"
#include "autodiff/npy.hpp"
#include "experiments/common/common.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"

using namespace wengert;
using namespace wengert::experiments;

namespace {

constexpr double pi = std::numbers::pi;
constexpr sde::Vp vp{.beta_min = 0.1, .beta_max = 20};

// What the seed of a run is divided into.
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

Array train_score(nn::Mlp& score, const Options& options, Index batch) {
  nn::Adam adam(score, {.lr = 1e-3});
  auto step = compile(nn::train_step(adam, derive_seed(options.seed(), training), [&](Draw& draw) {
    const Var x0 = ring(draw, batch), t = draw.uniform({batch, 1}), z = draw.normal({batch, 2});
    const Var loss = sde::denoising_loss(vp, score_of(score), x0, t, z);
    return options.as_printed() ? stop_gradient(loss) * loss : loss;
  }));
  return train(options.steps(), step, [&](double loss) { return options.as_printed() ? std::sqrt(loss) : loss; });
}

Array sample(const nn::Mlp& score, const Options& options, Index count) {
  const Array x = Rng(derive_seed(options.seed(), start)).normal({Dtype::f32, {count, 2}});
  sde::Integrator sampler(sde::EulerMaruyama{}, sde::reverse(vp, score_of(score)));
  return sampler.run(x, sde::Grid::uniform(1, 0, 200), {.noise = sde::Noise::drawn(derive_seed(options.seed(), noise))})
      .require()
      .x();
}

void report_losses(Report& report, const Array& losses) {
  report.quantity("loss_steps_1_1000", mean_loss(losses, 1, 1000), {0.22406, 0.24891});
  report.quantity("loss_steps_4001_5000", mean_loss(losses, 4001, 5000), {0.16889, 0.20423});
  report.quantity("loss_steps_19001_20000", mean_loss(losses, 19001, 20000), {0.17986, 0.18313});
}

void report_samples(Report& report, const Polar& samples) {
  const Histogram angles(samples.angle, {-pi, pi}, 60);
  std::vector<double> masses;
  for (Index bin = 0; bin < angles.bins(); ++bin) {  // by the midpoint rule
    double mass = 0;
    for (int i = 0; i < 200; ++i)
      mass += angle_density(angles.edge(bin) + (i + 0.5) / 200 * angles.width()) * angles.width() / 200;
    masses.push_back(mass);
  }
  report.quantity("radius_mean", mean(samples.radius), {0.98035, 1.01099});
  report.quantity("radius_sd", sd(samples.radius), {0.07193, 0.09446});
  report.quantity("share_radius_0.8_1.2", share(samples.radius, {0.8, 1.2}), {0.96245, 0.99357});
  report.quantity("angle_tv_60", total_variation(angles, masses), {0.00199, 0.06922});
  report.quantity("mean_cos_4phi", mean(samples.cos_4phi), {-0.17416, -0.10045});
}

void draw_samples(const Options& options, const Array& points) {
  Tape tape;
  Draw draw(tape, derive_seed(options.seed(), data));
  const Array truth = ring(draw, points.shape()[0]).value();
  const Range plane{-1.5, 1.5}, radii{0.6, 1.4}, circle{-pi, pi};
  draw_densities_2d(options.out() / "density.png",
                    {{"data", {truth, plane, plane, 75}}, {"samples", {points, plane, plane, 75}}});
  const Polar exact(truth), sampled(points);
  draw_densities(options.out() / "radius_and_angle.png", {{.x_label = "radius",
                                                           .data = {exact.radius, radii, 60},
                                                           .samples = {sampled.radius, radii, 60},
                                                           .exact = radius_density},
                                                          {.x_label = "angle",
                                                           .data = {exact.angle, circle, 60},
                                                           .samples = {sampled.angle, circle, 60},
                                                           .exact = angle_density,
                                                           .angle = true}});
}

void run(const Options& options, Index batch, Index count) {
  Rng rng(derive_seed(options.seed(), weights));
  nn::Mlp score({.in = 3, .hidden = {64, 64, 64, 64, 64}, .out = 2, .activation = relu}, rng);
  Report report(options);

  const Timer training_time;
  const Array losses = train_score(score, options, batch);
  report.seconds("train", training_time.seconds());
  report_losses(report, losses);
  nn::save(score, options.out() / "model.safetensors");
  save_npy(options.out() / "losses.npy", losses);

  Array points;
  const bool whole = !Interrupt::requested();
  if (whole) {
    const Timer sampling_time;
    points = sample(score, options, count);
    report.seconds("sample", sampling_time.seconds());
    save_npy(options.out() / "samples.npy", points);
    report_samples(report, Polar(points));
  }
  report.write(options.out() / "metrics.json");
  report.print();
  draw_losses(options.out() / "losses.png", losses);
  if (whole) draw_samples(options, points);
}

}  // namespace

int main(int count, char** arguments) {
  Options options("nano_ring", "Nano diffusion: a ring in the plane by a variance-preserving process",
                  {.study = 20000, .quick = 200});
  const std::int64_t& batch =
      options.size("--batch", {.study = 5000, .quick = 5000}, "fresh points in each training step");
  const std::int64_t& samples = options.size("--samples", {.study = 20000, .quick = 20000}, "points to sample");
  return run_main(options, count, arguments, [&] { run(options, batch, samples); });
}
