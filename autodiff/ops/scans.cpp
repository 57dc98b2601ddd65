// Scans: sums, products, the largest and the smallest of all elements up to each along an axis; differences of
// neighbours.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "autodiff/kernels/running_sums.hpp"
#include "autodiff/ops/axes.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

using namespace special_values;

// x -> its running sums along an axis
struct CumSum final : OpOf<CumSum, OpWith<CumsumArguments>> {
  CumSum() : OpOf({.name = "cumsum", .linearity = Linearity::linear}) {}

  Type infer(const Signature& s) const override {
    if (!is_float(s.dtype(0))) reject("operand 0 is i32: needs f32 or f64 (use cast)");
    normalise_axis(arguments(s).axis, s.shape(0).rank());
    return *s.in[0];
  }
  template <class T>
  void compute(const Kernel& k) const {
    const int axis = arguments(k).axis;
    const bool reverse = arguments(k).reverse;
    const Index outer = outside(k.out_shape(), axis), n = k.out_shape()[axis], inner = inside(k.out_shape(), axis);
    constexpr Index width = simd::lanes<T>;
    const T* x = k.in<T>(0);
    T* out = k.out<T>();
    const Index grain = std::max<Index>(1, (Index{1} << 14) / std::max<Index>(1, n * width));
    if (inner == 1)
      return parallel_pieces((outer + width - 1) / width, grain, [&](Index begin, Index end) {
        for (Index line = begin * width; line < std::min(end * width, outer); line += width)
          sum_up_lines(x + line * n, std::min(width, outer - line), n, reverse, out + line * n);
      });
    const Index across = (inner + width - 1) / width;
    parallel_pieces(outer * across, grain, [&](Index begin, Index end) {
      for (Index task = begin; task < end; ++task) {
        const Index left = task % across * width;
        const Index first = (task / across * n + (reverse ? n - 1 : 0)) * inner + left;
        sum_up_side_by_side(x + first, n, reverse ? -inner : inner, std::min(width, inner - left), out + first);
      }
    });
  }
  Var vjp(const Call& c, int, Var g) const override {
    const auto [axis, reverse] = arguments(c);
    return cumsum(g, axis, {.reverse = !reverse});
  }
  Rows rows(const Signature& s, const Type&, int, int axis) const override {
    return {axis == arguments(s).axis ? RowRule::mixes : RowRule::keeps, axis};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 4}}}, with({.axis = -1})},
            {{Sample{{3, 4}}}, with({.axis = -2})},
            {{Sample{{2, 3, 5}}}, with({.axis = -2, .reverse = true})},
            {{Sample{{7}}}, with({.axis = -1, .reverse = true})},
            {{Sample{{2, 0}}}, with({.axis = -1})},
            {{Sample{{0, 2}}}, with({.axis = -1, .reverse = true})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    const Sample x{.shape = {3}, .values = {1, infinity, -infinity}};
    return {{{x}, with({.axis = -1}), {1, infinity, nan}, {{3, 2, 1}}},
            {{x}, with({.axis = -1, .reverse = true}), {nan, nan, -infinity}, {{1, 2, 3}}},
            {{Sample{.shape = {1}, .values = {2}}}, with({.axis = -1}), {2}, {{1}}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {}}}, with({.axis = -1}), "axis -1 is out of range for 0 axes"},
            {{{Dtype::i32, {2}}}, with({.axis = -1}), "operand 0 is i32"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const auto [axis, reverse] = arguments(a);
    const Index inner = inside(out.shape, axis), extent = out.shape[axis];
    for (Index i = 0; i < result.size(); ++i) {
      const Index start = i / inner / extent * extent * inner + i % inner, at = i / inner % extent;
      double total = 0;
      for (Index r = 0; r < extent; ++r)
        if (reverse ? r >= at : r <= at) total += in[0].at(start + r * inner);
      result.set(i, total);
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const CumSum cumsum_instance;

// x -> i32, the index along an axis of the largest (or smallest) of the elements up to each: of equal ones the last; a
// NaN stays
template <bool Largest>
struct CumulativeExtremum final : OpWith<AxisArgument> {
  CumulativeExtremum() : OpWith({.name = Largest ? "cumargmax" : "cumargmin", .linearity = Linearity::none}) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    normalise_axis(arguments(s).axis, s.shape(0).rank());
    return {Dtype::i32, s.shape(0)};
  }
  void run(const Kernel& k) const override {
    const int axis = arguments(k).axis;
    const Index n = k.out_shape()[axis], inner = inside(k.out_shape(), axis);
    std::int32_t* out = k.out<std::int32_t>();
    if (k.out_shape().size() == 0) return;
    dispatch(k.signature.dtype(0), [&]<class T>() {
      const Index grain = std::max<Index>(1, (Index{1} << 13) / n);
      parallel_pieces(k.out_shape().size() / n, grain, [&](Index begin, Index end) {
        for (Index lane = begin; lane < end; ++lane) {
          const Index start = lane / inner * n * inner + lane % inner;
          const T* x = k.in<T>(0) + start;
          Index best = 0;
          T value = x[0];
          for (Index i = 0; i < n; ++i) {
            const T a = x[i * inner];
            const bool takes = a != a || (value == value && (Largest ? a >= value : a <= value));
            best = takes ? i : best;
            value = takes ? a : value;
            out[start + i * inner] = static_cast<std::int32_t>(best);
          }
        }
      });
    });
  }
  Rows rows(const Signature& s, const Type&, int, int axis) const override {
    return {axis == arguments(s).axis ? RowRule::mixes : RowRule::keeps, axis};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 5}}}, with({-1})}, {{Sample{{5, 3}}}, with({-2})}, {{Sample{{2, 4, 3}}}, with({-2})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    const std::vector<double> up{0, 1, 1, 3}, down{0, 0, 2, 2};
    return {{{Sample{.shape = {4}, .values = {1, 2, 0, 2}}}, with({-1}), Largest ? up : down},
            {{Sample{.shape = {4}, .values = {1, nan, 3, nan}}}, with({-1}), {0, 1, 1, 3}},
            {{Sample{{0, 2}}}, with({-2}), {}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {}}}, with({-1}), "axis -1 is out of range for 0 axes"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Index inner = inside(out.shape, arguments(a).axis), n = out.shape[arguments(a).axis];
    for (Index i = 0; i < result.size(); ++i) {
      const Index at = i / inner % n, start = i - at * inner;
      Index best = at;
      for (Index r = at; r-- > 0;) {
        const double x = in[0].at(start + r * inner), y = in[0].at(start + best * inner);
        if (Largest ? x > y : x < y) best = r;
      }
      result.set(i, static_cast<double>(best));
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const CumulativeExtremum<true> cumargmax_op;
[[gnu::init_priority(library_ops)]] const CumulativeExtremum<false> cumargmin_op;

// Combinations of the elements up to each, those 1, 2, 4, ... apart at a time (Hillis and Steele, "Data parallel
// algorithms", 1986).
template <class Combine>
Var scan(Var x, int axis, bool reverse, Combine combine) {
  const Index n = x.extent(axis);
  for (Index apart = 1; apart < n; apart *= 2) {
    const Var early = slice(x, axis, 0, n - apart), late = slice(x, axis, apart);
    x = reverse ? concat({combine(early, late), slice(x, axis, n - apart)}, axis)
                : concat({slice(x, axis, 0, apart), combine(early, late)}, axis);
  }
  return x;
}

Chosen chosen(const Op& op, const Operand& x, Axis axis, const char* name) {
  const int along = axis_of(x, axis, name);
  const Scope scope(x, name);
  const Var indices = record(op, {x}, to_attributes(AxisArgument{along}));
  return {take_along(x, indices, along), indices};
}

}  // namespace

const Op& cumsum_op() { return cumsum_instance; }

Var cumsum(Operand x, Axis axis, Cumulate options) {
  return record(cumsum_op(), {x}, CumSum::with({axis_of(x, axis, "cumsum"), options.reverse}));
}

Var cumprod(Operand x, Axis axis, Cumulate options) {
  const int along = axis_of(x, axis, "cumprod");
  const Scope scope(x, "cumprod");
  return scan(x.var(), along, options.reverse, [](Var a, Var b) { return a * b; });
}

Var logcumsumexp(Operand x, Axis axis, Cumulate options) {
  const int along = axis_of(x, axis, "logcumsumexp");
  const Scope scope(x, "logcumsumexp");
  return scan(x.var(), along, options.reverse, [](Var a, Var b) { return logaddexp(a, b); });
}

Chosen cummax(Operand x, Axis axis) { return chosen(cumargmax_op, x, axis, "cummax"); }
Chosen cummin(Operand x, Axis axis) { return chosen(cumargmin_op, x, axis, "cummin"); }

Var diff(Operand x, Axis axis, Integer n) {
  const int along = axis_of(x, axis, "diff");
  if (n < 0) refuse(x, "diff", fmt::format("needs n of at least 0, got {}", Index{n}));
  const Scope scope(x, "diff");
  Var y = x.var();
  for (Index i = 0; i < n && y.extent(along) > 0; ++i) y = slice(y, along, 1) - slice(y, along, 0, -1);
  return y;
}

}  // namespace wengert
