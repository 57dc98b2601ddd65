// Arrays as text. The expected texts are NumPy's (2.4, str of the same arrays).
#define BOOST_TEST_MODULE array_text
#include <boost/test/unit_test.hpp>
#include <limits>
#include <sstream>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();

struct Case {
  Dtype dtype;
  Shape shape;
  std::vector<double> values;
  std::string text;
};

const std::vector<Case> cases{
    {Dtype::f64,
     {2, 2},
     {1, 2.5, -3, 4},
     "[[ 1.   2.5]\n"
     " [-3.   4. ]]"},
    {Dtype::f32, {3}, {0.1, 0.25, -0.3333333333333333}, "[ 0.1         0.25       -0.33333334]"},
    {Dtype::f64, {3}, {1, 2, 3}, "[1. 2. 3.]"},
    {Dtype::f64, {3}, {0.001, 1, 999.5}, "[1.000e-03 1.000e+00 9.995e+02]"},
    {Dtype::f64, {3}, {0.001, 1, 1001}, "[1.000e-03 1.000e+00 1.001e+03]"},
    {Dtype::f64, {2}, {1e-05, 2e-05}, "[1.e-05 2.e-05]"},
    {Dtype::f64, {2}, {0.0001, 0.5}, "[1.e-04 5.e-01]"},
    {Dtype::f64, {2}, {99999999, 0}, "[99999999.        0.]"},
    {Dtype::f64, {2}, {100000000, 3}, "[1.e+08 3.e+00]"},
    {Dtype::f32, {2}, {999999, 1}, "[9.99999e+05 1.00000e+00]"},
    {Dtype::f32, {2}, {1000000, 1}, "[1.e+06 1.e+00]"},
    {Dtype::f32, {3}, {1.5e-45, 3e+38, -2}, "[ 1.e-45  3.e+38 -2.e+00]"},
    {Dtype::f64, {3}, {1e-300, 1, 1e+300}, "[1.e-300 1.e+000 1.e+300]"},
    {Dtype::f64, {2}, {0, -0.0}, "[ 0. -0.]"},
    {Dtype::f64,
     {3},
     {0.3333333333333333, 0.6666666666666666, 123.456789012345},
     "[  0.33333333   0.66666667 123.45678901]"},
    {Dtype::f64, {2}, {9.999999999, 0.1}, "[10.   0.1]"},
    {Dtype::f64, {3}, {10000000000, 12500000000, 123456789012}, "[1.00000000e+10 1.25000000e+10 1.23456789e+11]"},
    {Dtype::f64, {2}, {nan, 1}, "[nan  1.]"},
    {Dtype::f64, {3}, {nan, inf, -inf}, "[ nan  inf -inf]"},
    {Dtype::f64,
     {2, 2},
     {1.5, inf, -inf, nan},
     "[[ 1.5  inf]\n"
     " [-inf  nan]]"},
    {Dtype::f64, {3}, {1000000000, nan, -inf}, "[1.e+09    nan   -inf]"},
    {Dtype::f32, {3}, {0.3, -0.7, 12}, "[ 0.3 -0.7 12. ]"},
    {Dtype::i32,
     {2, 2},
     {1, -20, 300, 4},
     "[[  1 -20]\n"
     " [300   4]]"},
    {Dtype::i32, {2}, {-2147483648, 2147483647}, "[-2147483648  2147483647]"},
    {Dtype::i32, {1}, {7}, "[7]"},
    {Dtype::i32,
     {2, 2, 1},
     {1, 2, 3, 4},
     "[[[1]\n"
     "  [2]]\n"
     "\n"
     " [[3]\n"
     "  [4]]]"},
    {Dtype::f64,
     {2, 2, 2},
     {0, 1, 2, 3, 4, 5, 6, 7},
     "[[[0. 1.]\n"
     "  [2. 3.]]\n"
     "\n"
     " [[4. 5.]\n"
     "  [6. 7.]]]"},
    {Dtype::f64,
     {2, 2, 2, 2},
     {0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1, 1.125, 1.25, 1.375, 1.5, 1.625, 1.75, 1.875},
     "[[[[0.    0.125]\n"
     "   [0.25  0.375]]\n"
     "\n"
     "  [[0.5   0.625]\n"
     "   [0.75  0.875]]]\n"
     "\n"
     "\n"
     " [[[1.    1.125]\n"
     "   [1.25  1.375]]\n"
     "\n"
     "  [[1.5   1.625]\n"
     "   [1.75  1.875]]]]"},
    {Dtype::f64, {0}, {}, "[]"},
    {Dtype::f64, {2, 0, 3}, {}, "[]"},
    {Dtype::f32, {0, 4}, {}, "[]"},
    {Dtype::f64,
     {3, 1},
     {0, 0, 0},
     "[[0.]\n"
     " [0.]\n"
     " [0.]]"},
    {Dtype::f64, {}, {0.1}, "0.1"},
    {Dtype::f32, {}, {0.1}, "0.1"},
    {Dtype::f64, {}, {1}, "1.0"},
    {Dtype::f64, {}, {1e-05}, "1e-05"},
    {Dtype::f64, {}, {1.5e+20}, "1.5e+20"},
    {Dtype::f32, {}, {1000000}, "1e+06"},
    {Dtype::f64, {}, {-0.0}, "-0.0"},
    {Dtype::f64, {}, {nan}, "nan"},
    {Dtype::i32, {}, {-3}, "-3"},
};

