// Functions of two operands, elementwise: pow, atan2, hypot, logaddexp, xlogy.
#include "autodiff/kernels/powers.hpp"
#include "autodiff/ops/elementwise.hpp"

namespace wengert {
namespace {

std::vector<Example> examples_in(double low, double high, double low_b, double high_b) {
  return broadcast_examples({{}, low, high}, {{}, low_b, high_b});
}

EdgeCase pair(double a, double b, double y, double by_a, double by_b, bool kink = false) {
  return edge_case(a, b, y, {{by_a}, {by_b}}, kink);
}
EdgeCase bend(double a, double b, double y, double by_a, double by_b) { return pair(a, b, y, by_a, by_b, true); }

struct LoweredPowArguments {
  double by = 1;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("by", by);
  }
};

// a^(b - by), where b - by may be no number of the dtype: pow magnifies its rounding by log a.
struct LoweredPow final : OpWith<LoweredPowArguments, ElementwiseOp> {
  LoweredPow() : OpWith({.name = "pow_lowered", .arity = 2, .linearity = Linearity::elementwise}) {}

  // b - by in two words (Knuth)
  static simd::TwoWords<double> lowered(simd::Batch<double> b, double by) {
    const simd::Batch<double> minus(-by), power = b + minus, taken = power - minus;
    return {power, (b - taken) + (minus - (power - taken))};
  }
  void block(Index n, const void* const* in, void* out, Dtype dtype, const Attributes& attributes) const override {
    const auto power = [by = arguments(attributes).by](auto a, auto b) {
      if constexpr (sizeof(typename decltype(a)::value_type) == 4) {
        const simd::Wide y = simd::widen(b);
        return simd::pow(a, simd::Wide{y[0] - simd::Batch<double>(by), y[1] - simd::Batch<double>(by)});
      } else {
        return simd::pow(a, lowered(b, by));
      }
    };
    detail::map_block<2>(power, n, in, out, dtype);
  }
  Var local_jvp(const Call& c, int i, Var t) const override;
  std::vector<Example> examples() const override {
    std::vector<Example> all = examples_in(0.4, 2, -2, 2);
    for (std::size_t i = 0; i < all.size(); ++i) all[i].attributes = with({i == 1 ? 2.0 : 1.0});
    return all;
  }
  std::vector<EdgeCase> edge_cases() const override {
    const auto point = [](double a, double b, double y, double by_a, double by_b) {
      EdgeCase edge_case = pair(a, b, y, by_a, by_b);
      edge_case.attributes = with({1});
      return edge_case;
    };
    return {point(2, 3, 4, 4, 4 * std::log(2.0)), point(-2, 3, 4, -4, nan), point(nan, 1, 1, 0, nan),
            point(1e4, 0.5, 1e-2, -5e-7, 1e-2 * std::log(1e4))};
  }
  Array reference(std::span<const Array> in, const Attributes& attributes, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i)
      result.set(i, std::pow(in[0].at(broadcast_index(i, in[0].shape(), out.shape)),
                             in[1].at(broadcast_index(i, in[1].shape(), out.shape)) - arguments(attributes).by));
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const LoweredPow lowered_pow_op;
Var lowered_pow(Var a, Var b, double by) { return record(lowered_pow_op, {a, b}, LoweredPow::with({by})); }

// The derivative of a^(b - by) = y. 0 * infinity at the edges is kept out by an operand of 1 there, which leaves
// derivatives of any order finite.
Var pow_jvp(int i, Var t, Var a, Var b, Var y, double by) {
  if (i == 0) {
    const Var flat = equal(b, by) > (abs(a) > 0), factor = by == 0 ? b : b - by;
    return t * (factor * lowered_pow(where(flat, 1, a), b, by + 1));
  }
  const Var flat = equal(a, 0) * (b >= by);
  return t * y * log(where(flat, 1, a));
}
Var LoweredPow::local_jvp(const Call& c, int i, Var t) const {
  return pow_jvp(i, t, c.in(0), c.in(1), c.out(), arguments(c).by);
}

// xsimd's pow is exp(b log a): 60 ulp off, and wrong at 0 and at infinities.
[[gnu::init_priority(library_ops)]] const Binary pow_op(
    {.name = "pow",
     .reference = [](double a, double b) { return std::exp(b * std::log(a)); },
     .examples = examples_in(0.4, 2, -2, 2),
     .edge_cases = {bend(0, 0, 1, 0, 0), bend(0, 1, 0, 1, 0), bend(0, 2, 0, 0, 0), pair(0, 0.5, 0, infinity, 0),
                    pair(0, -1, infinity, -infinity, -infinity), pair(-0.0, -1, -infinity, -infinity, infinity),
                    pair(-2, 3, -8, 12, nan), pair(-2, 0, 1, 0, nan), pair(-8, 1.0 / 3, nan, nan, nan),
                    pair(nan, 0, 1, 0, nan), pair(1, nan, 1, nan, 0), pair(infinity, -1, 0, 0, nan),
                    pair(2, -infinity, 0, nan, 0), pair(-1, infinity, 1, infinity, nan),
                    pair(1e4, -3, 1e-12, -3e-16, 9.210340371976183e-12)}},
    [](auto a, auto b) { return simd::pow(a, b); },
    [](int i, Var t, Var a, Var b, Var y) { return pow_jvp(i, t, a, b, y, 0); });

struct PowNumberArguments {
  double power = 1;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("power", power);
  }
};

// x -> x^power
struct PowNumber final : OpWith<PowNumberArguments, ElementwiseOp> {
  PowNumber() : OpWith({.name = "pow_number", .linearity = Linearity::elementwise}) {}

