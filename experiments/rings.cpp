// Diffusion models, an introduction: an Ornstein-Uhlenbeck process spreads two half rings, a network learns its score.
//
// The process dX = -X/2 dt + dW/2 takes 2048 points of two arcs to a blob that is no standard normal distribution. A
// ReLU network on the point and one sine and cosine of t learns the score by a loss weighted with the variance;
// predictor-corrector steps and the probability flow bring the rings back.
#include <fmt/format.h>

#include <algorithm>
#include <array>
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

constexpr sde::Ou ou{.theta = 0.5, .sigma = 0.5};
constexpr Range plane{-2.5, 2.5};
constexpr Index points = 2048, epoch = 64;  // of the data; steps
constexpr std::array printed_losses{9.402430, 6.908520, 6.406269, 6.301235, 6.179082, 5.776006, 5.587899,
                                    5.859952, 5.823315, 5.851666, 5.685322, 5.575598, 5.609481, 5.784751,
                                    5.771783, 5.071712, 5.932956, 4.998591, 5.127554, 5.437289};

// The parts that the seed of a run is divided into.
enum Part : std::uint64_t { data_noise, weights, training, paths, starts, sampling, score_points };

struct Faults {
  bool start = false, grid = false;
};

// An arc of a circle; the large one is open below, the small one above.
struct Arc {
  double x, y, radius;
  double residual(double px, double py) const { return std::abs(std::hypot(px - x, py - y) - radius); }
};
constexpr Arc large{0.6, 0.2, 1.4}, small{-0.5, -1, 0.5};

// Points of both arcs in turn, with noise of standard deviation .02: [2048, 2].
Array rings(std::uint64_t seed) {
  Array data = Rng(seed).normal({Dtype::f32, {points, 2}});
  for (Index i = 0; i < points; ++i) {
    const double phi = std::numbers::pi * static_cast<double>(i / 2) / (points / 2 - 1);
    const Arc& arc = i % 2 == 0 ? large : small;
    const double side = i % 2 == 0 ? 1 : -1;
    data.set(2 * i, 0.02 * data.at(2 * i) + arc.x + side * arc.radius * std::cos(phi));
    data.set(2 * i + 1, 0.02 * data.at(2 * i + 1) + arc.y + side * arc.radius * std::sin(phi));
  }
  return data;
}

Array train_score(const nn::TimeMlp& score, nn::Adam& adam, const Run& run, const Array& data, Index batch) {
  nn::TrainStep step(adam, run.seed(training), [&](Draw& draw) {
    const Var x0 = index_select(draw.tape().input(data), 0, draw.index({batch}, points));
    const Var t = draw.uniform({batch, 1}, 1e-5, 1), z = draw.normal({batch, 2});
    return sde::normalised_denoising_loss(ou, score, x0, t, z);
  });
  return train("train", run.options().steps(), step);
}

// Points with the distribution of X_1, the data's spread by the process; or from N(0, I), as printed.
Array ends(const Run& run, const Array& data, Index count, bool normal) {
  Tape tape;
  Draw draw(tape, run.seed(starts));
  const Var z = draw.normal({count, 2});
  if (normal) return z.value();
  const Var x0 = index_select(tape.input(data), 0, draw.index({count}, points));
  return sde::perturb(ou, x0, tape.full(Shape{1, 1}, 1), z).value();
}

sde::Grid grid(bool half_open) {
  return half_open ? sde::Grid::half_open(0, 1, 100).reversed() : sde::Grid::uniform(1, 0, 100);
}

template <class Score>
Array corrected_samples(const char* part, const Run& run, const Score& score, const Array& x,
                        const sde::PredictorCorrector& method, bool half_open) {
  sde::Integrator sampler(method, sde::reverse(ou, score));
  return sample(part, sampler, x, grid(half_open), {.noise = sde::Noise::drawn(run.seed(sampling))});
}

template <class Score>
Array flow_samples(const Score& score, const Array& x, bool half_open) {
  sde::Integrator flow(sde::Heun{}, sde::probability_flow(ou, score));
  return sample("sample by the flow", flow, x, grid(half_open));
}

