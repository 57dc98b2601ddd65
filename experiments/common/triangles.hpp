// Triangles by the lengths of their sides: what is one, the classes of the study `triangles`, and its data.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "autodiff/dtype.hpp"

namespace wengert::experiments {

using Sides = std::array<double, 3>;

// Every side is positive, and shorter than the two others together.
bool is_triangle(const Sides& sides);

// Of any three lengths in any order, of a triangle or not. Neighbours in size are equal that differ by 1e-3 + 1e-5 of
// the longer at most: both pairs, one, none.
enum class SideClass { equilateral, isosceles, scalene };
SideClass side_class(const Sides& sides);
// By the largest angle of the law of cosines, its cosines clipped to [-1, 1]: right within .1 + 1e-5 * 90 degrees of
// 90; obtuse where an angle is none (NaN).
enum class AngleClass { acute, right, obtuse };
AngleClass angle_class(const Sides& sides);

// The study's data: `count` triangles of 6 count with sorted uniform sides, drawn without replacement with weights by
// class (isosceles .05, scalene .95, times acute .9, obtuse .1; none equilateral or right), then permuted. Every bit is
// that of NumPy with this seed.
std::vector<Sides> triangle_data(std::uint32_t seed, Index count);

}  // namespace wengert::experiments