// start, start + step, ...
Array counted(Dtype dtype, const Shape& shape, double step) {
  Array array(dtype, shape);
  for (Index i = 0; i < array.size(); ++i) array.set(i, step * static_cast<double>(i));
  return array;
}

}  // namespace

BOOST_AUTO_TEST_CASE(arrays_are_printed_as_numpy_prints_them) {
  for (const Case& each : cases) {
    Array array(each.dtype, each.shape);
    BOOST_TEST_REQUIRE(array.size() == static_cast<Index>(each.values.size()));
    for (Index i = 0; i < array.size(); ++i) array.set(i, each.values[static_cast<std::size_t>(i)]);
    BOOST_TEST(to_string(array) == each.text);
  }
}

BOOST_AUTO_TEST_CASE(long_lines_are_broken) {
  BOOST_TEST(to_string(counted(Dtype::f64, {40}, 0.25)) ==
             "[0.   0.25 0.5  0.75 1.   1.25 1.5  1.75 2.   2.25 2.5  2.75 3.   3.25\n"
             " 3.5  3.75 4.   4.25 4.5  4.75 5.   5.25 5.5  5.75 6.   6.25 6.5  6.75\n"
             " 7.   7.25 7.5  7.75 8.   8.25 8.5  8.75 9.   9.25 9.5  9.75]");
  BOOST_TEST(to_string(counted(Dtype::i32, {60}, 7)) ==
             "[  0   7  14  21  28  35  42  49  56  63  70  77  84  91  98 105 112 119\n"
             " 126 133 140 147 154 161 168 175 182 189 196 203 210 217 224 231 238 245\n"
             " 252 259 266 273 280 287 294 301 308 315 322 329 336 343 350 357 364 371\n"
             " 378 385 392 399 406 413]");
}

