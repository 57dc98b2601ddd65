// What single ops promise beyond their own examples: identities between them, purity, the same bits on any threads.
#define BOOST_TEST_MODULE functions
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "autodiff/autodiff.hpp"
#include "nn/activation.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using parity::check_close;
using wengert::testing::random_array;
using wengert::testing::same_bits;
using wengert::testing::Threads;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

Var vector(Tape& tape, const std::vector<double>& values) {
  return tape.input(Array::of<double>({static_cast<Index>(values.size())}, std::span<const double>(values)));
}
Var random(Tape& tape, const Shape& shape, std::uint64_t seed, double low = -1, double high = 1) {
  return tape.input(random_array(tape.dtype(), shape, seed, low, high));
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }
}  // namespace

BOOST_AUTO_TEST_CASE(functions_without_axes_and_of_any_dtype) {
  Tape tape(Dtype::f64);
  const Var x = random(tape, {3, 4}, 1);
  const Var flat = flatten(x);
  BOOST_TEST(max(x).item() == max(flat, 0).item());
  BOOST_TEST(min(x).item() == -max(-x).item());
  BOOST_TEST(argmax(x).item() == argmax(flat, 0).item());
  BOOST_TEST(argmin(x).item() == argmax(-flat, -1).item());
  BOOST_TEST(std::abs(logsumexp(x).item() - std::log(sum(exp(x)).item())) < 1e-14);
  BOOST_TEST((argmax(x, 0, {.keepdims = true}).type() == Type{Dtype::i32, {1, 4}}));
  const Var whole = tape.input(Array::of<std::int32_t>({4}, {3, -9, 3, 1}));
  BOOST_TEST(argmax(whole, 0).item() == 0);
  BOOST_TEST(argmin(whole, 0).item() == 1);
  check_close(softmax(x, 1).value(), exp(log_softmax(x, 1)).value(), 1e-15, "softmax and its logarithm");
  check_close(grad(sum(logsumexp(x, 1)), x).value(), softmax(x, 1).value(), 1e-15, "the derivative of logsumexp");
}

// Long lines and wide rows, which kernels cut into registers, beside one comparison after the other. Small integers
// tie; of NaNs the first is the best.
BOOST_AUTO_TEST_CASE(places_of_extremes_in_long_lines_and_wide_rows) {
  const auto check = [](const Array& x, const char* what) {
    Tape tape;
    const Var in = tape.input(x);
    const Array largest[] = {argmax(in, 0).value(), argmax(in, 1).value()},
                smallest[] = {argmin(in, 0).value(), argmin(in, 1).value()};
    const Index extents[] = {x.shape()[0], x.shape()[1]};
    const auto at = [&](int axis, Index line, Index i) {
      return axis == 0 ? x.at(i * extents[1] + line) : x.at(line * extents[1] + i);
    };
    for (const int axis : {0, 1})
      for (Index line = 0; line < extents[1 - axis]; ++line) {
        Index high = 0, low = 0;
        for (Index i = 1; i < extents[axis]; ++i) {
          const double value = at(axis, line, i), highest = at(axis, line, high), lowest = at(axis, line, low);
          if (value > highest || (std::isnan(value) && !std::isnan(highest))) high = i;
          if (value < lowest || (std::isnan(value) && !std::isnan(lowest))) low = i;
        }
        BOOST_TEST_REQUIRE(largest[axis].at(line) == static_cast<double>(high), what << ", axis " << axis);
        BOOST_TEST_REQUIRE(smallest[axis].at(line) == static_cast<double>(low), what << ", axis " << axis);
      }
  };
  for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::i32})
    for (const Shape& shape : {Shape{3, 700}, Shape{129, 300}, Shape{513, 64}, Shape{70, 257}}) {
      Array x(dtype, shape);
      std::mt19937_64 random(static_cast<std::uint64_t>(shape[1]));
      for (Index i = 0; i < x.size(); ++i)
        x.set(i, static_cast<double>(std::uniform_int_distribution<int>(-40, 40)(random)));
      check(x, "ties");
      if (dtype == Dtype::i32) continue;
      for (Index i = 0; i < x.size(); i += 1 + static_cast<Index>(random() % 900))
        x.set(i, std::numeric_limits<double>::quiet_NaN());
      check(x, "NaNs");
    }
}

