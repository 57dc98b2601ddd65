// Sums of all elements up to each along an axis.
#include <algorithm>
#include <array>
#include <cmath>

#include "autodiff/ops/axes.hpp"
#include "autodiff/parallel.hpp"

namespace wengert {
namespace {

using namespace special_values;

// A running sum in f64: of f32 as it is, of f64 with what each addition rounds away (Knuth's TwoSum).
template <class T>
struct RunningSum {
  double sum, lost;

  void add(T x) {
    const double before = sum;
    sum += static_cast<double>(x);
    if constexpr (sizeof(T) == 8) {
      const double added = sum - before, error = (before - (sum - added)) + (x - added);
      if (std::isfinite(error)) lost += error;
    }
  }
  T value() const { return static_cast<T>(std::isfinite(sum) ? sum + lost : sum); }
};

// x -> its running sums along axes[0]; integers: reverse
struct CumSum final : OpOf<CumSum> {
  CumSum() : OpOf({.name = "cumsum", .linearity = Linearity::linear}) {}

  Type infer(const Signature& s) const override {
    if (!is_float(s.dtype(0))) reject("operand 0 is i32: needs f32 or f64 (use cast)");
    normalise_axis(s.attributes.axes[0], s.shape(0).rank());
    return *s.in[0];
  }
  template <class T>
  void compute(const Kernel& k) const {
    const int axis = k.attributes().axes[0];
    const bool reverse = k.attributes().integers[0] != 0;
    const Index outer = outside(k.out_shape(), axis), n = k.out_shape()[axis], inner = inside(k.out_shape(), axis);
    // Lines go side by side, some at a time, so that neighbours are read together.
    constexpr Index together = 64;
    const Index across = (inner + together - 1) / together;
    const Index grain = std::max<Index>(1, (Index{1} << 14) / std::max<Index>(1, n * std::min(inner, together)));
    parallel_pieces(outer * across, grain, [&](Index begin, Index end) {
      for (Index task = begin; task < end; ++task) {
        const Index left = task % across * together, width = std::min(together, inner - left);
        const Index first = task / across * n * inner + left;
        std::array<RunningSum<T>, together> sums;
        std::fill_n(sums.begin(), width, RunningSum<T>{});
        for (Index i = 0; i < n; ++i) {
          const Index here = first + (reverse ? n - 1 - i : i) * inner;
          for (Index j = 0; j < width; ++j) {
            RunningSum<T>& sum = sums[static_cast<std::size_t>(j)];
            sum.add(k.in<T>(0)[here + j]);
            k.out<T>()[here + j] = sum.value();
          }
        }
      }
    });
  }
  Var vjp(const Call& c, int, Var g) const override {
    return cumsum(g, c.attributes().axes[0], {.reverse = c.attributes().integers[0] == 0});
  }
  Rows rows(const Signature& s, const Type&, int, int axis) const override {
    return {axis == s.attributes.axes[0] ? RowRule::mixes : RowRule::keeps, axis};
  }
  std::vector<Example> examples() const override {
    return {
        {{Sample{{3, 4}}}, {.axes = {-1}, .integers = {0}}},    {{Sample{{3, 4}}}, {.axes = {-2}, .integers = {0}}},
        {{Sample{{2, 3, 5}}}, {.axes = {-2}, .integers = {1}}}, {{Sample{{7}}}, {.axes = {-1}, .integers = {1}}},
        {{Sample{{2, 0}}}, {.axes = {-1}, .integers = {0}}},    {{Sample{{0, 2}}}, {.axes = {-1}, .integers = {1}}}};
  }
  std::vector<Special> specials() const override {
    const Sample x{.shape = {3}, .values = {1, infinity, -infinity}};
    return {{{x}, {.axes = {-1}, .integers = {0}}, {1, infinity, nan}, {{3, 2, 1}}},
            {{x}, {.axes = {-1}, .integers = {1}}, {nan, nan, -infinity}, {{1, 2, 3}}},
            {{Sample{.shape = {1}, .values = {2}}}, {.axes = {-1}, .integers = {0}}, {2}, {{1}}}};
  }
  std::vector<Reject> rejects() const override {
    return {{{{Dtype::f32, {}}}, {.axes = {-1}, .integers = {0}}, "axis -1 is out of range for 0 axes"},
            {{{Dtype::i32, {2}}}, {.axes = {-1}, .integers = {0}}, "operand 0 is i32"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Index inner = inside(out.shape, a.axes[0]), extent = out.shape[a.axes[0]];
    for (Index i = 0; i < result.size(); ++i) {
      const Index start = i / inner / extent * extent * inner + i % inner, at = i / inner % extent;
      double total = 0;
      for (Index r = 0; r < extent; ++r)
        if (a.integers[0] != 0 ? r >= at : r <= at) total += in[0].at(start + r * inner);
      result.set(i, total);
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const CumSum cumsum_op;

}  // namespace

Var cumsum(Operand x, Axis axis, Cumulate options) {
  return record(cumsum_op, {x}, {.axes = {axis_of(x, axis, "cumsum")}, .integers = {options.reverse}});
}

}  // namespace wengert
