#include "experiments/common/figure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "autodiff/error.hpp"
#include "experiments/common/figure_layout.hpp"
#include "experiments/common/gnuplot.hpp"

namespace wengert::experiments {
namespace {

constexpr const char* style =
    "set encoding utf8\nset minussign\nset tics out nomirror scale 0.7\nset xlabel offset 0,0.2\n"
    "set title offset 0,-0.5\nset style fill solid noborder\n"
    "set style textbox opaque fillcolor '#FFFFFF' noborder margins 0.6,0.6\n"
    "set pm3d depthorder clip z lighting primary 0.35 specular 0.1\n";
constexpr const char* viridis =
    "set palette defined (0 '#440154', 1 '#482878', 2 '#3E4A89', 3 '#31688E', 4 '#26828E', 5 '#1F9E89', 6 '#35B779', "
    "7 '#6DCD59', 8 '#B4DE2C', 9 '#FDE725')\n";
constexpr const char* diverging =
    "set palette defined (0 '#2166AC', 1 '#67A9CF', 2 '#D1E5F0', 3 '#F7F7F7', 4 '#FDDBC7', 5 '#EF8A62', 6 '#B2182B')\n";

// A plot of nothing must not be of NaN alone, of which gnuplot can make no axis.
constexpr const char* nothing = "1 with lines linecolor rgb '#FFFFFFFF' notitle";

std::string range_text(const std::optional<Range>& range) {
  return range ? fmt::format("[{}:{}]", range->low, range->high) : "[*:*]";
}

// A number at each power of ten; where there are few of them, also at digits between.
std::string logarithmic_marks(char axis, const Axis& a) {
  if (!a.range || !(a.range->low > 0) || std::log10(a.range->high / a.range->low) > 2.5)
    return fmt::format("set format {} '10^{{%T}}'\n", axis);
  std::string marks;
  for (int power = static_cast<int>(std::floor(std::log10(a.range->low))); std::pow(10, power) <= a.range->high;
       ++power)
    for (int digit = 1; digit <= 9; ++digit) {
      const bool numbered = digit <= 3 || digit == 5;
      marks += fmt::format("{}{}e{}{}", numbered ? "" : "'' ", digit, power, numbered ? ", " : " 1, ");
    }
  return fmt::format("set {}tics ({})\n", axis, marks.substr(0, marks.size() - 2));
}

std::string axis_script(char name, const Axis& axis, bool labelled, bool numbered) {
  std::string script = fmt::format(
      "unset logscale {0}\nset {0}tics nomirror {3}\nset format {0} {1}\nset {0}range {2}\n", name,
      numbered ? "'%h'" : "''", range_text(axis.range), axis.step ? fmt::format("{}", *axis.step) : "autofreq");
  script += labelled ? fmt::format("set {}label {}\n", name, quote(axis.label)) : fmt::format("unset {}label\n", name);
  if (axis.logarithmic) {
    script += fmt::format("set logscale {}\n", name);
    if (numbered) script += logarithmic_marks(name, axis);
  }
  if (axis.angle)
    script += fmt::format("set {4}tics ('−π' {0}, '−π/2' {1}, '0' 0, 'π/2' {2}, 'π' {3})\n", -std::numbers::pi,
                          -std::numbers::pi / 2, std::numbers::pi / 2, std::numbers::pi, name);
  return script;
}

// Columns of equal length as gnuplot reads them.
std::string table(Gnuplot& gnuplot, std::initializer_list<const std::vector<double>*> columns) {
  const std::size_t rows = (*columns.begin())->size();
  std::vector<double> values;
  std::string format, used;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    format += "%float";
    used += fmt::format("{}{}", i == 0 ? "" : ":", i + 1);
  }
  for (std::size_t row = 0; row < rows; ++row)
    for (const std::vector<double>* column : columns) values.push_back(column->at(row));
  return fmt::format("{} record=({}) format='{}' using {}", gnuplot.data(values), rows, format, used);
}

Index rows(const Field& f) {
  const Index count = static_cast<Index>(f.values.size()) / std::max<Index>(f.columns, 1);
  if (f.columns < 2 || count < 2 || f.columns * count != static_cast<Index>(f.values.size()))
    throw Error(fmt::format("[figure] {} values are no field of {} columns", f.values.size(), f.columns));
  return count;
}

double position(const Range& range, Index i, Index count) {
  return range.low + (range.high - range.low) * static_cast<double>(i) / static_cast<double>(count - 1);
}

std::string image(Gnuplot& gnuplot, const Field& f) {
  const Index count = rows(f);
  return fmt::format("{} array=({},{}) format='%float' origin=({},{}) dx={} dy={} with image", gnuplot.data(f.values),
                     f.columns, count, f.x.low, f.y.low, position(f.x, 1, f.columns) - f.x.low,
                     position(f.y, 1, count) - f.y.low);
}

std::string points_of(Gnuplot& gnuplot, const Field& f) {
  const Index count = rows(f);
  std::vector<double> triples;
  for (Index i = 0; i < f.columns * count; ++i)
    triples.insert(triples.end(), {position(f.x, i % f.columns, f.columns), position(f.y, i / f.columns, count),
                                   f.values[static_cast<std::size_t>(i)]});
  return fmt::format("{} record=({},{}) format='%float%float%float' using 1:2:3", gnuplot.data(triples), f.columns,
                     count);
}

// The outline of a histogram from its first lower edge on the axis to its last upper one.
Line outline(const Histogram& histogram) {
  Line line{.x = {histogram.edge(0)}, .y = {0}};
  for (Index bin = 0; bin < histogram.bins(); ++bin)
    for (Index side : {bin, bin + 1}) {
      line.x.push_back(histogram.edge(side));
      line.y.push_back(histogram.density(bin));
    }
  line.x.push_back(histogram.edge(histogram.bins()));
  line.y.push_back(0);
  return line;
}

// The look of a layer's marks, for itself and for the legend.
std::string look(const Points& p, const char* colour, double size, int width) {
  static constexpr const char* types[] = {"7", "6", "2", "'★'"};  // of Mark
  return fmt::format("with points pointtype {} pointsize {} linewidth {} linecolor '{}'",
                     types[static_cast<int>(p.mark)], size, width, colour);
}
std::string look(const Points& p) { return look(p, p.colour, p.size, p.rim ? 2 : 1); }
std::string rim_look(const Points& p) { return look(p, p.rim, p.size * 1.3, 5); }
std::string look(const Line& l) {
  return fmt::format("with lines linewidth {} {} linecolor {}", l.width, l.dashed ? "dashtype (8,5)" : "dashtype solid",
                     l.value ? fmt::format("palette cb {}", *l.value) : quote(l.colour));
}
std::string look(const Bars& b) {
  return b.filled ? fmt::format("with filledcurves y1=0 fillcolor '{}'", b.colour)
                  : fmt::format("with lines linewidth 2 linecolor '{}'", b.colour);
}

// An area needs no base line in the legend.
template <class L>
std::string legend_look(const L& layer) {
  return look(layer);
}
std::string legend_look(const Bars& b) {
  return b.filled ? fmt::format("with boxes fillcolor '{}'", b.colour) : look(b);
}

// The parts of a plot command that draw the layers, one each; what must stand before it goes into `before`.
class Drawing {
 public:
  explicit Drawing(Gnuplot& gnuplot) : gnuplot_(gnuplot) {}

