// Functions that arrange, order and reduce arrays, against values of NumPy 2 and PyTorch 2.13, and what they refuse.
#define BOOST_TEST_MODULE arrays
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using wengert::testing::contains;
using wengert::testing::error_of;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

// ((7 i) mod 11 - 5) / 4
Array numbers(const Shape& shape) {
  Array x(Dtype::f64, shape);
  for (Index i = 0; i < x.size(); ++i) x.set(i, static_cast<double>(i * 7 % 11 - 5) / 4);
  return x;
}

struct Case {
  const char* text;
  std::function<Var()> call;
  Shape shape;
  std::vector<double> wanted;
};

}  // namespace

BOOST_AUTO_TEST_CASE(values_are_those_of_numpy_and_pytorch) {
  Tape tape(Dtype::f64);
  const Var x = tape.input(numbers({3, 4})), y = tape.input(numbers({2, 3, 4})), v = tape.input(numbers({5})),
            six = tape.input(numbers({6})), empty = tape.full({0, 2}, 1),
            with_nan = tape.input(Array::of<double>({5}, {1, 2, 2, undefined, 3})),
            one = tape.input(Array::of<double>({2}, {1, 2})), two = tape.input(Array::of<double>({3}, {3, 4, 5})),
            three = tape.input(Array::of<double>({2}, {6, 7})),
            counts = tape.input(Array::of<std::int32_t>({5}, {3, 0, 3, 1, 3}));
  const std::vector<Case> cases{
      {"select(x, 1, -1)", [&] { return select(x, 1, -1); }, {3}, {1.25, 0, -1.25}},
      {"select(y, 0, 1)",
       [&] { return select(y, 0, 1); },
       {3, 4},
       {0.5, -0.5, 1.25, 0.25, -0.75, 1, 0, -1, 0.75, -0.25, -1.25, 0.5}},
      {"slice(x, 1, -1, to_end, -1)",
       [&] { return slice(x, 1, -1, to_end, -1); },
       {3, 4},
       {1.25, -0.5, 0.5, -1.25, 0, 1, -0.75, 0.25, -1.25, -0.25, 0.75, -1}},
      {"slice(x, 1, 2, 0, -1)", [&] { return slice(x, 1, 2, 0, -1); }, {3, 2}, {-0.5, 0.5, 1, -0.75, -0.25, 0.75}},
      {"slice(v, 0, 10, -9, -2)", [&] { return slice(v, 0, 10, -9, -2); }, {3}, {0.25, -0.5, -1.25}},
      {"slice(v, 0, 0, 3, -1)", [&] { return slice(v, 0, 0, 3, -1); }, {0}, {}},
      {"slice(y, {{.axis = 0, .start = 1}, {.axis = -1, .start = 1, .stop = 4, .step = 2}, {.axis = 1, .step = -2}})",
       [&] {
         return slice(
             y, {{.axis = 0, .start = 1}, {.axis = -1, .start = 1, .stop = 4, .step = 2}, {.axis = 1, .step = -2}});
       },
       {1, 2, 2},
       {-0.25, 0.5, -0.5, 0.25}},
      {"slice(y, {{.axis = -1, .stop = -2}})",
       [&] { return slice(y, {{.axis = -1, .stop = -2}}); },
       {2, 3, 2},
       {-1.25, 0.5, 0.25, -0.75, -1, 0.75, 0.5, -0.5, -0.75, 1, 0.75, -0.25}},
      {"moveaxis(y, 0, -1)", [&] { return moveaxis(y, 0, -1); }, {3, 4, 2}, {-1.25, 0.5,   0.5,   -0.5,  -0.5,  1.25,
                                                                             1.25,  0.25,  0.25,  -0.75, -0.75, 1,
                                                                             1,     0,     0,     -1,    -1,    0.75,
                                                                             0.75,  -0.25, -0.25, -1.25, -1.25, 0.5}},
      {"moveaxis(y, {2, 0}, {0, 1})",
       [&] {
         return moveaxis(y, {2, 0}, {0, 1});
       },
       {4, 2, 3},
       {-1.25, 0.25, -1,    0.5,  -0.75, 0.75,  0.5,  -0.75, 0.75,  -0.5, 1,  -0.25,
        -0.5,  1,    -0.25, 1.25, 0,     -1.25, 1.25, 0,     -1.25, 0.25, -1, 0.5}},
      {"moveaxis(y, {0, 1}, {-1, -2})",
       [&] {
         return moveaxis(y, {0, 1}, {-1, -2});
       },
       {4, 3, 2},
       {-1.25, 0.5,  0.25, -0.75, -1,    0.75,  0.5,  -0.5, -0.75, 1,  0.75,  -0.25,
        -0.5,  1.25, 1,    0,     -0.25, -1.25, 1.25, 0.25, 0,     -1, -1.25, 0.5}},
      {"repeat(x, 2, 0)", [&] { return repeat(x, 2, 0); }, {6, 4}, {-1.25, 0.5,   -0.5, 1.25,  -1.25, 0.5,
                                                                    -0.5,  1.25,  0.25, -0.75, 1,     0,
                                                                    0.25,  -0.75, 1,    0,     -1,    0.75,
                                                                    -0.25, -1.25, -1,   0.75,  -0.25, -1.25}},
      {"repeat(x, 3, -1)",
       [&] { return repeat(x, 3, -1); },
       {3, 12},
       {-1.25, -1.25, -1.25, 0.5,   0.5,   0.5,   -0.5,  -0.5,  -0.5,  1.25,  1.25,  1.25,
        0.25,  0.25,  0.25,  -0.75, -0.75, -0.75, 1,     1,     1,     0,     0,     0,
        -1,    -1,    -1,    0.75,  0.75,  0.75,  -0.25, -0.25, -0.25, -1.25, -1.25, -1.25}},
      {"repeat(x, std::vector<Index>{2, 0, 1}, 0)",
       [&] {
         return repeat(x, std::vector<Index>{2, 0, 1}, 0);
       },
       {3, 4},
       {-1.25, 0.5, -0.5, 1.25, -1.25, 0.5, -0.5, 1.25, -1, 0.75, -0.25, -1.25}},
      {"pad(v, {{.before = 1, .after = 2}}, {.value = -3})",
       [&] { return pad(v, {{.before = 1, .after = 2}}, {.value = -3}); },
       {8},
       {-3, -1.25, 0.5, -0.5, 1.25, 0.25, -3, -3}},
      {"pad(x, {{.axis = 0, .before = 1, .after = 1}, {.axis = 1, .before = 2}}, {.value = infinity})",
       [&] {
         return pad(x, {{.axis = 0, .before = 1, .after = 1}, {.axis = 1, .before = 2}}, {.value = infinity});
       },
       {5, 6},
       {infinity, infinity, infinity, infinity, infinity, infinity, infinity, infinity, -1.25,    0.5,
        -0.5,     1.25,     infinity, infinity, 0.25,     -0.75,    1,        0,        infinity, infinity,
        -1,       0.75,     -0.25,    -1.25,    infinity, infinity, infinity, infinity, infinity, infinity}},
      {"pad(v, {{.before = 4, .after = 2}}, {.mode = PadMode::reflect})",
       [&] { return pad(v, {{.before = 4, .after = 2}}, {.mode = PadMode::reflect}); },
       {11},
       {0.25, 1.25, -0.5, 0.5, -1.25, 0.5, -0.5, 1.25, 0.25, 1.25, -0.5}},
      {"pad(v, {{.before = 1, .after = 4}}, {.mode = PadMode::reflect})",
       [&] { return pad(v, {{.before = 1, .after = 4}}, {.mode = PadMode::reflect}); },
       {10},
       {0.5, -1.25, 0.5, -0.5, 1.25, 0.25, 1.25, -0.5, 0.5, -1.25}},
      {"pad(x, {{.axis = 0, .before = 1, .after = 2}, {.axis = 1, .after = 3}}, {.mode = PadMode::reflect})",
       [&] {
         return pad(x, {{.axis = 0, .before = 1, .after = 2}, {.axis = 1, .after = 3}}, {.mode = PadMode::reflect});
       },
       {6, 7},
       {0.25, -0.75, 1, 0, 1, -0.75, 0.25, -1.25, 0.5,  -0.5,  1.25,  -0.5,  0.5,  -1.25,
        0.25, -0.75, 1, 0, 1, -0.75, 0.25, -1,    0.75, -0.25, -1.25, -0.25, 0.75, -1,
        0.25, -0.75, 1, 0, 1, -0.75, 0.25, -1.25, 0.5,  -0.5,  1.25,  -0.5,  0.5,  -1.25}},
      {"pad(x, {{.axis = 0, .before = 3, .after = 1}}, {.mode = PadMode::replicate})",
       [&] { return pad(x, {{.axis = 0, .before = 3, .after = 1}}, {.mode = PadMode::replicate}); },
       {7, 4},
       {-1.25, 0.5,  -0.5, 1.25,  -1.25, 0.5, -0.5, 1.25, -1.25, 0.5,   -0.5, 1.25, -1.25, 0.5,
        -0.5,  1.25, 0.25, -0.75, 1,     0,   -1,   0.75, -0.25, -1.25, -1,   0.75, -0.25, -1.25}},
      {"pad(v, {{.before = 5, .after = 3}}, {.mode = PadMode::circular})",
       [&] { return pad(v, {{.before = 5, .after = 3}}, {.mode = PadMode::circular}); },
       {13},
       {-1.25, 0.5, -0.5, 1.25, 0.25, -1.25, 0.5, -0.5, 1.25, 0.25, -1.25, 0.5, -0.5}},
      {"meshgrid({one, two, three})[0]",
       [&] {
         return meshgrid({one, two, three})[0];
       },
       {2, 3, 2},
       {1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2}},
      {"meshgrid({one, two, three})[1]",
       [&] {
         return meshgrid({one, two, three})[1];
       },
       {2, 3, 2},
       {3, 3, 4, 4, 5, 5, 3, 3, 4, 4, 5, 5}},
      {"meshgrid({one, two, three})[2]",
       [&] {
         return meshgrid({one, two, three})[2];
       },
       {2, 3, 2},
       {6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7}},
      {"meshgrid({one, two, three}, {.xy = true})[0]",
       [&] {
         return meshgrid({one, two, three}, {.xy = true})[0];
       },
       {3, 2, 2},
       {1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2}},
      {"meshgrid({one, two, three}, {.xy = true})[1]",
       [&] {
         return meshgrid({one, two, three}, {.xy = true})[1];
       },
       {3, 2, 2},
       {3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5}},
      {"meshgrid({one, two, three}, {.xy = true})[2]",
       [&] {
         return meshgrid({one, two, three}, {.xy = true})[2];
       },
       {3, 2, 2},
       {6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7}},
      {"any(x > 1, 1)", [&] { return any(x > 1, 1); }, {3}, {1, 0, 0}},
      {"all(x > -1, 0, {.keepdims = true})", [&] { return all(x > -1, 0, {.keepdims = true}); }, {1, 4}, {0, 1, 1, 0}},
      {"any(x)", [&] { return any(x); }, {}, {1}},
      {"all(x)", [&] { return all(x); }, {}, {0}},
      {"any(empty, 0)", [&] { return any(empty, 0); }, {2}, {0, 0}},
      {"all(empty, 0)", [&] { return all(empty, 0); }, {2}, {1, 1}},
      {"cumprod(x, 1)",
       [&] { return cumprod(x, 1); },
       {3, 4},
       {-1.25, -0.625, 0.3125, 0.390625, 0.25, -0.1875, -0.1875, -0, -1, -0.75, 0.1875, -0.234375}},
      {"cumprod(x, 0, {.reverse = true})",
       [&] { return cumprod(x, 0, {.reverse = true}); },
       {3, 4},
       {0.3125, -0.28125, 0.125, -0, -0.25, -0.5625, -0.25, -0, -1, 0.75, -0.25, -1.25}},
      {"logcumsumexp(x, 1)",
       [&] { return logcumsumexp(x, 1); },
       {3, 4},
       {-1.25, 0.66022415043808724, 0.93285546687876897, 1.7970951565529871, 0.25, 0.56326168751822281,
        1.4984334547431499, 1.7001326936331229, -1, 0.91022415043808724, 1.182855466878769, 1.266999725429153}},
      {"logcumsumexp(v, 0, {.reverse = true})",
       [&] { return logcumsumexp(v, 0, {.reverse = true}); },
       {5},
       {1.9900808300847905, 1.9501326936331229, 1.682855466878769, 1.5632616875182228, 0.25}},
      {"cummax(x, 0).values",
       [&] { return cummax(x, 0).values; },
       {3, 4},
       {-1.25, 0.5, -0.5, 1.25, 0.25, 0.5, 1, 1.25, 0.25, 0.75, 1, 1.25}},
      {"cummax(x, 0).indices", [&] { return cummax(x, 0).indices; }, {3, 4}, {0, 0, 0, 0, 1, 0, 1, 0, 1, 2, 1, 0}},
      {"cummax(x, 1).values",
       [&] { return cummax(x, 1).values; },
       {3, 4},
       {-1.25, 0.5, 0.5, 1.25, 0.25, 0.25, 1, 1, -1, 0.75, 0.75, 0.75}},
      {"cummax(x, 1).indices", [&] { return cummax(x, 1).indices; }, {3, 4}, {0, 1, 1, 3, 0, 0, 2, 2, 0, 1, 1, 1}},
      {"cummax(with_nan, 0).values", [&] { return cummax(with_nan, 0).values; }, {5}, {1, 2, 2, undefined, undefined}},
      {"cummax(with_nan, 0).indices", [&] { return cummax(with_nan, 0).indices; }, {5}, {0, 1, 2, 3, 3}},
      {"cummin(x, 0).values",
       [&] { return cummin(x, 0).values; },
       {3, 4},
       {-1.25, 0.5, -0.5, 1.25, -1.25, -0.75, -0.5, 0, -1.25, -0.75, -0.5, -1.25}},
      {"cummin(x, 0).indices", [&] { return cummin(x, 0).indices; }, {3, 4}, {0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 2}},
      {"cummin(x, 1).values",
       [&] { return cummin(x, 1).values; },
       {3, 4},
       {-1.25, -1.25, -1.25, -1.25, 0.25, -0.75, -0.75, -0.75, -1, -1, -1, -1.25}},
      {"cummin(x, 1).indices", [&] { return cummin(x, 1).indices; }, {3, 4}, {0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 3}},
      {"cummin(with_nan, 0).values", [&] { return cummin(with_nan, 0).values; }, {5}, {1, 1, 1, undefined, undefined}},
      {"cummin(with_nan, 0).indices", [&] { return cummin(with_nan, 0).indices; }, {5}, {0, 0, 0, 3, 3}},
      {"diff(x)", [&] { return diff(x); }, {3, 3}, {1.75, -1, 1.75, -1, 1.75, -1, 1.75, -1, -1}},
      {"diff(x, 0, 2)", [&] { return diff(x, 0, 2); }, {1, 4}, {-2.75, 2.75, -2.75, 0}},
      {"diff(v, 0, 7)", [&] { return diff(v, 0, 7); }, {0}, {}},
      {"quantile(x, 0.3)", [&] { return quantile(x, 0.3); }, {}, {-0.67500000000000004}},
      {"quantile(x, 0.25, 1)", [&] { return quantile(x, 0.25, 1); }, {3}, {-0.6875, -0.1875, -1.0625}},
      {"quantile(y, 0.9, {0, 2}, {.keepdims = true})",
       [&] {
         return quantile(y, 0.9, {0, 2}, {.keepdims = true});
       },
       {1, 3, 1},
       {1.25, 1, 0.75}},
      {"quantile(x, 1, 0)", [&] { return quantile(x, 1, 0); }, {4}, {0.25, 0.75, 1, 1.25}},
      {"quantile(x, std::vector<double>{0, 0.5, 0.7}, 1)",
       [&] {
         return quantile(x, std::vector<double>{0, 0.5, 0.7}, 1);
       },
       {3, 3},
       {-1.25, -0.75, -1.25, 0, 0.125, -0.625, 0.57499999999999973, 0.32499999999999973, -0.15000000000000036}},
      {"quantile(with_nan, 0.1)", [&] { return quantile(with_nan, 0.1); }, {}, {undefined}},
      {"median(x, 1)", [&] { return median(x, 1); }, {3}, {-0.5, 0, -1}},
      {"median(y, {0, -1})",
       [&] {
         return median(y, {0, -1});
       },
       {3},
       {0.25, 0, -0.25}},
      {"median(x, Axes::all(), {.keepdims = true})",
       [&] { return median(x, Axes::all(), {.keepdims = true}); },
       {1, 1},
       {-0.25}},
      {"median(with_nan)", [&] { return median(with_nan); }, {}, {undefined}},
      {"topk(x, 3).values", [&] { return topk(x, 3).values; }, {3, 3}, {1.25, 0.5, -0.5, 1, 0.25, 0, 0.75, -0.25, -1}},
      {"topk(x, 3).indices", [&] { return topk(x, 3).indices; }, {3, 3}, {3, 1, 2, 2, 0, 3, 1, 2, 0}},
      {"topk(x, 2, 0, {.largest = false}).values",
       [&] { return topk(x, 2, 0, {.largest = false}).values; },
       {2, 4},
       {-1.25, -0.75, -0.5, -1.25, -1, 0.5, -0.25, 0}},
      {"topk(x, 2, 0, {.largest = false}).indices",
       [&] { return topk(x, 2, 0, {.largest = false}).indices; },
       {2, 4},
       {0, 1, 0, 2, 2, 0, 2, 1}},
      {"topk(with_nan, 3).values", [&] { return topk(with_nan, 3).values; }, {3}, {undefined, 3, 2}},
      {"topk(with_nan, 3).indices", [&] { return topk(with_nan, 3).indices; }, {3}, {3, 4, 1}},
      {"norm(x, 1, {.order = 1})", [&] { return norm(x, 1, {.order = 1}); }, {3}, {3.5, 2, 3.25}},
      {"norm(x, 1, {.order = 3})",
       [&] { return norm(x, 1, {.order = 3}); },
       {3},
       {1.6078068978449063, 1.1285893588685003, 1.5023112517293415}},
      {"norm(x, 1, {.order = 2.5})",
       [&] { return norm(x, 1, {.order = 2.5}); },
       {3},
       {1.7142232058892002, 1.1818252176607804, 1.6053515839053267}},
      {"norm(x, 1, {.order = 0.5})",
       [&] { return norm(x, 1, {.order = 0.5}); },
       {3},
       {13.324555320336758, 5.5980762113533142, 12.138669850706707}},
      {"norm(x, 1, {.order = -1})",
       [&] { return norm(x, 1, {.order = -1}); },
       {3},
       {0.17857142857142858, 0, 0.14018691588785048}},
      {"norm(x, 1, {.order = 0})", [&] { return norm(x, 1, {.order = 0}); }, {3}, {4, 3, 4}},
      {"norm(x, {0, 1}, {.order = infinity})",
       [&] {
         return norm(x, {0, 1}, {.order = infinity});
       },
       {},
       {1.25}},
      {"norm(x, 0, {.order = -infinity, .keepdims = true})",
       [&] { return norm(x, 0, {.order = -infinity, .keepdims = true}); },
       {1, 4},
       {0.25, 0.5, 0.25, 0}},
      {"fill_triangular(six)",
       [&] { return fill_triangular(six); },
       {3, 3},
       {-1.25, 0, 0, 0.5, -0.5, 0, 1.25, 0.25, -0.75}},
      {"fill_triangular(six, {.upper = true})",
       [&] { return fill_triangular(six, {.upper = true}); },
       {3, 3},
       {-1.25, 0.5, -0.5, 0, 1.25, 0.25, 0, 0, -0.75}},
      {"searchsorted(sort(v, 0), x)",
       [&] { return searchsorted(sort(v, 0), x); },
       {3, 4},
       {0, 3, 1, 4, 2, 1, 4, 2, 1, 4, 2, 0}},
      {"searchsorted(sort(v, 0), x, {.right = true})",
       [&] { return searchsorted(sort(v, 0), x, {.right = true}); },
       {3, 4},
       {1, 4, 2, 5, 3, 1, 4, 2, 1, 4, 2, 1}},
      {"bincount(counts, 5)", [&] { return bincount(counts, 5); }, {5}, {1, 1, 0, 3, 0}},
      {"bincount(counts, v, 5)", [&] { return bincount(counts, v, 5); }, {5}, {0.5, 1.25, 0, -1.5, 0}},
      {"chunk(v, 2, 0)[0]", [&] { return chunk(v, 2, 0)[0]; }, {3}, {-1.25, 0.5, -0.5}},
      {"chunk(v, 2, 0)[1]", [&] { return chunk(v, 2, 0)[1]; }, {2}, {1.25, 0.25}},
      {"chunk(six, 4, 0)[0]", [&] { return chunk(six, 4, 0)[0]; }, {2}, {-1.25, 0.5}},
      {"chunk(six, 4, 0)[1]", [&] { return chunk(six, 4, 0)[1]; }, {2}, {-0.5, 1.25}},
      {"chunk(six, 4, 0)[2]", [&] { return chunk(six, 4, 0)[2]; }, {2}, {0.25, -0.75}},
  };
  for (const Case& c : cases) {
    const Var got = c.call();
    BOOST_CHECK_MESSAGE(got.shape() == c.shape, c.text << ": shape " << to_string(got.shape()));
    if (got.shape() != c.shape) continue;
    for (Index i = 0; i < got.size(); ++i) {
      const double a = got.value().at(i), b = c.wanted[static_cast<std::size_t>(i)];
      BOOST_CHECK_MESSAGE(a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= 1e-14 * (1 + std::abs(b)),
                          c.text << " at " << i << ": got " << a << ", wanted " << b);
    }
  }
}

