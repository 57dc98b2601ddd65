// Activations of neural networks, elementwise.
#include "autodiff/ops/elementwise.hpp"
#include "autodiff/ops/known.hpp"

#include <algorithm>
#include <numbers>

namespace wengert {
namespace {

[[gnu::init_priority(library_ops)]] const Unary relu_instance(
    {.name = "relu",
     .reference = [](double x) { return x > 0 ? x : 0; },
     .kinks = {0},
     .points = {{0, 0, 0}, {nan, nan, 0}, {infinity, infinity, 1}, {-infinity, 0, 0}}},
    [](auto x) { return simd::max(x, decltype(x)(0)); }, [](Var t, Var, Var y) { return relu_backward(t, y); });

// The derivative of sigmoid: y (1 - y) has no digit left where y is near 1.
Var sigmoid_slope(Var x);
[[gnu::init_priority(library_ops)]] const Unary sigmoid_slope_op(
    {.name = "sigmoid_slope",
     .reference = [](double x) { return 1 / ((1 + std::exp(x)) * (1 + std::exp(-x))); },
     .points =
         {{0, 0.25, 0}, {infinity, 0, 0}, {-infinity, 0, 0}, {40, 4.248354255291589e-18, -4.248354255291589e-18}}},
    [](auto x) {
      using B = decltype(x);
      const B e = simd::exp(-xsimd::abs(x)), root = B(1) + e;
      return simd::quotient(e, root * root);
    },
    [](Var t, Var x, Var y) { return t * -(tanh(0.5 * x) * y); });
Var sigmoid_slope(Var x) { return record(sigmoid_slope_op, {x}); }

[[gnu::init_priority(library_ops)]] const Unary sigmoid_instance(
    {.name = "sigmoid",
     .reference = [](double x) { return 1 / (1 + std::exp(-x)); },
     .points = {{0, 0.5, 0.25}, {infinity, 1, 0}, {-infinity, 0, 0}, {-1000, 0, 0}, {nan, nan, nan}}},
    [](auto x) { return simd::sigmoid(x); }, [](Var t, Var x, Var) { return t * sigmoid_slope(x); });

[[gnu::init_priority(library_ops)]] const Unary silu_instance(
    {.name = "silu",
     .reference = [](double x) { return x / (1 + std::exp(-x)); },
     .points = {{0, 0, 0.5}, {100, 100, 1}},
     .accuracy = {.ulp = {4, 20, 16}}},  // the rounding of 1 - sigmoid(x), times x
    [](auto x) { return x * simd::sigmoid(x); },
    [](Var t, Var x, Var) {
      const Var s = sigmoid(x);
      return t * (s * (1 + x * (1 - s)));
    });

[[gnu::init_priority(library_ops)]] const Unary softplus_op(
    {.name = "softplus",
     .reference = [](double x) { return std::log1p(std::exp(-std::abs(x))) + std::max(x, 0.0); },
     .points = {{0, std::numbers::ln2, 0.5}, {1000, 1000, 1}, {-1000, 0, 0}}},
    [](auto x) { return simd::max(x, decltype(x)(0)) + simd::log1p(simd::exp(-xsimd::abs(x))); },
    [](Var t, Var x, Var) { return t * sigmoid(x); });

[[gnu::init_priority(library_ops)]] const Unary log_sigmoid_op(
    {.name = "log_sigmoid",
     .reference = [](double x) { return -std::log1p(std::exp(-x)); },
     .points = {{0, -std::numbers::ln2, 0.5},
                {40, -4.248354255291589e-18, 4.248354255291589e-18},
                {-1000, -1000, 1},
                {infinity, 0, 0},
                {-infinity, -infinity, 1},
                {nan, nan, nan}}},
    [](auto x) { return simd::min(x, decltype(x)(0)) - simd::log1p(simd::exp(-xsimd::abs(x))); },
    [](Var t, Var x, Var) { return t * sigmoid(-x); });

// 1 / (x (1 - x)), the derivative of logit: its own derivative has an exact zero at 1/2.
Var logit_slope(Var x);
[[gnu::init_priority(library_ops)]] const Unary logit_slope_op(
    {.name = "logit_slope",
     .reference = [](double x) { return 1 / x + 1 / (1 - x); },
     .low = 0.1,
     .high = 0.9,
     .points = {{0.5, 4, 0}, {0, infinity, -infinity}, {1, infinity, infinity}, {-1, -0.5, -0.75}}},
    [](auto x) {
      using B = decltype(x);
      return B(1) / (x * (B(1) - x));
    },
    [](Var t, Var x, Var y) { return t * ((2 * x - 1) * y * y); });
Var logit_slope(Var x) { return record(logit_slope_op, {x}); }

// Its zero at 1/2 is that of 2 x - 1, which is exact from 1/4 on, as 1 - x is from 1/2 on.
[[gnu::init_priority(library_ops)]] const Unary logit_op(
    {.name = "logit",
     .reference = [](double x) { return std::log(x) - std::log1p(-x); },
     .low = 0.1,
     .high = 0.9,
     .points = {{0.5, 0, 4},
                {1e-4, -9.210240366975849, 10001.000100010001},
                {0, -infinity, infinity},
                {1, infinity, infinity},
                {-1, nan, -0.5},
                {2, nan, -0.5},
                {nan, nan, nan}}},
    [](auto x) {
      using B = decltype(x);
      const B rest = B(1) - x;
      const auto middle = (x > B(0.375F)) && (x < B(0.625F));
      return xsimd::select(middle, simd::log1p((B(2) * x - B(1)) / rest), simd::log(x / rest));
    },
    [](Var t, Var x, Var) { return t * logit_slope(x); });

// alpha: what it comes down to on the left
struct EluArguments {
  double alpha = 1;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("alpha", alpha);
  }
};
[[gnu::init_priority(library_ops)]] const UnaryWith<EluArguments> elu_op(
    {.name = "elu",
     .reference = [](const EluArguments& with, double x) { return x > 0 ? x : with.alpha * (std::exp(x) - 1); },
     .tried = {{1}, {0.4}, {-2}},
     .kinks = {0},
     .points = {{{0.5}, 0, 0, 0.5},
                {{2}, -1, -1.2642411176571153, 0.7357588823428847},
                {{2}, 1e-3, 1e-3, 1},
                {{2}, infinity, infinity, 1},
                {{2}, -infinity, -2, 0},
                {{1}, nan, nan, nan}}},
    [](const EluArguments& with, auto x) {
      using B = decltype(x);
      const B alpha(static_cast<typename B::value_type>(with.alpha));
      return xsimd::select(x > B(0), x, alpha * simd::expm1(simd::min(x, B(0))));
    },
    [](const EluArguments& with, Var t, Var x, Var) {
      const Var right = greater(x, 0);
      return t * where(right, 1, with.alpha * exp(where(right, 0, x)));
    });

struct LeakyReluArguments {
  double slope = 0.01;  // on the left
  template <class Visit>
  void fields(Visit&& visit) {
    visit("slope", slope);
  }
};
[[gnu::init_priority(library_ops)]] const UnaryWith<LeakyReluArguments> leaky_relu_op(
    {.name = "leaky_relu",
     .reference = [](const LeakyReluArguments& with, double x) { return x > 0 ? x : with.slope * x; },
     .tried = {{0.01}, {0.2}, {-1.5}},
     .kinks = {0},
     .points = {{{0.2}, 0, 0, 0.2},
                {{0.25}, -8, -2, 0.25},
                {{0.2}, infinity, infinity, 1},
                {{0.2}, -infinity, -infinity, 0.2},
                {{0.2}, nan, nan, 0.2}}},
    [](const LeakyReluArguments& with, auto x) {
      using B = decltype(x);
      return xsimd::select(x > B(0), x, B(static_cast<typename B::value_type>(with.slope)) * x);
    },
    [](const LeakyReluArguments& with, Var t, Var x, Var) { return t * where(greater(x, 0), 1, with.slope); });

// tanh(softplus(x)) = e (e + 2) / (e (e + 2) + 2) with e = exp(x): positive terms, of exp(-|x|).
template <class T>
simd::Batch<T> tanh_softplus_of(simd::Batch<T> x) {
  using B = simd::Batch<T>;
  const B e = simd::exp(-xsimd::abs(x)), left = e * (e + B(2)), right = B(1) + B(2) * e;
  const auto positive = x > B(0);
  const B part = xsimd::select(positive, right, left);
  return simd::quotient(part, part + B(2) * xsimd::select(positive, e * e, B(1)));
}
// Its derivative s (2 q / (1 + q^2))^2 with s = sigmoid(x), q = sigmoid(-x): 1 - tanh(softplus(x))^2 would have no
// digit left.
Var tanh_softplus_slope(Var x) {
  const Var q = sigmoid(-x);
  return sigmoid(x) * square(2 * q / (1 + square(q)));
}
Var tanh_softplus(Var x);
[[gnu::init_priority(library_ops)]] const Unary tanh_softplus_op(
    {.name = "tanh_softplus",
     .reference = [](double x) { return std::tanh(std::log1p(std::exp(x))); },
     .points = {{0, 0.6, 0.32}, {infinity, 1, 0}, {-infinity, 0, 0}, {nan, nan, nan}}},
    [](auto x) { return tanh_softplus_of(x); }, [](Var t, Var x, Var) { return t * tanh_softplus_slope(x); });
Var tanh_softplus(Var x) { return record(tanh_softplus_op, {x}); }

[[gnu::init_priority(library_ops)]] const Unary mish_op(
    {.name = "mish",
     .reference = [](double x) { return x * std::tanh(std::log1p(std::exp(x))); },
     .points = {{0, 0, 0.6}, {100, 100, 1}, {-20, -4.122307240628761e-08, -3.916191874348969e-08}, {nan, nan, nan}}},
    [](auto x) { return x * tanh_softplus_of(x); },
    [](Var t, Var x, Var) { return t * (tanh_softplus(x) + x * tanh_softplus_slope(x)); });

// In gelu_tanh Phi(x) is approximated by sigmoid(v) with v = 2 sqrt(2/pi) (x + 0.044715 x^3). exp(v) magnifies the
// rounding of v by v, so that a second word of it is carried along: exp(-|v|).
constexpr double gelu_linear = 1.5957691216057308, gelu_cubic = 0.044715 * gelu_linear;
template <class T>
simd::Batch<T> gelu_exp(simd::Batch<T> x) {
  using B = simd::Batch<T>;
  constexpr T linear = static_cast<T>(gelu_linear), cubic = static_cast<T>(gelu_cubic);
  constexpr T linear_rest = static_cast<T>(1.595769121605730711759784239737527L - linear),
              cubic_rest = static_cast<T>(0.0713548162726002487763387522798635L - cubic);
  const B size = simd::min(xsimd::abs(x), B(40));  // 0 from there on
  const B square = size * size, square_rest = simd::fma(size, size, -square);
  const B term = B(cubic) * square;
  const B term_rest = simd::fma(B(cubic), square, -term) + (B(cubic) * square_rest + B(cubic_rest) * square);
  const B sum = B(linear) + term, taken = sum - B(linear);  // (Knuth)
  const B sum_rest = (B(linear) - (sum - taken)) + (term - taken) + (term_rest + B(linear_rest));
  const B v = size * sum, v_rest = simd::fma(size, sum, -v) + size * sum_rest;
  const B value = simd::exp(-v);
  return value - value * v_rest;
}
template <class T>
simd::Batch<T> tanh_cdf_of(simd::Batch<T> x) {
  using B = simd::Batch<T>;
  const B e = gelu_exp<T>(x);
  return simd::quotient(xsimd::select(x < B(0), e, B(1)), B(1) + e);
}
// dv/dx where its exponential is not 0 yet
Var gelu_rate(Var z) { return gelu_linear + 3 * gelu_cubic * square(z); }
Var within_gelu(Var x) { return clip(x, -40, 40); }

// sigmoid(v) sigmoid(-v), its derivative by v
Var tanh_cdf_bell(Var x);
[[gnu::init_priority(library_ops)]] const Unary tanh_cdf_bell_op(
    {.name = "tanh_cdf_bell",
     .reference =
         [](double x) { return 0.25 / std::pow(std::cosh(0.5 * gelu_linear * x + 0.5 * gelu_cubic * x * x * x), 2); },
     .points = {{0, 0.25, 0}, {infinity, 0, 0}, {-infinity, 0, 0}, {nan, nan, nan}},
     .accuracy = {.ulp = {6, 8, 16}}},
    [](auto x) {
      using B = decltype(x);
      const B e = gelu_exp<typename B::value_type>(x), root = B(1) + e;
      return simd::quotient(e, root * root);
    },
    [](Var t, Var x, Var y) {
      const Var z = within_gelu(x), half = z * (0.5 * gelu_linear + 0.5 * gelu_cubic * square(z));
      return -(t * (tanh(half) * gelu_rate(z) * y));
    });
Var tanh_cdf_bell(Var x) { return record(tanh_cdf_bell_op, {x}); }

double tanh_cdf_reference(double x) {
  return 0.5 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}
Var tanh_cdf(Var x);
[[gnu::init_priority(library_ops)]] const Unary tanh_cdf_op(
    {.name = "tanh_cdf",
     .reference = tanh_cdf_reference,
     .points = {{0, 0.5, gelu_linear / 4}, {infinity, 1, 0}, {-infinity, 0, 0}, {nan, nan, nan}}},
    [](auto x) { return tanh_cdf_of(x); },
    [](Var t, Var x, Var) { return t * (tanh_cdf_bell(x) * gelu_rate(within_gelu(x))); });
Var tanh_cdf(Var x) { return record(tanh_cdf_op, {x}); }

[[gnu::init_priority(library_ops)]] const Unary gelu_tanh_op(
    {.name = "gelu_tanh",
     .reference = [](double x) { return x * tanh_cdf_reference(x); },
     .points =
         {{0, 0, 0.5}, {20, 20, 1}, {-5, -2.291796196629506e-07, -1.5463619875325946e-06}, {infinity, infinity, 1}}},
    [](auto x) { return x * tanh_cdf_of(x); },
    [](Var t, Var x, Var) {
      const Var z = within_gelu(x);
      return t * (tanh_cdf(x) + z * (tanh_cdf_bell(x) * gelu_rate(z)));
    });

}  // namespace

