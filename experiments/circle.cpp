// From associative memory to generative model: networks learn the score of 2, 9 and 1000 points of a circle.
//
// The process dx = sigma dW spreads the points, called patterns; a small network learns the score by the loss
// mean((s net + z)^2). -log p of the learned model, by its probability flow, is an energy landscape: few patterns are
// its minima, as of an associative memory; with more of them come minima elsewhere; with a thousand it is a circular
// valley. Mixtures of finitely many transitions, and Bessel functions for infinitely many, are the exact answers.
#include <algorithm>
#include <array>
#include <cmath>

#include "autodiff/io/npy.hpp"
#include "experiments/circle/study.hpp"

namespace wengert::experiments::circle_study {

Array train_score(Model& model, std::int64_t steps, bool once, const std::string& part) {
  const Index batch = std::min<Index>(500, model.k);
  nn::Adam adam(model.score, {.lr = 1e-4, .common = {.ema_decay = 0.9999}});
  const auto loss = [&](Draw& draw, std::span<const Var> in) {
    const Var t = draw.uniform({batch, 1}, 1e-5, 1), z = draw.normal({batch, 2});
    return sde::denoising_loss(model.ve, model.score, in[0], t, z);
  };
  nn::TrainStep step(adam, derive_seed(model.seed, training), {{Dtype::f32, {batch, 2}}}, loss);
  const Array losses = train(part, steps, step, Batches(model.patterns, batch, derive_seed(model.seed, order), once));
  if (losses.size() > 0) adam.exchange_averages();
  return losses;
}

Array start_points(const Model& model, Index count, bool on_circle) {
  Tape tape;
  Draw draw(tape, derive_seed(model.seed, starts));
  const Var z = draw.normal({count, 2});
  if (on_circle) return (model.ve.sigma * z / norm(z, {1}, {.keepdims = true})).value();
  const Var x0 = index_select(tape.input(model.patterns), 0, draw.index({count}, model.k));
  return sde::perturb(model.ve, x0, tape.full(Shape{1, 1}, 1), z).value();
}

Array samples_of(const Model& model, const sde::Field& score, const Array& start, const Faults& faults, Index times,
                 double to) {
  const double h = (1 - to) / static_cast<double>(times - 1);
  const sde::Field noise = [&](Var, Var t) {
    return faults.noise ? square(model.ve.diffusion(t)) : model.ve.diffusion(t);
  };
  sde::Integrator sampler(sde::EulerMaruyama{}, sde::ReverseSde({sde::reverse(model.ve, score).drift, noise}, score));
  return sample("sample " + model.title(), sampler, start,
                faults.step ? sde::Grid::uniform(1, to - h, times) : sde::Grid::uniform(1, to, times - 1),
                {.noise = sde::Noise::drawn(derive_seed(model.seed, sampling)), .denoise_last = true});
}

Energies energies(const Model& model, const Array& points) {
  const auto flow =
      sde::with_divergence(sde::probability_flow(model.ve, sde::in_dtype(Dtype::f32, std::cref(model.score))));
  sde::Integrator integrator(sde::DormandPrince{}, flow);
  const sde::Tolerance tolerance{.from = look, .to = 1, .rtol = 1e-5, .atol = 1e-5};
  const sde::LogDensity found =
      flow.log_density(integrator.run(flow.start(points.cast(Dtype::f64)), tolerance).require(), model.ve.prior_std());
  const sde::Empirical exact = model.exact();
  const Array end = evaluated([&](Var x, Var t) { return exact.log_density(x, t); }, found.end, 1);
  Energies result;
  for (Index i = 0; i < end.size(); ++i) {
    result.printed.push_back(-found.log_density.at(i));
    result.corrected.push_back(-end.at(i) - found.delta_log_p.at(i));
  }
  return result;
}

namespace {

constexpr std::array<std::pair<Index, double>, 3> sizes{{{2, 3}, {9, 2}, {1000, 0.45}}};  // K, threshold of clusters

void report_samples(Run& run, const Model& model, const std::string& start, const Array& samples) {
  const std::vector<double> near = nearest_distances(samples, model.patterns), x = column(samples, 0),
                            y = column(samples, 1);
  std::vector<double> radii;
  for (std::size_t i = 0; i < x.size(); ++i) radii.push_back(std::hypot(x[i], y[i]));
  const Clusters found = clusters_below(samples, ward(samples), model.threshold);
  const std::vector<double> astray = nearest_distances(found.centres, model.patterns);
  const auto quantity = [&](const char* name, double value) { run.quantity(model.quantity(start + name), value); };
  quantity("share_within_0.1", share(near, {0, 0.1}));
  quantity("share_within_0.2", share(near, {0, 0.2}));
  quantity("radius_mean", mean(radii));
  quantity("clusters", static_cast<double>(found.count()));
  quantity("clusters_beyond_0.2",
           static_cast<double>(std::count_if(astray.begin(), astray.end(), [](double d) { return d > 0.2; })));
  quantity("energy_distance", energy_distance(samples, model.patterns));
}

// Samples as the windows have them, by the text's sampler, and the corrected ones, of which pictures are drawn; the
// same of the energies by the text's distribution at t = 1 and by the true one.
Landscape explore(Run& run, const Model& model, const Faults& faults, const Counts& counts) {
  Landscape result;
  const Faults text{.noise = faults.noise, .start = true, .step = true};
  const Array printed = run.timed("sample", [&] {
    result.samples =
        samples_of(model, model.score, start_points(model, counts.samples, faults.start), faults, counts.times);
    return samples_of(model, model.score, start_points(model, counts.samples, true), text, counts.times);
  });
  save_npy(run.file(model.file("samples") + ".npy"), result.samples);
  run.timed("clusters", [&] {
    report_samples(run, model, "", printed);
    if (!faults.start && !faults.step && !faults.noise) report_samples(run, model, "corrected_", result.samples);
    result.clusters = clusters_below(result.samples, ward(result.samples), model.threshold);
  });
  const Array grid = lattice(plane, plane, counts.cells).cast(Dtype::f64);
  result.map = run.timed(model.file("energy_map"), [&] { return energies(model, grid); });
  result.surface =
      run.timed(model.file("surface"), [&] { return energies(model, lattice(plane, plane, counts.surface_cells)); });
  run.timed("energies_of_points", [&] {
    result.patterns = energies(model, first_rows(model.patterns, 200));
    result.centres = energies(model, result.clusters.centres);
  });
  save_npy(run.file(model.file("centres") + ".npy"), result.clusters.centres);
  run.timed("exact_energies", [&] {
    const sde::UniformCircle circle(model.ve);
    result.mixture = column(evaluated([&](Var x, Var t) { return -model.exact().log_density(x, t); }, grid, look), 0);
    result.bessel = column(evaluated([&](Var x, Var t) { return -circle.log_density(x, t); }, grid, look), 0);
  });
  for (const auto& [prefix, map, patterns] : {std::tuple{"", &result.map.printed, &result.patterns.printed},
                                              {"corrected_", &result.map.corrected, &result.patterns.corrected}}) {
    const std::string start = prefix;
    run.quantity(model.quantity(start + "energy_vs_mixture_correlation"), correlation(*map, result.mixture));
    run.quantity(model.quantity(start + "energy_vs_bessel_correlation"), correlation(*map, result.bessel));
    run.quantity(model.quantity(start + "patterns_mean_log_p"), -mean(*patterns));
  }
  run.quantity(model.quantity("mixture_vs_bessel_correlation"), correlation(result.mixture, result.bessel));
  const double zero = lowest(result.map.shown(faults));
  run.quantity(model.quantity("patterns_mean_energy"), mean(above(result.patterns.shown(faults), zero)));
  run.quantity(model.quantity("centres_mean_energy"), mean(above(result.centres.shown(faults), zero)));
  return result;
}

// Weights and losses that a run has left in a folder.
void load(Model& model, const std::filesystem::path& folder) {
  const auto weights_file = folder / (model.file("model") + ".safetensors");
  const auto losses_file = folder / (model.file("losses") + ".npy");
  for (const auto& file : {weights_file, losses_file})
    if (!std::filesystem::exists(file)) throw Error(fmt::format("--weights: there is no '{}'", file.string()));
  nn::load(model.score, weights_file);
  model.losses = load_npy(losses_file);
  if (model.losses.dtype() != Dtype::f32 || model.losses.shape().rank() != 1)
    throw Error(fmt::format("--weights: '{}' has {}, wanted f32 [steps]", losses_file.string(),
                            to_string(model.losses.type())));
}

std::vector<Model> new_models(const Run& run, double sigma) {
  std::vector<Model> models;
  for (std::uint64_t i = 0; i < sizes.size(); ++i)
    models.push_back({.k = sizes[i].first, .threshold = sizes[i].second, .seed = run.seed(i), .ve = {.sigma = sigma}});
  return models;
}

// Those of this run's seed, after a look at those of all others, so that none is missed when the first are done.
void load_all(Run& run, std::vector<Model>& models, double sigma, const std::filesystem::path& folder) {
  std::vector<Model> others = new_models(run, sigma);
  for (std::uint64_t seed : run.options().seeds())
    for (Model& other : others) load(other, seed_folder(run.options(), seed, folder));
  for (Model& model : models) {
    load(model, seed_folder(run.options(), run.seed(), folder));
    if (model.losses.size() != run.options().steps()) run.windows_apply(false);
  }
}

void learn(Run& run, Model& model, const Faults& faults, bool loaded) {
  if (!loaded) {
    model.losses = run.timed(model.file("train"), [&] {
      return train_score(model, run.options().steps(), faults.shuffle, "train " + model.title());
    });
  }
  nn::save(model.score, run.file(model.file("model") + ".safetensors"));
  save_npy(run.file(model.file("losses") + ".npy"), model.losses);
  run.quantity(model.quantity("loss_last_5000"),
               mean_loss(model.losses, model.losses.size() - 4999, model.losses.size()));
}

void study(Run& run, const Faults& faults, double sigma, const Counts& counts, const std::filesystem::path& folder) {
  run.paragraph(
      "What a network makes of few points is a memory: the minima of its energy -log p are the points themselves. With "
      "more of them come minima between them, spurious ones; with a thousand all that is left is the circle they lie "
      "on, and the memory has become a generative model. The exact energies, of finitely many patterns and of "
      "infinitely many, show how far the network is from either.");
  std::vector<Model> models = new_models(run, sigma);
  const bool loaded = !folder.empty();
  if (loaded) load_all(run, models, sigma, folder);

  std::vector<Losses> losses;
  Figure landscapes{.panels = {}, .width = 540, .colours = energy_colours}, surfaces = landscapes;
  surfaces.width = 460;
  surfaces.height = 400;
  std::vector<Landscape> found;
  try {
    for (Model& model : models) {
      learn(run, model, faults, loaded);
      losses.push_back({model.title(), model.losses});
      Interrupt::heed();
      found.push_back(explore(run, model, faults, counts));
      landscapes.panels.push_back(landscape_panel(model, found.back(), faults));
      surfaces.panels.push_back(surface_panel(model, found.back(), faults));
      Interrupt::heed();
    }
  } catch (const Interrupted&) {  // what was found is drawn all the same
  }
  if (!found.empty()) {
    run.cover("landscapes");
    run.figure(
        "landscapes", std::move(landscapes),
        "-log p at t = .15 of the learned models with the score, samples, and energies of patterns (red) and of "
        "centres of the samples' clusters (blue). Two patterns are two minima. Of nine, neighbours share one, and "
        "centres lie between them. Of a thousand, too many to mark samples and centres, a circular valley is left.");
    run.figure("surfaces", std::move(surfaces), "The same energies as surfaces, cut off at 8.");
    run.figure(
        "exact", exact_figure(models, found, faults),
        "Energies and scores at t = .15, exact above and learned below. The network is close to the mixture that "
        "it was trained on, a little smoother, and for a thousand patterns both are close to infinitely many.");
    Figure radius = along_radius(models[0].ve, faults.bessel);
    if (found.size() == models.size()) add_learned(radius, models.back(), faults);
    run.figure(
        "radius", std::move(radius),
        "The exact energy of infinitely many patterns along the radius, which tends to (R - 1)² as t falls, and "
        "its slope, which leads to R = 1. Dashed: a thousand patterns as learned, at t = .15, means over directions.");
  }
  run.figure("losses", loss_curves(losses, 1000),
             "Training losses. What is left is the noise that nobody can tell from a pattern, and more patterns leave "
             "more of it.");
  Interrupt::heed();
  run.timed("faults", [&] { explain_sampling(run, models[1], models[2], counts); });
  explain_energies(run, models[1], found[1]);
  if (!loaded && !faults.shuffle) explain_shuffle(run, models[2]);
}

}  // namespace
}  // namespace wengert::experiments::circle_study

