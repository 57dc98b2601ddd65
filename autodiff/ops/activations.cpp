// Activations of neural networks, elementwise.
#include "autodiff/ops/elementwise.hpp"

#include <algorithm>
#include <numbers>

namespace wengert {
namespace {

[[gnu::init_priority(library_ops)]] const Unary relu_op(
    {.name = "relu",
     .reference = [](double x) { return x > 0 ? x : 0; },
     .kinks = {0},
     .points = {{0, 0, 0}, {nan, nan, 0}, {infinity, infinity, 1}, {-infinity, 0, 0}}},
    [](auto x) { return simd::max(x, decltype(x)(0)); }, [](Var t, Var, Var y) { return gate(t, y); });

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
      return e / (root * root);
    },
    [](Var t, Var x, Var y) { return t * -(tanh(0.5 * x) * y); });
Var sigmoid_slope(Var x) { return record(sigmoid_slope_op, {x}); }

[[gnu::init_priority(library_ops)]] const Unary sigmoid_op(
    {.name = "sigmoid",
     .reference = [](double x) { return 1 / (1 + std::exp(-x)); },
     .points = {{0, 0.5, 0.25}, {infinity, 1, 0}, {-infinity, 0, 0}, {-1000, 0, 0}, {nan, nan, nan}}},
    [](auto x) { return simd::sigmoid(x); }, [](Var t, Var x, Var) { return t * sigmoid_slope(x); });

[[gnu::init_priority(library_ops)]] const Unary silu_op(
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
    [](auto x) { return simd::max(x, decltype(x)(0)) + xsimd::log1p(xsimd::exp(-xsimd::abs(x))); },
    [](Var t, Var x, Var) { return t * sigmoid(x); });

}  // namespace

Var relu(Operand x) { return record(relu_op, {x}); }
Var sigmoid(Operand x) { return record(sigmoid_op, {x}); }
Var silu(Operand x) { return record(silu_op, {x}); }
Var softplus(Operand x) { return record(softplus_op, {x}); }

}  // namespace wengert
