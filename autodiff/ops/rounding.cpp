// Whole numbers near a number, what a division leaves, signs: elementwise.
#include "autodiff/ops/elementwise.hpp"

#include <cmath>

namespace wengert {
namespace {

[[gnu::init_priority(library_ops)]] const Unary floor_op(
    {.name = "floor",
     .reference = [](double x) { return std::floor(x); },
     .kinks = {-2, -1, 0, 1, 2},
     .points = {{-0.5, -1, 0}, {2, 2, 0}, {-1e15, -1e15, 0}, {infinity, infinity, 0}, {nan, nan, 0}}},
    [](auto x) { return xsimd::floor(x); });

[[gnu::init_priority(library_ops)]] const Unary ceil_op(
    {.name = "ceil",
     .reference = [](double x) { return std::ceil(x); },
     .kinks = {-2, -1, 0, 1, 2},
     .points = {{-0.5, -0.0, 0}, {0.5, 1, 0}, {1e15, 1e15, 0}, {-infinity, -infinity, 0}, {nan, nan, 0}}},
    [](auto x) { return xsimd::ceil(x); });

[[gnu::init_priority(library_ops)]] const Unary trunc_op(
    {.name = "trunc",
     .reference = [](double x) { return std::trunc(x); },
     .kinks = {-2, -1, 0, 1, 2},
     .points = {{-1.5, -1, 0}, {1.5, 1, 0}, {-1e15, -1e15, 0}, {infinity, infinity, 0}, {nan, nan, 0}}},
    [](auto x) { return xsimd::trunc(x); });

[[gnu::init_priority(library_ops)]] const Unary round_op(
    {.name = "round",
     .reference = [](double x) { return x - std::remainder(x, 1); },
     .kinks = {-1.5, -0.5, 0.5, 1.5},
     .points = {{0.5, 0, 0}, {1.5, 2, 0}, {-2.5, -2, 0}, {1e15, 1e15, 0}, {-infinity, -infinity, 0}, {nan, nan, 0}}},
    [](auto x) { return xsimd::nearbyint(x); });

// The exact remainder with a's sign, of numbers as kernels see them: denormal ones are zeros.
template <class T>
T remainder_of(T a, T b) {
  const auto seen = [](T x) { return std::abs(x) < std::numeric_limits<T>::min() ? std::copysign(T(0), x) : x; };
  return seen(std::fmod(seen(a), seen(b)));
}

// A quotient of few digits is right or one too large, and FMA finds exactly what it leaves.
template <class T>
simd::Batch<T> remainder_of(simd::Batch<T> a, simd::Batch<T> b) {
  using B = simd::Batch<T>;
  using Limits = std::numeric_limits<T>;
  const B u = xsimd::abs(a), v = xsimd::abs(b), quotient = u / v;
  const B over = simd::fma(-xsimd::floor(quotient), v, u), left = xsimd::select(over < B(0), over + v, over);
  const B least(2 * Limits::min() / Limits::epsilon()), most(1 / Limits::epsilon() / 2);
  const auto easy = (quotient < most) && (u > B(0)) && (v >= least) && (v <= B(Limits::max()));
  return simd::patch(left | (a & B(T(-0.0))), a, b, !easy, [](T x, T y) { return remainder_of(x, y); });
}

std::vector<Example> quotients() {
  return {{{Sample{.shape = {5}, .values = {1.2, -0.4, 7.3, -9.1, 2}},
            Sample{.shape = {5}, .values = {0.7, 0.3, -1.5, -2.5, 3}}}},
          {{Sample{.shape = {2, 1}, .values = {5.5, -4.7}}, Sample{.shape = {3}, .values = {1.2, -1, 1.5}}}},
          {{Sample{{0, 3}}, Sample{{3}, 1, 2}}}};
}
EdgeCase quotient(double a, double b, double y, std::vector<std::vector<double>> gradient = {}) {
  return {{Sample{.shape = {1}, .values = {a}}, Sample{.shape = {1}, .values = {b}}}, {}, {y}, std::move(gradient)};
}

// d(a - n b) = da - n db: n is what the division gives without what was left.
Var remainder_chain(int i, Var t, Var a, Var b, Var y) { return i == 0 ? t : -(t * round((a - y) / b)); }

[[gnu::init_priority(library_ops)]] const Binary fmod_op(
    {.name = "fmod",
     .reference = [](double a, double b) { return std::fmod(a, b); },
     .examples = quotients(),
     .edge_cases = {quotient(-7, 3, -1, {{1}, {2}}), quotient(7, -3, 1, {{1}, {2}}),
                    quotient(-7.5, -2, -1.5, {{1}, {-3}}), quotient(1, infinity, 1, {{1}, {0}}), quotient(3, 0, nan),
                    quotient(infinity, 2, nan), quotient(0, 2, 0, {{1}, {0}}), quotient(0, 0, nan),
                    quotient(nan, 1, nan), quotient(1, nan, nan)}},
    [](auto a, auto b) { return remainder_of(a, b); },
    [](int i, Var t, Var a, Var b, Var y) { return remainder_chain(i, t, a, b, y); });

[[gnu::init_priority(library_ops)]] const Binary remainder_op(
    {.name = "remainder",
     .reference = [](double a, double b) { return a - b * std::floor(a / b); },
     .examples = quotients(),
     .edge_cases = {quotient(-7, 3, 2, {{1}, {3}}), quotient(7, -3, -2, {{1}, {3}}),
                    quotient(-7.5, -2, -1.5, {{1}, {-3}}), quotient(1, infinity, 1, {{1}, {0}}),
                    quotient(-1, infinity, infinity), quotient(3, 0, nan), quotient(infinity, 2, nan),
                    quotient(4, -2, 0), quotient(0, -2, 0), quotient(nan, 1, nan), quotient(1, nan, nan)}},
    [](auto a, auto b) {
      using B = decltype(a);
      const B left = remainder_of(a, b);
      return xsimd::select((left < B(0) && b > B(0)) || (left > B(0) && b < B(0)), left + b, left);
    },
    [](int i, Var t, Var a, Var b, Var y) { return remainder_chain(i, t, a, b, y); });

EdgeCase signs(double a, double b, double y, double slope) {
  EdgeCase special = quotient(a, b, y, {{slope}, {0}});
  special.kink = a == 0 || b == 0;
  return special;
}
[[gnu::init_priority(library_ops)]] const Binary copysign_op(
    {.name = "copysign",
     .reference = [](double a, double b) { return std::copysign(a, b); },
     .examples = {{{Sample{{3, 4}, -2, 2, {0}}, Sample{{4}, -2, 2, {0}}}},
                  {{Sample{{}, -2, 2, {0}}, Sample{{2, 3}, -2, 2, {0}}}}},
     .edge_cases = {signs(-3, 0, 3, -1), signs(3, -0.0, -3, -1), signs(0, -2, -0.0, 0), signs(2, -infinity, -2, -1),
                    signs(-2, nan, 2, -1), signs(infinity, -1, -infinity, -1), quotient(nan, 1, nan)}},
    [](auto a, auto b) {
      using B = decltype(a);
      using T = typename B::value_type;
      const B sign_of_b = xsimd::select(xsimd::isnan(b), B(0), b & B(T(-0.0)));  // that of a NaN is nobody's
      return xsimd::abs(a) | sign_of_b;
    },
    [](int i, Var t, Var a, Var, Var y) { return i == 0 ? t * (sign(a) * sign(y)) : Var(); });

}  // namespace

Var floor(Operand x) { return record(floor_op, {x}); }
Var ceil(Operand x) { return record(ceil_op, {x}); }
Var trunc(Operand x) { return record(trunc_op, {x}); }
Var round(Operand x) { return record(round_op, {x}); }
Var fmod(Operand a, Operand b) { return record(fmod_op, {a, b}); }
Var remainder(Operand a, Operand b) { return record(remainder_op, {a, b}); }
Var copysign(Operand a, Operand b) { return record(copysign_op, {a, b}); }

}  // namespace wengert
