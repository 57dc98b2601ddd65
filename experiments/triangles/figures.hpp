// Pictures of triangles: drawn, as places of their forms, and maps over these.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "experiments/common/figure.hpp"
#include "experiments/triangles/data.hpp"

namespace wengert::experiments {

// The first 25 that are triangles of sides up to 1.25, as they are or with perimeter 1: the longest side down, coloured
// by angle.
Panel drawn_triangles(const std::vector<Sides>& triangles, const std::string& title, bool scaled);

// The places (a/c, b/c) of all rows over those of the data. Triangles whose sides are sorted lie between the lines; on
// the arc the largest of their angles is right.
Panel triangle_forms(const std::vector<Sides>& triangles, const std::vector<Sides>& data, const std::string& title);

// The grid of the study's maps: triangles with sides (.2 u, .2 v, .2) for (u, v) in [-1, 1]^2, u fastest.
class TriangleMap {
 public:
  // The points of a network: standardised features of those cells that are triangles or, as the text feeds it, the bare
  // (a, b, c, a + b + c) of every cell. Throws Error of fewer than two cells along an axis, and where none is a
  // triangle.
  TriangleMap(const TriangleFeatures& features, Index cells, bool bare = false);

  const Array& points() const { return points_; }  // f32 [n,4]
  // One value for each point; NaN in the other cells.
  Field field(const std::vector<double>& values) const;

 private:
  Index cells_;
  std::vector<bool> shown_{};
  Array points_{};
};

// log p as printed in a map, and against the corrected one in all cells that have both.
Figure map_beside_corrected(const Field& printed, const Field& corrected);

// The names of the maps' axes.
inline const std::array<std::string, 2> map_axes{"u = a / c", "v = b / c"};

}  // namespace wengert::experiments
