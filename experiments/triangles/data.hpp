// Triangles by the lengths of their sides: what is one, the classes of the study `triangles`, and its data.
#pragma once
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "autodiff/array.hpp"

namespace wengert::experiments {

using Sides = std::array<double, 3>;

// Every side is positive, and shorter than the two others together.
bool is_triangle(const Sides& sides);

// Classes of any three lengths in any order, of a triangle or not. Neighbours in size are equal that differ by 1e-3 +
// 1e-5 of the longer at most: both pairs, one, none.
enum class SideClass { equilateral, isosceles, scalene };
SideClass side_class(const Sides& sides);
// By the largest angle of the law of cosines, its cosines clipped to [-1, 1]: right within .1 + 1e-5 * 90 degrees of
// 90; obtuse where an angle is none (NaN).
enum class AngleClass { acute, right, obtuse };
AngleClass angle_class(const Sides& sides);

// The share that is a triangle, and those of the classes over all rows, triangles or not; NaN of none.
struct ClassShares {
  double valid = 0, scalene = 0, isosceles = 0, equilateral = 0, acute = 0, obtuse = 0, right = 0;

  using Share = double ClassShares::*;
  static constexpr std::array<std::pair<const char*, Share>, 7> all{{{"valid", &ClassShares::valid},
                                                                     {"scalene", &ClassShares::scalene},
                                                                     {"isosceles", &ClassShares::isosceles},
                                                                     {"equilateral", &ClassShares::equilateral},
                                                                     {"acute", &ClassShares::acute},
                                                                     {"obtuse", &ClassShares::obtuse},
                                                                     {"right", &ClassShares::right}}};
};
ClassShares class_shares(const std::vector<Sides>& triangles);

// (a/l, b/l, c/l, l) with the perimeter l = a + b + c, standardised: mean 0 and standard deviation 1 (n - 1) over the
// triangles given first.
class TriangleFeatures {
 public:
  explicit TriangleFeatures(const std::vector<Sides>& data);

  Array standardised(const std::vector<Sides>& triangles) const;  // f32 [n,4]
  std::vector<Sides> sides(const Array& standardised) const;      // [n,4] -> a = a/l l, ...

  const std::array<double, 4>& means() const { return means_; }
  const std::array<double, 4>& deviations() const { return deviations_; }

 private:
  std::array<double, 4> means_{}, deviations_{};
};

// The study's data: `count` triangles of 6 count with sorted uniform sides, drawn without replacement with weights by
// class (isosceles .05, scalene .95, times acute .9, obtuse .1; none equilateral or right), then permuted. Every bit is
// that of NumPy with this seed.
std::vector<Sides> triangle_data(std::uint32_t seed, Index count);

}  // namespace wengert::experiments
