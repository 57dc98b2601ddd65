#include "tests/autodiff/truths.hpp"

#include <algorithm>
#include <numbers>

namespace wengert::testing {
namespace {

Results lowered_pow(Real a, Real b, Real by) {
  if (a < 0 && by > 0 && (b != std::floor(b) || std::abs(b) > 1e6L)) return {};  // b - by is rounded
  const Real y = std::pow(a, b - by), log = std::log(a);
  const auto lower = [&](int k) { return std::pow(a, b - by - k); };
  const Real c = b - by;
  return {y,
          c * lower(1),
          y * log,
          c * (c - 1) * lower(2),
          {lower(1) * (1 + c * log), lower(1) * (1 + std::abs(c * log))},
          y * log * log};
}

Truths functions_of_one() {
  return {
      {"abs", unary([](Real x) {
         return Results{std::abs(x), sign(x), 0};
       })},
      {"sign", unary([](Real x) { return Results{sign(x)}; })},
      {"neg", unary([](Real x) {
         return Results{-x, -1, 0};
       })},
      {"square", unary([](Real x) {
         return Results{x * x, 2 * x, 2};
       })},
      {"sqrt", unary([](Real x) {
         return Results{std::sqrt(x), 0.5L / std::sqrt(x), -0.25L / x / std::sqrt(x)};
       })},
      {"exp", unary([](Real x) {
         return Results{std::exp(x), std::exp(x), std::exp(x)};
       })},
      {"expm1", unary([](Real x) {
         return Results{std::expm1(x), std::exp(x), std::exp(x)};
       })},
      {"log", unary([](Real x) {
         return Results{std::log(x), 1 / x, -1 / x / x};
       })},
      {"log1p", unary([](Real x) {
         return Results{std::log1p(x), 1 / (1 + x), -1 / (1 + x) / (1 + x)};
       })},
      {"sin", unary([](Real x) {
         return Results{{std::sin(x), 0.25L}, {std::cos(x), 0.25L}, {-std::sin(x), 0.25L}};
       })},
      {"cos", unary([](Real x) {
         return Results{{std::cos(x), 0.25L}, {-std::sin(x), 0.25L}, {-std::cos(x), 0.25L}};
       })},
      {"tanh", unary([](Real x) {
         return Results{std::tanh(x), sech2(x), -2 * std::tanh(x) * sech2(x)};
       })},
      {"sech2", unary([](Real x) {
         const Real y = sech2(x), t = std::tanh(x);
         return Results{y, -2 * t * y, {y * (4 * t * t - 2 * y), y * (4 * t * t + 2 * y)}};
       })},
      {"sinh", unary([](Real x) {
         return Results{std::sinh(x), std::cosh(x), std::sinh(x)};
       })},
      {"cosh", unary([](Real x) {
         return Results{std::cosh(x), std::sinh(x), std::cosh(x)};
       })},
      {"atan", unary([](Real x) {
         const Real y = 1 / (1 + x * x);
         return Results{std::atan(x), y, -2 * x * y * y};
       })},
      {"inverse_quadratic", unary([](Real x) {
         const Real y = 1 / (1 + x * x);
         return Results{y, -2 * x * y * y, {(6 * x * x - 2) * y * y * y, (6 * x * x + 2) * y * y * y}};
       })},
      {"clip",
       [](const Attributes& a, const Reals& x) {
         return Results{std::clamp<Real>(x[0], a.reals[0], a.reals[1]),
                        x[0] >= a.reals[0] && x[0] <= a.reals[1] ? Real(1) : 0, 0};
       }},
      {"pow_number",
       [](const Attributes& a, const Reals& x) {
         const Real p = a.reals[0];
         return Results{std::pow(x[0], p), p == 0 ? 0 : p * std::pow(x[0], p - 1),
                        p * (p - 1) == 0 ? 0 : p * (p - 1) * std::pow(x[0], p - 2)};
       }},
      {"floor", unary([](Real x) { return Results{std::floor(x)}; })},
      {"ceil", unary([](Real x) { return Results{std::ceil(x)}; })},
      {"trunc", unary([](Real x) { return Results{std::trunc(x)}; })},
      {"round", unary([](Real x) { return Results{std::nearbyint(x)}; })},
      {"isnan", unary([](Real) { return Results{0}; })},
      {"isinf", unary([](Real) { return Results{0}; })},
      {"isfinite", unary([](Real) { return Results{1}; })},
      {"nan_to_num", unary([](Real x) {
         return Results{x, 1, 0};
       })},
      {"logical_not", unary([](Real x) { return Results{x == 0 ? Real(1) : Real(0)}; })},
      {"logical_and", comparison([](Real a, Real b) { return a != 0 && b != 0; })},
      {"logical_or", comparison([](Real a, Real b) { return a != 0 || b != 0; })},
      {"logical_xor", comparison([](Real a, Real b) { return (a != 0) != (b != 0); })},
      {"rsqrt", unary([](Real x) {
         const Real y = 1 / std::sqrt(x);
         return Results{y, -0.5L * y / x, 0.75L * y / x / x};
       })},
      {"reciprocal", unary([](Real x) {
         return Results{1 / x, -1 / x / x, 2 / x / x / x};
       })},
      {"exp2", unary([](Real x) {
         const Real y = std::exp2(x), c = std::numbers::ln2_v<Real>;
         return Results{y, c * y, c * c * y};
       })},
      {"log2", unary([](Real x) {
         const Real slope = std::numbers::log2e_v<Real> / x;
         return Results{std::log2(x), slope, -slope / x};
       })},
      {"log10", unary([](Real x) {
         const Real slope = std::numbers::log10e_v<Real> / x;
         return Results{std::log10(x), slope, -slope / x};
       })},
      {"tan", unary([](Real x) {
         const Real y = std::tan(x);
         return Results{y, 1 + y * y, 2 * y * (1 + y * y)};
       })},
      {"asin", unary([](Real x) {
         const Real r = 1 / std::sqrt((1 - x) * (1 + x));
         return Results{std::asin(x), r, x * r * r * r};
       })},
      {"acos", unary([](Real x) {
         const Real r = 1 / std::sqrt((1 - x) * (1 + x));
         return Results{std::acos(x), -r, -x * r * r * r};
       })},
      {"asin_slope", unary([](Real x) {
         const Real r = 1 / std::sqrt((1 - x) * (1 + x));
         return Results{r, x * r * r * r, (1 + 2 * x * x) * r * r * r * r * r};
       })},
      {"asinh", unary([](Real x) {
         const Real r = 1 / std::sqrt(1 + x * x);
         return Results{std::asinh(x), r, -x * r * r * r};
       })},
      {"asinh_slope", unary([](Real x) {
         const Real r = 1 / std::sqrt(1 + x * x), third = r * r * r;
         return Results{r, -x * third, {(2 * x * x - 1) * third * r * r, (2 * x * x + 1) * third * r * r}};
       })},
      {"acosh", unary([](Real x) {
         const Real r = 1 / (std::sqrt(x - 1) * std::sqrt(x + 1));
         return Results{std::acosh(x), r, -x * r * r * r};
       })},
      {"acosh_slope", unary([](Real x) {
         const Real r = 1 / (std::sqrt(x - 1) * std::sqrt(x + 1));
         return Results{r, -x * r * r * r, (1 + 2 * x * x) * r * r * r * r * r};
       })},
      {"atanh", unary([](Real x) {
         const Real r = 1 / ((1 - x) * (1 + x));
         return Results{std::atanh(x), r, 2 * x * r * r};
       })},
      {"atanh_slope", unary([](Real x) {
         const Real r = 1 / ((1 - x) * (1 + x));
         return Results{r, 2 * x * r * r, (2 + 6 * x * x) * r * r * r};
       })},
  };
}

Truths functions_of_several() {
  return {
      {"add", binary([](Real a, Real b) { return Results{a + b, 1, 1, 0, 0, 0}; })},
      {"sub", binary([](Real a, Real b) { return Results{a - b, 1, -1, 0, 0, 0}; })},
      {"mul", binary([](Real a, Real b) { return Results{a * b, b, a, 0, 1, 0}; })},
      {"div",
       binary([](Real a, Real b) { return Results{a / b, 1 / b, -a / b / b, 0, -1 / b / b, 2 * (a / b / b / b)}; })},
      {"maximum", binary([](Real a, Real b) {
         const Real share = (a > b ? 1 : 0) + (a == b ? 0.5L : 0);
         return Results{std::max(a, b), share, 1 - share, 0, 0, 0};
       })},
      {"minimum", binary([](Real a, Real b) {
         const Real share = (a < b ? 1 : 0) + (a == b ? 0.5L : 0);
         return Results{std::min(a, b), share, 1 - share, 0, 0, 0};
       })},
      {"relu_backward", binary([](Real x, Real y) { return Results{y > 0 ? x : 0, y > 0 ? Real(1) : 0, 0, 0, 0, 0}; })},
      {"equal", comparison([](Real a, Real b) { return a == b; })},
      {"not_equal", comparison([](Real a, Real b) { return a != b; })},
      {"less", comparison([](Real a, Real b) { return a < b; })},
      {"less_equal", comparison([](Real a, Real b) { return a <= b; })},
      {"greater", comparison([](Real a, Real b) { return a > b; })},
      {"greater_equal", comparison([](Real a, Real b) { return a >= b; })},
      {"where",
       [](const Attributes&, const Reals& x) {
         const Real c = x[0] != 0 ? 1 : 0;
         return Results{c != 0 ? x[1] : x[2], 0, c, 1 - c, 0, 0, 0, 0, 0, 0};
       }},
      {"pow", binary([](Real a, Real b) { return lowered_pow(a, b, 0); })},
      {"pow_lowered", [](const Attributes& at, const Reals& x) { return lowered_pow(x[0], x[1], at.reals[0]); }},
      {"hypot", binary([](Real a, Real b) {
         const Real r = std::hypot(a, b), u = a / r, v = b / r;
         return Results{r, u, v, v * (v / r), -u * (v / r), u * (u / r)};
       })},
      {"hypot_part", binary([](Real a, Real b) {
         const Real r = std::hypot(a, b), u = a / r, v = b / r, uu = u * u, vv = v * v;
         return Results{u,
                        vv / r,
                        -u * v / r,
                        -3 * u * vv / r / r,
                        {v * (2 * uu - vv) / r / r, v * (2 * uu + vv) / r / r},
                        {u * (2 * vv - uu) / r / r, u * (2 * vv + uu) / r / r}};
       })},
      {"atan2", binary([](Real y, Real x) {
         if (x == 0 && y == 0) return Results{};
         const Real r = std::hypot(x, y), u = x / r, v = y / r, difference = (y - x) / r * ((y + x) / r) / r / r;
         return Results{std::atan2(y, x), u / r, -v / r, -2 * u * v / r / r, difference, 2 * u * v / r / r};
       })},
      {"atan2_part", binary([](Real a, Real b) {
         const Real r = std::hypot(a, b), u = a / r, v = b / r, uu = u * u, vv = v * v;
         return Results{u / r,
                        (b - a) / r * ((b + a) / r) / r / r,
                        -2 * u * v / r / r,
                        {2 * u * (uu - 3 * vv) / r / r / r, 6 / r / r / r},
                        {2 * v * (3 * uu - vv) / r / r / r, 6 / r / r / r},
                        {2 * u * (3 * vv - uu) / r / r / r, 6 / r / r / r}};
       })},
      {"logaddexp", binary([](Real a, Real b) {
         const Real slope = bell(a - b), most = std::max(a, b), more = std::log1p(std::exp(-std::abs(a - b)));
         return Results{{most + more, std::abs(most) + more}, logistic(a - b), logistic(b - a), slope, -slope, slope};
       })},
      {"logaddexp_share", binary([](Real a, Real b) {
         const Real slope = bell(a - b), bend = -slope * std::tanh((a - b) / 2);
         return Results{logistic(a - b), slope, -slope, {bend, slope}, {-bend, slope}, {bend, slope}};
       })},
      {"lerp",
       [](const Attributes&, const Reals& x) {
         const Real a = x[0], b = x[1], w = x[2], gap = b - a;
         const Real scale =
             std::abs(w) < 0.5L ? std::abs(a) + std::abs(w * gap) : std::abs(b) + std::abs((w - 1) * gap);
         return Results{{a + w * gap, scale}, 1 - w, w, gap, 0, 0, -1, 0, 1, 0};
       }},
      {"fmod", binary([](Real a, Real b) {
         const Real y = std::fmod(a, b);
         return Results{y, 1, -std::nearbyint((a - y) / b), 0, 0, 0};
       })},
      {"remainder", binary([](Real a, Real b) {
         Real y = std::fmod(a, b);
         if (y != 0 && (y < 0) != (b < 0)) y += b;
         return Results{y, 1, -std::nearbyint((a - y) / b), 0, 0, 0};
       })},
      {"copysign", binary([](Real a, Real b) {
         return Results{std::copysign(a, b), a == 0 ? 0 : (a < 0) == std::signbit(b) ? Real(1) : Real(-1), 0, 0, 0, 0};
       })},
      {"xlogy", binary([](Real x, Real y) {
         if (x == 0 && y <= 0) return Results{};  // conventions
         return Results{x * std::log(y), std::log(y), x / y, 0, 1 / y, -x / y / y};
       })},
  };
}

}  // namespace

Truths elementary_truths() {
  Truths all = functions_of_one();
  all.merge(functions_of_several());
  return all;
}

const Truths& truths() {
  static const Truths all = [] {
    Truths both = elementary_truths();
    both.merge(special_truths());
    return both;
  }();
  return all;
}

}  // namespace wengert::testing
