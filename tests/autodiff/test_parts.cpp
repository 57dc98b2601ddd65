// Arrays taken apart and put together, by items, equal parts and other extents, and constants like another value.
#define BOOST_TEST_MODULE parts
#include <boost/test/unit_test.hpp>
#include <string>
#include <utility>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using wengert::testing::contains;
using wengert::testing::error_of;
using wengert::testing::numbers;
using wengert::testing::random_array;

namespace {
using Numbers = std::vector<double>;
}  // namespace

BOOST_AUTO_TEST_CASE(parts_go_back_together) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::i32}) {
    Tape tape;
    const Var x = tape.input(random_array(dtype, {4, 6}, 3, -9, 9));
    for (const int axis : {0, 1, -1}) {
      const std::vector<Var> parts = split(x, 2, axis);
      BOOST_TEST(testing::same_bits(concat(parts, axis).value(), x.value()));
      BOOST_TEST(testing::same_bits(stack(parts, axis).value(), stack({parts[0], parts[1]}, axis).value()));
    }
    std::vector<Var> rows;
    for (int i = 0; i < 4; ++i) rows.push_back(x[i - 4]);
    BOOST_TEST(testing::same_bits(stack(rows, 0).value(), x.value()));
  }
  const std::vector<Var> nothing;
  const std::string line = std::to_string(__LINE__ + 1);
  const std::string said = error_of([&] { concat(nothing, 0); });
  BOOST_TEST(contains(said, "[concat] needs at least one part  (test_parts.cpp:" + line));
  BOOST_TEST(contains(error_of([&] { stack(nothing, 0); }), "[stack] needs at least one part  (test_parts.cpp:"));
  Tape tape;
  const std::vector<Var> apart{tape.zeros({2}), tape.zeros({3, 3})};
  BOOST_TEST(contains(error_of([&] { concat(apart, 0); }), "(test_parts.cpp:"));
}

BOOST_AUTO_TEST_CASE(items_of_the_first_axis) {
  Tape tape(Dtype::f64);
  const Var x = tape.input(random_array(Dtype::f64, {3, 2, 4}, 5)), v = tape.arange(1, 4);
  const Numbers all = numbers(x);
  for (const Index i : {-3, -2, -1, 0, 1, 2}) {
    const auto begin = all.begin() + (i < 0 ? i + 3 : i) * 8;
    BOOST_TEST((x[i].shape() == Shape{2, 4}));
    BOOST_TEST(numbers(x[i]) == Numbers(begin, begin + 8));
  }
  BOOST_TEST(v[-1].item() == 3);
  BOOST_TEST(x[2][1][-4].item() == all[20]);
  BOOST_TEST(numbers(grad(v[0] * square(v[2]), v)) == (Numbers{9, 0, 6}));
  const auto refused = [&](const Var& of, Index i, const std::string& text) {
    const int line = __LINE__ + 1;
    const std::string said = error_of([&] { of[i]; });
    BOOST_TEST(contains(said, "[select] " + text), said);
    BOOST_TEST(contains(said, "(test_parts.cpp:" + std::to_string(line)), said);
  };
  refused(x, 3, "index 3 is out of range for axis -3 of [3, 2, 4]");
  refused(x, -4, "index -4 is out of range for axis -3 of [3, 2, 4]");
  refused(tape.zeros({0, 2}), 0, "index 0 is out of range for axis -2 of [0, 2]");
  refused(v[0], 0, "axis 0 is out of range for 0 axes of shape []");
  refused(Var(), 0, "this Var belongs to no tape");
}

BOOST_AUTO_TEST_CASE(one_extent_may_be_what_is_left) {
  Tape tape(Dtype::f64);
  const Var x = tape.input(random_array(Dtype::f64, {2, 6}, 5));
  const std::vector<std::pair<std::vector<int>, Shape>> fit{{{-1, 3}, {4, 3}},   {{3, -1}, {3, 4}},
                                                            {{-1}, {12}},        {{2, -1, 2}, {2, 3, 2}},
                                                            {{-1, 12}, {1, 12}}, {{4, 3}, {4, 3}}};
  for (const auto& [extents, shape] : fit) {
    const Var y = reshape(x, extents);
    BOOST_TEST((y.shape() == shape), to_string(y.shape()));
    BOOST_TEST(numbers(y) == numbers(x));
  }
  BOOST_TEST((reshape(x, {-1, 4}).shape() == Shape{3, 4}));
  BOOST_TEST((reshape(sum(x), {-1}).shape() == Shape{1}));
  BOOST_TEST((reshape(sum(x), {}).shape() == Shape{}));
  const Var empty = tape.zeros({0, 3});
  BOOST_TEST((reshape(empty, {-1, 3}).shape() == Shape{0, 3}));
  BOOST_TEST((reshape(empty, {5, -1}).shape() == Shape{5, 0}));
  const auto refused = [](const Var& of, const std::vector<int>& extents, const std::string& text) {
    const int line = __LINE__ + 1;
    const std::string said = error_of([&] { reshape(of, extents); });
    BOOST_TEST(contains(said, "[reshape] " + text), said);
    BOOST_TEST(contains(said, "(test_parts.cpp:" + std::to_string(line)), said);
  };
  refused(x, {-1, 5}, "[2, 6] has 12 elements: no extent for -1 makes them [-1, 5]");
  refused(x, {-1, -1}, "only one extent may be -1, got [-1, -1]");
  refused(x, {-1, 0}, "[2, 6] has 12 elements: no extent for -1 makes them [-1, 0]");
  refused(empty, {0, -1}, "[0, 3] has 0 elements: no extent for -1 makes them [0, -1]");
  refused(x, {-2, 6}, "a shape's extents cannot be negative, got -2");
  refused(x, {5, 2}, "[2, 6] has 12 elements, [5, 2] has 10");
  refused(x, {1, 1, 1, 1, 1, 1, 1, 1, 12}, "a shape has at most 8 axes, got one more");
}

BOOST_AUTO_TEST_CASE(constants_like_another_value) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::i32}) {
    Tape tape;
    const Var x = tape.input(random_array(dtype, {2, 3}, 5, -9, 9));
    for (const auto& [y, value] : {std::pair{zeros_like(x), 0.0}, {ones_like(x), 1.0}, {full_like(x, -7), -7.0}}) {
      BOOST_TEST((y.type() == x.type()));
      BOOST_TEST(numbers(y) == Numbers(6, value));
    }
  }
  Tape tape;
  const Var count = tape.zeros({2}, Dtype::i32);
  BOOST_TEST(contains(error_of([&] { full_like(count, 0.5); }),
                      "an i32 holds whole numbers from -2^31 to 2^31 - 1, got 0.5  (test_parts.cpp:"));
  BOOST_TEST(
      contains(error_of([&] { zeros_like(3); }), "[zeros_like] needs a Var, got the number 3  (test_parts.cpp:"));
}