BOOST_AUTO_TEST_CASE(large_exponents_cost_no_accuracy_in_f32) {
  Tape tape;
  const Var x = random(tape, {1000}, 1), far = x + 4096, near = far - 4096;  // the same numbers, shifted
  check_close(grad(logsumexp(far), far).value(), softmax(near, 0).value(), 1e-6, "derivative of logsumexp");
  check_close(softmax(far, 0).value(), softmax(near, 0).value(), 1e-6, "softmax");
  check_close(log_softmax(far, 0).value(), log_softmax(near, 0).value(), 1e-6, "log_softmax");
  check_close((logsumexp(far) - 4096).value(), logsumexp(near).value(), 1e-4, "logsumexp");
}

BOOST_AUTO_TEST_CASE(identities_of_special_functions) {
  Tape tape(Dtype::f64);
  const Var x = vector(tape, {-40, -7.3, -1.2, -1e-3, 1e-9, 0.2, 1.7, 8.1, 29.9, 33, 300, 5000});
  check_close(grad(sum(i0e(x)), x).value(), (i1e(x) - sign(x) * i0e(x)).value(), 1e-12, "i0e'");
  check_close(grad(sum(i1e(x)), x).value(), (i0e(x) - i1e(x) * (sign(x) + 1 / x)).value(), 1e-8, "i1e'");
  // x^2 y'' + x y' - (x^2 + n^2) y = 0 for y = exp(|x|) ive(n, x): with s = sign(x) and f = ive,
  // x^2 (f'' + 2 s f' + f) + x (f' + s f) - (x^2 + n^2) f = 0.
  for (const int n : {0, 1, 2, 5}) {
    const Var z = identity(x), f = ive(n, z), d = grad(sum(f), z), dd = grad(sum(d), z), s = sign(z);
    const Var left = square(z) * (dd + 2 * s * d) + z * (d + s * f), right = (n * n) * f;
    const Array gap =
        (abs(left - right) / (abs(square(z) * dd) + abs(2 * square(z) * d) + abs(z * f) + 1e-300)).value();
    for (Index i = 0; i < gap.size(); ++i)
      BOOST_CHECK_MESSAGE(gap.at(i) < 2e-11, "Bessel's equation, order " << n << " at " << i << ": " << gap.at(i));
  }
  const Var p = vector(tape, {0.1, 0.7, 1.4616, 3.3, 12, 150});
  check_close((lgamma(p + 1) - lgamma(p)).value(), log(p).value(), 1e-13, "lgamma(x + 1)");
  check_close((digamma(p + 1) - digamma(p)).value(), (1 / p).value(), 1e-14, "digamma(x + 1)");
  check_close((polygamma(3, p + 1) - polygamma(3, p)).value(), (-6 / pow(p, 4)).value(), 1e-13, "polygamma(3, x + 1)");
  check_close(grad(sum(grad(sum(grad(sum(lgamma(p)), p)), p)), p).value(), polygamma(2, p).value(), 0, "lgamma'''");
  const Var a = random(tape, {50}, 1, 0.2, 3), b = random(tape, {50}, 2, -3, 3);
  check_close(pow(a, b).value(), exp(b * log(a)).value(), 1e-14, "pow");
  for (const double power : {-3.0, -0.5, 0.5, 2.0, 8.0, 9.0, 2.5})
    check_close(pow(a, power).value(), pow(a, tape.full(Shape{}, power)).value(), 2e-15, "pow by a number");
  check_close((hypot(a, b) * cos(atan2(b, a))).value(), a.value(), 1e-14, "hypot and atan2");
  check_close(logaddexp(a, b).value(), log(exp(a) + exp(b)).value(), 1e-14, "logaddexp");
}

