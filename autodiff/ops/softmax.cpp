// Exponentials weighed against each other: logsumexp over axes, softmax and log_softmax along one. All of them subtract
// the largest exponent first.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "autodiff/kernels/exponentials.hpp"
#include "autodiff/kernels/extremes.hpp"
#include "autodiff/kernels/logarithms.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/ops/sum_runs.hpp"

namespace wengert {
namespace {

using namespace special_values;

// Lines of n elements, `stride` apart, one in each lane; or, with stride 1, one line that goes through the lanes. A
// register of it is at(i), for i in [0, steps()); lanes of which no element goes into hold -infinity, which weighs
// nothing.
template <class T>
class Lines {
 public:
  static constexpr Index width = simd::lanes<T>;

  Lines(const T* x, Index n, Index stride, Index lines)
      : x_(x),
        along_(stride == 1),
        step_(along_ ? width : stride),
        steps_(along_ ? (n + width - 1) / width : n),
        whole_(along_ ? n / width : (lines < width ? 0 : n)),
        rest_(std::clamp<Index>(along_ ? n % width : lines, 1, width)) {}
  const T* x() const { return x_; }
  bool along() const { return along_; }
  Index steps() const { return steps_; }
  simd::Batch<T> at(Index i) const {
    return i < whole_ ? simd::load(x_ + i * step_) : rest_.load(x_ + i * step_, static_cast<T>(-infinity));
  }
  simd::Batch<T> at(Index i, const T* of) const {
    return i < whole_ ? simd::load(of + i * step_) : rest_.load(of + i * step_);
  }
  void store(T* to, Index i, simd::Batch<T> value) const {
    if (i < whole_)
      simd::store(to + i * step_, value);
    else
      rest_.store(to + i * step_, value);
  }

 private:
  const T* x_;
  bool along_;
  Index step_, steps_, whole_;  // registers without a lane to spare
  simd::Part<T> rest_;
};

// The largest element of each line.
template <class T, class Larger>
simd::Batch<T> largest_of(const Lines<T>& lines, const Larger& larger) {
  std::array<simd::Batch<T>, 4> each;  // none waits for the one before
  each.fill(simd::Batch<T>(static_cast<T>(-infinity)));
  Index at = 0;
  for (; at + 4 <= lines.steps(); at += 4)
#pragma GCC unroll 4
    for (std::size_t k = 0; k < 4; ++k) each[k] = larger(each[k], lines.at(at + static_cast<Index>(k)));
  for (; at < lines.steps(); ++at) each[0] = larger(each[0], lines.at(at));
  const simd::Batch<T> largest = larger(larger(each[0], each[1]), larger(each[2], each[3]));
  return lines.along() ? simd::fold_with<T>(largest, larger) : largest;
}

// The largest element and the sum of exp(x - largest) of each line; lanes are added last. larger(a, b) may drop a NaN
// where that of the sum is enough. keep(i, exponentials) may keep them.
template <class T>
struct Weight {
  simd::Batch<T> largest, sum;

  template <class Larger, class Keep>
  Weight(const Lines<T>& lines, const Larger& larger, const Keep& keep) : largest(largest_of(lines, larger)) {
    const auto term = [&](Index i, std::size_t) {
      const simd::Batch<T> weight = simd::exp(lines.at(i) - largest);
      keep(i, weight);
      return weight;
    };
    sum = sum_pairwise<T, 1>(lines.steps(), term)[0];
    if (lines.along()) sum = simd::fold_with<T>(sum, [](simd::Batch<T> a, simd::Batch<T> b) { return a + b; });
  }
};

constexpr auto nothing_kept = [](Index, auto) {};

// f(lines) for all lines of an array seen as [outer, n, inner].
template <class T, class F>
void for_lines(const T* x, const Run& run, F&& f) {
  constexpr Index width = simd::lanes<T>;
  const Index n = run.reduced(), blocks = (run.inner + width - 1) / width;
  const Index grain = std::max<Index>(1, (Index{1} << 12) / std::max<Index>(1, n * std::min(run.inner, width)));
  parallel_pieces(run.outer * blocks, grain, [&](Index begin, Index end) {
    for (Index b = begin; b < end; ++b) {
      const Index o = b / blocks, j = b % blocks * width;
      f(Lines<T>(x + o * n * run.inner + j, n, run.inner, run.inner - j));
    }
  });
}

// exp(x - centre), of which a centre belongs to each column of a row, or one to all neighbours: terms of sums.
template <class T>
struct Exponentials {
  const T* centres;
  bool one;

