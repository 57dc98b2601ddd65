// Diffusion and denoising on the line: the heat kernel, whose score is known, and two small networks that learn it.
//
// From x_0 = 0 the process dx = 1.1^t dW spreads to N(0, s(t)^2). The exact score -x / s(t)^2 and networks trained by
// the loss mean((s score + z)^2) run it backwards, by the ODE and by the SDE.
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

constexpr sde::VeExponential ve{.kappa = 1.1};
constexpr std::array times{0.75, 0.5, 0.25, 0.05};  // at which reverse paths are looked at
constexpr Range line{-4, 4};

// The parts that the seed of a run is divided into.
enum Part : std::uint64_t { forward_noise, exact_paths, plain, embedded };

struct Faults {
  bool noise = false, drift = false, start = false, width = false;
};

double deviation(double t) { return std::sqrt(std::expm1(2 * t * std::log(ve.kappa)) / (2 * std::log(ve.kappa))); }
double kernel_width(double t, bool printed) { return printed ? std::sqrt(t) : deviation(t); }

double normal_density(double x, double width) {
  return std::exp(-0.5 * x * x / (width * width)) / (width * std::sqrt(2 * std::numbers::pi));
}

Var exact_score(Var x, Var t) { return -x / square(ve.std(t)); }

// A network's score is what it gives over the standard deviation.
template <class Net>
auto score_of(const Net& net) {
  return [&net](Var x, Var t) { return net(x, t) / ve.std(t); };
}

// Reverse paths at the text's times: the state after N (1 - t) + 1 of N steps.
enum class Equation { ode, sde };
using Paths = std::array<std::vector<double>, times.size()>;

struct Start {
  std::uint64_t seed;
  Index count, steps;
};

Paths reverse_paths(Equation equation, const sde::Field& score, const Start& start, bool uniform_noise, double width) {
  Rng rng(start.seed);
  Array x = rng.normal({Dtype::f32, {start.count, 1}});
  for (float& value : x.data<float>()) value *= static_cast<float>(width);
  Paths paths;
  const auto observe = [&](Index step, double, std::span<const Array> state) {
    for (std::size_t i = 0; i < times.size(); ++i)
      if (step == std::lround(static_cast<double>(start.steps) * (1 - times[i])) + 1) paths[i] = column(state[0], 0);
  };
  const sde::Grid grid = sde::Grid::uniform(1, 0, start.steps);
  if (equation == Equation::ode) {
    sde::Integrator(sde::Euler{}, sde::probability_flow(ve, score)).run(x, grid, {.observe = observe}).require();
  } else {
    const sde::Noise noise = uniform_noise ? sde::Noise::given(rng.uniform({Dtype::f32, {start.steps, start.count, 1}}))
                                           : sde::Noise::drawn(derive_seed(start.seed, 1));
    sde::Integrator(sde::EulerMaruyama{}, sde::reverse(ve, score))
        .run(x, grid, {.noise = noise, .observe = observe})
        .require();
  }
  return paths;
}

struct Both {
  Paths ode, sde;
};
constexpr double printed_start = 1;

Both exact_reversal(const Start& start, const Faults& faults) {
  const sde::Field halved([](Var x, Var t) { return 0.5 * exact_score(x, t); }), score(exact_score);
  const double width = faults.start ? printed_start : deviation(1);
  return {reverse_paths(Equation::ode, score, start, false, width),
          reverse_paths(Equation::sde, faults.drift ? halved : score, start, faults.noise, width)};
}

// The squared error of s score against -x / s, weighted by the true distribution over |x| <= 3 s; the mean over t.
template <class Net>
double score_error(const Net& net) {
  double total = 0;
  Array points(Dtype::f32, {61, 1});
  for (Index i = 0; i < 61; ++i) points.set(i, -3 + 0.1 * static_cast<double>(i));
  for (int k = 1; k <= 100; ++k) {
    Tape tape;
    const Var z = tape.input(points), t = tape.full(Shape{1, 1}, k / 100.0);
    const Var weight = exp(-0.5 * square(z));
    total += (sum(weight * square(net(z * ve.std(t), t) + z)) / sum(weight)).item() / 100;
  }
  return total;
}

template <class Net>
Array train_score(Net& net, const Run& run, std::uint64_t part, Index batch, const std::string& name) {
  nn::Adam adam(net, {.lr = 1e-3});
  nn::TrainStep step(adam, run.seed(part), [&](Draw& draw) {
    const Var x0 = draw.tape().full(Shape{batch, 1}, 0);
    const Var t = draw.uniform({batch, 1}, 1e-5, 1), z = draw.normal({batch, 1});
    return sde::denoising_loss(ve, score_of(net), x0, t, z);
  });
  return train("train " + name, run.options().steps(), step);
}

