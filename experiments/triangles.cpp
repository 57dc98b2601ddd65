// Maximal manifold exploration: a score model of triangles, fine-tuned towards the largest entropy among triangles.
//
// A triangle is (a/l, b/l, c/l, l), its sides over the perimeter and the perimeter, standardised. A ReLU network learns
// the score of 1024 of them under an Ornstein-Uhlenbeck process. S-MEME then trains a small correction of the frozen
// score in rounds: what the model samples and is a triangle is its data, and the correction follows minus the score
// that the round began with, the gradient of the entropy's first variation.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "autodiff/io/npy.hpp"
#include "experiments/triangles/study.hpp"

using namespace wengert;
using namespace wengert::experiments;
using namespace wengert::experiments::triangles_study;

namespace {

constexpr Index epoch = 100, batch = 32;  // steps; points in a step
constexpr double earliest = 1e-5;         // time of training
constexpr std::array printed_losses{9.831674518585205, 8.875641875267029, 7.230103254318237, 6.708644905090332,
                                    6.852216730117798, 6.594032688140869, 6.36336841583252,  6.358727502822876,
                                    6.288545458316803, 6.413940625190735, 6.402638936042786, 6.364014232158661,
                                    6.027213461399079, 6.342818851470947, 6.288363084793091, 6.352544288635254};
struct Sizes {
  Index samples, rounds, inner_epochs, cells;
};

Array train_score(const nn::TimeMlp& score, nn::Adam& adam, const Run& run, const Array& data) {
  nn::TrainStep step(adam, run.seed(training), [&](Draw& draw) {
    const Var x0 = index_select(draw.tape().input(data), 0, draw.index({batch}, data.shape()[0]));
    const Var t = draw.uniform({batch, 1}, earliest, 1), z = draw.normal({batch, dimension});
    return sde::normalised_denoising_loss(ou, score, x0, t, z);
  });
  return train("train", run.options().steps(), step);
}

// Predictor-corrector samples from N(0, I).
template <class Score>
Array samples(const std::string& part, const Score& score, std::uint64_t seed, Index count) {
  sde::Integrator sampler(sde::PredictorCorrector{.snr = 0.15}, sde::reverse(ou, score));
  return sample(part, sampler, Rng(seed).normal({Dtype::f32, {count, dimension}}), sde::Grid::uniform(1, 0, 100),
                {.noise = sde::Noise::drawn(derive_seed(seed, 1))});
}

// The rows that are triangles. As printed, lengths are mapped by (x + 1) / 2 and sorted before.
Array survivors(const Array& x, const TriangleFeatures& features, bool printed) {
  std::vector<std::int32_t> kept;
  for (std::int32_t row = 0; Sides s : features.sides(x)) {
    if (printed) {
      for (double& side : s) side = (side + 1) / 2;
      std::sort(s.begin(), s.end());
    }
    if (printed ? s[0] + s[1] > s[2] : is_triangle(s)) kept.push_back(row);
    ++row;
  }
  if (kept.empty()) throw Error("no sample is a triangle: more --steps are needed");
  Tape tape;
  return index_select(tape.input(x), 0, tape.input(Array::of<std::int32_t>({std::ssize(kept)}, kept))).value();
}

// S-MEME: one correction and one optimizer through all rounds.
Tuning tune(const nn::Frozen<nn::TimeMlp>& base, const Run& run, const Data& data, const Sizes& sizes, bool printed) {
  Rng rng(run.seed(correction));
  Tuning result{Tuned(base, {.dimension = dimension, .hidden = {64, 64}}, rng)};
  Tuned& student = result.score;
  Tuned teacher = student;
  nn::Adam adam(student, {.lr = 1e-4, .weight_decay = 0.01});
  const auto regress = [&](Index round, const sde::RewardGradient& gradient) {
    const std::uint64_t seed = derive_seed(run.seed(tuning), static_cast<std::uint64_t>(round));
    const Array kept = survivors(samples(fmt::format("sample, round {}", round), student, seed, sizes.samples),
                                 data.features, printed);
    const Index count = kept.shape()[0];
    const auto loss = [&](Draw& draw, Var x0) {
      const Var t = draw.uniform({x0.extent(0), 1}, earliest, 1), z = draw.normal(x0.shape());
      return sde::proximal_loss(student, teacher, gradient, sde::perturb(ou, x0, t, z), t,
                                {.beta = 5, .lambda = 0.001, .near = 0.1});
    };
    nn::TrainStep step(adam, seed, [&](Draw& draw) {
      const sde::ProximalLoss parts = loss(draw, index_select(draw.tape().input(kept), 0, draw.index({batch}, count)));
      return nn::Loss{parts.loss, {{"proximity", parts.proximity}, {"direction", parts.direction}}};
    });
    const Index steps = sizes.inner_epochs * std::max<Index>(1, count / batch);
    const Array losses = train(fmt::format("tune, round {}", round), steps, step);
    Tape tape;
    Draw draw(tape, derive_seed(seed, 2));
    const sde::ProximalLoss end = loss(draw, tape.input(kept));
    result.rounds.push_back({static_cast<double>(count) / static_cast<double>(sizes.samples), losses,
                             end.proximity.item(), end.direction.item()});
    return !run.interrupted();
  };
  sde::maximise_entropy(student, teacher, sizes.rounds, regress);
  return result;
}

void report_rounds(Run& run, const Tuning& tuning, Index inner_epochs) {
  static constexpr std::array colours{colour::black, colour::blue, colour::sky, colour::green, colour::vermilion};
  Panel losses{.x = {"inner epoch", Range{1, static_cast<double>(std::max<Index>(inner_epochs, 2))}},
               .y = {"mean loss"},
               .layers = {}};
  TableReport table{"Rounds of fine-tuning", {"share kept", "proximity at the end", "direction"}};
  for (std::size_t k = 0; k < tuning.rounds.size(); ++k) {
    const Round& round = tuning.rounds[k];
    const std::string name = fmt::format("round {}", k + 1);
    table.rows.push_back({name, {round.kept, round.proximity, round.direction}});
    Line line = by_epoch(epoch_losses(round.losses, std::max<Index>(1, round.losses.size() / inner_epochs)));
    line.label = name;
    line.colour = colours[k % colours.size()];
    losses.layers.emplace_back(std::move(line));
    save_npy(run.file(fmt::format("inner_losses_{}.npy", k + 1)), round.losses);
  }
  run.quantity("share_kept", tuning.kept());
  run.table(std::move(table));
  run.figure("inner_losses", {.panels = {std::move(losses)}, .width = 900},
             "Mean proximal loss of each inner epoch. Every round begins with no change of the score, loss 0, and ends "
             "far from its optimum, a change of 2500 times minus the score: ten epochs at this rate go a small step in "
             "that direction.");
}

constexpr ClassShares printed_base{.valid = 0.96875,
                                   .scalene = 0.991211,
                                   .isosceles = 0.008789,
                                   .equilateral = 0,
                                   .acute = 0.604492,
                                   .obtuse = 0.391602,
                                   .right = 0.003906};
constexpr ClassShares printed_tuned{.valid = 0.958008,
                                    .scalene = 0.961914,
                                    .isosceles = 0.036133,
                                    .equilateral = 0.001953,
                                    .acute = 0.879883,
                                    .obtuse = 0.119141,
                                    .right = 0.000977};

void report_samples(Run& run, const Data& data, const Summary& base, const Summary& tuned) {
  TableReport table{"Classes of triangles, shares", {"data", "base", "base, printed", "tuned", "tuned, printed"}};
  const ClassShares given = class_shares(data.sides);
  for (const auto& [name, share] : ClassShares::all)
    table.rows.push_back(
        {name, {given.*share, base.shares.*share, printed_base.*share, tuned.shares.*share, printed_tuned.*share}});
  run.table(std::move(table));
  for (const auto& [summary, printed] : {std::pair{&base, &printed_base}, {&tuned, &printed_tuned}}) {
    for (const auto& [name, share] : ClassShares::all)
      run.quantity(summary->name + "_" + name, summary->shares.*share, printed->*share);
    run.quantity(summary->name + "_knn5_mean", summary->knn5);
  }
  run.quantity("valid_change", tuned.shares.valid - base.shares.valid, printed_tuned.valid - printed_base.valid);
  run.quantity("knn5_change", tuned.knn5 - base.knn5);
}

void study(Run& run, const Faults& faults, const Sizes& sizes) {
  run.paragraph(
      "A diffusion model samples what its data have most of. Fine-tuning for entropy pushes it to the rims of what its "
      "data allow: each round raises the distribution to a power below one, for which minus the score is gradient "
      "enough; no "
      "density and no new data are needed. Triangles make a small world of it, since three inequalities decide whether "
      "three lengths are one.");
  const Data data;
  const TriangleMap corrected(data.features, sizes.cells), bare(data.features, sizes.cells, true);
  Rng rng(run.seed(weights));
  nn::TimeMlp score(
      {.dimension = dimension, .hidden = {256, 256, 256, 256}, .activation = relu, .features = 64, .zero_output = true},
      rng);
  nn::Adam adam(score, {.lr = 0.01});
  const Array losses = run.timed("train", [&] { return train_score(score, adam, run, data.x); });
  nn::save(score, run.file("model.safetensors"));
  save_npy(run.file("losses.npy"), losses);
  run.quantity("loss_first_epoch", mean_loss(losses, 1, epoch), printed_losses.front());
  run.quantity("loss_last_5_epochs", mean_loss(losses, losses.size() - 5 * epoch + 1, losses.size()),
               mean(std::span(printed_losses).last(5)));
  run.figure("losses", losses_beside(epoch_losses(losses, epoch), printed_losses),
             "Mean loss of each epoch beside the printed ones. The score 0 has 9.68.");
  if (run.interrupted()) return;

  const nn::Frozen<nn::TimeMlp> frozen(score);
  const auto sampled = [&](const std::string& part, const auto& model, Part seed) {
    return run.timed("sample", [&] { return samples(part, model, run.seed(seed), sizes.samples); });
  };
  const Array base = sampled("sample, base", score, base_samples);
  const Tuning tuning = run.timed("tune", [&] { return tune(frozen, run, data, sizes, faults.filter); });
  const Array tuned = sampled("sample, tuned", tuning.score, tuned_samples);
  nn::save(tuning.score, run.file("tuned.safetensors"));
  save_npy(run.file("base_samples.npy"), base);
  save_npy(run.file("tuned_samples.npy"), tuned);
  const std::vector<Sides> of_base = data.features.sides(base), of_tuned = data.features.sides(tuned);
  report_samples(run, data, {"base", base, data}, {"tuned", tuned, data});
  run.cover("samples");
  run.figure(
      "samples",
      {.panels = {triangle_forms(of_base, data.sides, "base model"),
                  triangle_forms(of_tuned, data.sides, "tuned model")},
       .width = 560},
      "Samples of both models by their form. Triangles with sorted sides, as all data are, lie between the lines, "
      "acute ones above the arc. The tuned model has spread beyond the rims.");
  for (bool scaled : {false, true})
    run.figure(scaled ? "scaled_triangles" : "triangles",
               {.panels = {drawn_triangles(data.sides, "data", scaled), drawn_triangles(of_base, "base model", scaled),
                           drawn_triangles(of_tuned, "tuned model", scaled)},
                .width = 520},
               scaled ? "The same with perimeter 1, as the network sees their form."
                      : "The first 25 triangles of the data and among the samples of each model (with sides up to "
                        "1.25), the longest side down.");
  report_rounds(run, tuning, sizes.inner_epochs);
  if (run.interrupted()) return;
  run.timed("maps", [&] { report_maps(run, score, tuning.score, corrected, bare, faults); });
  if (run.interrupted()) return;
  const Tuning other = run.timed("tune_other_filter", [&] { return tune(frozen, run, data, sizes, !faults.filter); });
  const Array by_other = samples("sample, tuned", other.score, run.seed(tuned_samples), sizes.samples);
  const Filtered one{tuning, tuned}, two{other, by_other};
  explain_filter(run, data, faults.filter ? one : two, faults.filter ? two : one);
}

}  // namespace

int main(int count, char** arguments) {
  Options options("triangles", "Maximal manifold exploration: a score model of triangles, fine-tuned for entropy",
                  {.study = 16 * epoch, .quick = 4 * epoch});
  const Index& samples =
      options.size("--samples", {.study = 1024, .quick = 256, .bytes = 500}, "triangles to sample, in each round too");
  const Index& rounds = options.size("--rounds", {.study = 5, .quick = 2}, "of fine-tuning");
  const Index& inner = options.size("--inner-epochs", {.study = 10, .quick = 5}, "of each round, over its samples");
  const Index& cells = options.size("--cells", {.study = 40, .quick = 14, .least = 2, .most = 4000},
                                    "of the maps of log p, along each axis");
  const bool& sign = options.fault("sign", "the integral of the divergence is subtracted from log p");
  const bool& variance = options.fault("variance", "a variance, .188, for the standard deviation of the prior");
  const bool& standardisation =
      options.fault("standardisation", "log p at bare sides instead of standardised features");
  const bool& filter = options.fault("filter", "fine-tuning keeps what is no triangle");
  return run_main(options, count, arguments, [&](Run& run) {
    study(run, {sign, variance, standardisation, filter}, {samples, rounds, inner, cells});
  });
}
