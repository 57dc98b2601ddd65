#include <fmt/format.h>

#include <algorithm>

#include "autodiff/ops/known.hpp"
#include "autodiff/ops/sum_runs.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

struct Sum final : Reduction {
  Sum() : Reduction({.name = "sum", .linearity = Linearity::linear}) {}

  Grouping partial_sums(const Signature& s, const Type& out) const override {
    Grouping most;
    visit_runs(arguments(s).axes, s.shape(0), [&](const Run& run, bool) {
      if (const Grouping own = run.partial_sums(out.dtype); own.groups > most.groups) most = own;
    });
    return most;
  }
  std::size_t scratch_bytes(const Signature& s, const Type& out) const override {
    const AxisList axes = arguments(s).axes;
    Index partials = 0;
    visit_runs(axes, s.shape(0), [&](const Run& run, bool) {
      partials = std::max(partials, run.partial_sums(out.dtype).slots() * run.inner);
    });
    return static_cast<std::size_t>(2 * buffer_size(axes, s.shape(0)) + partials) * size_of(out.dtype);
  }
  void run(const Kernel& k) const override {
    dispatch_float(k.type.dtype, [&]<class T>() {
      T* partials = static_cast<T*>(k.scratch) + 2 * buffer_size(arguments(k).axes, k.shape(0));
      reduce_runs<T>(k, [&](const Run& run, const T* from, T* to) {
        sum_run(run, from, to, partials, [](Index) { return PlainTerms<T>(); });
      });
    });
  }

  Var vjp(const Call& c, int, Var g) const override { return broadcast_to(kept(c, g), c.shape(0)); }

  std::vector<Example> examples() const override {
    return {{{Sample{{3, 4}}}, with({.axes = {-2, -1}})},
            {{Sample{{3, 4}}}, with({.axes = {-1}})},
            {{Sample{{3, 4}}}, with({.axes = {-2}, .keepdims = true})},
            {{Sample{{2, 3, 4}}}, with({.axes = {-3, -1}})},
            {{Sample{{2, 3, 4}}}, with({.axes = {-2}})},
            {{Sample{{2, 3, 2, 3}}}, with({.axes = {-3, -1}, .keepdims = true})},
            {{Sample{{200, 3}}}, with({.axes = {-2}})},
            {{Sample{{200, 3}}}, with({.axes = {-2, -1}})},
            {{Sample{{2, 131, 2}}}, with({.axes = {-2}})},
            {{Sample{{3}}}, with({.axes = {}})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using special_values::infinity;
    const Attributes all = with({.axes = {-2, -1}});
    return {{{Sample{{0, 3}}}, all, {0}},
            {{Sample{{0, 3}}}, with({.axes = {-2}}), {0, 0, 0}},
            {{Sample{.shape = {1, 2}, .values = {infinity, 1}}}, all, {infinity}, {{1, 1}}},
            {{Sample{.shape = {}, .values = {2}}}, with({.axes = {}}), {2}, {{1}}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, with({.axes = {-3}}), "axis -3 is out of range for 2 axes"},
            {{{Dtype::i32, {2}}}, with({.axes = {-1}}), "operand 0 is i32"}};
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

std::vector<Example> Reduction::examples() const {
  return {{{Sample{{3, 4}}}, with({.axes = {-2, -1}})},
          {{Sample{{3, 4}}}, with({.axes = {-1}})},
          {{Sample{{3, 4}}}, with({.axes = {-2}, .keepdims = true})},
          {{Sample{{2, 3, 4}}}, with({.axes = {-3, -1}})},
          {{Sample{{2, 3, 2, 3}}}, with({.axes = {-3, -1}, .keepdims = true})},
          {{Sample{{37}}}, with({.axes = {-1}})},
          {{Sample{{3, 37}}}, with({.axes = {-2}})},
          {{Sample{{3, 19}}}, with({.axes = {-2}})},
          {{Sample{{3}}}, with({.axes = {}})},
          {{Sample{{}}}, with({.axes = {}})},
          {{Sample{{0, 3}}}, with({.axes = {-1}})}};
}

Type Reduction::infer(const Signature& s) const {
  if (!is_float(s.dtype(0))) reject("operand 0 is i32: needs f32 or f64 (use cast)");
  return {s.dtype(0), reduced_shape(s)};
}

Shape Reduction::reduced_shape(const Signature& s) {
  const Arguments a = arguments(s);
  const Shape& x = s.shape(0);
  for (int axis : a.axes) normalise_axis(axis, x.rank());
  Shape out;
  for (int axis = -x.rank(); axis < 0; ++axis) {
    if (!reduced(a, axis))
      out.append(x[axis]);
    else if (a.keepdims)
      out.append(1);
  }
  return out;
}

Rows Reduction::rows(const Signature& s, const Type&, int, int axis) const {
  const Arguments a = arguments(s);
  if (reduced(a, axis)) return {RowRule::reduces, 0};
  int vanished = 0;  // axes inside this one
  if (!a.keepdims)
    for (int i = axis + 1; i < 0; ++i) vanished += reduced(a, i);
  return {RowRule::keeps, axis + vanished};
}

Var Reduction::kept(const Call& c, Var v) {
  const Arguments a = arguments(c);
  if (a.keepdims) return v;
  Shape shape = c.shape(0);
  for (int axis : a.axes) shape.set(axis, 1);
  return reshape(v, shape);
}

Index Reduction::target(const Attributes& attributes, const Shape& x, Index i) {
  const Arguments a = arguments(attributes);
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
  return record(sum_op(), {x}, Sum::with({axes_of(x, axes, "sum"), options.keepdims}));
}

Var mean(Operand x, Axes axes, Reduce options) {
  const Var total = record(sum_op(), {x}, Sum::with({axes_of(x, axes, "mean"), options.keepdims}));
  const double out = static_cast<double>(total.size()), in = static_cast<double>(x.shape().size());
  return div(Operand(total, x.where()), out > 0 ? in / out : 1);  // how many went into each entry
}

Var sum_to(Operand x, const Shape& shape) {
  const Shape& from = x.shape();
  if (from == shape) return x.var();
  if (!broadcasts_to(shape, from))
    throw Error(
        fmt::format("[sum_to] {} was not stretched from {}  ({})", to_string(from), to_string(shape), location_of(x)));
  AxisList axes;
  bool stretched = false;  // an axis that shape has, too
  for (int axis = -from.rank(); axis < 0; ++axis) {
    const bool added = axis < -shape.rank();
    if (!added && (shape[axis] != 1 || from[axis] == 1)) continue;
    axes.push_back(axis);
    stretched = stretched || !added;
  }
  const Var total = axes.empty() ? x.var() : record(sum_op(), {x}, Sum::with({axes, stretched}));
  return total.shape() == shape ? total : reshape({total, x.where()}, shape);
}

}  // namespace wengert