Panel density_panel(const std::vector<double>& x, double t, double width) {
  Line exact = curve([&](double at) { return normal_density(at, width); }, line);
  exact.label = "heat kernel";
  exact.colour = colour::vermilion;
  exact.dashed = true;
  const Histogram histogram(x, line, 60);
  double highest = normal_density(0, width);
  for (Index bin = 0; bin < histogram.bins(); ++bin) highest = std::max(highest, histogram.density(bin));
  return {.title = fmt::format("t = {:g}", t),
          .x = {.label = "x", .range = line, .step = 2},
          .y = {"density", Range{0, 1.05 * highest}},
          .layers = {Bars{.histogram = histogram, .label = "paths", .colour = colour::sky}, std::move(exact)}};
}

// Panels that are compared have the same limits.
void share_heights(Panel& a, Panel& b) {
  a.y.range->high = b.y.range->high = std::max(a.y.range->high, b.y.range->high);
}

Figure reverse_figure(const Both& both, bool printed_width) {
  Figure figure{.panels = {}, .columns = times.size(), .width = 360, .height = 300};
  for (const Paths* paths : {&both.ode, &both.sde})
    for (std::size_t i = 0; i < times.size(); ++i) {
      figure.panels.push_back(density_panel((*paths)[i], times[i], kernel_width(times[i], printed_width)));
      figure.panels.back().title = fmt::format("{}, t = {:g}", paths == &both.ode ? "ODE" : "SDE", times[i]);
    }
  for (std::size_t i = 0; i < times.size(); ++i) share_heights(figure.panels[i], figure.panels[times.size() + i]);
  return figure;
}

void report_paths(Run& run, const std::string& name, const Both& both) {
  for (const auto& [equation, paths] : {std::pair{"ODE", &both.ode}, {"SDE", &both.sde}})
    for (std::size_t i = 0; i < times.size(); ++i)
      run.quantity(fmt::format("{}_{}_sd_t{:g}", name, equation, times[i]), sd((*paths)[i]));
}

template <class Net>
void learn(Run& run, Net& net, std::uint64_t part, const std::string& name, const Start& start, Index batch,
           const Faults& faults, std::vector<Losses>& losses) {
  const Array history = run.timed("train_" + name, [&] { return train_score(net, run, part, batch, name); });
  losses.push_back({name + " network", history});
  nn::save(net, run.file("model_" + name + ".safetensors"));
  run.quantity(name + "_loss_last_100", mean_loss(history, history.size() - 99, history.size()));
  if (run.interrupted()) return;
  run.quantity(name + "_score_error", score_error(net));
  const Both both = run.timed("sample_" + name, [&] {
    return Both{reverse_paths(Equation::ode, score_of(net), start, false, deviation(1)),
                reverse_paths(Equation::sde, score_of(net), start, faults.noise, deviation(1))};
  });
  report_paths(run, name, both);
  run.figure("reverse_" + name, reverse_figure(both, false),
             fmt::format("Reverse paths by the {} network in {} steps, against the heat kernel of the same time. Early "
                         "on both agree; near t = 0 the network's score is too small and the paths stay wider.",
                         name, start.steps));
}

void draw_forward(Run& run, const Faults& faults) {
  Figure kernels{.panels = {{.x = {"x", line}, .y = {"density", Range{0, 1.9}}}},
                 .width = 760,
                 .colours = ColourScale{"t", {0, 1}}};
  for (int k = 1; k <= 20; ++k) {
    Line each = curve([&](double x) { return normal_density(x, kernel_width(0.05 * k, faults.width)); }, line);
    each.value = 0.05 * k;
    kernels.panels[0].layers.emplace_back(std::move(each));
  }
  run.figure("kernels", kernels,
             "The heat kernel from t = .05 to 1: a normal distribution that starts at a point and widens like the "
             "square root of "
             "t at first, faster later, since the diffusivity grows as 1.1^{2t}.");
  Figure forward{.panels = {}, .width = 360, .height = 300};
  Tape tape;
  Draw draw(tape, run.seed(forward_noise));
  for (double t : {0.01, 0.1, 0.5, 1.0}) {
    const Var zero = tape.full(Shape{4096, 1}, 0), at = tape.full(Shape{1, 1}, t);
    const Array x = sde::perturb(ve, zero, at, draw.normal({4096, 1})).value();
    run.quantity(fmt::format("forward_sd_t{:g}", t), sd(column(x, 0)));
    forward.panels.push_back(density_panel(column(x, 0), t, kernel_width(t, faults.width)));
  }
  run.figure("forward", forward,
             "4096 forward paths at four times and the kernel's density: they agree by construction.");
}