  Accuracy accuracy() const override { return {.ulp = {6, 8, 16}}; }  // of seven products

  // x^power by squares
  template <int power, class B>
  static B product(B x) {
    B base = power < 0 ? B(1) / x : x, result(1);
    for (int n = power < 0 ? -power : power; n > 0; n /= 2) {
      if (n % 2 == 1) result = result * base;
      base = base * base;
    }
    return result;
  }
  // Small whole powers are products, halves square roots.
  void block(Index n, const void* const* in, void* out, Dtype dtype, const Attributes& attributes) const override {
    const double power = arguments(attributes).power;
    if (power == 0.5) {
      const auto root = [](auto x) {
        using B = decltype(x);
        return xsimd::select(x == B(static_cast<typename B::value_type>(-infinity)), -x, xsimd::sqrt(x));
      };
      detail::map_block<1>(root, n, in, out, dtype);
    } else if (power == std::trunc(power) && std::abs(power) <= 8) {
      const auto run = [&]<int p>(std::integral_constant<int, p>) {
        if (power == p) detail::map_block<1>([](auto x) { return product<p>(x); }, n, in, out, dtype);
      };
      [&]<int... p>(std::integer_sequence<int, p...>) { (run(std::integral_constant<int, p - 8>()), ...); }
      (std::make_integer_sequence<int, 17>());
    } else {
      detail::map_block<1>([power](auto x) { return simd::pow(x, simd::Batch<double>(power)); }, n, in, out, dtype);
    }
  }
  Var local_jvp(const Call& c, int, Var t) const override {
    const double power = arguments(c).power;
    return power == 0 ? Var() : t * (power * pow(c.in(0), power - 1));
  }
  std::vector<Example> examples() const override {
    std::vector<Example> all;
    for (double power : {2.0, 3.0, -1.0, 7.0, 8.0, 0.5, -0.5, 1.7, 12.0, 0.0})
      all.push_back({{Sample{{3, 5}, 0.4, 1.8}}, with({power})});
    all.push_back({{Sample{{5}, -2, -0.5}}, with({-3})});
    return all;
  }
  std::vector<EdgeCase> edge_cases() const override {
    const auto point = [](double x, double power, double y, double slope) {
      return EdgeCase{{Sample{.shape = {1}, .values = {x}}}, with({power}), {y}, {{slope}}};
    };
    return {point(0, 0, 1, 0),
            point(nan, 0, 1, 0),
            point(0, 1, 0, 1),
            point(0, 2, 0, 0),
            point(0, -1, infinity, -infinity),
            point(0, 0.5, 0, infinity),
            point(-infinity, 0.5, infinity, 0),
            point(-8, 1.0 / 3, nan, nan),
            point(-2, 10, 1024, -5120),
            point(infinity, -2, 0, 0),
            point(1e4, -3, 1e-12, -3e-16)};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) result.set(i, std::pow(in[0].at(i), arguments(a).power));
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const PowNumber pow_number_op;

// sqrt(a^2 + b^2) without overflow
template <class T>
simd::Batch<T> length(simd::Batch<T> a, simd::Batch<T> b) {
  using B = simd::Batch<T>;
  const B u = xsimd::abs(a), v = xsimd::abs(b), inf(std::numeric_limits<T>::infinity());
  const B large = simd::max(u, v), ratio = simd::min(u, v) / large;
  const B value = xsimd::select(large == B(0), large, large * xsimd::sqrt(B(1) + ratio * ratio));
  return xsimd::select(u == inf || v == inf, inf, value);
}

// a / r and a / r^2 with r = hypot(a, b), the derivatives of hypot and atan2. Their own derivatives are products: as
// derivatives of quotients they would be differences of equal numbers where a or b is small.
Var part(Var a, Var b);
[[gnu::init_priority(library_ops)]] const Binary part_op(
    {.name = "hypot_part",
     .reference = [](double a, double b) { return a / std::hypot(a, b); },
     .examples = examples_in(0.2, 2, -2, 2),
     .edge_cases = {pair(0, 0, nan, nan, nan), pair(3, -4, 0.6, 0.128, 0.096), pair(0, -2, 0, 0.5, 0),
                    pair(3e30, 4e30, 0.6, 1.28e-31, -9.6e-32)}},
    [](auto a, auto b) {
      using B = decltype(a);
      const B half = xsimd::select(simd::max(xsimd::abs(a), xsimd::abs(b)) > B(1), B(0.5), B(1));  // no overflow
      return half * a / length(half * a, half * b);
    },
    [](int i, Var t, Var a, Var b, Var y) {
      const Var r = hypot(a, b), other = part(b, a);
      return i == 0 ? t * (other / r * other) : -(t * (y / r * other));
    });
Var part(Var a, Var b) { return record(part_op, {a, b}); }

Var part_over_square(Var a, Var b);
[[gnu::init_priority(library_ops)]] const Binary part_over_square_op(
    {.name = "atan2_part",
     .reference = [](double a, double b) { return a / (a * a + b * b); },
     .examples = examples_in(0.2, 2, -2, 2),
     .edge_cases = {pair(3, -4, 0.12, 0.0112, 0.0384), pair(0, -2, 0, 0.25, 0), pair(nan, 2, nan, nan, nan)},
     .accuracy = {.ulp = {6, 12, 24}}},
    [](auto a, auto b) {
      const auto r = length(a, b);
      return a / r / r;
    },
    [](int i, Var t, Var a, Var b, Var) {
      const Var r = hypot(a, b);
      return i == 0 ? t * ((b - a) / r * ((b + a) / r) / r / r) : -2 * t * (part(a, b) / r * part(b, a) / r);
    });
Var part_over_square(Var a, Var b) { return record(part_over_square_op, {a, b}); }

[[gnu::init_priority(library_ops)]] const Binary atan2_op(
    {.name = "atan2",
     .reference = [](double y, double x) { return std::atan2(y, x); },
     .examples = examples_in(0.2, 2, -2, 2),
     .edge_cases = {bend(0, 0, 0, 0, 0), bend(0, -1, std::acos(-1.0), -1, 0), bend(-0.0, -1, -std::acos(-1.0), -1, 0),
                    pair(1, 0, std::acos(0.0), 0, -1), pair(-1, 0, -std::acos(0.0), 0, 1),
                    pair(3e30, -4e30, 2.498091544796509, -1.6e-31, -1.2e-31),
                    pair(infinity, -infinity, 3 * std::atan(1.0), nan, nan), pair(1, infinity, 0, nan, 0),
                    pair(nan, 1, nan, nan, nan)}},
    [](auto y, auto x) {
      using B = decltype(y);
      using T = typename B::value_type;
      const auto plain = [](B v) { return xsimd::abs(v) > B(0) && xsimd::abs(v) < B(static_cast<T>(infinity)); };
      return simd::patch(xsimd::atan2(y, x), y, x, !(plain(y) && plain(x)), [](T v, T w) { return std::atan2(v, w); });
    },
    [](int i, Var t, Var y, Var x, Var) {
      // Beside a constant point instead of the origin, every derivative is 0 there.
      const Var origin = equal(y, 0) * equal(x, 0), b = where(origin, 1, x), a = where(origin, 0, y);
      return i == 0 ? t * where(origin, 0, part_over_square(b, a)) : -(t * part_over_square(a, b));
    });

[[gnu::init_priority(library_ops)]] const Binary hypot_op(
    {.name = "hypot",
     .reference = [](double a, double b) { return std::sqrt(a * a + b * b); },
     .examples = examples_in(0.2, 2, -2, 2),
     .edge_cases = {pair(0, 0, 0, nan, nan), pair(3, -4, 5, 0.6, -0.8), pair(0, -2, 2, 0, -1),
                    pair(3e30, 4e30, 5e30, 0.6, 0.8), pair(-3e-30, 4e-30, 5e-30, -0.6, 0.8),
                    pair(infinity, nan, infinity, nan, nan), pair(1, -infinity, infinity, 0, nan),
                    pair(nan, 1, nan, nan, nan)}},
    [](auto a, auto b) { return length(a, b); },
    [](int i, Var t, Var a, Var b, Var) { return t * (i == 0 ? part(a, b) : part(b, a)); });

// a - b, 0 for equal infinities, and what it was rounded by (Knuth) where that shows in exp(a - b).
template <class T>
std::pair<simd::Batch<T>, simd::Batch<T>> difference(simd::Batch<T> a, simd::Batch<T> b) {
  using B = simd::Batch<T>;
  const B gap = xsimd::select(a == b, B(0), a - b), taken = a - gap, lost = (a - (gap + taken)) + (taken - b);
  return {gap, xsimd::select((xsimd::abs(gap) < B(T(1000))) && !(a == b), lost, B(0))};
}

// 1 / (1 + exp(b - a)), the share of a in logaddexp; 1/2 where both are the same infinity
Var share(Var a, Var b);
[[gnu::init_priority(library_ops)]] const Binary share_op(
    {.name = "logaddexp_share",
     .reference = [](double a, double b) { return std::exp(a) / (std::exp(a) + std::exp(b)); },
     .examples = examples_in(-2, 2, -2, 2),
     .edge_cases = {pair(infinity, infinity, 0.5, 0.25, -0.25), pair(-infinity, 3, 0, 0, 0), pair(1e4, 0, 1, 0, 0)}},
    [](auto a, auto b) {
      using B = decltype(a);
      const auto [gap, lost] = difference(a, b);
      const B value = simd::sigmoid(gap);
      return value * (B(1) + (B(1) - value) * lost);
    },
    [](int i, Var t, Var a, Var b, Var) {
      const Var slope = share(a, b) * share(b, a);
      return i == 0 ? t * slope : -(t * slope);
    });
Var share(Var a, Var b) { return record(share_op, {a, b}); }

[[gnu::init_priority(library_ops)]] const Binary logaddexp_op(
    {.name = "logaddexp",
     .reference = [](double a, double b) { return std::log(std::exp(a) + std::exp(b)); },
     .examples = examples_in(-2, 2, -2, 2),
     .edge_cases = {pair(1000, 1000, 1000.6931471805599, 0.5, 0.5),
                    pair(-1000, -1002, -999.873071988957, 0.8807970779778823, 0.1192029220221177),
                    pair(0, -1000, 0, 1, 0), pair(-infinity, 1, 1, 0, 1), pair(infinity, -infinity, infinity, 1, 0),
                    pair(-infinity, -infinity, -infinity, 0.5, 0.5), pair(infinity, infinity, infinity, 0.5, 0.5),
                    pair(nan, 1, nan, nan, nan)}},
    [](auto a, auto b) {
      using B = decltype(a);
      const auto [gap, lost] = difference(simd::min(a, b), simd::max(a, b));
      return simd::max(a, b) + simd::log1p(simd::exp(gap) * (B(1) + lost));
    },
    [](int i, Var t, Var a, Var b, Var) { return t * (i == 0 ? share(a, b) : share(b, a)); });

// x log y: 0 with derivatives 0 at x = 0 where log y is none, at y = 0 and left of it; but NaN for a NaN y.
[[gnu::init_priority(library_ops)]] const Binary xlogy_op(
    {.name = "xlogy",
     .reference = [](double x, double y) { return x == 0 ? 0 : x * std::log(y); },
     .examples = examples_in(-2, 2, 0.3, 2),
     .edge_cases = {bend(0, 0, 0, 0, 0), bend(0, -1, 0, 0, 0), pair(0, 2, 0, std::log(2.0), 0), pair(2, 1, 0, 0, 2),
                    pair(2, 0, -infinity, -infinity, infinity), pair(2, -1, nan, nan, -2), pair(0, nan, nan, nan, nan),
                    pair(nan, 1, nan, 0, nan), pair(0, infinity, 0, infinity, 0),
                    pair(3, 1e-4, -27.631021115928547, -9.210340371976182, 3e4)},
     .accuracy = {.ulp = {2, 8, 16}}},
    [](auto x, auto y) {
      using B = decltype(x);
      return xsimd::select(x == B(0) && !xsimd::isnan(y), B(0), x * simd::log(y));
    },
    [](int i, Var t, Var x, Var y, Var) {
      const Var none = equal(x, 0) * less_equal(y, 0), some = where(none, 1, y);
      return t * (i == 0 ? log(some) : where(none, 0, x / some));
    });

}  // namespace

Var pow(Operand a, Operand b) {
  return b.is_number() ? record(pow_number_op, {a}, PowNumber::with({b.number()})) : record(pow_op, {a, b});
}
Var atan2(Operand y, Operand x) { return record(atan2_op, {y, x}); }
Var hypot(Operand a, Operand b) { return record(hypot_op, {a, b}); }
Var xlogy(Operand x, Operand y) { return record(xlogy_op, {x, y}); }
Var logaddexp(Operand a, Operand b) { return record(logaddexp_op, {a, b}); }

}  // namespace wengert
