// Functions made of several ops against formulas and plain loops; and what single ops promise beyond their own
// examples.
#define BOOST_TEST_MODULE composites
#include <fmt/format.h>
#include <algorithm>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using parity::check_close;
using wengert::testing::contains;
using wengert::testing::error_of;
using wengert::testing::numbers;
using wengert::testing::random_array;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
using Numbers = std::vector<double>;

Var vector(Tape& tape, const Numbers& values) {
  return tape.input(Array::of<double>({static_cast<Index>(values.size())}, std::span<const double>(values)));
}
Var random(Tape& tape, const Shape& shape, std::uint64_t seed, double low = -1, double high = 1) {
  return tape.input(random_array(tape.dtype(), shape, seed, low, high));
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }
void check_numbers(const Numbers& got, const Numbers& wanted, const std::string& what) {
  BOOST_REQUIRE_MESSAGE(got.size() == wanted.size(), what << ": " << got.size() << " numbers");
  for (std::size_t i = 0; i < got.size(); ++i)
    BOOST_CHECK_MESSAGE(same(got[i], wanted[i]) || std::abs(got[i] - wanted[i]) <= 1e-14 * std::abs(wanted[i]),
                        what << " at " << i << ": got " << got[i] << ", wanted " << wanted[i]);
}

// f over the middle axis of [2,n,3], and over the outer two, against `plain` on the numbers of each line.
void check_values(const std::string& name, const std::function<Var(Var, std::initializer_list<int>, bool)>& f,
                  const std::function<double(const Numbers&)>& plain, Index n) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64})
    for (const bool keepdims : {false, true})
      for (const bool both : {false, true}) {
        Tape tape(dtype);
        const Var x = random(tape, {2, n, 3}, 5, 0.5, 1.5);
        const Var y = both ? f(x, {0, -2}, keepdims) : f(x, {1}, keepdims);
        Shape shape = both ? Shape{1, 1, 3} : Shape{2, 1, 3};
        if (!keepdims) shape = both ? Shape{3} : Shape{2, 3};
        BOOST_TEST((y.shape() == shape));
        const Array in = x.value();
        Array wanted(Dtype::f64, y.shape());
        for (Index i = 0; i < wanted.size(); ++i) {
          Numbers line;
          for (Index k = 0; k < in.size(); ++k)
            if (k % 3 == i % 3 && (both || k / (3 * n) == i / 3)) line.push_back(in.at(k));
          wanted.set(i, plain(line));
        }
        check_close(y.value(), wanted, dtype == Dtype::f32 ? 2e-6 : 1e-14,
                    fmt::format("{}, {}, {} axes", name, name_of(dtype), both ? 2 : 1));
      }
}

// The first three derivatives of a projection of f at x against central differences, and forward against reverse.
void check_derivatives(const std::string& name, const Function& f, const Array& x) {
  Tape tape(Dtype::f64);
  const Var at = tape.input(x), direction = random(tape, x.shape(), 11);
  const auto value = [&](int order, Var z) {  // the directional derivative of that order of sum(weights * f)
    Function g = [&](Var q) {
      const Var y = f(q);
      return sum(y * random(tape, y.shape(), 12));
    };
    Var result = g(z);
    if (order == 0) return result;
    const Var z0 = identity(z);
    result = g(z0);
    for (int i = 0; i < order; ++i) result = sum(direction * grad(result, z0));
    return result;
  };
  constexpr double h = 1e-5;
  for (int order = 1; order <= 3; ++order) {
    const double exact = value(order, at).item();
    const double above = value(order - 1, at + h * direction).item(),
                 below = value(order - 1, at - h * direction).item();
    const double numeric = (above - below) / (2 * h);
    BOOST_CHECK_MESSAGE(std::abs(exact - numeric) <= 1e-6 * std::max(1.0, std::abs(exact)),
                        name << ", order " << order << ": " << exact << " against " << numeric);
  }
  const Var y = f(at), u = random(tape, y.shape(), 13);
  const double forward = sum(u * jvp(f, at, direction).tangent).item();
  const double reverse = sum(direction * vjp(y, u, std::span<const Var>(&at, 1))[0]).item();
  BOOST_CHECK_MESSAGE(std::abs(forward - reverse) <= 1e-12 * std::max(1.0, std::abs(forward)),
                      name << ": forward " << forward << ", reverse " << reverse);
  const Function total = [&](Var z) { return sum(f(z) * u); };
  const Var curved = hvp(total, at, direction), z = identity(at);
  check_close(curved.value(), grad(sum(direction * grad(total(z), z)), z).value(), 1e-11,
              name + ": forward over reverse");
}

