// Shapes and NumPy's broadcasting rule, against a brute force of its own.
#define BOOST_TEST_MODULE shape
#include "autodiff/shape.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <optional>
#include <random>
#include <vector>

#include "autodiff/error.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using wengert::testing::error_of;

namespace {

using Extents = std::vector<Index>;

Extents extents_of(const Shape& shape) { return Extents(shape.extents().begin(), shape.extents().end()); }

// The rule as NumPy's manual words it, on plain lists: align at the end; missing axes are 1; equal, or one of them
// is 1.
std::optional<Extents> numpy_rule(const Extents& a, const Extents& b) {
  Extents result(std::max(a.size(), b.size()));
  for (std::size_t back = 1; back <= result.size(); ++back) {
    const Index x = back <= a.size() ? a[a.size() - back] : 1, y = back <= b.size() ? b[b.size() - back] : 1;
    if (x != y && x != 1 && y != 1) return std::nullopt;
    result[result.size() - back] = x == 1 ? y : x;
  }
  return result;
}

Shape random_shape(std::mt19937_64& random, int ranks) {
  Shape shape;
  const Index choices[] = {0, 1, 1, 1, 2, 2, 3, 5};
  for (int rank = std::uniform_int_distribution<int>(0, ranks)(random); rank > 0; --rank)
    shape.append(choices[std::uniform_int_distribution<int>(0, 7)(random)]);
  return shape;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_shape_is_a_list_of_extents) {
  const Shape shape{2, 3, 4};
  BOOST_TEST(shape.rank() == 3);
  BOOST_TEST(shape.size() == 24);
  BOOST_TEST(shape[0] == 2);
  BOOST_TEST(shape[2] == 4);
  BOOST_TEST(shape[-1] == 4);
  BOOST_TEST(shape[-3] == 2);
  BOOST_TEST(Shape{}.rank() == 0);
  BOOST_TEST(Shape{}.size() == 1);  // a number is one element
  BOOST_TEST((Shape{5, 0, 7}.size() == 0));
  BOOST_TEST((Shape{2, 3} == Shape(std::vector<Index>{2, 3})));
  BOOST_TEST((Shape{2, 3} != Shape{2, 3, 1}));
  BOOST_TEST((Shape{2, 3} != Shape{3, 2}));
  BOOST_TEST((Shape{} != Shape{1}));
}

BOOST_AUTO_TEST_CASE(equality_forgets_what_was_there_before) {
  Shape shape{7, 7, 7};
  shape = Shape{2};
  BOOST_TEST((shape == Shape{2}));
  shape.set(-1, 9);
  BOOST_TEST((shape == Shape{9}));
  shape.append(4);
  BOOST_TEST((shape == Shape{9, 4}));
}

BOOST_AUTO_TEST_CASE(parts_and_joins) {
  const Shape shape{2, 3, 4};
  BOOST_TEST((shape.leading(0) == Shape{}));
  BOOST_TEST((shape.leading(2) == Shape{2, 3}));
  BOOST_TEST((shape.trailing(1) == Shape{4}));
  BOOST_TEST((shape.trailing(3) == shape));
  BOOST_TEST((shape.prepended(9) == Shape{9, 2, 3, 4}));
  BOOST_TEST((shape.padded(5) == Shape{1, 1, 2, 3, 4}));
  BOOST_TEST((shape.padded(2) == shape));
  BOOST_TEST((Shape{}.followed_by(shape) == shape));
  BOOST_TEST((shape.followed_by({6, 7}) == Shape{2, 3, 4, 6, 7}));
}

BOOST_AUTO_TEST_CASE(printing) {
  BOOST_TEST(to_string(Shape{}) == "[]");
  BOOST_TEST(to_string(Shape{7}) == "[7]");
  BOOST_TEST(to_string(Shape{32, 0, 68}) == "[32, 0, 68]");
}

BOOST_AUTO_TEST_CASE(refusals) {
  const auto says = [](const std::string& text, const std::string& what) {
    return wengert::testing::contains(text, "[shape] " + what + "  (test_shape.cpp:");
  };
  BOOST_TEST(says(error_of([] { Shape{2, -1}; }), "a shape's extents cannot be negative, got -1"));
  BOOST_TEST(says(error_of([] { Shape{1, 2, 3, 4, 5, 6, 7, 8, 9}; }), "a shape has at most 8 axes, got one more"));
  BOOST_TEST(error_of([] { Shape{1, 2, 3, 4, 5, 6, 7, 8}; }) == "nothing was thrown");
  BOOST_TEST(error_of([] { Shape{1, 2, 3, 4, 5, 6, 7, 8}.prepended(1); }) ==
             "a shape has at most 8 axes, got one more");
  Shape shape{2, 3};
  BOOST_TEST(error_of([&] { shape.set(0, -4); }) == "a shape's extents cannot be negative, got -4");
  BOOST_TEST((shape == Shape{2, 3}));
  BOOST_TEST(says(error_of([] {
                    Shape{1000000000, 0, 1000000000};
                  }),
                  "no machine holds a shape of [1000000000, 0, 1000000000]"));
  BOOST_TEST(error_of([&] { shape.append(Index{1} << 62); }) ==
             "no machine holds a shape of [2, 3, 4611686018427387904]");
  BOOST_TEST((shape == Shape{2, 3}));
  BOOST_TEST((Shape{1 << 23, 1 << 24}.size() == Index{1} << 47));
}

BOOST_AUTO_TEST_CASE(the_number_of_elements_goes_with_every_change) {
  const auto product = [](const Shape& shape) {
    Index elements = 1;
    for (Index extent : shape.extents()) elements *= extent;
    return elements;
  };
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3, 4}, Shape{0, 7}, Shape{3, 0, 0}, Shape{1, 1, 6}}) {
    std::vector<Shape> made{shape, shape.prepended(3), shape.padded(5), shape.followed_by({2, 0}),
                            shape.followed_by({})};
    for (int axes = 0; axes <= shape.rank(); ++axes) {
      made.push_back(shape.leading(axes));
      made.push_back(shape.trailing(axes));
    }
    for (int axis = 0; axis < shape.rank(); ++axis) {
      made.push_back(shape);
      made.back().set(axis, 9);
      error_of([&] { made.back().set(axis, -1); });
    }
    for (Shape& each : made) {
      BOOST_TEST(each.size() == product(each), to_string(each));
      each.append(4);
      error_of([&] { each.append(Index{1} << 60); });
      BOOST_TEST(each.size() == product(each), to_string(each));
    }
  }
}