BOOST_AUTO_TEST_CASE(identities_of_elementary_functions) {
  Tape tape(Dtype::f64);
  const Var x = random(tape, {60}, 3, -3, 3), u = random(tape, {60}, 4, -0.99, 0.99), y = random(tape, {60}, 5, 0.2, 2);
  check_close(tan(x).value(), (sin(x) / cos(x)).value(), 1e-14, "tan");
  check_close(sin(asin(u)).value(), u.value(), 1e-15, "asin");
  check_close((asin(u) + acos(u)).value(), tape.full({60}, std::acos(0.0)).value(), 1e-15, "acos");
  check_close(sinh(asinh(x)).value(), x.value(), 1e-14, "asinh");
  check_close(tanh(atanh(u)).value(), u.value(), 1e-15, "atanh");
  check_close(acosh(cosh(x)).value(), abs(x).value(), 1e-13, "acosh");
  check_close(erf(erfinv(u)).value(), u.value(), 1e-15, "erfinv");
  check_close((erf(x) + erfc(x)).value(), tape.full({60}, 1).value(), 1e-15, "erfc");
  check_close(sigmoid(logit(square(u))).value(), square(u).value(), 1e-15, "logit");
  check_close(exp(log_sigmoid(x)).value(), sigmoid(x).value(), 1e-15, "log_sigmoid");
  check_close((trunc(x / y) * y + fmod(x, y)).value(), x.value(), 1e-14, "fmod");
  check_close((floor(x / y) * y + remainder(x, y)).value(), x.value(), 1e-14, "remainder");
  check_close(copysign(y, x).value(), (sign(x) * y).value(), 0, "copysign");
  check_close(lerp(x, y, u).value(), ((1 - u) * x + u * y).value(), 1e-15, "lerp");
  check_close(exp2(log2(y)).value(), y.value(), 1e-15, "exp2 and log2");
  check_close((reciprocal(y) * square(rsqrt(y))).value(), pow(y, -2).value(), 1e-15, "reciprocal and rsqrt");
  check_close(grad(sum(sinc(x)), x).value(), ((cos(std::acos(-1.0) * x) - sinc(x)) / x).value(), 1e-13, "sinc'");
}

BOOST_AUTO_TEST_CASE(arguments_of_elementwise_functions) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    Tape tape(dtype);
    const Var odd = tape.input(Array::of<double>({4}, {undefined, infinity, -infinity, 2}).cast(dtype));
    const double most = dtype == Dtype::f32 ? double(std::numeric_limits<float>::max()) : 1.7976931348623157e308;
    check_close(nan_to_num(odd).value(), Array::of<double>({4}, {0, most, -most, 2}), 0, "nan_to_num");
    const Var kept = nan_to_num(odd, {.nan = 1, .posinf = infinity, .neginf = -3});
    BOOST_TEST(wengert::testing::numbers(kept) == (std::vector<double>{1, infinity, -3, 2}),
               boost::test_tools::per_element());
    const Var p = tape.input(Array::of<double>({3}, {0, 0.25, 1}).cast(dtype)), clipped = logit(p, 0.125);
    check_close(clipped.value(), logit(tape.input(Array::of<double>({3}, {0.125, 0.25, 0.875}).cast(dtype))).value(), 0,
                "logit with eps");
    check_close(grad(sum(clipped), p).value(), Array::of<double>({3}, {0, 16.0 / 3, 0}), 1e-6, "its derivative");
    const Var below = tape.full({1}, -1);
    BOOST_TEST(elu(below).item() == elu(below, 1).item());
    BOOST_TEST(nn::Activation(elu)(below).item() == elu(below).item());  // by its name, without its argument
    BOOST_TEST(leaky_relu(below).item() == leaky_relu(below, 0.01).item());
    BOOST_TEST(tape.list().find("alpha=1") != std::string::npos, tape.list());
    BOOST_TEST(tape.list().find("nan=1 posinf=inf neginf=-3") != std::string::npos, tape.list());
  }
}