  void operator()(const Points& p) {
    if (p.x.empty()) return;
    if (!p.z.empty()) return on_surface(p);
    const std::string points = table(gnuplot_, {&p.x, &p.y});
    if (p.rim) part(points + ' ' + rim_look(p));
    part(points + ' ' + look(p));
  }
  void operator()(const Line& l) {
    if (!l.x.empty()) part(table(gnuplot_, {&l.x, &l.y}) + ' ' + look(l));
  }
  void operator()(const Bars& b) {
    const Line line = outline(b.histogram);
    part(table(gnuplot_, {&line.x, &line.y}) + ' ' + look(b));
  }
  void operator()(const Arrows& a) {
    if (a.x.empty()) return;
    const bool coloured = !a.value.empty();
    std::string arrows =
        coloured ? table(gnuplot_, {&a.x, &a.y, &a.dx, &a.dy, &a.value}) : table(gnuplot_, {&a.x, &a.y, &a.dx, &a.dy});
    arrows.replace(arrows.find("using 1:2:"), 10, "using ($1-$3/2):($2-$4/2):");  // around their middles
    part(fmt::format("{} with vectors head filled size graph 0.013,22 linewidth 1.6 linecolor {}", arrows,
                     coloured ? "palette" : quote(a.colour)));
  }
  // Values that are no numbers are not drawn: grey shows from behind.
  void operator()(const Heat& h) {
    if (std::any_of(h.field.values.begin(), h.field.values.end(), [](double value) { return std::isnan(value); }))
      before_ += fmt::format(
          "set object rectangle from graph 0,0 to graph 1,1 behind fillcolor '{}' fillstyle solid noborder\n",
          colour::grey);
    part(image(gnuplot_, h.field));
  }
  void operator()(const Contours& c) {
    std::string levels;
    for (double level : c.levels) levels += fmt::format("{}{}", levels.empty() ? "" : ",", level);
    if (levels.empty()) return;
    // Numbers are written as those of the axes are, within the ranges of these.
    before_ += fmt::format(
        "unset logscale\nset format xy '%g'\nset xrange [*:*]\nset yrange [*:*]\n"
        "set contour base\nunset surface\nset cntrparam levels discrete {}\nset table $contours\nsplot {} with lines\n"
        "unset table\nunset contour\nset surface\n",
        levels, points_of(gnuplot_, c.field));
    part(fmt::format("$contours using 1:2 with lines linewidth 1 linecolor '{}'", c.colour));
  }
  void operator()(const Surface& s) { part(points_of(gnuplot_, s.field) + " with pm3d"); }
  void operator()(const Text& t) {
    before_ += fmt::format("set label {} at {},{} center front textcolor '{}' {}\n", quote(t.text), t.x, t.y, t.colour,
                           t.boxed ? "font ',14' boxed" : "");
  }
  // The lines before the axes are set, and "plot ..." with what stands after it.
  const std::string& before() const { return before_; }
  std::string script(const char* command) const {
    std::string plots;
    for (const std::string& part : parts_) plots += (plots.empty() ? "" : ", \\\n  ") + part;
    return std::string(command) + ' ' + (plots.empty() ? nothing : plots) + "\nunset label\nunset object\n";
  }