  simd::Batch<T> operator()(const T* x, Index column) const {
    return simd::exp(simd::load(x) - (one ? simd::Batch<T>(*centres) : simd::load(centres + column)));
  }
  simd::Batch<T> operator()(const simd::Part<T>& part, const T* x, Index column) const {
    const simd::Batch<T> centre = one ? simd::Batch<T>(*centres) : part.load(centres + column);
    return simd::exp(part.load(x, static_cast<T>(-infinity)) - centre);
  }
};

// to[outer, inner] = the largest elements; -infinity of none.
template <class T>
void find_centres(const Run& run, const T* x, T* to) {
  const Index n = run.reduced();
  if (n == 0) return void(std::fill_n(to, run.outer * run.inner, static_cast<T>(-infinity)));
  best_of_arrays<true>(x, run.outer, n, run.inner, to);
}

// Sums over few neighbours each, whose exponentials are computed many at a time.
template <class T>
void sum_short_exponentials(const Run& run, const T* x, const T* centres, T* out) {
  constexpr std::size_t lines = 64, most = lines * static_cast<std::size_t>(few_terms);
  const Index n = run.reduced();
  parallel_pieces(run.outer, run.grain(), [&](Index begin, Index end) {
    std::array<T, most> terms;
    for (Index at = begin, count = 0; at < end; at += count) {
      count = std::min(Index{lines}, end - at);
      repeat_each(centres + at, count, n, terms.data());
      simd::map<2>(count * n, {x + at * n, terms.data()}, terms.data(),
                   [](simd::Batch<T> a, simd::Batch<T> centre) { return simd::exp(a - centre); });
      sum_short_lines(terms.data(), count, n, out + at);
    }
  });
}

// The order is that of sum(), so that plans may add up exponentials that the derivative needs as well. `scratch` is
// [outer, inner], and run.partial_sums() slots of [inner].
template <class T>
void log_of_sums(const Run& run, const T* x, T* out, T* scratch) {
  T *centres = scratch, *partials = scratch + run.outer * run.inner;
  find_centres(run, x, centres);
  if (run.inner == 1 && run.reduced() <= few_terms)
    sum_short_exponentials(run, x, centres, out);
  else
    sum_run(run, x, out, partials, [&](Index o) { return Exponentials<T>{centres + o * run.inner, run.inner == 1}; });
  const auto value = [](simd::Batch<T> sum, simd::Batch<T> centre) {  // the sum of an infinite centre is no number
    const auto finite = xsimd::abs(centre) < simd::Batch<T>(static_cast<T>(infinity));
    return xsimd::select(finite, centre + simd::log(sum), centre);
  };
  simd::map<2>(run.outer * run.inner, {out, centres}, out, value);
}

// x -> log of the sum of exp(x) over axes
struct LogSumExp final : Reduction {
  LogSumExp() : Reduction({.name = "logsumexp", .linearity = Linearity::custom_jvp}) {}

  std::size_t scratch_bytes(const Signature& s, const Type& out) const override {
    const AxisList axes = arguments(s).axes;
    Index rest = 0;  // the largest of each sum, and partial sums
    visit_runs(axes, s.shape(0), [&](const Run& run, bool) {
      rest = std::max(rest, run.outer * run.inner + run.partial_sums(out.dtype).slots() * run.inner);
    });
    return static_cast<std::size_t>(2 * buffer_size(axes, s.shape(0)) + rest) * size_of(out.dtype);
  }
  Grouping partial_sums(const Signature& s, const Type& out) const override { return sum_op().partial_sums(s, out); }
  void run(const Kernel& k) const override {
    dispatch_float(k.type.dtype, [&]<class T>() {
      T* largest = static_cast<T*>(k.scratch) + 2 * buffer_size(arguments(k).axes, k.shape(0));
      reduce_runs<T>(k, [&](const Run& run, const T* from, T* to) { log_of_sums(run, from, to, largest); });
    });
  }