void report_samples(Run& run, const std::string& name, const Array& samples, const Array& data) {
  const std::vector<double> x = column(samples, 0), y = column(samples, 1);
  std::vector<double> nearest, on_large;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double to_large = large.residual(x[i], y[i]), to_small = small.residual(x[i], y[i]);
    nearest.push_back(std::min(to_large, to_small));
    on_large.push_back(to_large < to_small ? 1 : 0);
  }
  run.quantity(name + "_share_large_arc", mean(on_large));
  run.quantity(name + "_share_within_0.2", share(nearest, {0, 0.2}));
  run.quantity(name + "_energy_distance", energy_distance(samples, data));
}

// std^2 E|net - exact score|^2 over draws of p_t.
template <class Score>
void report_score_error(Run& run, const Score& score, const Array& data) {
  const sde::Empirical exact(ou, data);
  for (double at : {0.1, 0.25, 0.5, 1.0}) {
    Tape tape;
    Draw draw(tape, run.seed(score_points), static_cast<std::uint32_t>(100 * at));
    const Var t = tape.full(Shape{1, 1}, at), x0 = index_select(tape.input(data), 0, draw.index({1024}, points));
    const Var x = sde::perturb(ou, x0, t, draw.normal({1024, 2}));
    const Var error = mean(sum(square(score(x, t) - exact(x, t)), 1)) * square(ou.std(t));
    run.quantity(fmt::format("score_error_t{:.2g}{}", at, at == 1 ? ".0" : ""), error.item());
  }
}

// Paths on the text's grid by exact transitions, and their ends also by two methods that make an error.
void forward_paths(Run& run, const Array& data, Index frames) {
  const sde::Grid times = sde::Grid::uniform(0, 1, 100);
  const sde::RunOptions noise{.noise = sde::Noise::drawn(run.seed(paths))};
  std::vector<Figure> shown{{.panels = {scatter(data, "t = 0.00", plane)}}};
  sde::RunOptions observed = noise;
  observed.observe = [&](Index step, double t, std::span<const Array> x) {
    if (step * (frames - 1) / 100 > (step - 1) * (frames - 1) / 100)
      shown.push_back({.panels = {scatter(x[0], fmt::format("t = {:.2f}", t), plane)}});
  };
  Figure end{.panels = {}, .width = 400};
  const auto add = [&](const char* name, const char* title, const Array& x) {
    run.quantity(fmt::format("forward_{}_sd_x", name), sd(column(x, 0)));
    run.quantity(fmt::format("forward_{}_sd_y", name), sd(column(x, 1)));
    end.panels.push_back(scatter(x, title, plane));
  };
  add("exact", "exact transitions",
      sde::Integrator(sde::ExactTransition{}, ou).run(data, times, observed).require().x());
  add("euler_maruyama", "Euler–Maruyama",
      sde::Integrator(sde::EulerMaruyama{}, sde::forward(ou)).run(data, times, noise).require().x());
  add("stochastic_heun", "stochastic Heun",
      sde::Integrator(sde::StochasticHeun{}, sde::forward(ou)).run(data, times, noise).require().x());
  run.figure("data", {.panels = {scatter(data, "", plane)}}, "The data: 2048 points on two half rings.");
  run.animation("forward", std::move(shown),
                "Forward paths by exact transitions. The rings dissolve, but at t = 1 the blob still has their shape: "
                "standard deviations .69 and .85, not 1.");
  run.figure("forward_end", std::move(end), "X_1 of the same points by three methods: no difference to the eye.");
}