BOOST_AUTO_TEST_CASE(large_arrays_are_summarised) {
  BOOST_TEST(!contains(to_string(counted(Dtype::i32, {1000}, 1)), "..."));
  BOOST_TEST(to_string(counted(Dtype::i32, {1001}, 1)) == "[   0    1    2 ...  998  999 1000]");
  BOOST_TEST(to_string(counted(Dtype::f64, {4, 300}, 1)) ==
             "[[0.000e+00 1.000e+00 2.000e+00 ... 2.970e+02 2.980e+02 2.990e+02]\n"
             " [3.000e+02 3.010e+02 3.020e+02 ... 5.970e+02 5.980e+02 5.990e+02]\n"
             " [6.000e+02 6.010e+02 6.020e+02 ... 8.970e+02 8.980e+02 8.990e+02]\n"
             " [9.000e+02 9.010e+02 9.020e+02 ... 1.197e+03 1.198e+03 1.199e+03]]");
  BOOST_TEST(to_string(counted(Dtype::i32, {501, 2}, 1)) ==
             "[[   0    1]\n"
             " [   2    3]\n"
             " [   4    5]\n"
             " ...\n"
             " [ 996  997]\n"
             " [ 998  999]\n"
             " [1000 1001]]");
  BOOST_TEST(to_string(counted(Dtype::f32, {10, 2, 100}, 1.0 / 16)) ==
             "[[[0.000000e+00 6.250000e-02 1.250000e-01 ... 6.062500e+00 6.125000e+00\n"
             "   6.187500e+00]\n"
             "  [6.250000e+00 6.312500e+00 6.375000e+00 ... 1.231250e+01 1.237500e+01\n"
             "   1.243750e+01]]\n"
             "\n"
             " [[1.250000e+01 1.256250e+01 1.262500e+01 ... 1.856250e+01 1.862500e+01\n"
             "   1.868750e+01]\n"
             "  [1.875000e+01 1.881250e+01 1.887500e+01 ... 2.481250e+01 2.487500e+01\n"
             "   2.493750e+01]]\n"
             "\n"
             " [[2.500000e+01 2.506250e+01 2.512500e+01 ... 3.106250e+01 3.112500e+01\n"
             "   3.118750e+01]\n"
             "  [3.125000e+01 3.131250e+01 3.137500e+01 ... 3.731250e+01 3.737500e+01\n"
             "   3.743750e+01]]\n"
             "\n"
             " ...\n"
             "\n"
             " [[8.750000e+01 8.756250e+01 8.762500e+01 ... 9.356250e+01 9.362500e+01\n"
             "   9.368750e+01]\n"
             "  [9.375000e+01 9.381250e+01 9.387500e+01 ... 9.981250e+01 9.987500e+01\n"
             "   9.993750e+01]]\n"
             "\n"
             " [[1.000000e+02 1.000625e+02 1.001250e+02 ... 1.060625e+02 1.061250e+02\n"
             "   1.061875e+02]\n"
             "  [1.062500e+02 1.063125e+02 1.063750e+02 ... 1.123125e+02 1.123750e+02\n"
             "   1.124375e+02]]\n"
             "\n"
             " [[1.125000e+02 1.125625e+02 1.126250e+02 ... 1.185625e+02 1.186250e+02\n"
             "   1.186875e+02]\n"
             "  [1.187500e+02 1.188125e+02 1.188750e+02 ... 1.248125e+02 1.248750e+02\n"
             "   1.249375e+02]]]");
}

BOOST_AUTO_TEST_CASE(streams_take_arrays_and_values_of_a_tape) {
  Tape tape;
  const Var x = tape.input(Array::of<float>({2}, {0.5f, -1}));
  std::ostringstream text;
  text << x.value() << " " << x * 2;
  BOOST_TEST(text.str() == "[ 0.5 -1. ] [ 1. -2.]");
  BOOST_TEST(to_string(sum(x)) == "-0.5");
  Tape symbolic(Dtype::f32, Tape::Mode::symbolic);
  const Var unknown = symbolic.input(Type{Dtype::f32, {2}});
  int line = 0;
  const std::string said = error_of([&] { line = __LINE__, text << unknown; });
  BOOST_TEST(contains(said, "while the tape is symbolic"), said);
  BOOST_TEST(contains(said, "(test_array_text.cpp:" + std::to_string(line) + ")"), said);
  BOOST_TEST(contains(error_of([] { std::ostringstream() << Var(); }), "belongs to no tape"));
}
