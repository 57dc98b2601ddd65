// The common parts of the study `triangles`: triangles.cpp is the study, faults.cpp its likelihoods and what its
// text's faults change.
#pragma once
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "experiments/common/common.hpp"
#include "experiments/triangles/data.hpp"
#include "experiments/triangles/figures.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"

namespace wengert::experiments::triangles_study {

constexpr sde::Ou ou{.theta = 0.3, .sigma = 0.5};
constexpr Index dimension = 4;  // of points

// The parts that the seed of a run is divided into.
enum Part : std::uint64_t {
  weights,
  training,
  base_samples,
  correction,
  tuning,
  tuned_samples,
  few_probes,
  many_probes
};

// Faults of the text, as --as-printed names them.
struct Faults {
  bool sign = false, variance = false, standardisation = false, filter = false;
};

// The triangles, and their points for the network.
struct Data {
  std::vector<Sides> sides = triangle_data(42, 1024);
  TriangleFeatures features{sides};
  Array x = features.standardised(sides);
};

using Tuned = nn::ResidualScore<nn::TimeMlp>;
struct Round {
  double kept;  // share of the samples
  Array losses;
  double proximity, direction;  // at its end, over all that were kept
};
struct Tuning {
  Tuned score;
  std::vector<Round> rounds{};
  double kept() const {  // mean of the rounds
    double sum = 0;
    for (const Round& round : rounds) sum += round.kept;
    return sum / static_cast<double>(rounds.size());
  }
};

// Shares of all rows, and the mean distance to the fifth neighbour among the data.
struct Summary {
  std::string name;
  ClassShares shares;
  double knn5;
  Summary(std::string text, const Array& x, const Data& data)
      : name(std::move(text)),
        shares(class_shares(data.features.sides(x))),
        knn5(mean(nearest_distances(x, data.x, 5))) {}
};

// Mean log p and maps of both models; those of the text, what is between them, and what each of their faults changes.
void report_maps(Run& run, const sde::Field& base, const sde::Field& tuned, const TriangleMap& corrected,
                 const TriangleMap& bare, const Faults& faults);

// The effect of the filter: fine-tuning with either one, and samples of the model that it led to.
struct Filtered {
  const Tuning& tuning;
  const Array& samples;
};
void explain_filter(Run& run, const Data& data, const Filtered& printed, const Filtered& corrected);

}  // namespace wengert::experiments::triangles_study
