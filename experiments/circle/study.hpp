// The common parts of the study `circle`: circle.cpp is the study, figures.cpp draws it, faults.cpp says
// what its text's faults change.
#pragma once
#include <fmt/format.h>

#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "experiments/circle/landscape.hpp"
#include "experiments/common/common.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"

namespace wengert::experiments::circle_study {

constexpr double look = 0.15;  // the time at which energies are looked at
constexpr Range plane{-1.5, 1.5};
inline const ColourScale energy_colours{"energy above the lowest", {0, 8}};

// The parts that the seed of a run is divided into, for each number of patterns.
enum Part : std::uint64_t { weights, order, training, starts, sampling, distribution };

// Faults of the text, as --as-printed names them.
struct Faults {
  bool noise = false, start = false, step = false, prior = false, shift = false, shuffle = false, bessel = false;
};

// K points of the circle, and the network that learns them.
struct Model {
  Index k;
  double threshold;  // of clusters of samples
  std::uint64_t seed;
  sde::VeConstant ve;
  Array patterns = study_data(fmt::format("circle_{}", k));
  nn::ScaledScoreNet score = fresh(seed, ve);
  Array losses{};

  static nn::ScaledScoreNet fresh(std::uint64_t seed, const sde::VeConstant& ve) {
    Rng rng(derive_seed(seed, weights));
    return nn::ScaledScoreNet({.standard_deviation = [ve](Var t) { return ve.std(t); }}, rng);
  }
  sde::Empirical<sde::VeConstant> exact() const { return {ve, patterns}; }
  std::string title() const { return fmt::format("K = {}", k); }
  std::string quantity(const std::string& name) const { return fmt::format("circle_k{}.{}", k, name); }
  std::string file(const std::string& name) const { return fmt::format("{}_k{}", name, k); }
};

// The losses of a training, which leaves the network with the moving averages of its weights. As printed, patterns are
// shuffled `once`.
Array train_score(Model& model, std::int64_t steps, bool once, const std::string& part);

// Points from the distribution of X_1, a pattern's transition; as printed, from the circle.
Array start_points(const Model& model, Index count, bool on_circle);

// The reverse equation by Euler-Maruyama at `times` equally distant times from 1 to 1e-5, or `to`. As printed, a
// further step of the same length follows there, and noise has sigma^2 in the place of sigma.
Array samples_of(const Model& model, const sde::Field& score, const Array& start, const Faults& faults, Index times,
                 double to = 1e-5);

// Energies -log p at t = .15. The flow ends at t = 1, where the distribution is taken to be N(0, sigma^2 I) as printed,
// and is the mixture of the patterns' transitions.
struct Energies {
  std::vector<double> printed, corrected;
  const std::vector<double>& shown(const Faults& faults) const { return faults.prior ? printed : corrected; }
};

Energies energies(const Model& model, const Array& points);

// The findings about one model. Energies of centres are those of its clusters.
struct Landscape {
  Array samples{};
  Clusters clusters{};
  Energies map{}, surface{}, patterns{}, centres{};
  std::vector<double> mixture{}, bessel{};  // the exact energies on the map's points
};

// The energy map with patterns, samples and centres of their clusters, energies written beside; as printed those are
// each counted from their own lowest, not from the map's.
Panel landscape_panel(const Model& model, const Landscape& found, const Faults& faults);
Panel surface_panel(const Model& model, const Landscape& found, const Faults& faults);

// The exact answers above what was learned, at t = .15.
Figure exact_figure(const std::vector<Model>& models, const std::vector<Landscape>& found, const Faults& faults);

// Infinitely many patterns at radius R: the energy R^2 + 1 - log I_0(2 beta R) / beta, from its lowest value on, or its
// slope downhill 2 (I_1 / I_0 - R), with beta = 1 / (2 sigma^2 t).
Line bessel_curve(double t, const sde::VeConstant& ve, bool slope, bool printed);
Panel bessel_panel(const sde::VeConstant& ve, bool slope, bool printed);  // at three times
Figure along_radius(const sde::VeConstant& ve, bool printed);             // both
// The field that a model has learned at t = .15: means over angles, in the same units.
void add_learned(Figure& along, const Model& model, const Faults& faults);

struct Counts {
  Index samples, times, cells, surface_cells;
};

// Each fault alone, beside the corrected mathematics from the same seed: an entry of the page with numbers and a
// figure.
void explain_sampling(Run& run, const Model& nine, const Model& thousand, const Counts& counts);
void explain_energies(Run& run, const Model& nine, const Landscape& found);
void explain_shuffle(Run& run, const Model& thousand);

}  // namespace wengert::experiments::circle_study