const Op& relu_op() { return relu_instance; }
const Op& sigmoid_op() { return sigmoid_instance; }
const Op& silu_op() { return silu_instance; }

Var relu(Operand x) { return record(relu_op(), {x}); }
Var sigmoid(Operand x) { return record(sigmoid_op(), {x}); }
Var silu(Operand x) { return record(silu_op(), {x}); }
Var softplus(Operand x) { return record(softplus_op, {x}); }
Var log_sigmoid(Operand x) { return record(log_sigmoid_op, {x}); }
Var logit(Operand x, double eps) { return record(logit_op, {eps > 0 ? Operand(clip(x, eps, 1 - eps)) : x}); }
Var elu(Operand x) { return record(elu_op, {x}, to_attributes(EluArguments{})); }
Var elu(Operand x, double alpha) { return record(elu_op, {x}, to_attributes(EluArguments{alpha})); }
Var leaky_relu(Operand x) { return record(leaky_relu_op, {x}, to_attributes(LeakyReluArguments{})); }
Var leaky_relu(Operand x, double slope) { return record(leaky_relu_op, {x}, to_attributes(LeakyReluArguments{slope})); }
Var mish(Operand x) { return record(mish_op, {x}); }
Var gelu_tanh(Operand x) { return record(gelu_tanh_op, {x}); }

}  // namespace wengert
