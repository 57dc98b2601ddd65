// The changes that each fault of the text makes.
#include <algorithm>
#include <array>
#include <cmath>

#include "experiments/circle/study.hpp"

namespace wengert::experiments::circle_study {

void explain_sampling(Run& run, const Model& nine, const Model& thousand, const Counts& counts) {
  const auto panel = [&](const Model& model, const Array& points) {
    const Points patterns{.colour = colour::vermilion, .size = 1, .mark = Points::Mark::star};
    Panel shown = scatter(points, "", plane);
    shown.layers.emplace_back(circle(1, colour::grey));
    if (model.k < 100) shown.layers.emplace_back(marks(model.patterns, patterns));
    return shown;
  };
  const auto both = [&](const Model& model, FaultReport report, const std::array<Array, 3>& points,
                        const char* caption) {
    const auto& [printed, corrected, truth] = points;
    report.effects = {{"energy distance", energy_distance(printed, truth), energy_distance(corrected, truth)},
                      {"share within .1 of a pattern", share(nearest_distances(printed, model.patterns), {0, 0.1}),
                       share(nearest_distances(corrected, model.patterns), {0, 0.1})}};
    run.fault(std::move(report), printed_and_corrected(panel(model, printed), panel(model, corrected)), caption);
  };
  const auto learned = [&](const Model& model, const Faults& on) {
    return samples_of(model, model.score, start_points(model, counts.samples, on.start), on, counts.times);
  };
  both(nine,
       {"start",
        "Samples start on the circle, from orthogonalized noise. That is neither the distribution of X_1, a pattern's "
        "transition, nor the N(0, I) which the likelihood assumes there. Quantities with windows are measured from "
        "this start, those named corrected and the pictures from the distribution of X_1."},
       {learned(nine, {.start = true}), learned(nine, {}), nine.patterns},
       "Samples of nine patterns from both starts; distances are to the patterns.");
  both(thousand,
       {"step",
        "The sampler takes 1000 steps on a grid of 999. The last one, .001 long, is taken at t = 1e-5, where the score "
        "is 300 times what it is at t = 1: it carries points off the circle that they had reached, and makes most of "
        "the spurious clusters. Quantities with windows are measured with it."},
       {learned(thousand, {.step = true}), learned(thousand, {}), thousand.patterns},
       "Samples of a thousand patterns with and without the step beyond the grid; distances are to the patterns.");
  const Model narrow{.k = nine.k, .threshold = nine.threshold, .seed = nine.seed, .ve = {.sigma = 0.5}};
  const auto exact = [&](bool squared) {
    return samples_of(narrow, narrow.exact(), start_points(narrow, counts.samples, false), {.noise = squared},
                      counts.times, look);
  };
  Tape tape;
  Draw draw(tape, derive_seed(nine.seed, distribution));
  const Var x0 = index_select(tape.input(nine.patterns), 0, draw.index({counts.samples}, nine.k));
  const Var truth = sde::perturb(narrow.ve, x0, tape.full(Shape{1, 1}, look), draw.normal({counts.samples, 2}));
  both(nine,
       {"noise",
        "The reverse equation has sigma² dW in the place of sigma dW, which sigma = 1 hides. Here with sigma = 1/2 and "
        "the exact score of nine patterns, from t = 1 to .15."},
       {exact(true), exact(false), truth.value()},
       "The distribution of nine patterns at t = .15, sampled by both equations; distances are to that distribution.");
}

void explain_energies(Run& run, const Model& model, const Landscape& found) {
  const auto both = [&](const Faults& on) {
    Figure figure = printed_and_corrected(landscape_panel(model, found, on), landscape_panel(model, found, {}), 480);
    figure.colours = energy_colours;
    return figure;
  };
  run.fault({"prior",
             "The likelihood takes N(0, I) for the distribution at t = 1, where it is a mixture of normal "
             "distributions around the patterns. "
             "The windows' quantities are measured with N(0, I), quantities named corrected with the mixture.",
             {{"correlation with the exact energy", correlation(found.map.printed, found.mixture),
               correlation(found.map.corrected, found.mixture)}}},
            both({.prior = true}), "The landscape of nine patterns with both distributions at t = 1.");
  const auto gap = [&](bool own) {
    const double pattern = lowest(found.patterns.corrected), centre = lowest(found.centres.corrected);
    return own ? 0 : centre - pattern;
  };
  run.fault({"shift",
             "Energies written beside patterns, beside centres, and the map's are each counted from their own lowest, "
             "so that they cannot be compared.",
             {{"lowest energy of a centre above that of a pattern", gap(true), gap(false)}}},
            both({.shift = true}), "The landscape of nine patterns with energies counted in both ways.");
  Figure bessel{.panels = {}, .columns = 2, .width = 500, .height = 300};
  for (bool slope : {false, true})
    for (bool printed : {true, false}) {
      bessel.panels.push_back(bessel_panel(model.ve, slope, printed));
      bessel.panels.back().title = printed ? "as printed" : "corrected";
    }
  const auto reach = [&](bool printed) { return bessel_curve(0.001, model.ve, false, printed).x.back(); };
  const auto slope_at_half = [&](bool printed) { return bessel_curve(look, model.ve, true, printed).y[100]; };
  run.fault({"bessel",
             "The energy of infinitely many patterns is computed by I_0(2 beta R), which overflows beyond 713; scaled "
             "Bessel functions do not. A comment has its slope as -2 R - 2 / beta I_1 / I_0, of the wrong sign and a "
             "factor beta off; the program beside it has 2 (I_1 / I_0 - R).",
             {{"largest R up to 1.5 with a finite energy, t = .001", reach(true), reach(false)},
              {"slope downhill at R = .5, t = .15", slope_at_half(true), slope_at_half(false)}}},
            std::move(bessel), "Energy and slope along the radius: at R = 1 the slope should be about 0.");
}

// The first steps of a training.
void explain_shuffle(Run& run, const Model& model) {
  const std::int64_t steps = std::min<std::int64_t>(1000, model.losses.size()),
                     first = std::max<std::int64_t>(1, steps - 199);
  Model again{.k = model.k, .threshold = model.threshold, .seed = model.seed, .ve = model.ve};
  const Array once =
      run.timed("train_shuffled_once", [&] { return train_score(again, steps, true, "train shuffled once"); });
  Interrupt::heed();
  run.fault(
      {"shuffle",
       "The loader's batches are cycled: the 1000 patterns are shuffled once, and the same two halves come in turn for "
       "ever. Every pattern is met as often either way; the whole training as printed: --as-printed=shuffle.",
       {{fmt::format("mean loss of steps {} to {}", first, steps), mean_loss(once, first, steps).value(),
         mean_loss(model.losses, first, steps).value()}}},
      loss_curves({{"as printed", once}, {"corrected", model.losses}}),
      "Losses with batches shuffled once (the first steps) and for each epoch (all of them).");
}

}  // namespace wengert::experiments::circle_study
