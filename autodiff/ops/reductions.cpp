#include <fmt/format.h>

#include <algorithm>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/kernels/simd.hpp"
#include "autodiff/op.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// The sum of n neighbours: four running registers, a fixed fold, then the rest. A function of the values and n alone.
template <class T>
T sum_neighbours(const T* x, Index n) {
  constexpr Index width = simd::lanes<T>;
  using B = simd::Batch<T>;
  T total = 0;
  Index i = 0;
  if (n >= 4 * width) {
    std::array<B, 4> sums{B(0), B(0), B(0), B(0)};
    for (; i + 4 * width <= n; i += 4 * width)
      for (Index v = 0; v < 4; ++v) sums[static_cast<std::size_t>(v)] += simd::load(x + i + v * width);
    alignas(alignment) std::array<T, static_cast<std::size_t>(width)> fold;
    simd::store<T>(fold.data(), (sums[0] + sums[1]) + (sums[2] + sums[3]));
    for (std::size_t half = fold.size() / 2; half > 0; half /= 2)
      for (std::size_t j = 0; j < half; ++j) fold[j] += fold[j + half];
    total = fold[0];
  }
  for (; i < n; ++i) total += x[i];
  return total;
}

// out[inner] = sum of n rows of `inner` elements, ascending.
template <class T>
void sum_rows(const T* x, Index n, Index inner, T* out) {
  if (inner == 1) {
    *out = sum_neighbours(x, n);
    return;
  }
  std::fill(out, out + inner, T(0));
  for (Index r = 0; r < n; ++r)
    for (Index j = 0; j < inner; ++j) out[j] += x[r * inner + j];
}

// An array seen as [outer, rows * unit, inner], of which the middle is summed. Rows are the first of the summed axes:
// groups are cut between rows, so that whole rows can be handed out.
struct Run {
  Index outer = 1, rows = 1, unit = 1, inner = 1;

  template <class T>
  Index groups() const {
    return group_count(rows, inner * static_cast<Index>(sizeof(T)));
  }
};

template <class T>
void sum_run(const Run& run, const T* x, T* out, T* partials) {
  const Index groups = run.groups<T>(), reduced = run.rows * run.unit;
  if (groups == 1) {
    const Index grain = std::max<Index>(1, (Index{1} << 14) / std::max<Index>(1, reduced * run.inner));
    parallel_pieces(run.outer, grain, [&](Index begin, Index end) {
      for (Index o = begin; o < end; ++o)
        sum_rows(x + o * reduced * run.inner, reduced, run.inner, out + o * run.inner);
    });
    return;
  }
  for (Index o = 0; o < run.outer; ++o) {
    const T* from = x + o * reduced * run.inner;
    const auto group = [&](Index g) {
      const Index begin = group_begin(g, groups, run.rows) * run.unit,
                  end = group_begin(g + 1, groups, run.rows) * run.unit;
      sum_rows(from + begin * run.inner, end - begin, run.inner, partials + g * run.inner);
    };
    if (reduced * run.inner < Index{1} << 14)
      for (Index g = 0; g < groups; ++g) group(g);
    else
      parallel_for(groups, group);
    combine(partials, groups, run.inner);
    std::copy(partials, partials + run.inner, out + o * run.inner);
  }
}

// x -> x summed over `axes` (ascending); integers: keepdims
struct Sum final : OpOf<Sum> {
  Sum() : OpOf({.name = "sum", .linearity = Linearity::linear}) {}

  static bool summed(const Attributes& a, int axis) {
    return std::find(a.axes.begin(), a.axes.end(), axis) != a.axes.end();
  }

  Type infer(const Signature& s) const override {
    const Shape& x = s.shape(0);
    if (!is_float(s.dtype(0))) reject("operand 0 is i32: needs f32 or f64 (use cast)");
    for (int axis : s.attributes.axes) normalise_axis(axis, x.rank());
    Shape out;
    for (int axis = -x.rank(); axis < 0; ++axis) {
      if (!summed(s.attributes, axis))
        out.append(x[axis]);
      else if (s.attributes.integers[0] != 0)
        out.append(1);
    }
    return {s.dtype(0), out};
  }

