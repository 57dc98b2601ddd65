// The largest and smallest elements over axes, and where they are.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "autodiff/kernels/extremes.hpp"
#include "autodiff/ops/reduction.hpp"

namespace wengert {
namespace {

using namespace special_values;

void check_not_empty(const Signature& s, const char* what) {
  for (int axis : arguments_of<ReductionArguments>(s.attributes).axes)
    if (s.shape(0)[axis] == 0)
      reject(fmt::format("there is no {} of nothing: axis {} of {}", what, axis, to_string(s.shape(0))));
}

// True if `candidate` takes the place of `best`: in ascending order, the first of the largest, or the first NaN.
template <bool Largest, class T>
bool better(T candidate, T best) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(best)) return false;
    if (std::isnan(candidate)) return true;
  }
  return Largest ? candidate > best : candidate < best;
}

// A long line is cut into as many pieces whatever the number of threads, of which the best is the best of all.
constexpr Index pieces = 32, cut_from = Index{1} << 16;  // elements
constexpr Index widest_cut = 64;                         // inner elements whose pieces' best have room on the stack

template <bool Largest, class T>
void best_of_pieces(const T* x, Index n, Index inner, T* out) {
  std::array<T, static_cast<std::size_t>(pieces * widest_cut)> best;
  const auto find = [inner](const T* from, Index count, T* to) {
    if (inner == 1)
      *to = best_neighbour<Largest>(from, count);
    else
      best_rows<Largest>(from, count, inner, inner, to);
  };
  parallel_for(pieces, [&](Index piece) {
    const Index begin = n * piece / pieces, end = n * (piece + 1) / pieces;
    find(x + begin * inner, end - begin, best.data() + piece * inner);
  });
  find(best.data(), pieces, out);
}

// x -> its largest or smallest elements over axes
template <bool Largest>
struct Extremum final : SharedReduction {
  Extremum()
      : SharedReduction({.name = Largest ? "max" : "min", .linearity = Linearity::custom_jvp, .selects = true}) {}

  Type infer(const Signature& s) const override {
    const Type out = Reduction::infer(s);
    check_not_empty(s, Largest ? "maximum" : "minimum");
    return out;
  }
  std::size_t scratch_bytes(const Signature& s, const Type& out) const override {
    return static_cast<std::size_t>(2 * buffer_size(arguments(s).axes, s.shape(0))) * size_of(out.dtype);
  }
  void run(const Kernel& k) const override {
    dispatch_float(k.type.dtype, [&]<class T>() {
      reduce_runs<T>(k, [](const Run& run, const T* from, T* to) {
        const Index n = run.reduced();
        if (n * run.inner >= cut_from && run.inner <= widest_cut && run.outer < pieces) {
          for (Index o = 0; o < run.outer; ++o)
            best_of_pieces<Largest>(from + o * n * run.inner, n, run.inner, to + o * run.inner);
          return;
        }
        best_of_arrays<Largest>(from, run.outer, n, run.inner, to);
      });
    });
  }