BOOST_AUTO_TEST_CASE(all_derivatives_of_an_angle_at_the_origin_are_zero) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64})
    for (const double zero : {0.0, -0.0}) {
      Tape tape(dtype);
      const Var y = tape.full(Shape{2}, zero), x = tape.full(Shape{2}, 0);
      std::vector<Var> derivatives{sum(atan2(y, x))};
      for (int order = 1; order <= 3; ++order) {
        std::vector<Var> next;
        for (const Var f : derivatives)
          for (const Var by : {y, x}) next.push_back(sum(grad(f, by)));
        for (const Var value : next) BOOST_TEST(value.item() == 0, "order " << order << ": " << value.item());
        derivatives = next;
      }
    }
}

BOOST_AUTO_TEST_CASE(the_same_bits_on_any_number_of_threads) {
  const std::vector<Function> functions{
      [](Var x) { return max(x, 1); },
      [](Var x) { return min(x, {0}); },
      [](Var x) { return max(x); },
      [](Var x) { return logsumexp(x, 0); },
      [](Var x) {
        return logsumexp(x, {0, 1});
      },
      [](Var x) { return softmax(x, 0); },
      [](Var x) { return log_softmax(x, 1); },
      [](Var x) { return cumsum(x, 1); },
      [](Var x) { return argmax(x, 1); },
      [](Var x) { return prod(x, 0); },
      [](Var x) { return variance(x, 0); },
      [](Var x) { return layer_norm(x, 1, 0); },
      [](Var x) { return pow(x, x); },
      [](Var x) { return lgamma(x) + ive(2, x); },
  };
  for (std::size_t f = 0; f < functions.size(); ++f) {
    std::vector<Array> values;
    for (const int count : {1, 2, 3, 7}) {
      const Threads threads(count);
      Tape tape;
      values.push_back(functions[f](random(tape, {700, 93}, 4, 0.1, 1)).value());
    }
    for (const Array& value : values) BOOST_CHECK_MESSAGE(same_bits(value, values[0]), "function " << f);
  }
}

// An elementwise value depends on its operand alone: each one alone gives the same bits as all together.
BOOST_AUTO_TEST_CASE(values_do_not_depend_on_their_neighbours) {
  const std::vector<Function> functions{
      [](Var x) { return sinh(x); },          [](Var x) { return cosh(x); },
      [](Var x) { return atan(x); },          [](Var x) { return pow(2.5, x); },
      [](Var x) { return pow(x, 2.5); },      [](Var x) { return pow(x, -7); },
      [](Var x) { return atan2(x, 1 - x); },  [](Var x) { return hypot(x, 0.3); },
      [](Var x) { return logaddexp(x, -x); }, [](Var x) { return lgamma(x); },
      [](Var x) { return polygamma(1, x); },  [](Var x) { return i1e(x); },
  };
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    Tape tape(dtype);
    Array values = random_array(dtype, {61}, 9, -9, 9);
    const std::vector<double> odd{0, -0.0, infinity, -infinity, undefined, 1e30, -1e-30, 40, -3, 1};
    for (std::size_t i = 0; i < odd.size(); ++i) values.set(static_cast<Index>(5 * i), odd[i]);
    const Var x = tape.input(values);
    for (std::size_t f = 0; f < functions.size(); ++f) {
      const Array together = functions[f](x).value();
      for (Index i = 0; i < values.size(); ++i) {
        const double alone = functions[f](slice(x, 0, i, i + 1)).item();
        BOOST_CHECK_MESSAGE(same(alone, together.at(i)),
                            "function " << f << ", " << name_of(dtype) << " at " << values.at(i));
      }
    }
  }
}
