#include "experiments/circle/landscape.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "experiments/common/figures.hpp"

namespace wengert::experiments {
namespace {

// From the lowest energy on.
Field field_of(const std::vector<double>& energies, Range square) {
  const auto cells = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(energies.size()))));
  return {above(energies, lowest(energies)), cells, square, square};
}

}  // namespace

double lowest(const std::vector<double>& values) {
  return values.empty() ? std::numeric_limits<double>::quiet_NaN() : *std::min_element(values.begin(), values.end());
}

std::vector<double> above(std::vector<double> values, double zero) {
  for (double& value : values) value -= zero;
  return values;
}

Panel energy_map(const std::string& title, const std::vector<double>& energies, Range square) {
  const Field field = field_of(energies, square);
  return plane_panel(title, square, {Heat{field}, Contours{field, {0.25, 0.5, 1, 2, 3, 4, 5, 6, 7}, "#90FFFFFF"}});
}

Panel energy_surface(const std::string& title, const std::vector<double>& energies, Range square, Range heights) {
  return {.title = title,
          .x = {.label = "x", .range = square, .step = 1},
          .y = {.label = "y", .range = square, .step = 1},
          .layers = {Surface{field_of(energies, square)}},
          .z = {.label = "energy", .range = heights, .step = 2}};
}

Arrows score_arrows(const Array& points, const Array& vectors, double length, const char* colour) {
  Arrows arrows{column(points, 0), column(points, 1), column(vectors, 0), column(vectors, 1), {}, colour};
  for (std::size_t i = 0; i < arrows.x.size(); ++i) {
    const double size = std::hypot(arrows.dx[i], arrows.dy[i]), scale = size > 0 ? length / std::sqrt(size) : 0;
    arrows.dx[i] *= scale;
    arrows.dy[i] *= scale;
  }
  return arrows;
}

Points marks(const Array& points, Points look) {
  look.x = column(points, 0);
  look.y = column(points, 1);
  return look;
}

Line circle(double radius, const char* colour) {
  Line line{.x = {}, .y = {}, .colour = colour};
  line.dashed = true;
  for (int degree = 0; degree <= 360; ++degree) {
    line.x.push_back(radius * std::cos(degree * std::numbers::pi / 180));
    line.y.push_back(radius * std::sin(degree * std::numbers::pi / 180));
  }
  return line;
}

std::vector<Text> beside_marks(std::vector<Text> labels, Range x, Range y, double width, double height) {
  std::erase_if(
      labels, [&](const Text& mark) { return mark.x < x.low || mark.x > x.high || mark.y < y.low || mark.y > y.high; });
  const std::vector<Text> marks = labels;
  const auto overlap = [&](const Text& label, const Text& other, double w, double h) {
    return std::max(0.0, w - std::abs(label.x - other.x)) * std::max(0.0, h - std::abs(label.y - other.y));
  };
  for (std::size_t i = 0; i < labels.size(); ++i) {
    Text best = labels[i];
    double least = std::numeric_limits<double>::infinity();
    for (double away : {1.0, 1.3, 1.7, 2.2, 2.8})
      for (int direction = 0; direction < 24; ++direction) {
        const double angle = direction * std::numbers::pi / 12;
        Text there = labels[i];
        there.x += away * (0.75 * width) * std::cos(angle);
        there.y += away * (1.1 * height) * std::sin(angle);
        double cost = 0.02 * away * width * height;
        for (std::size_t j = 0; j < i; ++j) cost += 4 * overlap(there, labels[j], width, height);
        for (const Text& mark : marks) cost += overlap(there, mark, 0.8 * width, height);
        if (there.x - width / 2 < x.low || there.x + width / 2 > x.high || there.y - height / 2 < y.low ||
            there.y + height / 2 > y.high)
          cost += width * height;
        if (cost < least) {
          least = cost;
          best = there;
        }
      }
    labels[i] = best;
  }
  return labels;
}

}  // namespace wengert::experiments
