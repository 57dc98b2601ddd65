// Pictures of samples and trainings as PNG files. Labels are UTF-8; underscores and circumflexes set indices.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "autodiff/array.hpp"
#include "experiments/common/statistics.hpp"

namespace wengert::experiments {

struct Density2d {
  std::string title;
  Histogram2d histogram;
};

// Histograms side by side, in one scale of colours and with equal units along x and y. All must have the same ranges.
void draw_densities_2d(const std::filesystem::path& png, const std::vector<Density2d>& panels,
                       const std::string& x_label = "x", const std::string& y_label = "y");

// One axis: the data as a filled area, samples as an outline, and the exact density where there is one as a dashed
// curve.
struct Density {
  std::string x_label;
  Histogram data, samples;
  std::function<double(double)> exact = nullptr;
  bool angle = false;  // in radians: marks at multiples of π/2
};

// Such axes side by side.
void draw_densities(const std::filesystem::path& png, const std::vector<Density>& panels);

// losses: f32 [steps]. Faint, with their running mean over `window` steps (fewer towards both ends); both axes are
// logarithmic unless a loss is not positive, which makes the second one linear. Draws nothing of no losses.
void draw_losses(const std::filesystem::path& png, const Array& losses, Index window = 200);

}  // namespace wengert::experiments
