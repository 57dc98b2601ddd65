#include "experiments/common/ward.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autodiff/error.hpp"

namespace wengert::experiments {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// Clusters by their centres and sizes, in places that are taken over as they merge.
class Active {
 public:
  explicit Active(const Array& points)
      : width_(points.shape()[1]), sizes_(at(points.shape()[0]), 1), centres_(at(points.size())) {
    for (Index i = 0; i < points.size(); ++i) {
      centres_[at(i)] = points.at(i);
      if (!std::isfinite(centres_[at(i)])) throw Error("[ward] a point is not finite");
    }
  }

  bool holds(Index place) const { return sizes_[at(place)] > 0; }
  Index size(Index place) const { return sizes_[at(place)]; }

  // The square of a merge's height.
  double squared_height(Index a, Index b) const {
    double distance = 0;
    for (Index j = 0; j < width_; ++j) {
      const double gap = centres_[at(a * width_ + j)] - centres_[at(b * width_ + j)];
      distance += gap * gap;
    }
    const double n = static_cast<double>(size(a)), m = static_cast<double>(size(b));
    return 2 * n * m / (n + m) * distance;
  }

  // The union takes b's place.
  void merge(Index a, Index b) {
    const double n = static_cast<double>(size(a)), m = static_cast<double>(size(b));
    for (Index j = 0; j < width_; ++j) {
      double& centre = centres_[at(b * width_ + j)];
      centre = (n * centres_[at(a * width_ + j)] + m * centre) / (n + m);
    }
    sizes_[at(b)] += sizes_[at(a)];
    sizes_[at(a)] = 0;
  }

  // The place that is nearest to `place`, and among equally near ones `preferred` or the first.
  Index nearest(Index place, Index preferred) const {
    Index best = preferred;
    double least = preferred < 0 ? std::numeric_limits<double>::infinity() : squared_height(place, preferred);
    for (Index other = 0; other < static_cast<Index>(sizes_.size()); ++other) {
      if (other == place || !holds(other)) continue;
      if (const double height = squared_height(place, other); height < least) {
        least = height;
        best = other;
      }
    }
    return best;
  }

 private:
  Index width_;
  std::vector<Index> sizes_;  // 0: taken over
  std::vector<double> centres_;
};

// Sets of points that grow together, each known by one of its points.
class Sets {
 public:
  explicit Sets(Index n) : parents_(at(n)) { std::iota(parents_.begin(), parents_.end(), Index{0}); }
  Index find(Index i) {
    while (parents_[at(i)] != i) i = parents_[at(i)] = parents_[at(parents_[at(i)])];
    return i;
  }
  void join(Index from, Index to) { parents_[at(find(from))] = find(to); }

 private:
  std::vector<Index> parents_;
};

// Merges are found along chains, not by height. Sorted, they name clusters by their numbers instead of by places.
void name_clusters(std::vector<Merge>& merges, Index n) {
  std::stable_sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) { return a.height < b.height; });
  Sets sets(n);
  std::vector<Index> names(at(n));
  std::iota(names.begin(), names.end(), Index{0});
  for (std::size_t i = 0; i < merges.size(); ++i) {
    Merge& merge = merges[i];
    const Index a = sets.find(merge.a), b = sets.find(merge.b);
    sets.join(a, b);
    merge.a = std::min(names[at(a)], names[at(b)]);
    merge.b = std::max(names[at(a)], names[at(b)]);
    names[at(b)] = n + static_cast<Index>(i);
  }
}

}  // namespace

std::vector<Merge> ward(const Array& points) {
  if (points.shape().rank() != 2 || points.size() == 0)
    throw Error(fmt::format("[ward] needs points [n,d], got {}", to_string(points.shape())));
  const Index n = points.shape()[0];
  Active active(points);
  std::vector<Merge> merges;
  std::vector<Index> chain;
  for (Index first = 0; static_cast<Index>(merges.size()) < n - 1;) {
    if (chain.empty()) {
      while (!active.holds(first)) ++first;
      chain.push_back(first);
    }
    // Heights fall along a chain, until its last two are each other's nearest.
    const Index last = chain.back(), before = chain.size() > 1 ? chain[chain.size() - 2] : -1;
    const Index next = active.nearest(last, before);
    if (next != before) {
      chain.push_back(next);
      continue;
    }
    chain.resize(chain.size() - 2);
    const double height = std::sqrt(active.squared_height(last, before));
    active.merge(std::min(last, before), std::max(last, before));
    merges.push_back({last, before, height, active.size(std::max(last, before))});
  }
  name_clusters(merges, n);
  return merges;
}

Clusters clusters_below(const Array& points, const std::vector<Merge>& merges, double threshold) {
  const Index n = points.shape()[0], width = points.shape()[1];
  if (static_cast<Index>(merges.size()) != n - 1)
    throw Error(fmt::format("[ward] {} points have {} merges, got {}", n, n - 1, merges.size()));
  Sets sets(2 * n - 1);
  for (std::size_t i = 0; i < merges.size() && merges[i].height < threshold; ++i)
    for (Index part : {merges[i].a, merges[i].b}) sets.join(part, n + static_cast<Index>(i));
  Clusters result;
  std::vector<Index> names(at(2 * n - 1), -1), sizes;
  std::vector<double> sums;
  for (Index i = 0; i < n; ++i) {
    Index& name = names[at(sets.find(i))];
    if (name < 0) {
      name = static_cast<Index>(sizes.size());
      sizes.push_back(0);
      sums.resize(sums.size() + at(width));
    }
    result.labels.push_back(name);
    ++sizes[at(name)];
    for (Index j = 0; j < width; ++j) sums[at(name * width + j)] += points.at(i * width + j);
  }
  result.centres = Array(Dtype::f64, {static_cast<Index>(sizes.size()), width});
  for (Index i = 0; i < result.centres.size(); ++i)
    result.centres.set(i, sums[at(i)] / static_cast<double>(sizes[at(i / width)]));
  return result;
}

}  // namespace wengert::experiments