double mean_of(const Numbers& x) {
  double total = 0;
  for (double v : x) total += v;
  return total / static_cast<double>(x.size());
}
double spread_of(const Numbers& x, double ddof) {
  const double mean = mean_of(x);
  double total = 0;
  for (double v : x) total += (v - mean) * (v - mean);
  return total / (static_cast<double>(x.size()) - ddof);
}

// The product of all but the listed factors.
double product_without(const Numbers& x, std::initializer_list<std::size_t> left_out) {
  double product = 1;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (std::find(left_out.begin(), left_out.end(), i) == left_out.end()) product *= x[i];
  return product;
}

}  // namespace

BOOST_AUTO_TEST_CASE(values_over_axes) {
  for (const Index n : {1, 2, 3, 8, 13}) {
    check_values(
        "prod", [](Var x, std::initializer_list<int> axes, bool k) { return prod(x, axes, {.keepdims = k}); },
        [](const Numbers& x) { return product_without(x, {}); }, n);
    check_values(
        "norm", [](Var x, std::initializer_list<int> axes, bool k) { return norm(x, axes, {.keepdims = k}); },
        [](const Numbers& x) {
          double total = 0;
          for (double v : x) total += v * v;
          return std::sqrt(total);
        },
        n);
    if (n == 1) continue;
    for (const int ddof : {0, 1}) {
      check_values(
          "variance",
          [&](Var x, std::initializer_list<int> axes, bool k) {
            return variance(x, axes, {.ddof = ddof, .keepdims = k});
          },
          [&](const Numbers& x) { return spread_of(x, ddof); }, n);
      check_values(
          "stddev",
          [&](Var x, std::initializer_list<int> axes, bool k) {
            return stddev(x, axes, {.ddof = ddof, .keepdims = k});
          },
          [&](const Numbers& x) { return std::sqrt(spread_of(x, ddof)); }, n);
    }
  }
  Tape tape(Dtype::f64);
  const Var x = random(tape, {4, 5}, 1, 0.5, 1.5);
  check_close(prod(x).value(), prod(flatten(x), 0).value(), 1e-15, "prod of all");
  check_close(norm(x).value(), norm(x, {0, 1}).value(), 1e-15, "norm of all");
  check_close(variance(x).value(), variance(flatten(x), 0, {.ddof = 1}).value(), 1e-14, "variance of all");
  check_close(stddev(x, Axes::all(), {.ddof = 0}).value(), sqrt(variance(x, {0, 1}, {.ddof = 0})).value(), 1e-15,
              "stddev of all");
  BOOST_TEST((prod(x, std::initializer_list<int>{}).shape() == x.shape()));
}

BOOST_AUTO_TEST_CASE(derivatives_of_three_orders) {
  const Array x = random_array(Dtype::f64, {2, 5, 3}, 3, 0.5, 1.5);
  check_derivatives(
      "prod",
      [](Var z) {
        return prod(z, {0, 2});
      },
      x);
  check_derivatives(
      "prod along 5", [](Var z) { return prod(z, 1, {.keepdims = true}); }, x);
  check_derivatives(
      "variance", [](Var z) { return variance(z, 1); }, x);
  check_derivatives(
      "stddev",
      [](Var z) {
        return stddev(z, {0, 1}, {.ddof = 0});
      },
      x);
  check_derivatives(
      "norm", [](Var z) { return norm(z, {-1}, {.keepdims = true}); }, x);
  check_derivatives(
      "layer_norm", [](Var z) { return layer_norm(z, 1, 0); }, x);
  check_derivatives(
      "layer_norm of two axes, by gain and bias",
      [&](Var z) {
        const Var gain = reshape(slice(z, 0, 0, 1), {5, 3}), bias = reshape(slice(z, 0, 1), {5, 3});
        return layer_norm(z * z, gain, bias, {.axes = 2, .eps = 0.1});
      },
      x);
  check_derivatives(
      "logsumexp",
      [](Var z) {
        return logsumexp(z, {0, 1});
      },
      x);
  check_derivatives(
      "softmax", [](Var z) { return softmax(z, 1) * log_softmax(z, -1); }, x);
  check_derivatives(
      "max",
      [](Var z) {
        return square(max(z, {0, 2})) * min(z, {0, 2});
      },
      x);
  check_derivatives(
      "cumsum", [](Var z) { return square(cumsum(z, 1, {.reverse = true})); }, x);
  check_derivatives(
      "pow", [](Var z) { return pow(z, 2.3) * pow(z, z) * pow(1.7, z); }, x);
  check_derivatives(
      "lgamma", [](Var z) { return lgamma(z) * i1e(z) + hypot(z, 2) * atan2(z, 0.3); }, x);
  check_derivatives(
      "x[i]", [](Var z) { return sin(z[1]) * z[-1]; }, random_array(Dtype::f64, {3, 2}, 7));
}

