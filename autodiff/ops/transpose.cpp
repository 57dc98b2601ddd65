// Elements in another order or repeated: broadcast_to, transpose, flip. They take every dtype.
#include <fmt/format.h>

#include <algorithm>

#include "autodiff/kernels/strided.hpp"
#include "autodiff/ops/axes.hpp"
#include "autodiff/ops/known.hpp"

namespace wengert {
namespace {

struct Movement : Op {
  using Op::Op;
  bool supports(Dtype) const override { return true; }
  virtual Walk walk(const Attributes& attributes, const Shape& in, const Shape& out) const = 0;
  void run(const Kernel& k) const override {
    const Walk way = walk(k.attributes(), k.shape(0), k.out_shape());
    dispatch(k.type.dtype, [&]<class T>() { gather_all(way, k.in<T>(0), k.out_shape().size(), k.out<T>()); });
  }
  double tolerance(Dtype) const override { return 0; }
};

// x -> x in a shape; leading axes of x beyond it stay
struct BroadcastTo final : OpWith<BroadcastToArguments, Movement> {
  BroadcastTo() : OpWith({.name = "broadcast_to", .linearity = Linearity::linear, .selects = true}) {}
  Type infer(const Signature& s) const override {
    const Shape target = arguments(s).shape, &x = s.shape(0);
    const Shape whole = x.rank() > target.rank() ? x.leading(x.rank() - target.rank()).followed_by(target) : target;
    if (!broadcasts_to(x, whole)) reject(fmt::format("{} cannot be stretched to {}", to_string(x), to_string(target)));
    return {s.dtype(0), whole};
  }
  Walk walk(const Attributes&, const Shape& in, const Shape& out) const override { return broadcast_walk(in, out); }
  Var vjp(const Call& c, int, Var g) const override { return sum_to(g, c.shape(0)); }
  Rows rows(const Signature& s, const Type& out, int, int axis) const override {
    return {s.shape(0)[axis] == out.shape[axis] ? RowRule::keeps : RowRule::mixes, axis};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 1}}}, with({{3, 4}})},    {{Sample{{4}}}, with({{2, 3, 4}})},
            {{Sample{{}}}, with({{2, 2}})},        {{Sample{{2, 1, 3}}}, with({{2, 5, 3}})},
            {{Sample{{5, 1, 3}}}, with({{4, 3}})}, {{Sample{{1, 3}}}, with({{0, 3}})}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, with({{4, 3}}), "[2, 3] cannot be stretched to [4, 3]"}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Shape& from = in[0].shape();
    for (Index i = 0; i < result.size(); ++i) {
      Index rest = i, at = 0, stride = 1;
      for (int axis = -1; axis >= -from.rank(); --axis) {
        at += (from[axis] == 1 ? 0 : rest % out.shape[axis]) * stride;
        rest /= out.shape[axis];
        stride *= from[axis];
      }
      result.set(i, in[0].at(at));
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const BroadcastTo broadcast_to_instance;

// axis -p + i of the result, p = number of axes listed, is axes[i] of x; further leading axes stay
struct Transpose final : OpWith<TransposeArguments, Movement> {
  Transpose() : OpWith({.name = "transpose", .linearity = Linearity::linear, .selects = true}) {}

  static int source(const Arguments& a, int axis) {  // the axis of x that this axis of the output comes from
    const int listed = static_cast<int>(a.axes.size());
    return axis < -listed ? axis : a.axes[static_cast<std::size_t>(axis + listed)];
  }
  Type infer(const Signature& s) const override {
    const Arguments a = arguments(s);
    AxisList sorted = a.axes;
    sorted.sort();
    for (std::size_t i = 0; i < sorted.size(); ++i)
      if (sorted[i] != static_cast<int>(i) - static_cast<int>(sorted.size()) ||
          static_cast<int>(sorted.size()) > s.shape(0).rank())
        reject(fmt::format("axes ({}) do not name the axes of {} once each", join(a.axes), to_string(s.shape(0))));
    Shape out = s.shape(0);
    for (int axis = -out.rank(); axis < 0; ++axis) out.set(axis, s.shape(0)[source(a, axis)]);
    return {s.dtype(0), out};
  }
  Walk walk(const Attributes& attributes, const Shape& in, const Shape& out) const override {
    const Arguments a = arguments(attributes);
    Walk way;
    for (int axis = -out.rank(); axis < 0; ++axis) way.add_axis(out[axis], stride_of(in, source(a, axis)));
    return way;
  }
  Var vjp(const Call& c, int, Var g) const override {
    const Arguments a = arguments(c);
    Arguments inverse = a;
    const int listed = static_cast<int>(a.axes.size());
    for (int axis = -listed; axis < 0; ++axis) inverse.axes[static_cast<std::size_t>(source(a, axis) + listed)] = axis;
    return record(*this, {g}, with(inverse));
  }
  Rows rows(const Signature& s, const Type& out, int, int axis) const override {
    const Arguments a = arguments(s);
    for (int to = -out.shape.rank(); to < 0; ++to)
      if (source(a, to) == axis) return {RowRule::keeps, to};
    return {RowRule::mixes, 0};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 4}}}, with({{-1, -2}})},
            {{Sample{{2, 3, 4}}}, with({{-2, -1, -3}})},
            {{Sample{{2, 3, 4}}}, with({{-1, -2}})},
            {{Sample{{}}}, {}},
            {{Sample{{0, 3}}}, with({{-1, -2}})}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, with({{-1, -1}}), "axes (-1, -1) do not name the axes of [2, 3] once each"}};
  }
  Array reference(std::span<const Array> in, const Attributes& attributes, const Type& out) const override {
    const Arguments a = arguments(attributes);
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) {
      Index rest = i, at = 0;
      for (int axis = -1; axis >= -out.shape.rank(); --axis) {
        at += rest % out.shape[axis] * stride_of(in[0].shape(), source(a, axis));
        rest /= out.shape[axis];
      }
      result.set(i, in[0].at(at));
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Transpose transpose_instance;

struct FlipArguments {
  AxisList axes = {};
  template <class Visit>
  void fields(Visit&& visit) {
    visit("axes", axes);
  }
};

// x -> x with the order along `axes` reversed; its own adjoint
struct Flip final : OpWith<FlipArguments, Movement> {
  Flip() : OpWith({.name = "flip", .linearity = Linearity::linear, .selects = true}) {}

  static bool flipped(const Arguments& a, int axis) {
    return std::find(a.axes.begin(), a.axes.end(), axis) != a.axes.end();
  }
  Type infer(const Signature& s) const override {
    for (int axis : arguments(s).axes) normalise_axis(axis, s.shape(0).rank());
    return *s.in[0];
  }
  Walk walk(const Attributes& attributes, const Shape& in, const Shape&) const override {
    const Arguments a = arguments(attributes);
    Walk way;
    for (int axis = -in.rank(); axis < 0; ++axis) {
      const Index stride = stride_of(in, axis);
      way.add_axis(in[axis], flipped(a, axis) ? -stride : stride);
      if (flipped(a, axis) && in.size() > 0) way.offset += (in[axis] - 1) * stride;
    }
    return way;
  }
  Var vjp(const Call& c, int, Var g) const override { return record(*this, {g}, c.attributes()); }
  Rows rows(const Signature& s, const Type&, int, int axis) const override {
    return {flipped(arguments(s), axis) ? RowRule::mixes : RowRule::keeps, axis};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 4}}}, with({{-1}})},        {{Sample{{3, 4}}}, with({{-2}})},
            {{Sample{{2, 3, 4}}}, with({{-1, -2}})}, {{Sample{{2, 3, 4}}}, with({{-1, -3}})},
            {{Sample{{2, 3}}}, with({{}})},          {{Sample{{}}}, {}},
            {{Sample{{0, 3}}}, with({{-1, -2}})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    return {{{Sample{.shape = {3}, .values = {1, 2, 3}}}, with({{-1}}), {3, 2, 1}, {{1, 1, 1}}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, with({{-3}}), "axis -3 is out of range for 2 axes"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) {
      Index to = i;
      for (int axis : arguments(a).axes) {
        const Index stride = stride_of(out.shape, axis), here = i / stride % out.shape[axis];
        to += (out.shape[axis] - 1 - 2 * here) * stride;
      }
      result.set(to, in[0].at(i));
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Flip flip_op;

// The axes that were named, counted from the end, each once.
AxisList distinct_axes(const Operand& x, const Axes& axes, const char* op) {
  axes_of(x, axes, op);
  AxisList list;
  for (int axis : axes.named()) list.push_back(axis_of(x, axis, op));
  return list;
}

}  // namespace

const Op& broadcast_to_op() { return broadcast_to_instance; }
const Op& transpose_op() { return transpose_instance; }

Var broadcast_to(Operand x, const Shape& shape) {
  if (x.rank() > shape.rank())
    throw Error(fmt::format("[broadcast_to] {} cannot be stretched to {}  ({})", to_string(x.shape()), to_string(shape),
                            location_of(x)));
  return record(broadcast_to_op(), {x}, BroadcastTo::with({shape}));
}

Var transpose(Operand x, Axes axes) {
  if (axes.are_all()) return transpose(x);
  const int rank = x.rank();
  if (axes.count() != static_cast<std::size_t>(rank))
    throw Error(fmt::format("[transpose] {} needs {} axes, got {}  ({})", to_string(x.shape()), rank, axes.count(),
                            location_of(x)));
  AxisList permuted;
  for (int axis : axes.named()) permuted.push_back(axis < 0 ? axis : axis - rank);
  return record(transpose_op(), {x}, Transpose::with({permuted}));
}

Var transpose(Operand x) {
  AxisList permuted;
  for (int axis = -1; axis >= -x.rank(); --axis) permuted.push_back(axis);
  return record(transpose_op(), {x}, Transpose::with({permuted}));
}

Var swapaxes(Operand x, Axis a, Axis b) {
  a = axis_of(x, a, "swapaxes");
  b = axis_of(x, b, "swapaxes");
  AxisList permuted;
  for (int axis = std::min<int>(a, b); axis < 0; ++axis)
    permuted.push_back(axis == a ? int(b) : axis == b ? int(a) : axis);
  return record(transpose_op(), {x}, Transpose::with({permuted}));
}

Var moveaxis(Operand x, Axes from, Axes to) {
  const AxisList sources = distinct_axes(x, from, "moveaxis"), targets = distinct_axes(x, to, "moveaxis");
  if (sources.size() != targets.size())
    refuse(x, "moveaxis", fmt::format("{} axes cannot move to {} places", sources.size(), targets.size()));
  const int rank = x.rank();
  const auto position = [](const AxisList& list, int axis) { return std::find(list.begin(), list.end(), axis); };
  std::vector<int> order;
  int next = -rank;  // of the axes that stay in order
  for (int axis = -rank; axis < 0; ++axis) {
    if (const auto* at = position(targets, axis); at != targets.end()) {
      order.push_back(sources[static_cast<std::size_t>(at - targets.begin())]);
      continue;
    }
    while (position(sources, next) != sources.end()) ++next;
    order.push_back(next++);
  }
  return transpose(x, order);
}

Var flip(Operand x, Axes axes) { return record(flip_op, {x}, Flip::with({axes_of(x, axes, "flip")})); }

}  // namespace wengert
