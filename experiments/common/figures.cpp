#include "experiments/common/figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "autodiff/error.hpp"

namespace wengert::experiments {
namespace {

// The end of the y axis of densities; an exact one may have a pole.
double highest(const std::vector<double>& densities) {
  double high = 0;
  for (double density : densities)
    if (std::isfinite(density)) high = std::max(high, density);
  return high;
}

std::vector<double> values(const Histogram& histogram) {
  std::vector<double> densities;
  for (Index bin = 0; bin < histogram.bins(); ++bin) densities.push_back(histogram.density(bin));
  return densities;
}

Field field(const Histogram2d& histogram) {
  const auto centres = [&](const Range& range) {
    const double half = (range.high - range.low) / static_cast<double>(2 * histogram.bins());
    return Range{range.low + half, range.high - half};
  };
  Field result{.values = {}, .columns = histogram.bins(), .x = centres(histogram.x()), .y = centres(histogram.y())};
  for (Index row = 0; row < histogram.bins(); ++row)
    for (Index column = 0; column < histogram.bins(); ++column) result.values.push_back(histogram.density(column, row));
  return result;
}

Panel density_panel(const Density& density) {
  const Range range{density.data.edge(0), density.data.edge(density.data.bins())};
  Panel panel{.x = {density.x_label, range, false, density.angle}};
  panel.layers = {Bars{.histogram = density.data, .label = "data"},
                  Bars{.histogram = density.samples, .label = "samples", .colour = colour::blue, .filled = false}};
  double high = std::max(highest(values(density.data)), highest(values(density.samples)));
  if (density.exact) {
    Line exact = curve(density.exact, range);
    exact.label = "exact";
    exact.colour = colour::vermilion;
    exact.dashed = true;
    high = std::max(high, highest(exact.y));
    panel.layers.emplace_back(std::move(exact));
  }
  panel.y = {"density", Range{0, high > 0 ? 1.08 * high : 1}};
  return panel;
}

// Steps from 1 to n that lie evenly on a logarithmic axis.
std::vector<Index> thinned(Index n) {
  constexpr int most = 1500;
  std::vector<Index> steps;
  for (int i = 0; i < most; ++i) {
    const auto step = static_cast<Index>(std::lround(std::pow(static_cast<double>(n), i / (most - 1.0))));
    if (steps.empty() || step > steps.back()) steps.push_back(step);
  }
  return steps;
}

// Means over windows with the step in their middle, cut off at the last step and near the first one no longer than a
// fifth of what came before, so that a steep start is not smeared; at each of the steps.
Line running_mean(std::span<const float> losses, const std::vector<Index>& steps, Index window) {
  Line line;
  std::vector<double> sums{0};
  for (float loss : losses) sums.push_back(sums.back() + loss);
  for (Index step : steps) {
    const Index half = std::min((window - 1) / 2, step / 10);
    const Index first = step - half, last = std::min(step + half, static_cast<Index>(losses.size()));
    const double sum = sums[static_cast<std::size_t>(last)] - sums[static_cast<std::size_t>(first - 1)];
    line.x.push_back(static_cast<double>(step));
    line.y.push_back(sum / static_cast<double>(last - first + 1));
  }
  return line;
}

Panel loss_panel(const Losses& shown, Index window) {
  const std::span<const float> losses = shown.losses.data<float>();
  const Index count = shown.losses.size();
  Panel panel{.title = shown.title,
              .x = {"step", Range{1, static_cast<double>(std::max<Index>(count, 2))}, true},
              .y = {"loss"}};
  if (losses.empty()) return panel;
  const auto [low, high] = std::minmax_element(losses.begin(), losses.end());
  if (*low > 0 && *high > 4 * *low) {
    panel.y.logarithmic = true;
    panel.y.range = Range{*low / 1.1, *high * 1.1};
  }
  const std::vector<Index> steps = thinned(count);
  Line raw = running_mean(losses, steps, 1), smooth = running_mean(losses, steps, window);
  raw.label = "each step";
  raw.colour = colour::grey;
  raw.width = 1;
  smooth.label = fmt::format("mean over {} steps", std::min(window, count));
  panel.layers = {std::move(raw), std::move(smooth)};
  return panel;
}

// The centres of the outermost cells that hold a number, and half a cell around them.
struct Extent {
  Range x, y;
  explicit Extent(const std::vector<FieldMap>& panels) : x{inf, -inf}, y{inf, -inf} {
    for (const auto& [title, f] : panels) {
      const Index rows = static_cast<Index>(f.values.size()) / f.columns;
      const auto widen = [](Range& range, const Range& all, Index i, Index count) {
        const double cell = (all.high - all.low) / static_cast<double>(count - 1);
        const double centre = all.low + static_cast<double>(i) * cell;
        range = {std::min(range.low, centre - cell / 2), std::max(range.high, centre + cell / 2)};
      };
      for (Index i = 0; i < std::ssize(f.values); ++i)
        if (std::isfinite(f.values[static_cast<std::size_t>(i)])) {
          widen(x, f.x, i % f.columns, f.columns);
          widen(y, f.y, i / f.columns, rows);
        }
    }
    if (!(x.low < x.high)) throw Error("[figure] fields without a number have no map");
  }