  std::size_t scratch_bytes(const Signature& s, const Type& out) const override {
    return dispatch_float(out.dtype, [&]<class T>() {
      Index largest = 0, partials = 0;
      visit_runs(s.attributes, s.shape(0), [&](const Run& run, bool) {
        largest = std::max(largest, run.outer * run.inner);
        partials = std::max(partials, run.groups<T>() * run.inner);
      });
      return static_cast<std::size_t>(2 * largest + partials) * sizeof(T);
    });
  }

  template <class T>
  void compute(const Kernel& k) const {
    const Index size = k.out_shape().size();
    if (k.attributes().axes.empty()) {
      std::copy_n(k.in<T>(0), size, k.out<T>());
      return;
    }
    Index largest = 0;
    visit_runs(k.attributes(), k.shape(0),
               [&](const Run& run, bool) { largest = std::max(largest, run.outer * run.inner); });
    T* buffers[2] = {static_cast<T*>(k.scratch), static_cast<T*>(k.scratch) + largest};
    const T* from = k.in<T>(0);
    int turn = 0;
    visit_runs(k.attributes(), k.shape(0), [&](const Run& run, bool last) {
      T* to = last ? k.out<T>() : buffers[turn++ % 2];
      sum_run(run, from, to, static_cast<T*>(k.scratch) + 2 * largest);
      from = to;
    });
  }

  Var vjp(const Call& c, int, Var g) const override {
    const Shape& x = c.shape(0);
    if (c.attributes().integers[0] == 0) {
      Shape kept = x;
      for (int axis : c.attributes().axes) kept.set(axis, 1);
      g = reshape(g, kept);
    }
    return broadcast_to(g, x);
  }

  Rows rows(const Signature& s, const Type&, int, int axis) const override {
    if (summed(s.attributes, axis)) return {RowRule::reduces, 0};
    int inside = 0;  // axes inside this one that vanish
    if (s.attributes.integers[0] == 0)
      for (int i = axis + 1; i < 0; ++i) inside += summed(s.attributes, i);
    return {RowRule::keeps, axis + inside};
  }

