// Figure: panels of layers, described as data and drawn by gnuplot in one style.
//
//   Figure figure{.panels = {{.title = "data", .x = {"x", {{-2, 2}}}, .y = {"y", {{-2, 2}}}, .square = true,
//                             .layers = {Points{.x = column(data, 0), .y = column(data, 1)}}}}};
//   draw(folder / "data.png", figure);            // or data.svg
//   animate(folder / "forward.gif", frames);      // Figures of one size
//
// Labels are UTF-8; underscores and circumflexes set indices.
#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "experiments/common/statistics.hpp"

namespace wengert::experiments {

// Okabe and Ito's colours, which the colour-blind tell apart.
namespace colour {
inline constexpr const char* black = "#000000";
inline constexpr const char* blue = "#0072B2";
inline constexpr const char* vermilion = "#D55E00";
inline constexpr const char* green = "#009E73";
inline constexpr const char* purple = "#CC79A7";
inline constexpr const char* sky = "#56B4E9";
inline constexpr const char* grey = "#C8C8C8";
}  // namespace colour

// Layers. A label stands in the figure's legend, once for all panels; layers with a `value` take their colour from the
// figure's colour scale instead of `colour`.
struct Points {
  enum class Mark { dot, circle, cross, star };
  std::vector<double> x{}, y{};
  std::string label{};
  const char* colour = colour::blue;
  double size = 0.3;
  Mark mark = Mark::dot;
  const char* rim = nullptr;  // another colour around each mark, for those on a map
  std::vector<double> z{};    // heights, in a panel with a surface
};
struct Line {
  std::vector<double> x, y;
  std::string label{};
  const char* colour = colour::blue;
  double width = 2;
  bool dashed = false;
  std::optional<double> value{};
};
struct Bars {  // a histogram's densities, as an area or as an outline
  Histogram histogram;
  std::string label{};
  const char* colour = colour::grey;
  bool filled = true;
};
struct Arrows {  // from (x - dx/2, y - dy/2) to (x + dx/2, y + dy/2), coloured by value where there are values
  std::vector<double> x, y, dx, dy, value{};
  const char* colour = colour::black;
};
struct Field {  // values on a grid of equal cells, the one at x.low, y.low first and x fastest
  std::vector<double> values;
  Index columns = 0;
  Range x, y;  // of the outer cells' centres
};
struct Heat {  // what is no number is grey
  Field field;
};
struct Contours {
  Field field;
  std::vector<double> levels;
  const char* colour = colour::black;
};
// Seen from above and aside, its heights in the figure's colour scale too. A panel that has one is drawn in three
// dimensions, with the axis z, and besides surfaces shows points with heights.
struct Surface {
  Field field;
};
struct Text {
  double x, y;
  std::string text;
  const char* colour = colour::black;
  bool boxed = false;  // small, on white
};
using Layer = std::variant<Points, Line, Bars, Arrows, Heat, Contours, Surface, Text>;

struct Axis {
  std::string label{};
  std::optional<Range> range{};
  bool logarithmic = false;
  bool angle = false;            // in radians: marks at multiples of π/2
  std::optional<double> step{};  // between marks
};
struct Panel {
  std::string title{};
  Axis x{}, y{};
  bool square = false;  // equal units along both axes; needs both ranges
  std::vector<Layer> layers{};
  bool bare = false;  // without axes
  Axis z{};           // of surfaces
};
struct ColourScale {
  std::string label{};
  Range range{0, 1};
  bool diverging = false;  // from blue by white in the middle to red, instead of viridis
};
struct Figure {
  std::vector<Panel> panels;
  std::size_t columns = 4;               // panels in a row, at most
  int width = 460;                       // of a panel, in pixels of the picture
  int height = 460;                      // likewise; of square panels the width times the ratio of the ranges
  std::optional<ColourScale> colours{};  // of all panels
};

// Replaces the file, a PNG or an SVG by its name. Throws Error where gnuplot is missing or complains, and where a
// figure has no panels.
void draw(const std::filesystem::path& file, const Figure& figure);

// An animated GIF that shows each figure for `delay` hundredths of a second, for ever. Throws Error as draw() does, and
// where figures differ in size.
void animate(const std::filesystem::path& gif, std::span<const Figure> frames, int delay = 15);

}  // namespace wengert::experiments
