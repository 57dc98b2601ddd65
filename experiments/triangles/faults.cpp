// Likelihoods of triangles, and what each fault of the text changes.
#include <array>
#include <cmath>

#include "experiments/triangles/study.hpp"

namespace wengert::experiments::triangles_study {
namespace {

const double noise_variance = -std::expm1(-2 * ou.theta) * ou.sigma * ou.sigma / (2 * ou.theta);  // at t = 1
const double prior_variance = noise_variance + std::exp(-2 * ou.theta);                           // of X_1

// By the probability flow on the text's grid of times.
sde::LogDensity likelihood(Progress& progress, const sde::Field& score, const Array& points,
                           const sde::Divergence& divergence = {}) {
  Interrupt::heed();
  const auto flow = sde::with_divergence(sde::probability_flow(ou, score), divergence);
  const sde::Solution end =
      sde::Integrator(sde::HeunLeftEnd{}, flow)
          .run(flow.start(points), sde::Grid::uniform(0, 1, 100), {.noise = sde::Noise::drawn(divergence.seed)});
  sde::LogDensity found = flow.log_density(end.require(), std::sqrt(prior_variance));
  progress.step();
  return found;
}

// log p as it is, or with faults: twice the integral of the divergence less, another prior at the flow's end.
std::vector<double> log_density(const sde::LogDensity& found, const Faults& faults) {
  const auto prior = [](double squares, double sd) { return -0.5 * squares / (sd * sd) - dimension * std::log(sd); };
  std::vector<double> values;
  for (Index row = 0; row < found.delta_log_p.size(); ++row) {
    double value = found.log_density.at(row), squares = 0;
    for (Index j = 0; j < dimension; ++j) squares += std::pow(found.end.at(row * dimension + j), 2);
    if (faults.sign) value -= 2 * found.delta_log_p.at(row);
    if (faults.variance) value += prior(squares, noise_variance) - prior(squares, std::sqrt(prior_variance));
    values.push_back(value);
  }
  return values;
}

// The text's two probes against the exact trace. Two of them say little of their error: it is that of many, scaled.
void report_probes(Run& run, Progress& progress, const sde::Field& score, const Array& points,
                   const sde::LogDensity& exact) {
  constexpr Index few = 2, many = 64;
  const sde::LogDensity two = likelihood(progress, score, points, {.probes = few, .seed = run.seed(few_probes)}),
                        rest = likelihood(progress, score, points, {.probes = many, .seed = run.seed(many_probes)});
  std::vector<double> squares, errors;
  for (Index i = 0; i < exact.delta_log_p.size(); ++i) {
    const double off = two.delta_log_p.at(i) - exact.delta_log_p.at(i);
    squares.push_back(off * off);
    errors.push_back(std::abs(off) / (rest.standard_error.at(i) * std::sqrt(static_cast<double>(many) / few)));
  }
  run.quantity("two_probes_rms_difference", std::sqrt(mean(squares)));
  run.quantity("two_probes_within_3_standard_errors", share(errors, {0, 3}));
}

struct Maps {
  Field base, tuned;
};

Field change(const Maps& maps) {
  Field result = maps.tuned;
  for (std::size_t i = 0; i < result.values.size(); ++i) result.values[i] -= maps.base.values[i];
  return result;
}

void draw_maps(Run& run, const Maps& shown, const Maps& good, const Maps& printed) {
  const auto pair = [](const Maps& maps) {
    return field_maps({{"base model", maps.base}, {"tuned model", maps.tuned}}, map_axes, "log p");
  };
  run.figure(
      "log_p", pair(shown),
      "log p of standardised features at triangles with sides (.2 u, .2 v, .2), by the probability flow with the "
      "exact trace; grey is no triangle. Data have sorted sides, u below v, and are rarely so small.");
  run.figure("log_p_as_printed", pair(printed),
             "The same maps as the text computes them: at bare sides and their sum, with the divergence subtracted and "
             "a variance for the prior's standard deviation. What is no triangle has a density, too.");
  run.figure(
      "log_p_change",
      field_maps({{"as printed", change(printed)}, {"corrected", change(good)}}, map_axes, "log p, tuned − base", true),
      "What tuning adds to log p, in the text's maps and in the corrected ones.");
}

double mean_where(const Field& field, const Field& where) {
  std::vector<double> values;
  for (std::size_t i = 0; i < field.values.size(); ++i)
    if (!std::isnan(where.values[i])) values.push_back(field.values[i]);
  return mean(values);
}

}  // namespace

void report_maps(Run& run, const sde::Field& base, const sde::Field& tuned, const TriangleMap& corrected,
                 const TriangleMap& bare, const Faults& faults) {
  Progress progress("log p", 6);
  const auto of_both = [&](const Array& points) {
    return std::array{likelihood(progress, base, points), likelihood(progress, tuned, points)};
  };
  const auto right = of_both(corrected.points()), wrong = of_both(bare.points());
  const auto maps = [&](const Faults& f) {
    const TriangleMap& map = f.standardisation ? bare : corrected;
    const auto& [of_base, of_tuned] = f.standardisation ? wrong : right;
    return Maps{map.field(log_density(of_base, f)), map.field(log_density(of_tuned, f))};
  };
  const Maps good = maps({}), shown = maps(faults);
  run.quantity("prior_variance", prior_variance, noise_variance);
  run.quantity("base_mean_log_p", mean_where(shown.base, good.base));
  run.quantity("tuned_mean_log_p", mean_where(shown.tuned, good.base));
  report_probes(run, progress, base, corrected.points(), right[0]);
  draw_maps(run, shown, good, maps({.sign = true, .variance = true, .standardisation = true}));
  const auto explain = [&](const char* name, const Faults& fault, const char* text, const char* caption) {
    const Maps printed = maps(fault);
    run.fault({name,
               text,
               {{"mean log p over triangles, base model", mean_where(printed.base, good.base),
                 mean_where(good.base, good.base)},
                {"the same, tuned model", mean_where(printed.tuned, good.base), mean_where(good.tuned, good.base)}}},
              map_beside_corrected(printed.base, good.base), caption);
  };
  explain("sign", {.sign = true},
          "The integral of the divergence along the flow is subtracted from log p, where it is to be added.",
          "log p of the base model with the wrong sign, and against the right one.");
  explain("variance", {.variance = true},
          "The prior at t = 1 is given the process' own variance, .188, without what is left of the data's (.737 in "
          "all), and that in the place of a standard deviation.",
          "log p of the base model with a prior of standard deviation .188, and against that with √.737.");
  explain("standardisation", {.standardisation = true},
          "The network is fed (a, b, c, a + b + c) as it stands, although it has learned standardised features "
          "(a/l, b/l, c/l, l). Every cell then has a density, whether or not it is a triangle.",
          "log p of the base model at bare sides, and against that at features.");
}

void explain_filter(Run& run, const Data& data, const Filtered& printed, const Filtered& corrected) {
  const Summary bad("printed", printed.samples, data), good("corrected", corrected.samples, data);
  run.fault({"filter",
             "Which samples become data of a round is decided on lengths that were mapped by (x + 1) / 2, which makes "
             "triangles of nearly everything: the model is trained on what are no triangles, too.",
             {{"share of samples kept, mean of the rounds", printed.tuning.kept(), corrected.tuning.kept()},
              {"valid triangles of the tuned model", bad.shares.valid, good.shares.valid},
              {"mean distance to the 5th neighbour", bad.knn5, good.knn5}}},
            printed_and_corrected(triangle_forms(data.features.sides(printed.samples), data.sides, ""),
                                  triangle_forms(data.features.sides(corrected.samples), data.sides, ""), 560),
            "Samples of the tuned model.");
}

}  // namespace wengert::experiments::triangles_study
