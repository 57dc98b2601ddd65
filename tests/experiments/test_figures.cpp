// Figures: where marks and labels lie, and that they are drawn; whether they are beautiful, eyes must say.
#define BOOST_TEST_MODULE figures
#include "experiments/common/figures.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "autodiff/ops.hpp"
#include "experiments/circle/landscape.hpp"
#include "experiments/common/gnuplot.hpp"
#include "experiments/common/statistics.hpp"
#include "tests/experiments/helpers.hpp"

using namespace wengert;
using namespace wengert::experiments;
using namespace wengert::testing;

namespace {

constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

// The tests' packages do not include gnuplot; the experiments' do.
boost::test_tools::assertion_result has_gnuplot(boost::unit_test::test_unit_id id) {
  return present(std::system("gnuplot --version >/dev/null 2>&1") == 0, "gnuplot", id);
}

// Width and height as a PNG file states them, 0 x 0 if it is none.
std::pair<int, int> size_of_png(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  if (bytes.size() < 24 || bytes.substr(0, 8) != "\x89PNG\r\n\x1a\n") return {0, 0};
  const auto number = [&](std::size_t at) {
    return std::accumulate(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                           bytes.begin() + static_cast<std::ptrdiff_t>(at + 4), 0,
                           [](int sum, char c) { return 256 * sum + static_cast<unsigned char>(c); });
  };
  return {number(16), number(20)};
}

// Draws into a folder; gnuplot needs no other place for files.
template <class Draw>
std::pair<int, int> drawn(Draw&& draw) {
  const Folder folder;
  const Variable variable("TMPDIR", (folder / "none").string());
  std::forward<Draw>(draw)(folder / "it's a figure.png");
  BOOST_TEST(folder.files() == 1u);
  return size_of_png(folder / "it's a figure.png");
}

Array losses_of(Index count, double (*loss)(double)) {
  Array losses(Dtype::f32, {count});
  for (Index i = 0; i < count; ++i) losses.set(i, loss(static_cast<double>(i)));
  return losses;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(layout)

// Marks in a row that is closer than labels are wide: none covers another, nor a mark, and all lie in the panel.
BOOST_AUTO_TEST_CASE(labels_beside_marks_do_not_overlap) {
  std::vector<Text> labels;
  for (int i = 0; i < 9; ++i) labels.push_back({-0.9 + 0.2 * i, 0.9, std::to_string(i), colour::blue, true});
  std::vector<Text> more = labels;
  more.insert(more.begin() + 3, Text{0, 1.1, "outside"});
  const std::vector<Text> placed = beside_marks(more, {-1, 1}, {-1, 1}, 0.3, 0.1);
  BOOST_REQUIRE(placed.size() == labels.size());
  for (std::size_t i = 0; i < placed.size(); ++i) {
    BOOST_TEST(placed[i].text == labels[i].text);
    BOOST_TEST(std::abs(placed[i].x) <= 0.85 + 1e-12);
    BOOST_TEST(std::abs(placed[i].y) <= 0.95 + 1e-12);
    BOOST_TEST(std::hypot(placed[i].x - labels[i].x, placed[i].y - labels[i].y) < 0.7);
    for (std::size_t j = 0; j < placed.size(); ++j) {
      const auto apart = [&](const Text& other) {
        return std::abs(placed[i].x - other.x) >= 0.3 - 1e-12 || std::abs(placed[i].y - other.y) >= 0.1 - 1e-12;
      };
      if (j != i) BOOST_TEST(apart(placed[j]), i << " and " << j);
      BOOST_TEST((std::abs(placed[i].x - labels[j].x) > 0.1 || std::abs(placed[i].y - labels[j].y) > 0.05));
    }
  }
}

// Cells at 0, 1, 2 along each axis, of which one row and one column hold no number.
BOOST_AUTO_TEST_CASE(maps_show_what_holds_numbers_in_one_scale) {
  const Field field{{no_number, no_number, no_number, no_number, 1, 2, no_number, 3, no_number}, 3, {0, 2}, {0, 2}};
  const Figure figure = field_maps({{"a", field}, {"b", field}}, {"u", "v"}, "value");
  BOOST_REQUIRE(figure.panels.size() == 2u);
  for (const Panel& panel : figure.panels)
    for (const experiments::Axis& axis : {panel.x, panel.y}) {
      BOOST_TEST(axis.range->low == 0.5);
      BOOST_TEST(axis.range->high == 2.5);
    }
  BOOST_TEST(figure.colours->range.low == 1);
  BOOST_TEST(figure.colours->range.high == 3);
  const Figure change = field_maps({{"a", field}}, {"u", "v"}, "change", true);
  BOOST_TEST(change.colours->range.low == -3);
  BOOST_TEST(change.colours->diverging);
  // The lowest of twenty is no part of the scale.
  Field outlier{std::vector<double>(20, 5), 5, {0, 4}, {0, 3}};
  outlier.values[2] = -7, outlier.values[3] = -1000, outlier.values[4] = 6;
  BOOST_TEST(field_maps({{"a", outlier}}, {"u", "v"}, "value").colours->range.low == -7);
  const Field empty{std::vector<double>(4, no_number), 2, {0, 1}, {0, 1}};
  BOOST_TEST(contains(error_of([&] { field_maps({{"a", empty}}, {"u", "v"}, "value"); }), "without a number"));
}

BOOST_AUTO_TEST_CASE(losses_stand_beside_printed_ones) {
  const std::vector<double> ours{3, 2}, printed{4, 3, 2};
  const Figure figure = losses_beside(ours, printed);
  const Line &line = std::get<Line>(figure.panels[0].layers[0]), &other = std::get<Line>(figure.panels[0].layers[1]);
  BOOST_TEST(line.x == (std::vector<double>{1, 2}), boost::test_tools::per_element());
  BOOST_TEST(line.y == ours, boost::test_tools::per_element());
  BOOST_TEST(other.x == (std::vector<double>{1, 2, 3}), boost::test_tools::per_element());
  BOOST_TEST(other.y == printed, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(without_gnuplot_the_error_says_what_to_install) {
  const Folder folder;
  const std::string error = error_of([&] {
    const Variable variable("PATH", folder.path().string());
    draw(folder / "f.png", loss_curves({{"", Array::of<float>({1}, {1})}}));
  });
  BOOST_TEST(error == "figures need gnuplot on the PATH: install gnuplot-nox, or leave them out by --figures none");
  BOOST_TEST(folder.files() == 0u);
}

BOOST_AUTO_TEST_SUITE(figures, *boost::unit_test::precondition(has_gnuplot))

BOOST_AUTO_TEST_CASE(densities_of_points_have_a_panel_each) {
  const Array points = random_array(Dtype::f32, {1000, 2}, 1);
  const Range range{-1, 1};
  const DensityMap panel{"it's", {points, range, range, 20}};
  const auto size = drawn([&](const auto& path) { draw(path, density_maps({panel, panel})); });
  BOOST_TEST(size.first > 1000);
  BOOST_TEST(size.second > 500);
  BOOST_TEST(drawn([&](const auto& path) { draw(path, density_maps({panel})); }).first < size.first);
  BOOST_TEST(drawn([&](const auto& path) { draw(path, density_maps({panel, panel, panel})); }).first > size.first);
  // Wide ranges, and none of the points in them.
  const DensityMap empty{"none", {points, {5, 9}, {5, 6}, 20}};
  const auto wide = drawn([&](const auto& path) { draw(path, density_maps({empty})); });
  BOOST_TEST(wide.first > 2 * wide.second);
}

BOOST_AUTO_TEST_CASE(densities_are_drawn_with_an_exact_one_and_without) {
  const std::vector<double> values{0.1, 0.2, 0.3};
  const Histogram histogram(values, {-1, 1}, 10), empty({}, {-1, 1}, 10);
  const Density bare{"x", histogram, histogram}, exact{"x", histogram, histogram, [](double) { return 0.5; }, true};
  BOOST_TEST(drawn([&](const auto& path) { draw(path, densities({bare, exact})); }).first > 1000);
  BOOST_TEST(drawn([&](const auto& path) { draw(path, densities({{"x", empty, empty}})); }).first > 500);
  const Density infinite{"x", histogram, histogram, [](double x) { return 1 / std::abs(x); }};
  BOOST_TEST(drawn([&](const auto& path) { draw(path, densities({infinite})); }).first > 500);
}

BOOST_AUTO_TEST_CASE(losses_of_all_kinds_are_drawn) {
  using Loss = double (*)(double);
  const Loss falling = [](double i) { return 1 / (1 + i); }, flat = [](double) { return 1.0; },
             negative = [](double i) { return 1 - i; }, narrow = [](double i) { return 1 + 0.1 * std::sin(i); },
             tiny = [](double i) { return 1e-30 / (1 + i); };
  for (const Loss loss : {falling, flat, negative, narrow, tiny})
    for (Index count : {1, 2, 3, 500, 20000}) {
      const Array losses = losses_of(count, loss);
      BOOST_TEST(drawn([&](const auto& path) { draw(path, loss_curves({{"", losses}})); }).first > 1000);
    }
  BOOST_TEST(drawn([&](const auto& path) { draw(path, loss_curves({{"", losses_of(0, flat)}})); }).first > 1000);
}

// A picture of every layer there is, in each format.
Figure of_everything() {
  const Field field{{0, 1, 2, 3, 4, 5, 6, 7, 8}, 3, {0, 1}, {0, 1}};
  const std::vector<double> x{0.1, 0.5, 0.9}, y{0.2, 0.6, 0.4};
  Figure figure{.panels = {}, .colours = ColourScale{"value", {0, 8}}};
  figure.panels.push_back({.title = "it's",
                           .x = {"x", Range{0, 1}},
                           .y = {"y", Range{0, 1}},
                           .square = true,
                           .layers = {Heat{field}, Contours{field, {2.5, 5}}, Arrows{x, y, y, x, {1, 2, 3}},
                                      Arrows{.x = x, .y = y, .dx = y, .dy = x}, Text{0.5, 0.5, "it's here"},
                                      Text{0.2, 0.5, "boxed", colour::blue, true}}});
  figure.panels.push_back(
      {.x = {"x", Range{0, 1}},
       .y = {"y", Range{0, 1}},
       .square = true,
       .layers = {Points{.x = x, .y = y, .label = "dots"},
                  Points{.x = x, .y = x, .label = "stars", .mark = Points::Mark::star, .rim = colour::black},
                  Line{.x = x, .y = y, .label = "it's a line", .dashed = true}, Line{.x = y, .y = y, .value = 3},
                  Bars{{y, {0, 1}, 4}, "bars"}, Points{}, Line{}, Contours{field, {}}}});
  figure.panels.push_back({.x = {.range = Range{0, 1}},
                           .y = {.range = Range{0, 1}},
                           .square = true,
                           .layers = {Heat{{{no_number, 1, 2, no_number}, 2, {0, 1}, {0, 1}}}},
                           .bare = true});
  figure.panels.push_back(
      {.title = "above",
       .x = {"x", Range{0, 1}},
       .y = {"y", Range{0, 1}},
       .layers = {Surface{field}, Points{.x = x, .y = y, .label = "stars", .mark = Points::Mark::star, .z = y}},
       .z = {"z", Range{0, 8}}});
  return figure;
}

BOOST_AUTO_TEST_CASE(every_layer_is_drawn_in_every_format) {
  const auto size = drawn([](const auto& path) { draw(path, of_everything()); });
  BOOST_TEST(size.first > 1000);
  const Folder folder;
  draw(folder / "f.svg", of_everything());
  BOOST_TEST(contains(read_file(folder / "f.svg"), "</svg>"));
  std::vector<Figure> frames(3, of_everything());
  for (const char* title : {"one", "two"}) frames[title[0] == 'o' ? 1 : 2].panels[0].title = title;
  animate(folder / "f.gif", frames);
  BOOST_TEST(read_file(folder / "f.gif").starts_with("GIF89a"));
  BOOST_TEST(count_of(read_file(folder / "f.gif"), std::string("\x21\xf9\x04", 3)) >= 3u);  // a control block a frame
}

// The corners of all lines of a colour in an SVG, as gnuplot writes them: "M135.00,255.00 L124.50,255.00".
std::vector<std::pair<double, double>> corners(const std::string& svg, const std::string& stroke) {
  std::vector<std::pair<double, double>> found;
  for (std::size_t at = svg.find(stroke); at != std::string::npos; at = svg.find(stroke, at + 1)) {
    const std::size_t end = svg.find("/>", at);
    for (std::size_t k = svg.find(" d='", at) + 3; k < end; ++k) {
      double x = 0, y = 0;
      if (std::sscanf(svg.c_str() + k, "%*1[ML]%lf,%lf", &x, &y) == 2) found.emplace_back(x, y);
    }
  }
  return found;
}

// Also in a panel whose axis has no numbers, since it shares them with the one before.
BOOST_AUTO_TEST_CASE(contours_are_the_same_in_every_panel) {
  std::vector<double> energies;
  for (Index i = 0; i < 49; ++i)
    energies.push_back(std::pow(static_cast<double>(i % 7) - 3, 2) + std::pow(static_cast<double>(i / 7) - 3, 2));
  const Folder folder;
  const Panel panel = energy_map("", energies, {-1, 1});
  draw(folder / "f.svg", {.panels = {panel, panel, panel}});
  const auto points = corners(read_file(folder / "f.svg"), "stroke='rgb(255, 255, 255)'");
  BOOST_REQUIRE(points.size() > 100u);
  BOOST_REQUIRE(points.size() % 3 == 0u);
  const std::size_t each = points.size() / 3;
  double high = 0, low = 1e9;
  for (std::size_t i = 0; i < each; ++i) {
    for (std::size_t other : {each, 2 * each}) {
      BOOST_TEST(points[i + other].first - points[i].first == points[other].first - points[0].first,
                 boost::test_tools::tolerance(1e-3));
      BOOST_TEST(points[i + other].second == points[i].second, boost::test_tools::tolerance(1e-3));
    }
    high = std::max(high, points[i].second);
    low = std::min(low, points[i].second);
  }
  BOOST_TEST(high - low > 300);  // of 460 pixels
}

BOOST_AUTO_TEST_CASE(figures_that_cannot_be_drawn_are_refused) {
  const Folder folder;
  const auto error = [&](const char* name, const Figure& figure) {
    return error_of([&] { draw(folder / name, figure); });
  };
  BOOST_TEST(contains(error("f.png", {}), "[figure] a figure needs one panel at least"));
  BOOST_TEST(contains(error("f.png", {.panels = {{.square = true}}}), "a square panel needs the ranges of both axes"));
  BOOST_TEST(contains(error("f.jpg", {.panels = {{}}}), "a figure is .png, .svg or .gif"));
  const Field broken{{1, 2, 3}, 2, {0, 1}, {0, 1}};
  BOOST_TEST(contains(error("f.png", {.panels = {{.layers = {Heat{broken}}}}}), "3 values are no field of 2 columns"));
  Figure wide{.panels = {{}}, .width = 700};
  BOOST_TEST(contains(error_of([&] {
                        animate(folder / "f.gif", std::vector<Figure>{wide, {.panels = {{}}}});
                      }),
                      "differ in size"));
  BOOST_TEST(contains(error_of([&] { animate(folder / "f.gif", {}); }), "one figure at least"));
  BOOST_TEST(folder.files() == 0u);
}

BOOST_AUTO_TEST_CASE(the_users_own_gnuplot_settings_do_not_matter) {
  const Folder home;
  replace_file(home / ".gnuplot", "exit status 3\n");
  const Variable variable("HOME", home.path().string());
  const Variable locale("LC_ALL", "de_DE.UTF-8");
  BOOST_TEST(drawn([&](const auto& path) {
               draw(path, loss_curves({{"", losses_of(9, [](double i) { return 0.5 + i; })}}));
             }).first > 0);
}

BOOST_AUTO_TEST_SUITE_END()
