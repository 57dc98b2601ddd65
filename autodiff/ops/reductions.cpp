#include <fmt/format.h>

#include <algorithm>

#include "autodiff/kernels/sums.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/ops/reduction.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

template <class T>
void sum_run(const Run& run, const T* x, T* out, T* partials) {
  const Index groups = run.groups<T>(), reduced = run.reduced();
  if (groups == 1) {
    parallel_pieces(run.outer, run.grain(), [&](Index begin, Index end) {
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

struct Sum final : Reduction {
  Sum() : Reduction({.name = "sum", .linearity = Linearity::linear}) {}

  std::size_t scratch_bytes(const Signature& s, const Type& out) const override {
    return dispatch_float(out.dtype, [&]<class T>() {
      Index partials = 0;
      visit_runs(s.attributes, s.shape(0),
                 [&](const Run& run, bool) { partials = std::max(partials, run.groups<T>() * run.inner); });
      return static_cast<std::size_t>(2 * buffer_size(s.attributes, s.shape(0)) + partials) * sizeof(T);
    });
  }
  void run(const Kernel& k) const override {
    dispatch_float(k.type.dtype, [&]<class T>() {
      T* partials = static_cast<T*>(k.scratch) + 2 * buffer_size(k.attributes(), k.shape(0));
      reduce_runs<T>(k, [&](const Run& run, const T* from, T* to) { sum_run(run, from, to, partials); });
    });
  }

  Var vjp(const Call& c, int, Var g) const override { return broadcast_to(kept(c, g), c.shape(0)); }

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
    using special_values::infinity;
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
    std::vector<ReferenceSum> totals(static_cast<std::size_t>(out.shape.size()));
    for (Index i = 0; i < in[0].size(); ++i)
      totals[static_cast<std::size_t>(target(a, in[0].shape(), i))].add(in[0].at(i));
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i)
      result.set(i, static_cast<double>(totals[static_cast<std::size_t>(i)].value()));
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Sum sum_instance;

}  // namespace

const Op& sum_op() { return sum_instance; }

AxisList axes_of(const Operand& x, const Axes& axes, const char* op) {
  AxisList sorted;
  if (axes.are_all())
    for (int axis = -x.rank(op); axis < 0; ++axis) sorted.push_back(axis);
  for (int axis : axes.named()) {
    axis = axis_of(x, axis, op);
    if (std::find(sorted.begin(), sorted.end(), axis) != sorted.end())
      refuse(x, op, fmt::format("axis {} of shape {} is named twice", axis, to_string(x.shape())));
    sorted.push_back(axis);
  }
  sorted.sort();
  return sorted;
}

std::vector<Example> SharedReduction::examples() const {
  const auto over = [](AxisList axes, Index keep) { return Attributes{.axes = axes, .integers = {keep}}; };
  return {{{Sample{{3, 4}}}, over({-2, -1}, 0)},
          {{Sample{{3, 4}}}, over({-1}, 0)},
          {{Sample{{3, 4}}}, over({-2}, 1)},
          {{Sample{{2, 3, 4}}}, over({-3, -1}, 0)},
          {{Sample{{2, 3, 2, 3}}}, over({-3, -1}, 1)},
          {{Sample{{37}}}, over({-1}, 0)},
          {{Sample{{3, 37}}}, over({-2}, 0)},
          {{Sample{{3, 19}}}, over({-2}, 0)},
          {{Sample{{3}}}, over({}, 0)},
          {{Sample{{}}}, over({}, 0)},
          {{Sample{{0, 3}}}, over({-1}, 0)}};
}

Type Reduction::infer(const Signature& s) const {
  if (!is_float(s.dtype(0))) reject("operand 0 is i32: needs f32 or f64 (use cast)");
  return {s.dtype(0), reduced_shape(s.attributes, s.shape(0))};
}

Shape Reduction::reduced_shape(const Attributes& a, const Shape& x) {
  for (int axis : a.axes) normalise_axis(axis, x.rank());
  Shape out;
  for (int axis = -x.rank(); axis < 0; ++axis) {
    if (!reduced(a, axis))
      out.append(x[axis]);
    else if (keepdims(a))
      out.append(1);
  }
  return out;
}

Rows Reduction::rows(const Signature& s, const Type&, int, int axis) const {
  if (reduced(s.attributes, axis)) return {RowRule::reduces, 0};
  int vanished = 0;  // axes inside this one
  if (!keepdims(s.attributes))
    for (int i = axis + 1; i < 0; ++i) vanished += reduced(s.attributes, i);
  return {RowRule::keeps, axis + vanished};
}

Var Reduction::kept(const Call& c, Var v) {
  if (keepdims(c.attributes())) return v;
  Shape shape = c.shape(0);
  for (int axis : c.attributes().axes) shape.set(axis, 1);
  return reshape(v, shape);
}

Index Reduction::target(const Attributes& a, const Shape& x, Index i) {
  Index to = 0, stride = 1;
  for (int axis = -1; axis >= -x.rank(); --axis) {
    if (!reduced(a, axis)) {
      to += i % x[axis] * stride;
      stride *= x[axis];
    }
    i /= x[axis];
  }
  return to;
}

Var sum(Operand x, Axes axes, Reduce options) {
  return record(sum_op(), {x}, {.axes = axes_of(x, axes, "sum"), .integers = {options.keepdims}});
}

Var mean(Operand x, Axes axes, Reduce options) {
  const Var total = record(sum_op(), {x}, {.axes = axes_of(x, axes, "mean"), .integers = {options.keepdims}});
  const double out = static_cast<double>(total.size()), in = static_cast<double>(x.shape().size());
  return div(Operand(total, x.where()), out > 0 ? in / out : 1);  // how many went into each entry
}

Var sum_to(Operand x, const Shape& shape) {
  const Shape& from = x.shape();
  if (from == shape) return x.var();
  if (!broadcasts_to(shape, from))
    throw Error(
        fmt::format("[sum_to] {} was not stretched from {}  ({})", to_string(from), to_string(shape), place_of(x)));
  SmallList<int, max_rank> axes;
  for (int axis = -from.rank(); axis < 0; ++axis)
    if (axis < -shape.rank() || (shape[axis] == 1 && from[axis] != 1)) axes.push_back(axis);
  const Var total = axes.empty() ? x.var() : sum(x, axes, {.keepdims = true});
  return total.shape() == shape ? total : reshape({total, x.where()}, shape);
}

}  // namespace wengert