BOOST_AUTO_TEST_CASE(axes_are_counted_from_the_end) {
  for (int rank = 0; rank <= 8; ++rank) {
    for (int axis = -rank; axis < rank; ++axis) {
      const int normal = normalise_axis(axis, rank);
      BOOST_TEST((normal >= -rank && normal < 0));
      BOOST_TEST((normal - axis) % std::max(rank, 1) == 0);
    }
    for (int axis : {-rank - 1, rank, rank + 7})
      BOOST_TEST(error_of([&] { normalise_axis(axis, rank); }) == "axis " + std::to_string(axis) +
                                                                      " is out of range for " + std::to_string(rank) +
                                                                      (rank == 1 ? " axis" : " axes"));
  }
}

BOOST_AUTO_TEST_CASE(broadcasting_is_numpys_rule) {
  std::mt19937_64 random(1);
  int fit = 0, refused = 0;
  for (int i = 0; i < 40000; ++i) {
    const Shape a = random_shape(random, i % 2 == 0 ? 3 : 8), b = random_shape(random, i % 3 == 0 ? 3 : 8);
    const auto got = broadcast(a, b);
    const auto wanted = numpy_rule(extents_of(a), extents_of(b));
    (wanted ? fit : refused) += 1;
    if (got.has_value() != wanted.has_value() || (got && extents_of(*got) != *wanted))
      BOOST_ERROR(to_string(a) << " and " << to_string(b) << " gave " << (got ? to_string(*got) : "nothing"));
    const bool stretches = wanted && *wanted == extents_of(b);
    if (broadcasts_to(a, b) != stretches)
      BOOST_ERROR("broadcasts_to(" << to_string(a) << ", " << to_string(b) << ") is not " << stretches);
  }
  BOOST_TEST(fit > 2000);  // both outcomes were met often
  BOOST_TEST(refused > 2000);
}

BOOST_AUTO_TEST_CASE(broadcasting_is_symmetric_and_known_cases) {
  BOOST_TEST((broadcast({32, 68}, {68}) == Shape{32, 68}));
  BOOST_TEST((broadcast({4, 1}, {5}) == Shape{4, 5}));
  BOOST_TEST((broadcast({}, {2, 3}) == Shape{2, 3}));
  BOOST_TEST((broadcast({}, {}) == Shape{}));
  BOOST_TEST((broadcast({1}, {0}) == Shape{0}));  // an extent of 0 is like any other
  BOOST_TEST(!broadcast({2}, {0}));
  BOOST_TEST(!broadcast({2, 3}, {3, 2}));
  BOOST_TEST(!broadcasts_to({2, 3}, {3}));
  BOOST_TEST(!broadcasts_to({1, 3}, {3}));  // no axis may vanish
  BOOST_TEST(broadcasts_to({3}, {1, 3}));
  std::mt19937_64 random(2);
  for (int i = 0; i < 5000; ++i) {
    const Shape a = random_shape(random, 5), b = random_shape(random, 5);
    BOOST_TEST((broadcast(a, b) == broadcast(b, a)));
  }
}
