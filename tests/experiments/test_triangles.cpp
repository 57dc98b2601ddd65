// The data of the study `triangles`: NumPy's random streams against what NumPy gave, classes against NumPy's and
// against counts by hand, and every bit of three data sets.
#define BOOST_TEST_MODULE triangles
#include "experiments/triangles/data.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <set>

#include "experiments/common/numpy_random.hpp"
#include "experiments/triangles/figures.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using namespace wengert::experiments;
using boost::test_tools::per_element;

namespace {

const parity::Reference& reference() {
  static const parity::Reference read("triangles");
  return read;
}

Sides row(const Array& sides, Index i) { return {sides.at(3 * i), sides.at(3 * i + 1), sides.at(3 * i + 2)}; }

// What is not of these classes, over all rows.
template <class Class>
Index misclassified(const std::string& set, const std::string& name, Class (*of)(const Sides&)) {
  const Array &sides = reference()[set + "/sides"], &wanted = reference()[set + "/" + name];
  Index wrong = 0;
  for (Index i = 0; i < wanted.size(); ++i) wrong += static_cast<double>(of(row(sides, i))) != wanted.at(i);
  return wrong;
}

Sides permuted(const Sides& s, std::size_t i) {
  static constexpr std::array<std::array<std::size_t, 3>, 6> orders{
      {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}};
  return {s[orders[i][0]], s[orders[i][1]], s[orders[i][2]]};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numpy_streams)

BOOST_AUTO_TEST_CASE(pcg64) {
  const auto first = [](std::uint64_t seed) {
    numpy::Generator generator(seed);
    return std::vector{generator.bits(), generator.bits(), generator.bits()};
  };
  BOOST_TEST(first(0) == (std::vector<std::uint64_t>{0xa30febcfd9c2825f, 0x4510bdf882d9d721, 0xa7d3da94ecde8b8}));
  BOOST_TEST(first(42) == (std::vector<std::uint64_t>{0xc621fbcd16d92688, 0x705a5661a791ffc1, 0xdbcd12c26eda1624}));
  BOOST_TEST(first(12345678901234567) ==
             (std::vector<std::uint64_t>{0x570bdf409a6934c3, 0xe59712d10496fc19, 0xfcd560f790729565}));
  numpy::Generator generator(42);
  for (double wanted : {0x1.8c43f79a2db24p-1, 0x1.c16959869e47ep-2, 0x1.b79a2584ddb42p-1, 0x1.650d6c1c2c011p-1})
    BOOST_TEST(generator.random() == wanted);
}

BOOST_AUTO_TEST_CASE(weighted_choices_without_replacement) {
  std::vector<double> p;
  for (int i = 1; i <= 10; ++i) p.push_back(i / 55.0);
  BOOST_TEST(numpy::Generator(42).choice(p, 6) == (std::vector<Index>{8, 6, 9, 2, 7, 1}), per_element());
  BOOST_TEST(numpy::Generator(3).choice(p, 10) == (std::vector<Index>{2, 4, 8, 7, 6, 3, 5, 9, 1, 0}), per_element());
  BOOST_TEST(numpy::Generator(3).choice(p, 0).empty());
}

BOOST_AUTO_TEST_CASE(choices_that_cannot_be_are_refused) {
  const auto refused = [](std::vector<double> p, Index size, const std::string& text) {
    BOOST_CHECK_EXCEPTION(numpy::Generator(1).choice(p, size), Error, [&](const Error& error) {
      BOOST_TEST_MESSAGE(error.what());
      return std::string(error.what()).find(text) != std::string::npos;
    });
  };
  refused({0.5, 0.6}, 1, "add up to 1.1");
  refused({1.5, -0.5}, 1, "-0.5 is no probability");
  refused({std::numeric_limits<double>::quiet_NaN()}, 1, "nan is no probability");
  refused({0.5, 0.5, 0}, 3, "3 different indices wanted of 2");
  refused({}, 1, "add up to 0");
}

BOOST_AUTO_TEST_CASE(mersenne_twister) {
  numpy::RandomState state(42);
  for (std::uint32_t wanted : {1608637542U, 3421126067U, 4083286876U}) BOOST_TEST(state.bits() == wanted);
  BOOST_TEST(numpy::RandomState(42).permutation(12) == (std::vector<Index>{10, 9, 0, 8, 5, 2, 1, 11, 4, 7, 3, 6}),
             per_element());
  BOOST_TEST(numpy::RandomState(0).permutation(17) ==
                 (std::vector<Index>{1, 6, 8, 9, 13, 4, 2, 14, 10, 7, 16, 11, 3, 0, 5, 15, 12}),
             per_element());
  BOOST_TEST(numpy::RandomState(1).permutation(1) == std::vector<Index>{0}, per_element());
  BOOST_TEST(numpy::RandomState(1).permutation(0).empty());
}

// The harmonic series, whose sum shows the order of the additions.
BOOST_AUTO_TEST_CASE(pairwise_sums) {
  std::vector<double> terms;
  for (int i = 1; i <= 1000; ++i) terms.push_back(1.0 / i);
  const std::span<const double> all(terms);
  BOOST_TEST(numpy::sum(all) == 0x1.df11f45f4e61ap+2);
  BOOST_TEST(numpy::sum(all.first(300)) == 0x1.92172a3e6965ap+2);
  BOOST_TEST(numpy::sum(all.first(100)) == 0x1.4bfdfe4591243p+2);
  BOOST_TEST(numpy::sum(all.first(5)) == 0x1.2444444444444p+1);
  BOOST_TEST(numpy::sum({}) == 0.0);
  std::vector<double> block;  // of 128, the most that is not divided
  for (int i = 1; i <= 128; ++i) block.push_back(3.0 / i);
  BOOST_TEST(numpy::sum(block) == 0x1.04ca82eff157cp+4);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(classes)

BOOST_AUTO_TEST_CASE(are_those_of_numpy) {
  for (const char* set : {"42", "7", "2026", "odd"}) {
    BOOST_TEST(misclassified(set, "side_class", side_class) == 0, set);
    BOOST_TEST(misclassified(set, "angle_class", angle_class) == 0, set);
  }
  const Array &sides = reference()["odd/sides"], &valid = reference()["odd/valid"];
  Index triangles = 0;
  for (Index i = 0; i < valid.size(); ++i) {
    BOOST_TEST(is_triangle(row(sides, i)) == (valid.at(i) == 1), "row " << i);
    triangles += is_triangle(row(sides, i));
  }
  BOOST_TEST(triangles > 20);
  BOOST_TEST(triangles < 180);
}

BOOST_AUTO_TEST_CASE(by_hand) {
  struct Case {
    Sides sides;
    SideClass by_sides;
    AngleClass by_angle;
    bool valid;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Case cases[] = {
      {{1, 1, 1}, SideClass::equilateral, AngleClass::acute, true},
      {{1, 1.0009, 1.0018}, SideClass::equilateral, AngleClass::acute, true},  // neighbours, not the outer ones
      {{1, 1.0011, 1.0022}, SideClass::scalene, AngleClass::acute, true},
      {{3, 4, 5}, SideClass::scalene, AngleClass::right, true},
      {{3, 4, 4.99}, SideClass::scalene, AngleClass::acute, true},    // 89.8 degrees
      {{3, 4, 4.9965}, SideClass::scalene, AngleClass::right, true},  // 89.92 degrees
      {{3, 4, 5.0035}, SideClass::scalene, AngleClass::right, true},
      {{3, 4, 5.01}, SideClass::scalene, AngleClass::obtuse, true},
      {{1, 1, std::sqrt(2)}, SideClass::isosceles, AngleClass::right, true},
      {{2, 2, 1}, SideClass::isosceles, AngleClass::acute, true},
      {{1, 2, 3}, SideClass::scalene, AngleClass::obtuse, false},  // flat
      {{1, 2, 4}, SideClass::scalene, AngleClass::obtuse, false},
      {{-1, 1, 1}, SideClass::isosceles, AngleClass::obtuse, false},  // a cosine of -.5
      {{0, 1, 2}, SideClass::scalene, AngleClass::obtuse, false},
      {{0, 0, 0}, SideClass::equilateral, AngleClass::obtuse, false},
      {{nan, 1, 1}, SideClass::isosceles, AngleClass::obtuse, false},
  };
  for (const Case& c : cases)
    for (std::size_t i = 0; i < (std::isnan(c.sides[0]) ? 1U : 6U); ++i) {
      const Sides sides = permuted(c.sides, i);
      const auto where = [&] { return std::to_string(sides[0]) + " " + std::to_string(sides[1]); };
      BOOST_TEST((side_class(sides) == c.by_sides), where());
      BOOST_TEST((angle_class(sides) == c.by_angle), where());
      BOOST_TEST(is_triangle(sides) == c.valid, where());
    }
}

BOOST_AUTO_TEST_SUITE_END()

// Four triangles and a triple that is none, all counted.
BOOST_AUTO_TEST_CASE(shares_are_counted) {
  const ClassShares shares = class_shares({{1, 1, 1}, {3, 4, 5}, {2, 2, 1}, {2, 3, 4}, {1, 2, 4}});
  BOOST_TEST(shares.valid == 0.8);
  BOOST_TEST(shares.equilateral == 0.2);
  BOOST_TEST(shares.isosceles == 0.2);
  BOOST_TEST(shares.scalene == 0.6);
  BOOST_TEST(shares.acute == 0.4);
  BOOST_TEST(shares.right == 0.2);
  BOOST_TEST(shares.obtuse == 0.4);
  BOOST_TEST(std::isnan(class_shares({}).valid));
}

BOOST_AUTO_TEST_CASE(features_are_those_of_numpy_and_lead_back) {
  const std::vector<Sides> data = triangle_data(42, 1024);
  const TriangleFeatures features(data);
  const Array &means = reference()["42/features_mean"], &deviations = reference()["42/features_sd"];
  for (Index j = 0; j < 4; ++j) {
    const auto i = static_cast<std::size_t>(j);
    BOOST_TEST(features.means()[i] == means.at(j), boost::test_tools::tolerance(1e-13));
    BOOST_TEST(features.deviations()[i] == deviations.at(j), boost::test_tools::tolerance(1e-12));
  }
  const Array x = features.standardised(data);
  BOOST_TEST((x.type() == Type{Dtype::f32, {1024, 4}}));
  double low = 0, high = 0;
  for (Index i = 0; i < x.size(); ++i) low = std::min(low, x.at(i)), high = std::max(high, x.at(i));
  BOOST_TEST(low == -3.7140, boost::test_tools::tolerance(1e-4));
  BOOST_TEST(high == 3.5912, boost::test_tools::tolerance(1e-4));
  const std::vector<Sides> back = features.sides(x);
  for (std::size_t i = 0; i < data.size(); ++i)
    for (std::size_t j = 0; j < 3; ++j) BOOST_TEST(std::abs(back[i][j] - data[i][j]) < 1e-6);
}

// Nodes at -1, 0 and 1: of the nine, (0, 1), (1, 0) and lower ones are flat or worse, and (1, 1) alone is a triangle.
BOOST_AUTO_TEST_CASE(maps_hold_triangles_or_every_cell) {
  const std::vector<Sides> data = triangle_data(42, 1024);
  const TriangleFeatures features(data);
  const TriangleMap map(features, 3), bare(features, 3, true);
  BOOST_TEST((map.points().shape() == Shape{1, 4}));
  const Array wanted = features.standardised({{0.2, 0.2, 0.2}});
  for (Index j = 0; j < 4; ++j) BOOST_TEST(map.points().at(j) == wanted.at(j), boost::test_tools::tolerance(1e-5));
  BOOST_TEST((bare.points().shape() == Shape{9, 4}));
  for (Index i = 0; i < 9; ++i) {
    const double a = 0.2 * static_cast<double>(i % 3 - 1), b = 0.2 * static_cast<double>(i / 3 - 1);
    const std::array row{a, b, 0.2, a + b + 0.2};
    for (Index j = 0; j < 4; ++j)
      BOOST_TEST(std::abs(bare.points().at(4 * i + j) - row[static_cast<std::size_t>(j)]) < 1e-7);
  }
  const Field field = map.field({7});
  for (std::size_t i = 0; i < 8; ++i) BOOST_TEST(std::isnan(field.values[i]));
  BOOST_TEST(field.values[8] == 7);
  BOOST_TEST(TriangleMap(features, 40).points().shape()[0] > 150);
  BOOST_CHECK_THROW(TriangleMap(features, 1), Error);
}

// The triangle of .3, .4 and .5, as it is and with perimeter 1, at the first place; what is none and what is too large
// for its place are passed over.
BOOST_AUTO_TEST_CASE(triangles_are_drawn_with_their_sides) {
  for (bool scaled : {false, true}) {
    const Panel panel = drawn_triangles({{0.1, 0.2, 0.4}, {4, 3, 5}, {0.4, 0.3, 0.5}}, "t", scaled);
    BOOST_REQUIRE(panel.layers.size() == 1u);
    const Line& line = std::get<Line>(panel.layers[0]);
    std::vector<double> sides;
    for (std::size_t i = 0; i < 3; ++i)
      sides.push_back(std::hypot(line.x[i + 1] - line.x[i], line.y[i + 1] - line.y[i]) * (scaled ? 12 : 10));
    std::sort(sides.begin(), sides.end());
    for (std::size_t i = 0; i < 3; ++i)
      BOOST_TEST(sides[i] == static_cast<double>(i + 3), boost::test_tools::tolerance(1e-12));
    BOOST_TEST(line.label == "right");
  }
  BOOST_TEST(drawn_triangles(triangle_data(7, 1024), "t", false).layers.size() == 25u);
}

BOOST_AUTO_TEST_CASE(forms_part_triangles_from_what_is_none) {
  const Panel panel = triangle_forms({{3, 4, 5}, {1, 2, 4}, {2, 2, 1}}, {{1, 1, 2}, {4, 4, 4}}, "t");
  const auto points = [&](std::size_t i) { return std::get<Points>(panel.layers[i]); };
  BOOST_TEST(points(0).x == std::vector<double>{1}, per_element());  // of the data, what is a triangle
  BOOST_TEST(points(1).x == (std::vector<double>{0.6, 2}), per_element());
  BOOST_TEST(points(1).y == (std::vector<double>{0.8, 2}), per_element());
  BOOST_TEST(points(2).x == std::vector<double>{0.25}, per_element());
}

BOOST_AUTO_TEST_CASE(maps_stand_against_corrected_ones) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Field printed{{1, 2, 3, nan}, 2, {0, 1}, {0, 1}}, corrected{{nan, 20, 30, 40}, 2, {0, 1}, {0, 1}};
  const Figure figure = map_beside_corrected(printed, corrected);
  BOOST_REQUIRE(figure.panels.size() == 2u);
  const Points& points = std::get<Points>(figure.panels[1].layers[0]);
  BOOST_TEST(points.x == (std::vector<double>{20, 30}), per_element());
  BOOST_TEST(points.y == (std::vector<double>{2, 3}), per_element());
}

BOOST_AUTO_TEST_CASE(data_have_every_bit) {
  for (std::uint32_t seed : {42U, 7U, 2026U}) {
    const std::vector<Sides> data = triangle_data(seed, 1024);
    const Array& wanted = reference()[std::to_string(seed) + "/sides"];
    BOOST_REQUIRE(wanted.size() == 3 * 1024);
    Index different = 0;
    for (Index i = 0; i < 1024; ++i) different += data[static_cast<std::size_t>(i)] != row(wanted, i);
    BOOST_TEST(different == 0, "seed " << seed);
    const std::set<Sides> distinct(data.begin(), data.end());
    BOOST_TEST(distinct.size() == 1024U);
  }
}
