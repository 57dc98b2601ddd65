// Energies over a square of the plane, and what is drawn on them.
#pragma once
#include <string>
#include <vector>

#include "experiments/common/figure.hpp"

namespace wengert::experiments {

double lowest(const std::vector<double>& values);
std::vector<double> above(std::vector<double> values, double zero);  // each minus zero

// Energies of the points of a lattice() over square x square, counted from the lowest: as a map with lines of equal
// energy, and as a surface up to the height `heights.high`.
Panel energy_map(const std::string& title, const std::vector<double>& energies, Range square);
Panel energy_surface(const std::string& title, const std::vector<double>& energies, Range square, Range heights);

// Vectors [n,2] at points [n,2], as long as `length` times the root of their magnitude, so that small ones are seen.
Arrows score_arrows(const Array& points, const Array& vectors, double length, const char* colour);

// Points [n,2] that look like these.
Points marks(const Array& points, Points look);

// A circle around the origin, dashed.
Line circle(double radius, const char* colour);

// Labels that stand on marks, one each: each is moved beside its mark to the nearest place where it covers neither
// marks nor the labels before it and lies within the ranges; where there is none, to the least bad one. `width` and
// `height` are a label's in units of the axes.
std::vector<Text> beside_marks(std::vector<Text> labels, Range x, Range y, double width, double height);

}  // namespace wengert::experiments