 private:
  // Points as labels, since surfaces that are sorted by depth are drawn after points.
  void on_surface(const Points& p) {
    const auto stars = [&](const char* colour, double size) {
      for (std::size_t i = 0; i < p.x.size(); ++i)
        before_ += fmt::format("set label '{}' at {},{},{} center front textcolor '{}' font ',{}'\n",
                               p.mark == Points::Mark::star ? "★" : "•", p.x[i], p.y[i], p.z.at(i), colour, size);
    };
    if (p.rim) stars(p.rim, 26 * p.size);
    stars(p.colour, 18 * p.size);
  }
  void part(const std::string& text) { parts_.push_back(text + " notitle"); }

  Gnuplot& gnuplot_;
  std::string before_;
  std::vector<std::string> parts_;
};

// The entries of all panels, each label once; nothing where there are none.
std::string legend_script(const Figure& figure, const Layout& layout) {
  std::vector<std::string> labels;
  std::string entries;
  for (const Panel& panel : figure.panels)
    for (const Layer& layer : panel.layers) {
      const std::string label = Layout::label_of(layer);
      if (label.empty() || std::find(labels.begin(), labels.end(), label) != labels.end()) continue;
      labels.push_back(label);
      std::visit(
          [&](const auto& held) {
            if constexpr (requires { look(held); })
              entries += fmt::format(", \\\n  keyentry {} title {}", legend_look(held), quote(label));
          },
          layer);
    }
  if (entries.empty()) return "";
  return "unset border\nunset tics\nunset colorbox\nset xrange [0:1]\nset yrange [0:1]\n" + layout.legend_margins() +
         "plot NaN notitle" + entries + "\nunset key\n";
}

template <class L>
bool has(const Panel& panel) {
  return std::any_of(panel.layers.begin(), panel.layers.end(),
                     [](const Layer& layer) { return std::holds_alternative<L>(layer); });
}

std::string surface_script(Gnuplot& gnuplot, const Panel& panel, const std::string& region, bool labelled) {
  Drawing drawing(gnuplot);
  for (const Layer& layer : panel.layers) std::visit(drawing, layer);
  return drawing.before() + region + fmt::format("set title {} offset 0,0.5\n", quote(panel.title)) +
         axis_script('x', panel.x, true, true) + axis_script('y', panel.y, true, true) +
         axis_script('z', panel.z, labelled, true) +
         "set border 31 linewidth 1 linecolor '#808080'\nset view 52,325,1.1,1.2\nset xyplane relative 0\n"
         "set tics textcolor 'black'\nset xtics offset 0,-0.3\nset ytics offset 0,-0.3\nset zlabel rotate offset "
         "2,0\n" +
         drawing.script("splot") +
         "set border linecolor 'black'\nset xtics offset 0,0\nset ytics offset 0,0\nset size 1,1\nset origin 0,0\n";
}

std::string panel_script(Gnuplot& gnuplot, const Figure& figure, const Layout& layout, std::size_t i) {
  const Panel& panel = figure.panels[i];
  if (has<Surface>(panel)) return surface_script(gnuplot, panel, layout.region(i), layout.column(i) == 0);
  const bool first = layout.column(i) == 0, labelled = first || panel.y.label != figure.panels[i - 1].y.label;
  Drawing drawing(gnuplot);
  for (const Layer& layer : panel.layers) std::visit(drawing, layer);
  std::string script = drawing.before() + layout.margins(i);
  script += fmt::format("set title {}\n", quote(panel.title));
  script += axis_script('x', panel.x, true, true);
  script += axis_script('y', panel.y, labelled, first || !Layout::same_y(panel, figure.panels[i - 1]));
  script += fmt::format("set border {} linewidth 1\n", panel.bare                               ? 0
                                                       : has<Heat>(panel) || has<Arrows>(panel) ? 15
                                                                                                : 3);
  if (panel.bare) script += "unset xtics\nunset ytics\nunset xlabel\nunset ylabel\n";
  return script + drawing.script("plot");
}

std::string figure_script(Gnuplot& gnuplot, const Figure& figure, const Layout& layout) {
  std::string script = "set multiplot\nunset key\nunset title\nunset xlabel\nunset ylabel\n";
  script += legend_script(figure, layout) + "set tics out nomirror scale 0.7\n";
  script += figure.colours && figure.colours->diverging ? diverging : viridis;
  if (figure.colours)
    script += fmt::format("set cblabel {} offset 1.5,0\nset cbrange {}\n", quote(figure.colours->label),
                          range_text(figure.colours->range)) +
              layout.colour_bar();
  else
    script += "unset colorbox\n";
  for (std::size_t i = 0; i < figure.panels.size(); ++i) {
    script += panel_script(gnuplot, figure, layout, i);
    if (i == 0) script += "unset colorbox\n";
  }
  return script + "unset multiplot\n";
}

Layout layout_of(const Figure& figure) {
  if (figure.panels.empty() || figure.columns == 0) throw Error("[figure] a figure needs one panel at least");
  return Layout(figure);
}

}  // namespace

void draw(const std::filesystem::path& file, const Figure& figure) {
  const Layout layout = layout_of(figure);
  Gnuplot gnuplot;
  gnuplot.render(file, layout.size(), style + figure_script(gnuplot, figure, layout));
}

void animate(const std::filesystem::path& gif, std::span<const Figure> frames, int delay) {
  if (frames.empty()) throw Error("[figure] an animation needs one figure at least");
  const Layout first = layout_of(frames.front());
  Gnuplot gnuplot;
  std::string script = style;
  for (const Figure& frame : frames) {
    const Layout layout = layout_of(frame);
    if (layout.size() != first.size()) throw Error("[figure] the figures of an animation differ in size");
    script += figure_script(gnuplot, frame, layout);
  }
  gnuplot.render(gif, first.size(), script, delay);
}

}  // namespace wengert::experiments