  std::vector<Example> examples() const override {
    const auto over = [](SmallList<int, max_rank> axes, Index keepdims) {
      return Attributes{.axes = axes, .integers = {keepdims}};
    };
    return {{{Sample{{3, 4}}}, over({-2, -1}, 0)},  {{Sample{{3, 4}}}, over({-1}, 0)},
            {{Sample{{3, 4}}}, over({-2}, 1)},      {{Sample{{2, 3, 4}}}, over({-3, -1}, 0)},
            {{Sample{{2, 3, 4}}}, over({-2}, 0)},   {{Sample{{2, 3, 2, 3}}}, over({-3, -1}, 1)},
            {{Sample{{200, 3}}}, over({-2}, 0)},    {{Sample{{200, 3}}}, over({-2, -1}, 0)},
            {{Sample{{2, 131, 2}}}, over({-2}, 0)}, {{Sample{{3}}}, over({}, 0)}};
  }
  std::vector<Special> specials() const override {
    const Attributes all{.axes = {-2, -1}, .integers = {0}};
    return {{{Sample{{0, 3}}}, all, {0}},
            {{Sample{{0, 3}}}, {.axes = {-2}, .integers = {0}}, {0, 0, 0}},
            {{Sample{.shape = {1, 2}, .values = {infinity, 1}}}, all, {infinity}, {{1, 1}}},
            {{Sample{.shape = {}, .values = {2}}}, {.axes = {}, .integers = {0}}, {2}, {{1}}}};
  }
  std::vector<Reject> rejects() const override {
    return {{{{Dtype::f32, {2, 3}}}, {.axes = {-3}, .integers = {0}}, "axis -3 is out of range for 2 axes"},
            {{{Dtype::i32, {2}}}, {.axes = {-1}, .integers = {0}}, "operand 0 is i32"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Shape& x = in[0].shape();
    for (Index i = 0; i < in[0].size(); ++i) {
      Index rest = i, to = 0, stride = 1;
      for (int axis = -1; axis >= -x.rank(); --axis) {
        if (!summed(a, axis)) {
          to += rest % x[axis] * stride;
          stride *= x[axis];
        }
        rest /= x[axis];
      }
      result.set(to, result.at(to) + in[0].at(i));
    }
    return result;
  }

 private:
  static constexpr double infinity = std::numeric_limits<double>::infinity();

  // Neighbouring summed axes are one run; several runs are summed one after the other, the innermost first.
  // f(run, whether it is the last one).
  template <class F>
  static void visit_runs(const Attributes& a, Shape shape, F&& f) {
    for (std::size_t left = a.axes.size(); left > 0;) {
      Run run;
      int axis = a.axes[--left];
      for (int i = axis + 1; i < 0; ++i) run.inner *= shape[i];
      run.rows = shape[axis];
      shape.set(axis, 1);
      for (; left > 0 && a.axes[left - 1] == axis - 1; --left) {
        run.unit *= run.rows;
        run.rows = shape[--axis];
        shape.set(axis, 1);
      }
      for (int i = axis - 1; i >= -shape.rank(); --i) run.outer *= shape[i];
      f(run, left == 0);
    }
  }
};
const Sum sum_op;

}  // namespace

Var sum(Operand x, std::span<const int> axes, Reduce options) {
  Attributes attributes{.integers = {options.keepdims}};
  const int rank = x.rank();
  try {
    SmallList<int, max_rank> sorted;
    for (int axis : axes) sorted.push_back(normalise_axis(axis, rank));
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) throw Error("an axis is named twice");
    attributes.axes = sorted;
  } catch (const std::exception& error) {
    throw Error(fmt::format("[sum] {} of shape {}  ({})", error.what(), to_string(x.shape()), to_string(x.where())));
  }
  return record(sum_op, {x}, attributes);
}

Var sum(Operand x, std::initializer_list<int> axes, Reduce options) {
  return sum(x, std::span<const int>(axes.begin(), axes.size()), options);
}

Var sum(Operand x) {
  Attributes attributes{.integers = {0}};
  for (int axis = -x.rank(); axis < 0; ++axis) attributes.axes.push_back(axis);
  return record(sum_op, {x}, attributes);
}

namespace {

// total / number of elements that went into each of its entries
Var divide_by_count(Operand x, Var total) {
  const double out = static_cast<double>(total.size()), in = static_cast<double>(x.shape().size());
  return div(Operand(total, x.where()), out > 0 ? in / out : 1);
}

}  // namespace

Var mean(Operand x) { return divide_by_count(x, sum(x)); }
Var mean(Operand x, std::initializer_list<int> axes, Reduce options) {
  return divide_by_count(x, sum(x, axes, options));
}

Var sum_to(Operand x, const Shape& shape) {
  const Shape& from = x.shape();
  if (from == shape) return x.var();
  if (!broadcasts_to(shape, from))
    throw Error(fmt::format("[sum_to] {} was not stretched from {}  ({})", to_string(from), to_string(shape),
                            to_string(x.where())));
  SmallList<int, max_rank> axes;
  for (int axis = -from.rank(); axis < 0; ++axis)
    if (axis < -shape.rank() || (shape[axis] == 1 && from[axis] != 1)) axes.push_back(axis);
  const Var total = axes.empty() ? x.var() : sum(x, std::span<const int>(axes), {.keepdims = true});
  return total.shape() == shape ? total : reshape({total, x.where()}, shape);
}

}  // namespace wengert