void draw_density(Run& run, const Array& data, Index cells, Index count) {
  const Range wide{-3, 3};
  const Array where = lattice(wide, wide, cells);
  const sde::Empirical exact(ou, data);
  Plan density =
      compile([&](std::span<const Var> in) { return std::vector<Var>{exp(exact.log_density(in[0], in[1]))}; },
              {where.type(), Type{Dtype::f32, {1, 1}}}, {.rows = {0}});
  Progress progress("densities", count);
  std::vector<Figure> frames;
  double highest = 0;
  for (Index k = 0; k < count; ++k, progress.step()) {
    Interrupt::heed();
    const double t = 0.1 + 0.9 * static_cast<double>(k) / static_cast<double>(std::max<Index>(count - 1, 1));
    Field field{column(density.run({where, Array::of<float>({1, 1}, {static_cast<float>(t)})})[0], 0), cells, wide,
                wide};
    highest = std::max(highest, *std::max_element(field.values.begin(), field.values.end()));
    frames.push_back({.panels = {plane_panel(fmt::format("t = {:.3f}", t), wide, {Heat{std::move(field)}})}});
  }
  for (Figure& frame : frames) frame.colours = ColourScale{"density", {0, highest}};
  run.animation("density", std::move(frames),
                "The density of X_t, the exact mixture of 2048 transitions, in one scale of colours.", 40);
}

template <class Score>
void draw_score(Run& run, const Score& score, Index count) {
  const Range inner{-2, 2};
  const Array where = lattice(inner, inner, 30);
  std::vector<Figure> frames;
  for (Index k = 0; k < count; ++k) {
    const double t = 1 - static_cast<double>(k) / static_cast<double>(std::max<Index>(count - 1, 1));
    Tape tape;
    const Array s = score(tape.input(where), tape.full(Shape{1, 1}, t)).value();
    Arrows arrows{column(where, 0), column(where, 1), column(s, 0), column(s, 1), {}};
    for (std::size_t i = 0; i < arrows.x.size(); ++i) {
      const double size = std::hypot(arrows.dx[i], arrows.dy[i]), scale = size > 0 ? 0.12 / size : 0;
      arrows.value.push_back(size);
      arrows.dx[i] *= scale;
      arrows.dy[i] *= scale;
    }
    frames.push_back({.panels = {plane_panel(fmt::format("t = {:.2f}", t), inner, {std::move(arrows)})},
                      .width = 400,
                      .colours = ColourScale{"|score|", {0, 20}}});
  }
  run.animation(
      "score_field", std::move(frames),
      "The learned score from t = 1 down to 0: arrows of one length, coloured by magnitude. They point to the "
      "blob's middle first and turn to the arcs as t falls.",
      20);
}

void report_losses(Run& run, const Array& losses) {
  run.quantity("loss_first_epoch", mean_loss(losses, 1, epoch), printed_losses.front());
  run.quantity("loss_last_5_epochs", mean_loss(losses, losses.size() - 5 * epoch + 1, losses.size()),
               mean(std::span(printed_losses).last(5)));
  run.figure("losses", losses_beside(epoch_losses(losses, epoch), printed_losses),
             "Mean loss of each epoch beside the printed ones. The score 0 has 10.87.");
}

