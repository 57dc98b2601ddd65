#include "experiments/triangles/figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "autodiff/error.hpp"
#include "experiments/common/figures.hpp"

namespace wengert::experiments {
namespace {

constexpr Range square{-1, 1};  // of u and v
constexpr double longest = 0.2;
constexpr double largest = 1.25;  // of sides that are drawn

// With the longest side from (x, y) to the right.
Line outline(Sides s, double x, double y) {
  static constexpr std::array colours{colour::blue, colour::green, colour::vermilion};
  static constexpr std::array labels{"acute", "right", "obtuse"};
  std::sort(s.begin(), s.end());
  const auto [a, b, c] = s;
  const double apex = (b * b + c * c - a * a) / (2 * c), height = std::sqrt(std::max(0.0, b * b - apex * apex));
  const auto angle = static_cast<std::size_t>(angle_class(s));
  return {.x = {x, x + c, x + apex, x}, .y = {y, y, y + height, y}, .label = labels[angle], .colour = colours[angle]};
}

// The places of those that are triangles, or of those that are not.
Points places(const std::vector<Sides>& triangles, bool wanted) {
  Points points{.x = {}, .y = {}, .size = 0.45};
  for (const Sides& s : triangles) {
    if (is_triangle(s) != wanted) continue;
    points.x.push_back(s[0] / s[2]);
    points.y.push_back(s[1] / s[2]);
  }
  return points;
}

}  // namespace

Panel drawn_triangles(const std::vector<Sides>& triangles, const std::string& title, bool scaled) {
  constexpr std::size_t columns = 5, rows = 5;
  const double width = scaled ? 0.54 : largest, height = 0.8 * width;  // of a place
  Panel panel{.title = title,
              .x = {.range = Range{0, columns * width}},
              .y = {.range = Range{0, rows * height}},
              .square = true,
              .layers = {},
              .bare = true};
  for (const Sides& each : triangles) {
    Sides s = each;
    if (scaled)
      for (double& side : s) side /= each[0] + each[1] + each[2];
    const std::size_t i = panel.layers.size();
    if (i == columns * rows) break;
    if (!is_triangle(each) || *std::max_element(each.begin(), each.end()) > largest) continue;
    const double x = (static_cast<double>(i % columns) + 0.5) * width - *std::max_element(s.begin(), s.end()) / 2;
    const double y = (static_cast<double>(rows - 1 - i / columns) + 0.05) * height;
    panel.layers.emplace_back(outline(s, x, y));
  }
  return panel;
}

Panel triangle_forms(const std::vector<Sides>& triangles, const std::vector<Sides>& data, const std::string& title) {
  Points given = places(data, true), good = places(triangles, true), bad = places(triangles, false);
  given.label = "data";
  given.colour = colour::grey;
  good.label = "triangles";
  bad.label = "no triangles";
  bad.colour = colour::vermilion;
  bad.mark = Points::Mark::cross;
  bad.size = 0.7;
  Line border{.x = {0, 0.5, 1, 0}, .y = {1, 0.5, 1, 1}, .colour = colour::black, .width = 1};
  Line right = curve([](double u) { return std::sqrt(1 - u * u); }, {0, std::sqrt(0.5)});
  right.label = "right angle";
  right.colour = colour::black;
  right.width = 1.5;
  right.dashed = true;
  return {.title = title,
          .x = {"a / c", Range{0, 1.2}},
          .y = {"b / c", Range{0.4, 1.2}},
          .square = true,
          .layers = {std::move(given), std::move(good), std::move(bad), std::move(border), std::move(right)}};
}

TriangleMap::TriangleMap(const TriangleFeatures& features, Index cells, bool bare) : cells_(cells) {
  const Array where = lattice(square, square, cells);
  std::vector<Sides> sides;
  for (Index i = 0; i < cells * cells; ++i) {
    const Sides s{longest * where.at(2 * i), longest * where.at(2 * i + 1), longest};
    shown_.push_back(bare || is_triangle(s));
    if (shown_.back()) sides.push_back(s);
  }
  if (sides.empty()) throw Error(fmt::format("no triangle among {} x {} cells", cells, cells));
  points_ = features.standardised(sides);
  for (std::size_t i = 0; bare && i < sides.size(); ++i) {
    const auto [a, b, c] = sides[i];
    const std::array row{a, b, c, a + b + c};
    for (std::size_t j = 0; j < row.size(); ++j) points_.set(static_cast<Index>(4 * i + j), row[j]);
  }
}

Field TriangleMap::field(const std::vector<double>& values) const {
  Field field{{}, cells_, square, square};
  for (auto next = values.begin(); bool shown : shown_)
    field.values.push_back(shown ? *next++ : std::numeric_limits<double>::quiet_NaN());
  return field;
}

Figure map_beside_corrected(const Field& printed, const Field& corrected) {
  Figure figure = field_maps({{"as printed", printed}}, map_axes, "log p as printed");
  Points points{.x = {}, .y = {}, .size = 0.5};
  for (std::size_t i = 0; i < printed.values.size(); ++i) {
    if (std::isnan(printed.values[i]) || std::isnan(corrected.values[i])) continue;
    points.x.push_back(corrected.values[i]);
    points.y.push_back(printed.values[i]);
  }
  const auto [low, high] = std::minmax_element(points.x.begin(), points.x.end());
  Line equal{.x = {*low, *high}, .y = {*low, *high}, .label = "equal", .colour = colour::vermilion, .dashed = true};
  points.label = "triangles";
  figure.panels.push_back({.title = "as printed against corrected",
                           .x = {.label = "log p, corrected", .step = 20},
                           .layers = {std::move(points), std::move(equal)}});
  return figure;
}

}  // namespace wengert::experiments
