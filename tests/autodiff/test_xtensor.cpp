// The bridge to xtensor: values go over and come back, with any dtype and rank, whole or as expressions.
#define BOOST_TEST_MODULE xtensor
#include "autodiff/io/xtensor.hpp"

#include <boost/test/unit_test.hpp>

#include "autodiff/derivatives.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;
using Numbers = std::vector<double>;
namespace tt = boost::test_tools;

namespace {

template <class T>
void check_round_trip(const Shape& shape) {
  const Array array = random_array(dtype_of<T>, shape, 1, -1000, 1000);
  const xt::xarray<T> there = to_xtensor<T>(array);
  BOOST_TEST(there.dimension() == static_cast<std::size_t>(shape.rank()));
  for (int axis = 0; axis < shape.rank(); ++axis)
    BOOST_TEST(there.shape()[static_cast<std::size_t>(axis)] == static_cast<std::size_t>(shape[axis]));
  BOOST_TEST(same_bits(from_xtensor(there), array), to_string(array.type()));
  BOOST_TEST(same_bits(from_xtensor(adapt<T>(array)), array));
}

}  // namespace

BOOST_AUTO_TEST_CASE(round_trips) {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{7}, Shape{3, 4}, Shape{2, 1, 5}, Shape{0}, Shape{3, 0, 2},
                             Shape{2, 1, 2, 1, 2, 1, 2, 1}}) {
    check_round_trip<float>(shape);
    check_round_trip<double>(shape);
    check_round_trip<std::int32_t>(shape);
  }
}

BOOST_AUTO_TEST_CASE(an_element_keeps_its_place) {
  const xt::xarray<double> x{{1, 2, 3}, {4, 5, 6}};
  const Array array = from_xtensor(x);
  BOOST_TEST((array.type() == Type{Dtype::f64, {2, 3}}));
  BOOST_TEST(array.at(3) == 4.0);  // C order
  const xt::xarray<double> back = to_xtensor<double>(array);
  BOOST_TEST(back(0, 2) == 3.0);
  BOOST_TEST(back(1, 0) == 4.0);
}

BOOST_AUTO_TEST_CASE(a_number_has_rank_zero) {
  const xt::xarray<float> number = 2.5f;
  const Array array = from_xtensor(number);
  BOOST_TEST((array.shape() == Shape{}));
  BOOST_TEST(array.at(0) == 2.5);
  BOOST_TEST(to_xtensor<float>(array)() == 2.5f);
}

BOOST_AUTO_TEST_CASE(expressions_and_views_are_evaluated) {
  const xt::xarray<float> x{{1, 2, 3}, {4, 5, 6}}, row{10, 20, 30};
  BOOST_TEST(numbers(from_xtensor(x + row)) == (Numbers{11, 22, 33, 14, 25, 36}), tt::per_element());
  BOOST_TEST(numbers(from_xtensor(xt::transpose(x))) == (Numbers{1, 4, 2, 5, 3, 6}), tt::per_element());
  BOOST_TEST((from_xtensor(xt::transpose(x)).shape() == Shape{3, 2}));
  BOOST_TEST(numbers(from_xtensor(2 * x - 1)) == (Numbers{1, 3, 5, 7, 9, 11}), tt::per_element());
  const xt::xarray<float, xt::layout_type::column_major> column{{1, 2, 3}, {4, 5, 6}};
  BOOST_TEST(numbers(from_xtensor(column)) == (Numbers{1, 2, 3, 4, 5, 6}), tt::per_element());
  BOOST_TEST((from_xtensor(x + row).dtype() == Dtype::f32));
  BOOST_TEST((from_xtensor(xt::xarray<std::int32_t>{1, 2}).dtype() == Dtype::i32));
}

BOOST_AUTO_TEST_CASE(a_gradient_goes_to_xtensor) {
  Tape tape;
  const xt::xarray<float> x{{1, 2}, {3, 4}};
  const Var v = tape.input(from_xtensor(x));
  const xt::xarray<float> g = to_xtensor<float>(grad(sum(square(v)), v));
  const xt::xarray<float> wanted = 2 * x;
  BOOST_TEST((g == wanted));
}

BOOST_AUTO_TEST_CASE(an_adapter_reads_the_memory_where_it_lies) {
  Tape tape;
  const Var v = tape.input(Array::of<float>({2, 2}, {1, 2, 3, 4}));
  const auto view = adapt<float>(v);
  BOOST_TEST((view.data() == v.data<float>().data()));
  BOOST_TEST(view(1, 0) == 3.0f);
  const Array array = Array::of<double>({2}, {5, 6});
  BOOST_TEST((adapt<double>(array).data() == array.data<double>().data()));
  const xt::xarray<double> doubled = adapt<double>(array) * 2;
  BOOST_TEST(doubled(1) == 12.0);
}

BOOST_AUTO_TEST_CASE(a_wrong_type_is_refused_at_the_callers_line) {
  Tape tape;
  const Var v = tape.full(Shape{2}, 1);
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { to_xtensor<double>(v); });
  BOOST_TEST(contains(text, "a value of f32 was read as f64"));
  BOOST_TEST(contains(text, "test_xtensor.cpp:" + std::to_string(line)));
  BOOST_TEST(contains(error_of([&] { adapt<std::int32_t>(v); }), "a value of f32 was read as i32"));
  BOOST_TEST(error_of([] { adapt<float>(Array(Dtype::f64, {2})); }) == "an array of f64 was read as f32");
  Tape symbolic(Dtype::f32, Tape::Mode::symbolic);
  BOOST_TEST(contains(error_of([&] { to_xtensor<float>(symbolic.full(Shape{2}, 1)); }), "the tape is symbolic"));
}

BOOST_AUTO_TEST_CASE(more_axes_than_a_shape_holds) {
  const xt::xarray<float> deep = xt::zeros<float>({1, 1, 1, 1, 1, 1, 1, 1, 1});
  BOOST_TEST(error_of([&] { from_xtensor(deep); }) == "a shape has at most 8 axes, got one more");
}