template <class Score>
void draw_samples(Run& run, const Score& score, const Array& data, const Faults& faults, Index count) {
  const Array normal = ends(run, data, count, true), truth = faults.start ? normal : ends(run, data, count, false);
  const sde::PredictorCorrector text{.snr = 0.15}, song{.snr = 0.15, .size = sde::PredictorCorrector::Size::norm_ratio};
  const auto [from_normal, from_truth, by_flow] = run.timed("sample", [&] {
    return std::array{corrected_samples("sample from N(0, I)", run, score, normal, text, faults.grid),
                      corrected_samples("sample from X_1", run, score, truth, text, faults.grid),
                      flow_samples(score, truth, faults.grid)};
  });
  const Array few = first_rows(truth, 1024);
  const auto [by_song, open] = run.timed("compare_samplers", [&] {
    return std::array{corrected_samples("sample by the norm ratio", run, score, few, song, faults.grid),
                      corrected_samples("sample on the open grid", run, score, few, text, true)};
  });
  run.cover("samples");
  save_npy(run.file("samples.npy"), from_truth);
  report_samples(run, "normal_start", from_normal, data);
  report_samples(run, "true_start", from_truth, data);
  report_samples(run, "flow_true_start", by_flow, data);
  report_samples(run, "norm_ratio_true_start", by_song, data);
  run.timed("score_error", [&] { report_score_error(run, score, data); });
  const auto over_data = [&](const Array& shown, const char* title) {
    return scatter(shown, title, plane, 1024, &data);
  };
  run.figure(
      "samples",
      {.panels = {over_data(from_normal, "from N(0, I)"), over_data(from_truth, "from the distribution of X_1"),
                  over_data(by_song, "norm-ratio steps"), over_data(by_flow, "probability flow")},
       .width = 380},
      "1024 samples each over the data. Langevin steps of the text's size are too long for the thin rings and leave "
      "a haze; the probability flow keeps to them best.");
  run.fault(
      {"start",
       "Sampling starts from N(0, I), although X_1 has standard deviations .69 and .85: outer points have too far "
       "to go, and stray.",
       {{"energy distance to the data", energy_distance(from_normal, data), energy_distance(from_truth, data)}}},
      printed_and_corrected(over_data(from_normal, ""), over_data(from_truth, "")),
      "Predictor-corrector samples from both starts.");
  const Array closed = first_rows(from_truth, 1024);
  run.fault({"grid",
             "The grid of times is arange(0, 1, .01), which stops one step before t = 1: points with the distribution "
             "of X_1 meet "
             "the score of t = .99 first.",
             {{"energy distance to the data", energy_distance(open, data), energy_distance(closed, data)}}},
            printed_and_corrected(over_data(open, ""), over_data(closed, "")),
            "Samples on the half-open and on the closed grid, from the same start and with the same noise.");
}

void study(Run& run, const Faults& faults, Index batch, Index count, Index cells, Index frames) {
  run.paragraph(
      "Score-based diffusion in its smallest complete form. A linear stochastic equation spreads the data, its score "
      "is learned by denoising, and the reversed equation makes new data from noise. The mixture of transitions from "
      "all "
      "data points is the exact answer, so that what is learned can be held against it.");
  const Array data = rings(run.seed(data_noise));
  run.timed("forward", [&] { forward_paths(run, data, frames); });
  run.timed("densities", [&] { draw_density(run, data, cells, std::min<Index>(frames, 25)); });
  Rng rng(run.seed(weights));
  nn::TimeMlp score({.dimension = 2, .hidden = {512, 512}, .activation = relu, .features = 2, .zero_output = true},
                    rng);
  nn::Adam adam(score, {.lr = 1e-3});
  const Array losses = run.timed("train", [&] { return train_score(score, adam, run, data, batch); });
  nn::save(score, run.file("model.safetensors"));
  save_npy(run.file("losses.npy"), losses);
  report_losses(run, losses);
  if (run.interrupted()) return;
  draw_samples(run, score, data, faults, count);
  draw_score(run, score, frames);
}

}  // namespace

int main(int count, char** arguments) {
  Options options("rings", "Diffusion models, an introduction: two half rings by an Ornstein-Uhlenbeck process",
                  {.study = 20 * epoch, .quick = 4 * epoch});
  const Index& batch =
      options.size("--batch", {.study = 32, .quick = 32, .bytes = 500}, "points in each training step");
  const Index& samples =
      options.size("--samples", {.study = 4096, .quick = 512, .bytes = 500}, "points to sample, by each sampler");
  const Index& cells = options.size("--cells", {.study = 100, .quick = 40, .drawing = true, .least = 2, .most = 4000},
                                    "of the densities' grid, along each axis");
  const Index& frames = options.size("--frames", {.study = 50, .quick = 5, .drawing = true, .most = 10000},
                                     "of each animation, 25 of the density's at most");
  const bool& start = options.fault("start", "sampling starts from N(0, I)");
  const bool& grid = options.fault("grid", "the grid of times stops one step before t = 1");
  return run_main(options, count, arguments, [&](Run& run) {
    study(run, {start, grid}, batch, samples, cells, frames);
  });
}