  // The share of each element in the derivative: 1 / ties for those that are the extremum, 0 for others.
  Var share(const Call& c) const override {
    const Var best = equal(c.in(0), kept(c, c.out()));
    return best / sum(best, arguments(c).axes, {.keepdims = true});
  }
  std::vector<EdgeCase> edge_cases() const override {
    const auto all = [](std::vector<double> x, double y, std::vector<double> slope) {
      const Shape shape{static_cast<Index>(x.size())};
      return EdgeCase{{Sample{.shape = shape, .values = x}}, with({.axes = {-1}}), {y}, {slope}};
    };
    const double far = Largest ? infinity : -infinity, one = Largest ? 1 : -1;
    std::vector<double> late(40, 0.0), late_slope(40, 0.0);  // the extremum in each part of the kernel
    late[7] = one;
    late_slope[7] = 1;
    EdgeCase tie = all({one, 0, one}, one, {0.5, 0, 0.5});
    EdgeCase ties{{Sample{.shape = {2, 2}, .values = {0, one, one, one}}},
                  with({.axes = {-2, -1}}),
                  {one},
                  {{0, 1.0 / 3, 1.0 / 3, 1.0 / 3}}};
    tie.kink = ties.kink = true;
    return {tie,
            ties,
            all({one, nan, 0}, nan, {nan, nan, nan}),
            all({nan, one}, nan, {nan, nan}),
            all({far, 0, far, far}, far, {1.0 / 3, 0, 1.0 / 3, 1.0 / 3}),
            all({-far, -far}, -far, {0.5, 0.5}),
            all({3}, 3, {1}),
            all(late, one, late_slope)};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, with({.axes = {-3}}), "axis -3 is out of range for 2 axes"},
            {{{Dtype::f32, {2, 0}}}, with({.axes = {-1}}), "mum of nothing: axis -1 of [2, 0]"},
            {{{Dtype::i32, {2}}}, with({.axes = {-1}}), "operand 0 is i32"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) result.set(i, Largest ? -infinity : infinity);
    for (Index i = 0; i < in[0].size(); ++i) {
      const Index to = target(a, in[0].shape(), i);
      const double x = in[0].at(i), y = result.at(to);
      result.set(to, Largest ? std::max(x, y) : std::min(x, y));
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Extremum<true> max_instance;
[[gnu::init_priority(library_ops)]] const Extremum<false> min_op;

// The first of n neighbours that is the best: of few, one by one; of many, where their best value is.
template <bool Largest, class T>
Index place_of_best(const T* x, Index n) {
  if (constexpr Index few = 8; n <= few) {
    T best = x[0];
    Index place = 0;
    for (Index i = 1; i < n; ++i) {
      const bool takes = better<Largest>(x[i], best);
      best = takes ? x[i] : best;
      place = takes ? i : place;
    }
    return place;
  }
  if constexpr (std::is_floating_point_v<T>) {
    const T best = best_neighbour<Largest>(x, n);
    if (std::isnan(best)) return std::find_if(x, x + n, [](T value) { return std::isnan(value); }) - x;
    constexpr Index block = 64;
    Index i = 0;
    for (; i + block <= n; i += block) {
      int found = 0;  // no branch: registers of elements are compared at once
      for (Index j = 0; j < block; ++j) found |= x[i + j] == best ? 1 : 0;
      if (found != 0) break;
    }
    return std::find(x + i, x + n, best) - x;
  } else {
    return (Largest ? std::max_element(x, x + n) : std::min_element(x, x + n)) - x;
  }
}

// The rows in which each of a few columns has its first best; rows are `inner` elements apart.
constexpr Index few_columns = 256;
template <bool Largest, class T>
void places_of_best(const T* x, Index rows, Index inner, Index columns, std::int32_t* places) {
  std::array<T, static_cast<std::size_t>(few_columns)> best;
  std::copy_n(x, columns, best.begin());
  std::fill_n(places, columns, 0);
  for (Index r = 1; r < rows; ++r) {
    const T* row = x + r * inner;
    T* so_far = best.data();
    for (Index j = 0; j < columns; ++j) {
      const bool takes = better<Largest>(row[j], so_far[j]);
      so_far[j] = takes ? row[j] : so_far[j];
      places[j] = takes ? static_cast<std::int32_t>(r) : places[j];
    }
  }
}

// x -> the index along an axis of its first largest or smallest element
template <bool Largest>
struct ArgExtremum final : Reduction {
  ArgExtremum() : Reduction({.name = Largest ? "argmax" : "argmin", .linearity = Linearity::none}) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    const Type out{Dtype::i32, reduced_shape(s)};
    check_not_empty(s, Largest ? "maximum" : "minimum");
    return out;
  }
  void run(const Kernel& k) const override {
    const Shape& x = k.shape(0);
    const int axis = arguments(k).axes[0];
    const Run run{.outer = outside(x, axis), .rows = x[axis], .inner = inside(x, axis)};
    dispatch(k.signature.dtype(0), [&]<class T>() {
      const T* from = k.in<T>(0);
      std::int32_t* to = k.out<std::int32_t>();
      if (run.inner == 1)
        return parallel_pieces(run.outer, run.grain(), [&](Index begin, Index end) {
          for (Index o = begin; o < end; ++o)
            to[o] = static_cast<std::int32_t>(place_of_best<Largest>(from + o * run.rows, run.rows));
        });
      const Index across = (run.inner + few_columns - 1) / few_columns, columns = std::min(run.inner, few_columns);
      const Run block{.outer = run.outer * across, .rows = run.rows, .inner = columns};
      parallel_pieces(block.outer, block.grain(), [&](Index begin, Index end) {
        for (Index b = begin; b < end; ++b) {
          const Index o = b / across, left = b % across * few_columns;
          places_of_best<Largest>(from + o * run.rows * run.inner + left, run.rows, run.inner,
                                  std::min(few_columns, run.inner - left), to + o * run.inner + left);
        }
      });
    });
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 4}, -9, 9}}, with({.axes = {-1}})},
            {{Sample{{3, 4}, -9, 9}}, with({.axes = {-2}, .keepdims = true})},
            {{Sample{{2, 5, 3}, -9, 9}}, with({.axes = {-2}})},
            {{Sample{{0, 3}}}, with({.axes = {-1}})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    const double far = Largest ? infinity : -infinity;
    const auto first = [](std::vector<double> x, double y) {
      const Shape shape{static_cast<Index>(x.size())};
      return EdgeCase{{Sample{.shape = shape, .values = x}}, with({.axes = {-1}}), {y}};
    };
    return {first({1, 1, 1}, 0),  first({0, far, far}, 1), first({far, nan, 0, nan}, 1),
            first({nan, far}, 0), first({-far, -far}, 0),  first({5}, 0)};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 0}}}, with({.axes = {-1}}), "mum of nothing: axis -1 of [2, 0]"},
            {{{Dtype::f32, {2}}}, with({.axes = {-2}}), "axis -2 is out of range for 1 axis"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const int axis = arguments(a).axes[0];
    const Index inner = inside(in[0].shape(), axis), extent = in[0].shape()[axis];
    for (Index i = 0; i < result.size(); ++i) {
      const Index start = i / inner * extent * inner + i % inner;
      Index best = 0;
      for (Index r = 0; r < extent; ++r) {
        const double x = in[0].at(start + r * inner), y = in[0].at(start + best * inner);
        if (Largest ? x > y : x < y) best = r;
      }
      result.set(i, static_cast<double>(best));
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const ArgExtremum<true> argmax_op;
[[gnu::init_priority(library_ops)]] const ArgExtremum<false> argmin_op;

Var over_axes(const Op& op, const Operand& x, const AxisList& axes, Reduce options) {
  return record(op, {x}, to_attributes(ReductionArguments{axes, options.keepdims}));
}
Var over_axis(const Op& op, const Operand& x, int axis, Reduce options) {
  return over_axes(op, x, {axis_of(x, axis, op.name().c_str())}, options);
}
Operand flat(const Operand& x, const char* op) { return {reshape(x, {x.shape(op).size()}), x.where()}; }

}  // namespace

const Op& max_op() { return max_instance; }

Var max(Operand x, Axes axes, Reduce options) { return over_axes(max_op(), x, axes_of(x, axes, "max"), options); }
Var min(Operand x, Axes axes, Reduce options) { return over_axes(min_op, x, axes_of(x, axes, "min"), options); }
Var argmax(Operand x) { return over_axis(argmax_op, flat(x, "argmax"), 0, {}); }
Var argmax(Operand x, Axis axis, Reduce options) { return over_axis(argmax_op, x, axis, options); }
Var argmin(Operand x) { return over_axis(argmin_op, flat(x, "argmin"), 0, {}); }
Var argmin(Operand x, Axis axis, Reduce options) { return over_axis(argmin_op, x, axis, options); }

}  // namespace wengert