BOOST_AUTO_TEST_CASE(large_sorted_lists_and_many_values) {
  Tape tape(Dtype::f64);
  const Var sorted = sort(tape.input(Rng(1).normal({Dtype::f64, {3, 1000}})), 1),
            values = tape.input(Rng(2).normal({Dtype::f64, {3, 5000}}));
  const Array found = searchsorted(sorted, values).value(), list = sorted.value(), sought = values.value();
  for (Index i = 0; i < found.size(); ++i) {
    const Index row = i / 5000, at = static_cast<Index>(found.at(i));
    BOOST_REQUIRE((at == 0 || list.at(row * 1000 + at - 1) < sought.at(i)));
    BOOST_REQUIRE((at == 1000 || list.at(row * 1000 + at) >= sought.at(i)));
  }
}

BOOST_AUTO_TEST_CASE(refusals_say_what_was_wanted) {
  Tape tape(Dtype::f64);
  const Var x = tape.full({2, 3}, 1), i = tape.input(Array(Dtype::i32, {3}));
  const std::vector<std::pair<std::function<void()>, const char*>> refused{
      {[&] { select(x, 1, 3); }, "[select] index 3 is out of range for axis -1 of [2, 3]"},
      {[&] { select(x, 1, -4); }, "[select] index -4 is out of range for axis -1 of [2, 3]"},
      {[&] { slice(x, 1, 0, 3, 0); }, "[slice] needs a step of at least 1, got 0"},
      {[&] { slice(x, {{.axis = 2}}); }, "[slice] axis 2 is out of range for 2 axes of shape [2, 3]"},
      {[&] {
         moveaxis(x, {0, 1}, 0);
       },
       "[moveaxis] 2 axes cannot move to 1 places"},
      {[&] {
         moveaxis(x, {0, -2}, {0, 1});
       },
       "[moveaxis] axis -2 of shape [2, 3] is named twice"},
      {[&] { repeat(x, -1, 0); }, "[repeat] cannot repeat -1 times"},
      {[&] { repeat(x, std::vector<Index>{1}, 0); }, "[repeat] axis -2 of [2, 3] needs 2 counts, got 1"},
      {[&] {
         repeat(x, std::vector<Index>{1, -1}, 0);
       },
       "[repeat] cannot repeat element 1 -1 times"},
      {[&] { pad(x, {{.axis = 0, .after = 2}}, {.mode = PadMode::reflect}); },
       "[pad] axis -2 of [2, 3] has no 2 elements to give: 1 at most in this mode"},
      {[&] { pad(x, {{.before = 4}}, {.mode = PadMode::circular}); }, "3 at most in this mode"},
      {[&] { chunk(x, 0, 0); }, "[chunk] cannot cut axis -2 of [2, 3] into 0 parts"},
      {[&] {
         meshgrid({x, x});
       },
       "[meshgrid] needs operands of one axis, got [2, 3]"},
      {[&] { diff(x, 0, -1); }, "[diff] needs n of at least 0, got -1"},
      {[&] { quantile(x, 1.5); }, "[quantile] q lies from 0 to 1, got 1.5"},
      {[&] { quantile(i, 0.5); }, "[quantile] x is i32: needs f32 or f64 (use cast)"},
      {[&] { median(tape.full({0}, 1)); }, "[median] there is no median of nothing: shape [0]"},
      {[&] { topk(x, 4); }, "[topk] axis -1 of [2, 3] has no 4 elements"},
      {[&] { norm(x, 0, {.order = undefined}); }, "[norm] the order is NaN"},
      {[&] { fill_triangular(slice(x, 1, 0, 2)); },
       "[fill_triangular] needs n (n + 1) / 2 elements on the last axis, got shape [2, 2]"},
      {[&] { bincount(i, x, 3); }, "[bincount] needs indices of one axis, and as many weights, got [3] and [2, 3]"},
      {[&] { bincount(cast(tape.full({2}, 7), Dtype::i32), 3); }, "index 7 is out of range"},
  };
  for (const auto& [call, text] : refused) {
    const std::string said = error_of(call);
    BOOST_CHECK_MESSAGE(contains(said, text) && contains(said, "(test_arrays.cpp:"), said);
  }
}