  // The derivative by x is exp(x - max x), made to add up to 1. It is the cotangent that is divided, of which there is
  // one for each y. 0 where y is -infinity. In plans y comes of the same exponentials: plan/passes.hpp.
  Var vjp(const Call& c, int, Var g) const override {
    const Var w = weights(c);
    return w * (kept(c, g) / total(c, w, true));
  }
  Var jvp(const Call& c, std::span<const Var> t) const override {
    const auto [axes, keepdims] = arguments(c);
    const Var w = weights(c);
    return sum(t[0] * w, axes, {.keepdims = keepdims}) / total(c, w, keepdims);
  }
  std::vector<EdgeCase> edge_cases() const override {
    const auto all = [](std::vector<double> x, double y, std::vector<double> slope) {
      const Shape shape{static_cast<Index>(x.size())};
      return EdgeCase{{Sample{.shape = shape, .values = x}}, with({.axes = {-1}}), {y}, {slope}};
    };
    return {all({2, 2}, 2.6931471805599454, {0.5, 0.5}),
            all({1000, 1000}, 1000.6931471805599, {0.5, 0.5}),
            all({-1000, -1000, -infinity}, -999.3068528194401, {0.5, 0.5, 0}),
            all({-infinity, -infinity}, -infinity, {0, 0}),
            all({infinity, 1}, infinity, {nan, nan}),
            all({nan, 1}, nan, {nan, nan}),
            all({7}, 7, {1}),
            all({}, -infinity, {}),
            {{Sample{.shape = {2, 2}, .values = {-infinity, 0, -infinity, 0}}},
             with({.axes = {-2}}),
             {-infinity, std::log(2.0)},
             {{0, 0.5, 0, 0.5}}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, with({.axes = {-3}}), "axis -3 is out of range for 2 axes"},
            {{{Dtype::i32, {2}}}, with({.axes = {-1}}), "operand 0 is i32"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    std::vector<double> largest(static_cast<std::size_t>(out.shape.size()), -infinity);
    std::vector<ReferenceSum> totals(largest.size());
    const auto visit = [&](auto f) {
      for (Index i = 0; i < in[0].size(); ++i) f(static_cast<std::size_t>(target(a, in[0].shape(), i)), in[0].at(i));
    };
    visit([&](std::size_t to, double x) { largest[to] = std::max(largest[to], x); });
    visit([&](std::size_t to, double x) { totals[to].add(std::exp(static_cast<long double>(x) - largest[to])); });
    Array result(Dtype::f64, out.shape);
    for (std::size_t i = 0; i < totals.size(); ++i)
      result.set(static_cast<Index>(i), static_cast<double>(largest[i] + std::log(totals[i].value())));
    return result;
  }

 private:
  static Var weights(const Call& c) {
    if (c.shape(0).size() == 0) return exp(c.in(0));
    const Var largest = stop_gradient(max(c.in(0), arguments(c).axes, {.keepdims = true}));
    return exp(c.in(0) - where(equal(largest, -infinity), 0, largest));
  }
  static Var total(const Call& c, Var weights, bool keepdims) {
    const Var y = keepdims ? kept(c, c.out()) : c.out();
    return sum(weights, arguments(c).axes, {.keepdims = keepdims}) + equal(y, -infinity);
  }
};
[[gnu::init_priority(library_ops)]] const LogSumExp logsumexp_instance;

// x -> exp(x) / sum of exp(x) along an axis, or its logarithm
template <bool Log>
struct Softmax final : OpOf<Softmax<Log>, OpWith<AxisArgument>> {
  Softmax() : Softmax::OpOf({.name = Log ? "log_softmax" : "softmax", .linearity = Linearity::custom_jvp}) {}
  using OpWith<AxisArgument>::arguments, OpWith<AxisArgument>::with;

  Type infer(const Signature& s) const override {
    if (!is_float(s.dtype(0))) reject("operand 0 is i32: needs f32 or f64 (use cast)");
    normalise_axis(arguments(s).axis, s.shape(0).rank());
    return *s.in[0];
  }
  template <class T>
  void compute(const Kernel& k) const {
    const Shape& x = k.shape(0);
    const int axis = arguments(k).axis;
    const Run run{.outer = outside(x, axis), .rows = x[axis], .inner = inside(x, axis)};
    for_lines(k.in<T>(0), run, [&](const Lines<T>& lines) { weigh(lines, k.out<T>() + (lines.x() - k.in<T>(0))); });
  }
  // The Jacobian of softmax is symmetric: both modes have one rule. Of its logarithm, I - 1 softmax' is not.
  static Var project(const Call& c, Var t) {
    const int axis = arguments(c).axis;
    const Var y = c.out();
    return y * (t - sum(t * y, axis, {.keepdims = true}));
  }
  Var vjp(const Call& c, int, Var g) const override {
    if (!Log) return project(c, g);
    return g - exp(c.out()) * sum(g, arguments(c).axis, {.keepdims = true});
  }
  Var jvp(const Call& c, std::span<const Var> t) const override {
    if (!Log) return project(c, t[0]);
    return t[0] - sum(t[0] * exp(c.out()), arguments(c).axis, {.keepdims = true});
  }
  Rows rows(const Signature& s, const Type&, int, int axis) const override {
    return {axis == arguments(s).axis ? RowRule::mixes : RowRule::keeps, axis};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 4}}}, with({-1})}, {{Sample{{3, 4}}}, with({-2})},  {{Sample{{2, 3, 5}}}, with({-2})},
            {{Sample{{37}}}, with({-1})},   {{Sample{{2, 19}}}, with({-2})}, {{Sample{{2, 0}}}, with({-1})},
            {{Sample{{0, 2}}}, with({-1})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    const auto along = [](std::vector<double> x, std::vector<double> y, std::vector<double> slope) {
      const Shape shape{static_cast<Index>(x.size())};
      return EdgeCase{{Sample{.shape = shape, .values = x}}, with({-1}), Log ? logarithms(y) : y, {slope}};
    };
    const std::vector<double> half{0.5, 0.5}, masked{0.5, 0, 0.5}, undefined{nan, nan};
    return {along({1000, 1000}, half, {0, 0}),
            along({-1000, -1000}, half, {0, 0}),
            along({3, -infinity, 3}, masked, Log ? std::vector<double>{-0.5, 1, -0.5} : std::vector<double>{0, 0, 0}),
            along({-infinity, -infinity}, undefined, undefined),
            along({infinity, 0}, undefined, undefined),
            along({nan, 1}, undefined, undefined),
            along({1, nan}, undefined, undefined),
            along({5}, {1}, {0})};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {}}}, with({-1}), "axis -1 is out of range for 0 axes"},
            {{{Dtype::i32, {2}}}, with({-1}), "operand 0 is i32"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Index inner = inside(out.shape, arguments(a).axis), extent = out.shape[arguments(a).axis];
    for (Index i = 0; i < result.size(); ++i) {
      const Index start = i / inner / extent * extent * inner + i % inner;
      double total = 0;
      for (Index r = 0; r < extent; ++r) total += std::exp(in[0].at(start + r * inner));
      result.set(i, Log ? in[0].at(i) - std::log(total) : std::exp(in[0].at(i)) / total);
    }
    return result;
  }

 private:
  // Whatever it calls is inlined, so that the constants of exp stay in registers.
  template <class T>
  [[gnu::flatten]] static void weigh(const Lines<T>& lines, T* out) {
    const auto larger = [](simd::Batch<T> a, simd::Batch<T> b) { return xsimd::max(a, b); };
    if constexpr (Log) {
      const Weight<T> w(lines, larger, nothing_kept);
      const auto shift = simd::log(w.sum);
      for (Index i = 0; i < lines.steps(); ++i) lines.store(out, i, lines.at(i) - w.largest - shift);
    } else {
      const Weight<T> w(lines, larger, [&](Index i, simd::Batch<T> weight) { lines.store(out, i, weight); });
      const simd::Divisor<T> sum(w.sum);
      for (Index i = 0; i < lines.steps(); ++i) lines.store(out, i, sum.under(lines.at(i, out)));
    }
  }
  static std::vector<double> logarithms(std::vector<double> y) {
    for (double& v : y) v = std::log(v);
    return y;
  }
};
[[gnu::init_priority(library_ops)]] const Softmax<false> softmax_instance;
[[gnu::init_priority(library_ops)]] const Softmax<true> log_softmax_instance;

}  // namespace

const Op& logsumexp_op() { return logsumexp_instance; }
const Op& softmax_op() { return softmax_instance; }
const Op& log_softmax_op() { return log_softmax_instance; }

Var logsumexp(Operand x, Axes axes, Reduce options) {
  return record(logsumexp_op(), {x}, LogSumExp::with({axes_of(x, axes, "logsumexp"), options.keepdims}));
}
Var softmax(Operand x, Axis axis) {
  return record(softmax_op(), {x}, to_attributes(AxisArgument{axis_of(x, axis, "softmax")}));
}
Var log_softmax(Operand x, Axis axis) {
  return record(log_softmax_op(), {x}, to_attributes(AxisArgument{axis_of(x, axis, "log_softmax")}));
}

}  // namespace wengert