 private:
  static constexpr double inf = std::numeric_limits<double>::infinity();
};

// Without the lowest twentieth: a few cells far below would take all of the colours.
Range value_range(const std::vector<FieldMap>& panels, bool diverging) {
  std::vector<double> values;
  for (const auto& [title, field] : panels)
    std::copy_if(field.values.begin(), field.values.end(), std::back_inserter(values),
                 [](double value) { return std::isfinite(value); });
  std::sort(values.begin(), values.end());
  Range range{values[values.size() / 20], values.back()};
  if (diverging) {
    const double size = std::max(std::abs(range.low), std::abs(range.high));
    range = {-size, size};
  }
  if (!(range.low < range.high)) range = {range.low - 1, range.high + 1};
  return range;
}

}  // namespace

Figure density_maps(const std::vector<DensityMap>& panels, const std::string& x_label, const std::string& y_label) {
  Figure figure;
  double high = 0;
  for (const DensityMap& panel : panels) {
    const Histogram2d& histogram = panel.histogram;
    Field densities = field(histogram);
    high = std::max(high, highest(densities.values));
    figure.panels.push_back({.title = panel.title,
                             .x = {x_label, histogram.x()},
                             .y = {y_label, histogram.y()},
                             .square = true,
                             .layers = {Heat{std::move(densities)}}});
  }
  figure.colours = ColourScale{"density", {0, high > 0 ? high : 1}};
  return figure;
}

Figure densities(const std::vector<Density>& panels) {
  Figure figure{.panels = {}, .width = 620};
  for (const Density& panel : panels) figure.panels.push_back(density_panel(panel));
  return figure;
}

Figure loss_curves(const std::vector<Losses>& panels, Index window) {
  Figure figure{.panels = {}, .columns = panels.size() == 3 ? 3u : 2u, .width = panels.size() == 1 ? 1115 : 620};
  for (const Losses& panel : panels) figure.panels.push_back(loss_panel(panel, window));
  return figure;
}

Panel plane_panel(const std::string& title, Range range, std::vector<Layer> layers) {
  const double step = std::pow(10, std::floor(std::log10((range.high - range.low) / 2)));
  const auto axis = [&](const char* label) { return Axis{.label = label, .range = range, .step = step}; };
  return {.title = title, .x = axis("x"), .y = axis("y"), .square = true, .layers = std::move(layers)};
}

Figure printed_and_corrected(Panel printed, Panel corrected, int width) {
  printed.title = "as printed";
  corrected.title = "corrected";
  return {.panels = {std::move(printed), std::move(corrected)}, .width = width};
}

Line by_epoch(const std::vector<double>& losses) {
  Line line{.x = {}, .y = losses};
  for (std::size_t k = 1; k <= losses.size(); ++k) line.x.push_back(static_cast<double>(k));
  return line;
}

Figure losses_beside(const std::vector<double>& losses, std::span<const double> printed) {
  Line ours = by_epoch(losses), theirs = by_epoch({printed.begin(), printed.end()});
  ours.label = "this run";
  theirs.label = "printed";
  theirs.colour = colour::vermilion;
  theirs.dashed = true;
  Panel panel{.x = {"epoch", Range{1, static_cast<double>(printed.size())}},
              .y = {"mean loss"},
              .layers = {std::move(ours), std::move(theirs)}};
  return {.panels = {std::move(panel)}, .width = 760};
}

Figure field_maps(const std::vector<FieldMap>& panels, const std::array<std::string, 2>& axes, const std::string& value,
                  bool diverging) {
  const Extent extent(panels);
  Figure figure{.panels = {}, .width = 480, .colours = ColourScale{value, value_range(panels, diverging), diverging}};
  for (const auto& [title, field] : panels)
    figure.panels.push_back(
        {.title = title, .x = {axes[0], extent.x}, .y = {axes[1], extent.y}, .square = true, .layers = {Heat{field}}});
  return figure;
}

Panel scatter(const Array& points, const std::string& title, Range square, std::size_t most, const Array* behind) {
  Panel panel = plane_panel(title, square);
  if (behind != nullptr)
    panel.layers.emplace_back(Points{.x = column(*behind, 0), .y = column(*behind, 1), .colour = colour::grey});
  Points shown{.x = column(points, 0), .y = column(points, 1)};
  shown.x.resize(std::min(most, shown.x.size()));
  shown.y.resize(shown.x.size());
  panel.layers.emplace_back(std::move(shown));
  return panel;
}

Array lattice(Range x, Range y, Index cells) {
  if (cells < 2) throw Error(fmt::format("a lattice needs two cells along each axis at least, got {}", cells));
  Array result(Dtype::f32, {cells * cells, 2});
  const auto at = [&](const Range& range, Index i) {
    return range.low + (range.high - range.low) * static_cast<double>(i) / static_cast<double>(cells - 1);
  };
  for (Index i = 0; i < cells * cells; ++i) {
    result.set(2 * i, at(x, i % cells));
    result.set(2 * i + 1, at(y, i / cells));
  }
  return result;
}

Line curve(const std::function<double(double)>& f, Range range) {
  constexpr int pieces = 1000;
  Line line;
  for (int i = 0; i <= pieces; ++i) {
    line.x.push_back(range.low + (range.high - range.low) * i / pieces);
    line.y.push_back(f(line.x.back()));
  }
  return line;
}

}  // namespace wengert::experiments
