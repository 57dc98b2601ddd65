// Derivatives of functions that arrange, order and reduce arrays, against differences, and batches of them.
#define BOOST_TEST_MODULE array_derivatives
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();
}  // namespace

// Derivatives of three orders along a direction against differences, and a batch against its members.
BOOST_AUTO_TEST_CASE(derivatives_and_batches) {
  const std::vector<std::pair<const char*, Function>> functions{
      {"select", [](Var x) { return select(x, 1, 2); }},
      {"slice backwards",
       [](Var x) {
         return slice(x, {{.axis = 0, .step = -2}, {.axis = 1, .start = 1}});
       }},
      {"moveaxis", [](Var x) { return moveaxis(x, 0, 1); }},
      {"repeat", [](Var x) { return repeat(x, 2, 1); }},
      {"repeat by counts",
       [](Var x) {
         return repeat(x, std::vector<Index>{0, 2, 1}, 0);
       }},
      {"pad by value", [](Var x) { return pad(x, {{.before = 1}}, {.value = 2}); }},
      {"reflect", [](Var x) { return pad(x, {{.before = 2, .after = 3}}, {.mode = PadMode::reflect}); }},
      {"replicate", [](Var x) { return pad(x, {{.before = 2, .after = 3}}, {.mode = PadMode::replicate}); }},
      {"circular", [](Var x) { return pad(x, {{.before = 2, .after = 3}}, {.mode = PadMode::circular}); }},
      {"cumprod", [](Var x) { return cumprod(x, 1); }},
      {"cumprod of zeros",
       [](Var x) {
         return cumprod(concat({x, 0 * x, x, x * slice(x, 1, 0, 1)}, 1), 1);
       }},
      {"logcumsumexp", [](Var x) { return logcumsumexp(x, 0, {.reverse = true}); }},
      {"cummax", [](Var x) { return cummax(x, 1).values; }},
      {"cummin", [](Var x) { return cummin(x, 0).values; }},
      {"diff", [](Var x) { return diff(x, 1, 2); }},
      {"quantile", [](Var x) { return quantile(x, 0.3, 1); }},
      {"quantiles",
       [](Var x) {
         return quantile(x, std::vector<double>{0.2, 0.6});
       }},
      {"median", [](Var x) { return median(x, 0); }},
      {"topk", [](Var x) { return topk(x, 2, 0).values; }},
      {"bottomk", [](Var x) { return topk(x, 2, 1, {.largest = false}).values; }},
      {"norm of order 1", [](Var x) { return norm(x, 1, {.order = 1}); }},
      {"norm of order 3", [](Var x) { return norm(x, 0, {.order = 3}); }},
      {"norm of order 1/2", [](Var x) { return norm(x + 5, Axes::all(), {.order = 0.5}); }},
      {"norm of order infinity", [](Var x) { return norm(x, 0, {.order = infinity}); }},
      {"norm of order -infinity", [](Var x) { return norm(x, 1, {.order = -infinity}); }},
      {"fill_triangular", [](Var x) { return fill_triangular(slice(x, 1, 0, 3)); }},
      {"meshgrid",
       [](Var x) {
         return meshgrid({select(x, 0, 1), select(x, 1, 0)})[1];
       }},
      {"chunk", [](Var x) { return chunk(x, 2, 0)[1]; }},
  };
  Tape tape(Dtype::f64);
  const Var batch = tape.input(Rng(5).normal({Dtype::f64, {2, 3, 4}})),
            way = tape.input(Rng(6).normal({Dtype::f64, {3, 4}}));
  const Var at = identity(select(batch, 0, 0));
  for (const auto& [name, f] : functions) {
    const auto value = [&, &g = f](int order, Var x) {
      const Var z = identity(x);
      const Var y = g(z);
      Var result = sum(sin(y) * tape.input(Rng(7).normal({Dtype::f64, y.shape()})));
      for (int i = 0; i < order; ++i) result = sum(way * grad(result, z));
      return result.item();
    };
    constexpr double h = 1e-5;
    for (int order = 1; order <= 3; ++order) {
      const double exact = value(order, at),
                   numeric = (value(order - 1, at + h * way) - value(order - 1, at - h * way)) / (2 * h);
      BOOST_CHECK_MESSAGE(std::abs(exact - numeric) <= 2e-6 * std::max(1.0, std::abs(exact)),
                          name << ", order " << order << ": " << exact << " against " << numeric);
    }
    const Var together = vmap(f, batch);
    for (Index i = 0; i < 2; ++i) {
      const Array alone = f(identity(select(batch, 0, i))).value(), member = select(together, 0, i).value();
      BOOST_CHECK_MESSAGE(testing::same_bits(alone, member), name << ", member " << i << " of a batch");
    }
    const Var y = f(at), u = tape.input(Rng(8).normal({Dtype::f64, y.shape()}));
    const double forward = sum(u * jvp(f, at, way).tangent).item(), reverse = sum(way * grad(sum(u * y), at)).item();
    BOOST_CHECK_MESSAGE(std::abs(forward - reverse) <= 1e-12 * std::max(1.0, std::abs(forward)),
                        name << ": forward " << forward << ", reverse " << reverse);
  }
}

BOOST_AUTO_TEST_CASE(norms_at_zero_have_derivative_zero) {
  for (const double order : {1.0, 2.0, 3.0, 0.5, infinity}) {
    Tape tape(Dtype::f64);
    const Var x = tape.full({3}, 0), y = norm(x, 0, {.order = order});
    BOOST_TEST(y.item() == 0);
    BOOST_TEST(testing::numbers(grad(y, x)) == std::vector<double>(3, 0));
  }
}
