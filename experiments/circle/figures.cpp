// The pictures of the study `circle`.
#include <algorithm>
#include <cmath>

#include "experiments/circle/study.hpp"

namespace wengert::experiments::circle_study {
namespace {

// An energy map with the circle and the score.
template <class Score>
Panel energy_panel(const std::string& title, const std::vector<double>& energy, const Score& score, Dtype dtype) {
  const Array where = lattice({-1.38, 1.38}, {-1.38, 1.38}, 13).cast(dtype);
  Panel panel = energy_map(title, energy, plane);
  panel.layers.emplace_back(circle(1, "#FFFFFF"));
  panel.layers.emplace_back(score_arrows(where, evaluated(score, where, look), 0.05, "#50FFFFFF"));
  return panel;
}

}  // namespace

Panel landscape_panel(const Model& model, const Landscape& found, const Faults& faults) {
  Panel panel = energy_panel(model.title(), found.map.shown(faults), model.score, Dtype::f32);
  const bool few = model.k < 100;
  if (few) panel.layers.emplace_back(marks(found.samples, {.label = "samples", .colour = colour::grey, .size = 0.4}));
  panel.layers.emplace_back(marks(model.patterns, {.label = "patterns",
                                                   .colour = colour::vermilion,
                                                   .size = few ? 1.4 : 0.25,
                                                   .mark = few ? Points::Mark::star : Points::Mark::dot,
                                                   .rim = few ? colour::black : nullptr}));
  if (!few) return panel;
  panel.layers.emplace_back(marks(found.clusters.centres, {.label = "centres of clusters",
                                                           .colour = colour::sky,
                                                           .size = 1.3,
                                                           .mark = Points::Mark::cross,
                                                           .rim = colour::black}));
  std::vector<Text> labels;
  for (const auto& [points, energy, ink] : {std::tuple{&model.patterns, &found.patterns.shown(faults), "#A03C00"},
                                            {&found.clusters.centres, &found.centres.shown(faults), colour::blue}}) {
    const double zero = lowest(faults.shift ? *energy : found.map.shown(faults));
    const std::vector<double> x = column(*points, 0), y = column(*points, 1);
    for (std::size_t i = 0; i < x.size(); ++i)
      labels.push_back({x[i], y[i], fmt::format("{:.2f}", std::max((*energy)[i] - zero, 0.0)), ink, true});
  }
  for (Text& label : beside_marks(std::move(labels), plane, plane, 0.28, 0.14)) panel.layers.emplace_back(label);
  return panel;
}

Panel surface_panel(const Model& model, const Landscape& found, const Faults& faults) {
  const std::vector<double>& energy = found.surface.shown(faults);
  Panel panel = energy_surface(model.title(), energy, plane, energy_colours.range);
  if (model.k > 100) return panel;
  Points stars = marks(
      model.patterns,
      {.label = "patterns", .colour = colour::vermilion, .size = 1, .mark = Points::Mark::star, .rim = colour::black});
  stars.z = above(found.patterns.shown(faults), lowest(energy) - 0.1);
  panel.layers.emplace_back(std::move(stars));
  return panel;
}

Figure exact_figure(const std::vector<Model>& models, const std::vector<Landscape>& found, const Faults& faults) {
  Figure figure{.panels = {}, .columns = found.size() + 1, .width = 320, .colours = energy_colours};
  for (std::size_t i = 0; i < found.size(); ++i)
    figure.panels.push_back(
        energy_panel(models[i].title() + ", exact", found[i].mixture, models[i].exact(), Dtype::f64));
  figure.panels.push_back(
      energy_panel("infinitely many, exact", found[0].bessel, sde::UniformCircle(models[0].ve), Dtype::f64));
  for (std::size_t i = 0; i < found.size(); ++i)
    figure.panels.push_back(
        energy_panel(models[i].title() + ", learned", found[i].map.shown(faults), models[i].score, Dtype::f32));
  return figure;
}

// R^2 + 1 - log I_0(2 beta R) / beta, from its lowest value on, or 2 (I_1 / I_0 - R).
Line bessel_curve(double t, const sde::VeConstant& ve, bool slope, bool printed) {
  const double beta = 1 / (2 * ve.sigma * ve.sigma * t);
  Tape tape(Dtype::f64);
  Array radii(Dtype::f64, {301, 1});
  for (Index i = 0; i < radii.size(); ++i) radii.set(i, static_cast<double>(i) / 200);
  const Var r = tape.input(radii), z = 2 * beta * r, ratio = i1e(z) / i0e(z);
  const Var energy = square(r) + 1 - (printed ? log(exp(z) * i0e(z)) : z + log(i0e(z))) / beta;
  const Var downhill = printed ? -2 * r - 2 / beta * ratio : 2 * (ratio - r);
  Line line{.x = column(radii, 0), .y = column((slope ? downhill : energy).value(), 0)};
  std::erase_if(line.y, [](double value) { return !std::isfinite(value); });
  line.x.resize(line.y.size());
  if (!slope) line.y = above(line.y, lowest(line.y));
  return line;
}

Panel bessel_panel(const sde::VeConstant& ve, bool slope, bool printed) {
  Panel panel{.x = {.label = "R", .range = Range{0, 1.5}, .step = 0.5},
              .y = {.label = slope ? "slope downhill" : "energy",
                    .range = slope ? Range{-4, 2} : Range{0, 1},
                    .step = slope ? 1 : 0.2}};
  for (const auto& [t, ink] : {std::pair{look, colour::blue}, {0.01, colour::green}, {0.001, colour::vermilion}}) {
    Line line = bessel_curve(t, ve, slope, printed);
    line.label = fmt::format("t = {}", t);
    line.colour = ink;
    panel.layers.emplace_back(std::move(line));
  }
  return panel;
}

Figure along_radius(const sde::VeConstant& ve, bool printed) {
  Figure figure{
      .panels = {bessel_panel(ve, false, printed), bessel_panel(ve, true, printed)}, .width = 500, .height = 340};
  if (!printed) figure.panels[1].y.range = Range{-2, 2};
  return figure;
}

void add_learned(Figure& figure, const Model& model, const Faults& faults) {
  constexpr Index radii = 60, angles = 24;
  const double scale = 2 * model.ve.sigma * model.ve.sigma * look;
  Array points(Dtype::f32, {radii * angles, 2});
  for (Index i = 0; i < radii * angles; ++i) {
    const double r = 0.025 * static_cast<double>(i / angles + 1), angle = 0.2618 * static_cast<double>(i % angles);
    points.set(2 * i, r * std::cos(angle));
    points.set(2 * i + 1, r * std::sin(angle));
  }
  const Array s = evaluated(model.score, points, look);
  const std::vector<double> energy = energies(model, points).shown(faults);
  Line heights{.x = {}, .y = {}, .label = model.title(), .colour = colour::black}, slopes = heights;
  for (Index i = 0; i < radii; ++i) {
    const double r = 0.025 * static_cast<double>(i + 1);
    double height = 0, slope = 0;
    for (Index j = i * angles; j < (i + 1) * angles; ++j) {
      height += scale * energy[static_cast<std::size_t>(j)] / angles;
      slope += scale * (s.at(2 * j) * points.at(2 * j) + s.at(2 * j + 1) * points.at(2 * j + 1)) / r / angles;
    }
    for (Line* line : {&heights, &slopes}) line->x.push_back(r);
    heights.y.push_back(height);
    slopes.y.push_back(slope);
  }
  heights.y = above(heights.y, lowest(heights.y));
  heights.dashed = slopes.dashed = true;
  figure.panels[0].layers.emplace_back(std::move(heights));
  figure.panels[1].layers.emplace_back(std::move(slopes));
}

}  // namespace wengert::experiments::circle_study