BOOST_AUTO_TEST_CASE(derivatives_of_a_product_with_zeros_by_leaving_factors_out) {
  for (const Numbers& x : {Numbers{2, 3, -1, 0.5, 4}, Numbers{2, 0, -1, 0.5, 4}, Numbers{0, 0, 3, 2, -1},
                           Numbers{0, 0, 0, 2, -1}, Numbers{0, 0, 0, 0, 0}}) {
    Tape tape(Dtype::f64);
    const Var at = vector(tape, x);
    const Function f = [](Var z) { return prod(z); };
    const Var y = f(at), first = grad(y, at);
    const Array second = hessian(f, at).value();
    const std::size_t n = x.size();
    for (std::size_t i = 0; i < n; ++i) {
      BOOST_TEST(first.value().at(static_cast<Index>(i)) == product_without(x, {i}));
      const Var by_i = slice(first, 0, static_cast<Index>(i), static_cast<Index>(i) + 1);
      const Var second_row = grad(by_i, at);
      for (std::size_t j = 0; j < n; ++j) {
        const double wanted = i == j ? 0 : product_without(x, {i, j});
        BOOST_TEST(second.at(static_cast<Index>(i * n + j)) == wanted);
        const Var by_ij = slice(second_row, 0, static_cast<Index>(j), static_cast<Index>(j) + 1);
        const Array third_row = grad(by_ij, at).value();
        for (std::size_t k = 0; k < n; ++k)
          BOOST_TEST(third_row.at(static_cast<Index>(k)) ==
                     (i == j || j == k || i == k ? 0 : product_without(x, {i, j, k})));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(points_of_convention) {
  Tape tape(Dtype::f64);
  const auto check = [&](const Function& f, const Numbers& x, const Numbers& value, const Numbers& slope,
                         const std::string& what) {
    const Var at = vector(tape, x), y = f(at);
    check_numbers(numbers(y), value, what);
    check_numbers(numbers(grad(sum(y), at)), slope, what + ", derivative");
  };
  const Function product = [](Var x) { return prod(x); }, length = [](Var x) { return norm(x); };
  const Function sample = [](Var x) { return variance(x); },
                 population = [](Var x) { return variance(x, Axes::all(), {.ddof = 0}); };
  const Function deviation = [](Var x) { return stddev(x); };
  const Function normal = [](Var x) { return layer_norm(x, 2, 1, {.eps = 0.25}); };
  check(product, {}, {1}, {}, "prod of nothing");
  check(product, {7}, {7}, {1}, "prod of one");
  check(product, {0, 0, 3}, {0}, {0, 0, 0}, "prod with zeros");
  check(product, {infinity, 2, -1}, {-infinity}, {-2, -infinity, infinity}, "prod with infinity");
  check(product, {undefined, 2}, {undefined}, {2, undefined}, "prod with NaN");
  check(length, {0, 0}, {0}, {0, 0}, "norm of zero");
  check(length, {3, -4}, {5}, {0.6, -0.8}, "norm");
  check(length, {-2}, {2}, {-1}, "norm of one");
  check(length, {}, {0}, {}, "norm of nothing");
  check(length, {infinity, 1}, {infinity}, {undefined, 0}, "norm of infinity");
  check(sample, {5}, {undefined}, {undefined}, "variance of one");
  check(population, {5}, {0}, {0}, "population variance of one");
  check(sample, {}, {undefined}, {}, "variance of nothing");
  check(sample, {3, 3, 3}, {0}, {0, 0, 0}, "variance of equals");
  check(deviation, {3, 3, 3}, {0}, {0, 0, 0}, "stddev of equals");
  check(deviation, {1, 3}, {std::sqrt(2.0)}, {-std::sqrt(0.5), std::sqrt(0.5)}, "stddev");
  check(deviation, {5}, {undefined}, {undefined}, "stddev of one");
  check(normal, {3, 3}, {1, 1}, {0, 0}, "layer_norm of equals");
  check(normal, {3}, {1}, {0}, "layer_norm of one");
  check(normal, {}, {}, {}, "layer_norm of nothing");
  // The second derivative at norm 0 is finite too.
  const Var zero = vector(tape, {0, 0});
  check_numbers(numbers(hessian(length, zero)), {0, 0, 0, 0}, "norm of zero, second derivative");
  // Derivatives of a power of 0 by number are the polynomial's.
  const Function cube = [](Var x) { return sum(pow(x, 3)); };
  check_numbers(numbers(hessian(cube, zero)), {0, 0, 0, 0}, "0^3, second derivative");
  const Var x = vector(tape, {0});
  const Var third = grad(grad(grad(cube(x), x), x), x), fourth = grad(third, x);
  check_numbers(numbers(third), {6}, "0^3, third derivative");
  check_numbers(numbers(fourth), {0}, "0^3, fourth derivative");
  // By a Var: d2/da db of a^b at b = 0 is 1/a, not the derivative of a constant.
  const Var a = vector(tape, {2}), b = vector(tape, {0});
  check_numbers(numbers(grad(grad(pow(a, b), a), b)), {0.5}, "a^0, mixed derivative");
}

BOOST_AUTO_TEST_CASE(layer_norm_against_its_formula) {
  for (const int axes : {1, 2}) {
    Tape tape(Dtype::f64);
    const Var x = random(tape, {3, 4, 5}, 1), gain = random(tape, x.shape().trailing(axes), 2),
              bias = random(tape, x.shape().trailing(axes), 3);
    const Array y = layer_norm(x, gain, bias, {.axes = axes, .eps = 1e-3}).value(), in = x.value();
    const Index n = gain.size();
    for (Index row = 0; row < in.size() / n; ++row) {
      Numbers line;
      for (Index i = 0; i < n; ++i) line.push_back(in.at(row * n + i));
      for (Index i = 0; i < n; ++i) {
        const double wanted = (line[static_cast<std::size_t>(i)] - mean_of(line)) /
                                  std::sqrt(spread_of(line, 0) + 1e-3) * gain.value().at(i) +
                              bias.value().at(i);
        BOOST_TEST(std::abs(y.at(row * n + i) - wanted) <= 1e-14 * (1 + std::abs(wanted)));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(rows_stay_apart_and_vmap_agrees_with_a_loop) {
  Tape tape(Dtype::f64);
  const Var x = random(tape, {4, 3}, 1, 0.5, 1.5), y = random(tape, {4, 2, 3}, 2, 0.5, 1.5);
  const std::vector<Function> of_rows{
      [](Var z) { return layer_norm(z, 1, 0); },
      [](Var z) { return softmax(z, 1); },
      [](Var z) { return log_softmax(z, -1); },
      [](Var z) { return cumsum(z, 1); },
      [](Var z) { return z * norm(z, 1, {.keepdims = true}) / stddev(z, 1, {.keepdims = true}); },
      [](Var z) { return z * max(z, 1, {.keepdims = true}) * logsumexp(z, 1, {.keepdims = true}); },
      [](Var z) { return z * prod(square(z) + 1, {-1}, {.keepdims = true}); },
  };
  for (std::size_t f = 0; f + 1 < of_rows.size(); ++f) {  // prod's halves are slices, which mix rows of their axis
    const Array all = jacobian(of_rows[f], x).value(), traces = divergence(of_rows[f], x).value();
    for (Index r = 0; r < 4; ++r) {
      double trace = 0;
      for (Index i = 0; i < 3; ++i) trace += all.at((r * 3 + i) * 12 + r * 3 + i);
      BOOST_CHECK_MESSAGE(std::abs(trace - traces.at(r)) <= 1e-12 * (1 + std::abs(trace)), "function " << f);
    }
  }
  std::vector<Function> functions = of_rows;
  functions.push_back([](Var z) { return prod(z) + norm(z) + variance(z); });
  functions.push_back([](Var z) { return cast(argmax(z), Dtype::f64) + cast(argmin(z, 0), Dtype::f64); });
  functions.push_back([](Var z) { return max(z) + logsumexp(z) + min(z, {0}, {.keepdims = true}); });
  functions.push_back([](Var z) { return grad(prod(z) + max(z), z); });
  for (std::size_t f = 0; f < functions.size(); ++f) {
    const Array together = vmap(functions[f], y).value();
    for (Index i = 0; i < 4; ++i) {
      const Array alone = functions[f](identity(reshape(slice(y, 0, i, i + 1), {2, 3}))).value();
      check_close(parity::row(together, i, alone.shape()), alone, 1e-13, fmt::format("function {}, slice {}", f, i));
    }
  }
  BOOST_TEST(contains(error_of([&] { divergence([](Var z) { return z - logsumexp(z, 0); }, x); }),
                      "[logsumexp] reduces rows"));
}

BOOST_AUTO_TEST_CASE(plans_of_them_have_the_bits_of_an_eager_tape) {
  const auto f = [](std::span<const Var> in) {
    const Var x = in[0];
    Tape& tape = x.tape();
    const std::vector<Var> parts = split(x, 3, 1);
    const Var y = concat(parts, 0) * x[-1][0] + tape.arange(2) - tape.linspace(0, 1, 2) + ones_like(parts[0])[0];
    const Var z = matmul(reshape(x, {-1, 2}), tape.eye(2, 3, 1)) + full_like(x, 0.5)[0][1] * tape.zeros({3});
    return std::vector<Var>{y, stack(parts, 1), z, grad(sum(sin(y)) + sum(square(z)), x)};
  };
  const Array x = random_array(Dtype::f32, {8, 6}, 3);
  Tape tape;
  const Var in = tape.input(x);
  const std::vector<Var> wanted = f(std::span<const Var>(&in, 1));
  Plan plan = compile(f, {x.type()});
  for (std::size_t i = 0; i < wanted.size(); ++i)
    BOOST_TEST(testing::same_bits(plan.run({x})[i], wanted[i].value()), i);
}

BOOST_AUTO_TEST_CASE(refusals_name_the_function_and_the_callers_line) {
  Tape tape;
  const Var x = random(tape, {2, 3}, 1), whole = tape.input(Array(Dtype::i32, {3}));
  const auto check = [](const auto& f, int line, const std::string& text, const std::string& scope) {
    const std::string said = error_of(f);
    BOOST_CHECK_MESSAGE(contains(said, text) && contains(said, fmt::format("(test_composites.cpp:{}{})", line, scope)),
                        said);
  };
  check([&] { prod(x, 2); }, __LINE__, "[prod] axis 2 is out of range for 2 axes of shape [2, 3]", "");
  check([&] { max(x, {0, -2}); }, __LINE__, "[max] axis -2 of shape [2, 3] is named twice", "");
  check([&] { max(tape.full({0, 3}, 1)); }, __LINE__, "[max] there is no maximum of nothing: axis -2 of [0, 3]", "");
  check([&] { argmin(tape.full({0}, 1)); }, __LINE__, "[argmin] there is no minimum of nothing", "");
  check([&] { softmax(sum(x), 0); }, __LINE__, "[softmax] axis 0 is out of range for 0 axes", "");
  check([&] { prod(whole); }, __LINE__, "[prod] x is i32: needs f32 or f64 (use cast)", "");
  check([&] { variance(whole); }, __LINE__, "[sum] operand 0 is i32", ", in variance");
  check([&] { norm(whole, 0); }, __LINE__, "[square] operand 0 is i32", ", in norm");
  check([&] { layer_norm(x, x, 0); }, __LINE__, "[layer_norm] gain and bias must be numbers or of shape [3]", "");
  check([&] { layer_norm(x, 1, 0, {.axes = 3}); }, __LINE__, "[layer_norm] cannot take the last 3 axes of [2, 3]", "");
  check([&] { polygamma(-1, x); }, __LINE__, "[polygamma] the order goes from 0 to 150, got -1", "");
  check([&] { ive(26, x); }, __LINE__, "[ive] order and order of derivative go from 0 to 25, got 26", "");
}
