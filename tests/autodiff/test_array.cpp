// Array: an owned, typed, C-ordered array.
#define BOOST_TEST_MODULE array
#include "autodiff/array.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>

#include "autodiff/error.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using wengert::testing::error_of;
using wengert::testing::numbers;
using Numbers = std::vector<double>;

BOOST_AUTO_TEST_CASE(starts_as_zeros_of_its_type) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::i32})
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3, 4}, Shape{5, 0}}) {
      const Array array(dtype, shape);
      BOOST_TEST((array.dtype() == dtype));
      BOOST_TEST((array.shape() == shape));
      BOOST_TEST(array.size() == shape.size());
      BOOST_TEST(numbers(array) == Numbers(static_cast<std::size_t>(shape.size()), 0.0),
                 boost::test_tools::per_element());
      BOOST_TEST(reinterpret_cast<std::uintptr_t>(array.raw()) % alignment == 0U);
    }
  BOOST_TEST((Array().type() == Type{Dtype::f32, Shape{}}));
}

BOOST_AUTO_TEST_CASE(types_say_what_they_are) {
  BOOST_TEST(to_string(Type{Dtype::f32, {32, 68}}) == "f32 [32, 68]");
  BOOST_TEST(to_string(Type{Dtype::i32, {}}) == "i32 []");
  BOOST_TEST((Type{Dtype::f64, {3, 5}}.bytes() == 120U));
  BOOST_TEST((Type{Dtype::f32, {0, 5}}.bytes() == 0U));
  BOOST_TEST((Type{Dtype::f32, {2}} != Type{Dtype::f64, {2}}));
}

BOOST_AUTO_TEST_CASE(values_are_in_c_order) {
  const Array array = Array::of<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  BOOST_TEST((array.data<float>()[4] == 5.0f));
  BOOST_TEST(array.at(4) == 5.0);
  BOOST_TEST(error_of([] { Array::of<double>({2, 3}, {1, 2}); }) == "an array of shape [2, 3] needs 6 values, got 2");
  BOOST_TEST((Array::of<std::int32_t>({0}, {}).size() == 0));
  BOOST_TEST((Array::of<double>({}, {7}).at(0) == 7.0));
}

BOOST_AUTO_TEST_CASE(a_copy_is_deep) {
  Array first = Array::of<double>({3}, {1, 2, 3});
  const Array copy = first;
  Array assigned(Dtype::i32, {9});
  assigned = first;
  first.set(1, 20);
  BOOST_TEST(numbers(first) == (Numbers{1, 20, 3}), boost::test_tools::per_element());
  BOOST_TEST(numbers(copy) == (Numbers{1, 2, 3}), boost::test_tools::per_element());
  BOOST_TEST(numbers(assigned) == (Numbers{1, 2, 3}), boost::test_tools::per_element());
  BOOST_TEST((assigned.dtype() == Dtype::f64));
  assigned.data<double>()[0] = 10;
  BOOST_TEST(first.at(0) == 1.0);
  const Array& self = first;
  first = self;
  BOOST_TEST(numbers(first) == (Numbers{1, 20, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_move_keeps_the_memory) {
  Array first = Array::of<float>({2}, {1, 2});
  const void* memory = first.raw();
  const Array moved = std::move(first);
  BOOST_TEST(moved.raw() == memory);
  BOOST_TEST(moved.at(1) == 2.0);
  first = Array::of<float>({1}, {5});  // what was moved from can be assigned to
  BOOST_TEST(first.at(0) == 5.0);
}

BOOST_AUTO_TEST_CASE(a_read_as_another_type_is_refused) {
  Array f32(Dtype::f32, {2});
  const Array f64(Dtype::f64, {2}), i32(Dtype::i32, {2});
  BOOST_TEST(error_of([&] { f32.data<double>(); }) == "an array of f32 was read as f64");
  BOOST_TEST(error_of([&] { f64.data<float>(); }) == "an array of f64 was read as f32");
  BOOST_TEST(error_of([&] { i32.data<float>(); }) == "an array of i32 was read as f32");
  BOOST_TEST(error_of([&] { f64.data<std::int32_t>(); }) == "an array of f64 was read as i32");
  BOOST_TEST(error_of([&] { i32.data<std::int32_t>(); }) == "nothing was thrown");
}

BOOST_AUTO_TEST_CASE(casts_convert_every_element) {
  const Array wide = Array::of<double>({5}, {1.75, -1.75, 0.1, -0.0, 3e9});
  const Array narrow = wide.cast(Dtype::f32);
  BOOST_TEST((narrow.type() == Type{Dtype::f32, {5}}));
  BOOST_TEST(narrow.data<float>()[2] == 0.1f);
  BOOST_TEST(std::signbit(narrow.data<float>()[3]));
  const Array whole = Array::of<double>({4}, {1.75, -1.75, 2147483647.0, -2147483648.0}).cast(Dtype::i32);
  BOOST_TEST(numbers(whole) == (Numbers{1, -1, 2147483647.0, -2147483648.0}), boost::test_tools::per_element());
  // Every i32 is a double: there and back nothing is lost.
  const Array back = whole.cast(Dtype::f64).cast(Dtype::i32);
  BOOST_TEST(wengert::testing::same_bits(whole, back));
  BOOST_TEST((Array(Dtype::f32, {2, 0}).cast(Dtype::i32).type() == Type{Dtype::i32, {2, 0}}));
}

BOOST_AUTO_TEST_CASE(set_and_at_convert) {
  Array array(Dtype::f32, {3});
  array.set(0, 0.1);
  array.set(1, 1e300);
  array.set(2, std::numeric_limits<double>::quiet_NaN());
  BOOST_TEST(array.at(0) == static_cast<double>(0.1f));
  BOOST_TEST(std::isinf(array.at(1)));
  BOOST_TEST(std::isnan(array.at(2)));
}