int main(int count, char** arguments) {
  using namespace wengert::experiments;
  Options options("circle", "From associative memory to generative model: 2, 9 and 1000 points of a circle",
                  {.study = 50000, .quick = 60});
  const std::int64_t& samples =
      options.size("--samples", {.study = 1500, .quick = 200, .bytes = 500}, "points to sample, of each model");
  const std::int64_t& times =
      options.size("--times", {.study = 1000, .quick = 100, .least = 2}, "of the sampler, from 1 to 1e-5");
  const std::int64_t& cells = options.size("--cells", {.study = 75, .quick = 25, .least = 2, .most = 4000},
                                           "of the energy maps' grid, along each axis");
  const std::int64_t& surface_cells =
      options.size("--surface-cells", {.study = 100, .quick = 30, .drawing = true, .least = 2, .most = 4000},
                   "likewise, of the surfaces'");
  const double& sigma = options.real("--sigma", {.study = 1, .low = 0.1, .high = 10}, "of the process dx = sigma dW");
  const std::filesystem::path& folder =
      options.path("--weights", "folder of a run whose weights are used: nothing is trained");
  const bool& noise = options.fault("noise", "reverse noise sigma^2 dW; the same where sigma is 1");
  const bool& start = options.fault("start", "samples start on the circle");
  const bool& step = options.fault("step", "a step of the sampler beyond its grid");
  const bool& prior =
      options.fault("prior", "N(0, I) taken for the distribution at t = 1 in the energies that are drawn");
  const bool& shift = options.fault("shift", "energies of patterns and of centres counted from different zeros");
  const bool& shuffle = options.fault("shuffle", "patterns shuffled once, not for each epoch");
  const bool& bessel =
      options.fault("bessel", "exact energies by I_0, which overflows, and their slope as a comment has it");
  return run_main(options, count, arguments, [&](Run& run) {
    circle_study::study(run, {noise, start, step, prior, shift, shuffle, bessel}, sigma,
                        {samples, times, cells, surface_cells}, folder);
  });
}
