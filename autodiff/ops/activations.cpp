// Activations of neural networks, elementwise.
#include "autodiff/ops/elementwise.hpp"

#include <numbers>

namespace wengert {
namespace {

constexpr double normal_density_at_0 = 0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2;

[[gnu::init_priority(library_ops)]] const Unary relu_op(
    {.name = "relu",
     .reference = [](double x) { return x > 0 ? x : 0; },
     .kinks = {0},
     .points = {{0, 0, 0}, {nan, nan, 0}, {infinity, infinity, 1}, {-infinity, 0, 0}}},
    [](auto x) { return simd::max(x, decltype(x)(0)); }, [](Var t, Var, Var y) { return gate(t, y); });

[[gnu::init_priority(library_ops)]] const Unary sigmoid_op(
    {.name = "sigmoid",
     .reference = [](double x) { return 1 / (1 + std::exp(-x)); },
     .points = {{0, 0.5, 0.25}, {infinity, 1, 0}, {-infinity, 0, 0}, {-1000, 0, 0}, {nan, nan, nan}}},
    [](auto x) { return simd::sigmoid(x); }, [](Var t, Var, Var y) { return t * (y * (1 - y)); });

[[gnu::init_priority(library_ops)]] const Unary silu_op(
    {.name = "silu",
     .reference = [](double x) { return x / (1 + std::exp(-x)); },
     .points = {{0, 0, 0.5}, {100, 100, 1}}},
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

// x Phi(x), with Phi the distribution function of N(0, 1)
[[gnu::init_priority(library_ops)]] const Unary gelu_op(
    {.name = "gelu",
     .reference = [](double x) { return 0.5 * x * std::erfc(-x / std::numbers::sqrt2); },
     .points = {{0, 0, 0.5}, {20, 20, 1}}},
    [](auto x) {
      using B = decltype(x);
      using T = typename B::value_type;
      const B half(static_cast<T>(0.5)), scale(static_cast<T>(0.5 * std::numbers::sqrt2));
      return half * x * (B(1) + simd::erf(x * scale));
    },
    [](Var t, Var x, Var) {
      const Var cumulative = 0.5 * (1 + erf(x * (0.5 * std::numbers::sqrt2)));
      return t * (cumulative + x * (normal_density_at_0 * exp(-0.5 * square(x))));
    });

}  // namespace

Var relu(Operand x) { return record(relu_op, {x}); }
Var sigmoid(Operand x) { return record(sigmoid_op, {x}); }
Var silu(Operand x) { return record(silu_op, {x}); }
Var softplus(Operand x) { return record(softplus_op, {x}); }
Var gelu(Operand x) { return record(gelu_op, {x}); }

}  // namespace wengert
