// Hierarchical clustering by Ward's criterion: always those two clusters are merged whose union adds least to the sum
// of squares within clusters (Ward, "Hierarchical grouping to optimize an objective function", 1963).
#pragma once
#include <vector>

#include "autodiff/array.hpp"

namespace wengert::experiments {

// Clusters a and b, of points or of earlier merges, become one. Points are numbered 0 to n - 1, the cluster of merge
// number i is n + i, as in SciPy's linkage.
struct Merge {
  Index a, b;     // a < b
  double height;  // sqrt(2 n_a n_b / (n_a + n_b)) |c_a - c_b|, c the centres: of two points their distance
  Index size;     // of the union
};

// The merges of points [n,d], n - 1 of them by rising height; equal heights in the order in which they were found. By
// chains of nearest neighbours (Murtagh, "A survey of recent advances in hierarchical clustering algorithms", 1983):
// n^2 d operations, n d numbers. Throws Error where points are not [n,d] or not finite.
std::vector<Merge> ward(const Array& points);

// The clusters of points [n,d] that are left when no further ones are merged at `threshold` or above.
struct Clusters {
  std::vector<Index> labels;  // of each point: 0, 1, ... in the order in which they first appear
  Array centres;              // [clusters, d], f64
  Index count() const { return centres.shape()[0]; }
};
Clusters clusters_below(const Array& points, const std::vector<Merge>& merges, double threshold);

}  // namespace wengert::experiments
