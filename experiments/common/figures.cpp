#include "experiments/common/figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "autodiff/error.hpp"
#include "experiments/common/gnuplot.hpp"

namespace wengert::experiments {
namespace {

// Okabe and Ito's, which the colour-blind tell apart.
constexpr const char* blue = "#0072B2";
constexpr const char* vermilion = "#D55E00";
constexpr const char* grey = "#C8C8C8";

constexpr const char* viridis =
    "set palette defined (0 '#440154', 1 '#482878', 2 '#3E4A89', 3 '#31688E', 4 '#26828E', 5 '#1F9E89', 6 '#35B779', "
    "7 '#6DCD59', 8 '#B4DE2C', 9 '#FDE725')\n";

constexpr const char* axes =
    "set encoding utf8\nset minussign\nset border 3 linewidth 1\nset tics out nomirror scale 0.7\n"
    "set key at graph 0.5,1.09 center center horizontal Left reverse samplen 1.5 maxrows 1\nset xlabel offset 0,0.2\n";

// Boxes for panels of equal size, in pixels of the picture; gnuplot wants fractions of it.
struct Layout {
  int left, bottom, top, gap, right;  // room around and between
  int width, height;                  // of one panel
  int panels;

  Gnuplot::Pixels size() const { return {left + panels * width + (panels - 1) * gap + right, bottom + height + top}; }
  std::string margins(int panel) const {
    const auto [all_width, all_height] = size();
    const auto part = [](int a, int b) { return static_cast<double>(a) / b; };
    const int x = left + panel * (width + gap);
    return fmt::format(
        "set lmargin at screen {}\nset rmargin at screen {}\nset bmargin at screen {}\nset tmargin at screen {}\n",
        part(x, all_width), part(x + width, all_width), part(bottom, all_height), part(bottom + height, all_height));
  }
};

// The outline of a histogram from its first lower edge on the axis to its last upper one.
std::vector<double> outline(const Histogram& histogram) {
  std::vector<double> points{histogram.edge(0), 0};
  for (Index bin = 0; bin < histogram.bins(); ++bin)
    for (Index side : {bin, bin + 1}) points.insert(points.end(), {histogram.edge(side), histogram.density(bin)});
  points.insert(points.end(), {histogram.edge(histogram.bins()), 0});
  return points;
}

std::vector<double> curve(const std::function<double(double)>& f, const Histogram& range) {
  constexpr int pieces = 1000;
  std::vector<double> points;
  const double low = range.edge(0), high = range.edge(range.bins());
  for (int i = 0; i <= pieces; ++i) {
    const double x = low + (high - low) * i / pieces;
    points.insert(points.end(), {x, f(x)});
  }
  return points;
}

// Where the y axis may end; an exact density may have a pole.
double highest(const std::vector<double>& points) {
  double high = 0;
  for (std::size_t i = 1; i < points.size(); i += 2)
    if (std::isfinite(points[i])) high = std::max(high, points[i]);
  return high;
}

std::string pairs(Gnuplot& gnuplot, const std::vector<double>& points) {
  return fmt::format("{} binary record=({}) format='%float%float' using 1:2", gnuplot.data(points), points.size() / 2);
}

std::string density_panel(Gnuplot& gnuplot, const Density& panel) {
  const std::vector<double> data = outline(panel.data), samples = outline(panel.samples);
  double high = std::max(highest(data), highest(samples));
  std::string plots = fmt::format("plot {} with filledcurves y1=0 fillcolor '{}' fillstyle solid title 'data', \\\n",
                                  pairs(gnuplot, data), grey);
  plots += fmt::format("  {} with lines linewidth 2 linecolor '{}' title 'samples'", pairs(gnuplot, samples), blue);
  if (panel.exact) {
    const std::vector<double> exact = curve(panel.exact, panel.data);
    high = std::max(high, highest(exact));
    plots += fmt::format(", \\\n  {} with lines linewidth 2 dashtype (8,5) linecolor '{}' title 'exact'",
                         pairs(gnuplot, exact), vermilion);
  }
  std::string script =
      fmt::format("set xrange [{}:{}]\nset yrange [0:{}]\nset xlabel {}\n", panel.data.edge(0),
                  panel.data.edge(panel.data.bins()), high > 0 ? 1.08 * high : 1, quote(panel.x_label));
  script += panel.angle ? fmt::format("set xtics ('−π' {0}, '−π/2' {1}, '0' 0, 'π/2' {2}, 'π' {3})\n",
                                      -std::numbers::pi, -std::numbers::pi / 2, std::numbers::pi / 2, std::numbers::pi)
                        : "set xtics autofreq\n";
  return script + plots + "\n";
}

// Row by row, from low y to high y.
std::vector<double> values(const Histogram2d& histogram) {
  std::vector<double> densities;
  for (Index row = 0; row < histogram.bins(); ++row)
    for (Index column = 0; column < histogram.bins(); ++column) densities.push_back(histogram.density(column, row));
  return densities;
}

std::string image(Gnuplot& gnuplot, const Histogram2d& histogram, const std::vector<double>& densities) {
  const Range &x = histogram.x(), &y = histogram.y();
  const auto bins = static_cast<double>(histogram.bins());
  const double dx = (x.high - x.low) / bins, dy = (y.high - y.low) / bins;
  return fmt::format("{} binary array=({},{}) format='%float' origin=({},{}) dx={} dy={} with image",
                     gnuplot.data(densities), bins, bins, x.low + dx / 2, y.low + dy / 2, dx, dy);
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
// fifth of what came before, so that a steep start is not smeared: (step, mean) for each of the steps.
std::vector<double> running_mean(std::span<const float> losses, const std::vector<Index>& steps, Index window) {
  std::vector<double> sums{0}, points;
  for (float loss : losses) sums.push_back(sums.back() + loss);
  for (Index step : steps) {
    const Index half = std::min((window - 1) / 2, step / 10);
    const Index first = step - half, last = std::min(step + half, static_cast<Index>(losses.size()));
    const double sum = sums[static_cast<std::size_t>(last)] - sums[static_cast<std::size_t>(first - 1)];
    points.insert(points.end(), {static_cast<double>(step), sum / static_cast<double>(last - first + 1)});
  }
  return points;
}

// Logarithmic where that shows more; with a mark at each digit of each power of ten, a number at some.
std::string loss_axis(double low, double high) {
  if (!(low > 0 && high > 4 * low)) return "set yrange [*:*]\n";
  std::string marks;
  for (int power = static_cast<int>(std::floor(std::log10(low))); std::pow(10, power) <= high; ++power)
    for (int digit = 1; digit <= 9; ++digit) {
      const bool numbered = digit <= 3 || digit == 5;
      marks += fmt::format("{}{}e{}{}", numbered ? "" : "'' ", digit, power, numbered ? ", " : " 1, ");
    }
  return fmt::format("set logscale y\nset yrange [{}:{}]\nset ytics ({})\n", low / 1.1, high * 1.1,
                     marks.substr(0, marks.size() - 2));
}

}  // namespace

void draw_densities_2d(const std::filesystem::path& png, const std::vector<Density2d>& panels,
                       const std::string& x_label, const std::string& y_label) {
  if (panels.empty()) throw Error("a figure of densities needs one at least");
  const Range x = panels.front().histogram.x(), y = panels.front().histogram.y();
  constexpr int height = 500;
  const int width = static_cast<int>(std::lround(height * (x.high - x.low) / (y.high - y.low)));
  const Layout layout{145, 105, 55, 80, 200, width, height, static_cast<int>(panels.size())};
  Gnuplot gnuplot;
  double high = 0;
  std::string plots;
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const std::vector<double> densities = values(panels[i].histogram);
    high = std::max(high, *std::max_element(densities.begin(), densities.end()));
    if (i == 1) plots += "unset ylabel\nset format y ''\nunset colorbox\n";
    plots += layout.margins(static_cast<int>(i)) + fmt::format("set title {}\n", quote(panels[i].title));
    plots += "plot " + image(gnuplot, panels[i].histogram, densities) + " notitle\n";
  }
  const auto [all_width, all_height] = layout.size();
  std::string script = std::string(axes) + viridis;
  script += "set multiplot\nset border 15\nset title offset 0,-0.5\nset cblabel 'density'\n";
  script += fmt::format("set xlabel {}\nset ylabel {}\n", quote(x_label), quote(y_label));
  script += fmt::format("set xrange [{}:{}]\nset yrange [{}:{}]\nset cbrange [0:{}]\n", x.low, x.high, y.low, y.high,
                        high > 0 ? high : 1);
  script += fmt::format("set colorbox user origin screen {},{} size screen {},{}\n", 1 - 170.0 / all_width,
                        105.0 / all_height, 25.0 / all_width, static_cast<double>(height) / all_height);
  gnuplot.render(png, layout.size(), script + plots + "unset multiplot\n");
}

void draw_densities(const std::filesystem::path& png, const std::vector<Density>& panels) {
  if (panels.empty()) throw Error("a figure of densities needs one at least");
  const Layout layout{120, 105, 75, 120, 40, 620, 460, static_cast<int>(panels.size())};
  Gnuplot gnuplot;
  std::string script = axes;
  script += "set multiplot\nset ylabel 'density'\n";
  for (std::size_t i = 0; i < panels.size(); ++i) {
    if (i == 1) script += "unset ylabel\n";
    script += layout.margins(static_cast<int>(i)) + density_panel(gnuplot, panels[i]);
  }
  gnuplot.render(png, layout.size(), script + "unset multiplot\n");
}

void draw_losses(const std::filesystem::path& png, const Array& losses, Index window) {
  const std::span<const float> values = losses.data<float>();
  if (values.empty()) return;
  const std::vector<Index> steps = thinned(losses.size());
  const std::vector<double> raw = running_mean(values, steps, 1), smooth = running_mean(values, steps, window);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const Layout layout{145, 105, 75, 0, 40, 1115, 460, 1};
  Gnuplot gnuplot;
  std::string script = axes + layout.margins(0) + loss_axis(*low, *high);
  script += "set xlabel 'step'\nset ylabel 'loss'\n";
  script +=
      fmt::format("set logscale x\nset format x '10^{{%T}}'\nset xrange [1:{}]\n", std::max<Index>(losses.size(), 2));
  script +=
      fmt::format("plot {} with lines linewidth 1 linecolor '{}' title 'each step', \\\n", pairs(gnuplot, raw), grey);
  script += fmt::format("  {} with lines linewidth 2 linecolor '{}' title 'mean over {} steps'\n",
                        pairs(gnuplot, smooth), blue, std::min(window, losses.size()));
  gnuplot.render(png, layout.size(), script);
}

}  // namespace wengert::experiments