// Each of the text's faults alone, beside the corrected reversal from the same seed.
void explain_faults(Run& run, const Start& start, const Both& corrected) {
  const Both noise = exact_reversal(start, {.noise = true}), drift = exact_reversal(start, {.drift = true}),
             narrow = exact_reversal(start, {.start = true});
  const auto beside = [&](const Both& printed, std::size_t i, bool ode) {
    const auto panel = [&](const Both& each) {
      return density_panel(ode ? each.ode[i] : each.sde[i], times[i], deviation(times[i]));
    };
    Figure figure = printed_and_corrected(panel(printed), panel(corrected), 500);
    figure.height = 340;
    share_heights(figure.panels[0], figure.panels[1]);
    return figure;
  };
  run.fault({"noise",
             "The stochastic solver draws its noise by rand_like, uniform on (0, 1), instead of from a normal "
             "distribution: every step pushes to the right, with a twelfth of the variance.",
             {{"mean at t = .25, SDE", mean(noise.sde[2]), mean(corrected.sde[2])},
              {"standard deviation at t = .25, SDE", sd(noise.sde[2]), sd(corrected.sde[2])}}},
            beside(noise, 2, false), "The stochastic reversal at t = .25 with uniform and with normal noise.");
  run.fault({"drift",
             "With the exact score the SDE takes the ODE's drift, half of what it "
             "needs: noise is added that nothing takes away.",
             {{"standard deviation at t = .05, SDE", sd(drift.sde[3]), sd(corrected.sde[3])}}},
            beside(drift, 3, false), "The stochastic reversal at t = .05 with half of the drift and with all of it.");
  run.fault({"start",
             "Reverse paths start with standard deviation 1, the square root of t, although the process has "
             "reached 1.0496 at t = 1.",
             {{"standard deviation at t = .75, ODE", sd(narrow.ode[0]), sd(corrected.ode[0])},
              {"standard deviation at t = .05, ODE", sd(narrow.ode[3]), sd(corrected.ode[3])}}},
            beside(narrow, 3, true), "The reversed ODE at t = .05 from both starts: the error stays to the end.");
  Figure widths{.panels = {{.x = {"x", line}, .y = {"density", Range{0, 0.45}}}}, .width = 760};
  for (bool printed : {true, false}) {
    Line each = curve([&](double x) { return normal_density(x, kernel_width(1, printed)); }, line);
    each.label = printed ? "as printed" : "corrected";
    each.colour = printed ? colour::vermilion : colour::blue;
    widths.panels[0].layers.emplace_back(std::move(each));
  }
  run.fault({"width",
             "The kernels in the first pictures are drawn with width sqrt(t), that of a constant diffusivity, "
             "beside paths of the other process.",
             {{"density at x = 0, t = 1", normal_density(0, 1), normal_density(0, deviation(1))}}},
            widths, "The kernel at t = 1 with both widths.");
}

void study(Run& run, const Faults& faults, Index batch, Index exact_count, Index net_count) {
  run.paragraph(
      "A point on the line is smeared out by the process dx = 1.1^t dW; the heat kernel is its distribution at every "
      "time, and "
      "its score -x/s² is known exactly. Running the process backwards with the exact score shows what a perfect "
      "denoiser does; two networks of a few dozen weights, one that reads the bare time and one with Fourier features "
      "of it, show what learning costs.");
  run.cover("kernels");
  draw_forward(run, faults);
  const Start exact{run.seed(exact_paths), exact_count, 200};
  const Both corrected = run.timed("sample_exact", [&] { return exact_reversal(exact, {}); });
  const Both shown = run.options().as_printed() ? exact_reversal(exact, faults) : corrected;
  report_paths(run, "exact", shown);
  run.figure("reverse_exact", reverse_figure(shown, faults.width),
             "Reverse paths by the exact score in 200 steps: the ODE above, the SDE below.");

  std::vector<Losses> losses;
  Rng plain_rng(run.seed(plain)), embedded_rng(run.seed(embedded));
  nn::TimeMlp plain_net({.dimension = 1, .hidden = {8, 8, 8}, .activation = silu}, plain_rng);
  nn::AdditiveTimeNet embedded_net({.dimension = 1, .width = 8, .features = 256, .scale = 30}, embedded_rng);
  learn(run, plain_net, plain, "plain", {derive_seed(run.seed(plain), 1), net_count, 100}, batch, faults, losses);
  if (!run.interrupted())
    learn(run, embedded_net, embedded, "embedded", {derive_seed(run.seed(embedded), 1), net_count, 100}, batch, faults,
          losses);
  run.figure("losses", loss_curves(losses, 50),
             "Training losses. Features of time with frequencies around 30 make the problem harder, not easier: the "
             "exact answer hardly depends on time.");
  if (!run.interrupted()) explain_faults(run, exact, corrected);
}

}  // namespace

int main(int count, char** arguments) {
  Options options("heat_kernel", "Diffusion and denoising on the line: the heat kernel, its score, and two networks",
                  {.study = 1000, .quick = 200});
  const Index& batch =
      options.size("--batch", {.study = 1024, .quick = 256, .bytes = 200}, "points in each training step");
  const Index& exact =
      options.size("--exact-paths", {.study = 8192, .quick = 1024, .bytes = 200}, "reverse paths by the exact score");
  const Index& paths =
      options.size("--paths", {.study = 4096, .quick = 1024, .bytes = 200}, "reverse paths by each network");
  const bool& noise = options.fault("noise", "uniform instead of normal noise in stochastic reversals");
  const bool& drift = options.fault("drift", "half of the drift in the stochastic reversal by the exact score");
  const bool& start = options.fault("start", "reversals by the exact score start with standard deviation 1");
  const bool& width = options.fault("width", "kernels drawn with width sqrt(t)");
  return run_main(options, count, arguments, [&](Run& run) {
    study(run, {noise, drift, start, width}, batch, exact, paths);
  });
}
