// The places of a figure's panels. For figure.cpp.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "autodiff/error.hpp"
#include "experiments/common/figure.hpp"
#include "experiments/common/gnuplot.hpp"

namespace wengert::experiments {

// Boxes for panels of equal size, in pixels of the picture; gnuplot wants fractions of it.
class Layout {
 public:
  explicit Layout(const Figure& figure)
      : panels_(figure.panels.size()), columns_(std::min(figure.columns, panels_)), width_(figure.width) {
    const Panel& first = figure.panels.front();
    height_ = figure.height;
    if (first.square) {
      if (!first.x.range || !first.y.range) throw Error("[figure] a square panel needs the ranges of both axes");
      height_ = static_cast<int>(std::lround(width_ * span(*first.y.range) / span(*first.x.range)));
    }
    bool titles = false, apart = false, labels = false;
    for (const Panel& panel : figure.panels) {
      titles = titles || !panel.title.empty();
      apart = apart || !same_y(panel, first);
      for (const Layer& layer : panel.layers) labels = labels || !label_of(layer).empty();
    }
    top_ = (titles ? 75 : 25) + (labels ? 50 : 0);
    row_gap_ = titles ? 185 : 125;
    column_gap_ = apart ? 130 : 65;
    right_ = figure.colours ? 250 : 40;  // the bar, numbers of up to six characters, its label
    if (std::all_of(figure.panels.begin(), figure.panels.end(), [](const Panel& panel) { return panel.bare; }))
      left_ = bottom_ = 40;
  }

  Gnuplot::Pixels size() const {
    const int columns = static_cast<int>(columns_), rows = static_cast<int>((panels_ + columns_ - 1) / columns_);
    return {left_ + columns * width_ + (columns - 1) * column_gap_ + right_,
            bottom_ + rows * height_ + (rows - 1) * row_gap_ + top_};
  }
  std::size_t column(std::size_t panel) const { return panel % columns_; }
  bool lowest(std::size_t panel) const { return panel + columns_ >= panels_; }

  std::string margins(std::size_t panel) const {
    const auto [all_width, all_height] = size();
    const int x = left_ + static_cast<int>(column(panel)) * (width_ + column_gap_);
    const int y = all_height - top_ - static_cast<int>(panel / columns_) * (height_ + row_gap_);
    return fmt::format(
        "set lmargin at screen {}\nset rmargin at screen {}\nset bmargin at screen {}\nset tmargin at screen {}\n",
        part(x, all_width), part(x + width_, all_width), part(y - height_, all_height), part(y, all_height));
  }
  // For a panel in three dimensions, which keeps distances from its edges by itself and has its numbers within them.
  std::string region(std::size_t panel) const {
    const auto [all_width, all_height] = size();
    const int x = left_ + static_cast<int>(column(panel)) * (width_ + column_gap_) - 80;
    const int y = all_height - top_ - static_cast<int>(panel / columns_) * (height_ + row_gap_) + 30;
    return fmt::format("set margins -1,-1,-1,-1\nset size {},{}\nset origin {},{}\n", part(width_ + 140, all_width),
                       part(height_ + 110, all_height), part(x, all_width), part(y - height_ - 110, all_height));
  }
  std::string colour_bar() const {
    const auto [all_width, all_height] = size();
    return fmt::format("set colorbox user origin screen {},{} size screen {},{}\n",
                       part(all_width - right_ + 30, all_width), part(bottom_, all_height), part(25, all_width),
                       part(all_height - top_ - bottom_, all_height));
  }
  // A panel over the whole width that shows nothing but the legend: gnuplot breaks one that is wider than its panel.
  std::string legend_margins() const {
    const auto [all_width, all_height] = size();
    return fmt::format(
        "set lmargin at screen {}\nset rmargin at screen {}\nset bmargin at screen {}\nset tmargin at screen {}\n"
        "set key at screen {},{} center center horizontal Left reverse samplen 1.5 maxrows 1\n",
        part(10, all_width), part(all_width - 10, all_width), part(all_height - 50, all_height),
        part(all_height - 5, all_height), part(left_ + (all_width - left_ - right_) / 2, all_width),
        part(all_height - 28, all_height));
  }

  static std::string label_of(const Layer& layer) {
    return std::visit(
        [](const auto& held) -> std::string {
          if constexpr (requires { held.label; })
            return held.label;
          else
            return {};
        },
        layer);
  }
  static bool same_y(const Panel& a, const Panel& b) {
    return a.y.label == b.y.label && a.y.range && b.y.range && a.y.range->low == b.y.range->low &&
           a.y.range->high == b.y.range->high;
  }

 private:
  static double span(const Range& range) { return range.high - range.low; }
  static double part(int a, int b) { return static_cast<double>(a) / b; }

  std::size_t panels_, columns_;
  int width_, height_ = 0, left_ = 135, right_ = 0, top_ = 0, bottom_ = 108, row_gap_ = 0, column_gap_ = 0;
};

}  // namespace wengert::experiments
