// Figures that more than one study has: samples as densities, losses of a training.
#pragma once
#include <array>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "autodiff/array.hpp"
#include "experiments/common/figure.hpp"

namespace wengert::experiments {

struct DensityMap {
  std::string title;
  Histogram2d histogram;
};

// Histograms side by side, in one scale of colours and with equal units along x and y. All must have the same ranges.
// Throws Error of none.
Figure density_maps(const std::vector<DensityMap>& panels, const std::string& x_label = "x",
                    const std::string& y_label = "y");

// One axis: the data as a filled area, samples as an outline, and the exact density where there is one as a dashed
// curve.
struct Density {
  std::string x_label;
  Histogram data, samples;
  std::function<double(double)> exact = nullptr;
  bool angle = false;  // in radians: marks at multiples of π/2
};

// Such axes side by side.
Figure densities(const std::vector<Density>& panels);

// losses: f32 [steps]. Faint, with their running mean over `window` steps (fewer towards both ends); both axes are
// logarithmic unless a loss is not positive or all are alike, which makes the second one linear. An empty panel of no
// losses.
struct Losses {
  std::string title;
  Array losses;
};
Figure loss_curves(const std::vector<Losses>& panels, Index window = 200);

// A square of the plane, x and y over the same range, with marks that are round numbers.
Panel plane_panel(const std::string& title, Range range, std::vector<Layer> layers = {});

// A fault's two panels side by side, titled "as printed" and "corrected".
Figure printed_and_corrected(Panel printed, Panel corrected, int width = 460);

// Mean losses of epochs 1, 2, ... as a line, and beside those that a study has printed.
Line by_epoch(const std::vector<double>& losses);
Figure losses_beside(const std::vector<double>& losses, std::span<const double> printed);

// Fields side by side, with equal units along both axes and in one scale of colours: from the lowest value but for a
// twentieth of them, or, diverging, from minus to plus the largest size in that range. What is no number is grey; rows
// and columns without any number are left out at the edges.
struct FieldMap {
  std::string title;
  Field field;
};
Figure field_maps(const std::vector<FieldMap>& panels, const std::array<std::string, 2>& axes, const std::string& value,
                  bool diverging = false);

// The first points [n,2] in a square of the plane, at most so many, over all those `behind` in grey.
Panel scatter(const Array& points, const std::string& title, Range square, std::size_t most = 5000,
              const Array* behind = nullptr);

// The points of a grid of cells x cells over two ranges, their ends included, x fastest: f32 [cells^2, 2], as a Field
// has its values.
Array lattice(Range x, Range y, Index cells);

// f at 1001 points of a range.
Line curve(const std::function<double(double)>& f, Range range);

}  // namespace wengert::experiments
