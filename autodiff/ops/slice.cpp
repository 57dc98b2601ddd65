// Parts of arrays along one axis: slice, its adjoint, select, split. They take every dtype.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "autodiff/kernels/strided.hpp"
#include "autodiff/op.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/composite.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

Index slice_count(Index start, Index stop, Index step) { return stop > start ? (stop - start - 1) / step + 1 : 0; }

// x -> its elements start, start + step, ... below stop along an axis
struct Slice final : OpWith<SliceArguments> {
  Slice() : OpWith({.name = "slice", .linearity = Linearity::linear, .selects = true}) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    Type out = *s.in[0];
    const auto [along, start, stop, step] = arguments(s);
    const int axis = normalise_axis(along, out.shape.rank());
    if (step < 1) reject(fmt::format("needs a step of at least 1, got {}", step));
    if (start < 0 || start > stop || stop > out.shape[axis])
      reject(fmt::format("[{}, {}) leaves axis {} of {}", start, stop, axis, to_string(out.shape)));
    out.shape.set(axis, slice_count(start, stop, step));
    return out;
  }
  void run(const Kernel& k) const override {
    const Arguments a = arguments(k);
    const Index step = k.out_shape()[a.axis] > 1 ? a.step : 1;  // of one element, it may be anything
    Walk walk;
    for (int axis = -k.out_shape().rank(); axis < 0; ++axis)
      walk.add_axis(k.out_shape()[axis], stride_of(k.shape(0), axis) * (axis == a.axis ? step : 1));
    walk.offset = a.start * stride_of(k.shape(0), a.axis);
    dispatch(k.type.dtype, [&]<class T>() { gather_all(walk, k.in<T>(0), k.out_shape().size(), k.out<T>()); });
  }
  void vjps(const Call& c, Var g, std::span<Cotangent> operands) const override {
    const Arguments a = arguments(c);
    if (!operands[0].wanted) return;
    if (a.step == 1 || c.out_shape()[a.axis] <= 1)
      operands[0] = {.wanted = true, .value = g, .part = Cotangent::Part{a.axis, a.start}};
    else
      operands[0].value = slice_backward(g, a.axis, c.shape(0)[a.axis], a.start, a.step);
  }
  Rows rows(const Signature& s, const Type&, int, int axis) const override {
    return {axis == arguments(s).axis ? RowRule::mixes : RowRule::keeps, axis};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{4, 5}}}, with({-1, 1, 4, 1})},
            {{Sample{{7, 2}}}, with({-2, 1, 7, 3})},
            {{Sample{{2, 5, 3}}}, with({-2, 0, 5, 2})},
            {{Sample{{3}}}, with({-1, 2, 2, 1})}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {4}}}, with({-1, 0, 5, 1}), "[0, 5) leaves axis -1 of [4]"},
            {{{Dtype::f32, {4}}}, with({-1, 0, 4, 0}), "needs a step of at least 1, got 0"}};
  }
  Array reference(std::span<const Array> in, const Attributes& attributes, const Type& out) const override {
    const Arguments a = arguments(attributes);
    const Index inner = inside(out.shape, a.axis), extent = in[0].shape()[a.axis];
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) {
      const Index outer = i / inner / out.shape[a.axis], at = a.start + i / inner % out.shape[a.axis] * a.step;
      result.set(i, in[0].at((outer * extent + at) * inner + i % inner));
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Slice slice_instance;

// x -> zeros of `extent` along an axis, with x at start, start + step, ...
struct SliceBackward final : OpWith<SliceBackwardArguments> {
  SliceBackward() : OpWith({.name = "slice_backward", .linearity = Linearity::linear, .selects = true}) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    Type out = *s.in[0];
    const auto [along, extent, start, step] = arguments(s);
    const int axis = normalise_axis(along, out.shape.rank());
    const Index count = out.shape[axis];
    if (step < 1) reject(fmt::format("needs a step of at least 1, got {}", step));
    if (start < 0 || (count > 0 && (start >= extent || count - 1 > (extent - 1 - start) / step)))
      reject(fmt::format("{} indices from {} by {} do not fit into an extent of {}", count, start, step, extent));
    out.shape.set(axis, extent);
    return out;
  }
  void run(const Kernel& k) const override {
    const Arguments a = arguments(k);
    const Index runs = outside(k.out_shape(), a.axis), inner = inside(k.out_shape(), a.axis);
    const Index extent = a.extent, count = k.shape(0)[a.axis];
    const Index grain = std::max<Index>(1, (Index{1} << 14) / std::max<Index>(1, extent * inner));
    dispatch(k.type.dtype, [&]<class T>() {
      parallel_pieces(runs, grain, [&](Index begin, Index end) {
        for (Index r = begin; r < end; ++r) {
          const T* from = k.in<T>(0) + r * count * inner;
          T* out = k.out<T>() + r * extent * inner;
          if (a.step == 1 && count > 0) {
            T* to = std::fill_n(out, a.start * inner, T(0));
            to = std::copy_n(from, count * inner, to);
            std::fill(to, out + extent * inner, T(0));
            continue;
          }
          std::fill(out, out + extent * inner, T(0));
          for (Index i = 0; i < count; ++i)  // where there is nothing to copy, start may be anything
            std::copy_n(from + i * inner, inner, out + (a.start + i * a.step) * inner);
        }
      });
    });
  }
  Var vjp(const Call& c, int, Var g) const override {
    const Arguments a = arguments(c);
    const Index count = c.shape(0)[a.axis];
    return slice(g, a.axis, a.start, count == 0 ? a.start : a.start + (count - 1) * a.step + 1, a.step);
  }
  Rows rows(const Signature& s, const Type&, int, int axis) const override {
    return {axis == arguments(s).axis ? RowRule::mixes : RowRule::keeps, axis};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{2, 3}}}, with({-1, 5, 1, 1})},
            {{Sample{{3, 2}}}, with({-2, 8, 1, 3})},
            {{Sample{{2, 0}}}, with({-1, 3, 0, 1})}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {3}}}, with({-1, 5, 1, 2}), "3 indices from 1 by 2 do not fit into an extent of 5"}};
  }
  Array reference(std::span<const Array> in, const Attributes& attributes, const Type& out) const override {
    const Arguments a = arguments(attributes);
    const Index inner = inside(out.shape, a.axis), count = in[0].shape()[a.axis];
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < in[0].size(); ++i) {
      const Index outer = i / inner / count, at = a.start + i / inner % count * a.step;
      result.set((outer * a.extent + at) * inner + i % inner, in[0].at(i));
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const SliceBackward slice_backward_instance;

}  // namespace

const Op& slice_op() { return slice_instance; }
const Op& slice_backward_op() { return slice_backward_instance; }

Var slice(Operand x, Axis axis, Integer start, Integer stop, Integer step) {
  axis = axis_of(x, axis, "slice");
  const Index extent = x.extent(axis);
  if (step < 0) {  // the elements from the lowest up, in reverse
    const auto bound = [&](Index i) { return std::clamp<Index>(i < 0 ? i + extent : i, -1, extent - 1); };
    const Index first = bound(start), end = stop == to_end ? -1 : bound(stop), width = -std::max<Index>(step, -to_end);
    const Index steps = first > end ? (first - end - 1) / width : 0, count = first > end ? steps + 1 : 0;
    const Index lowest = std::max<Index>(0, first - steps * width);
    const Scope scope(x, "slice");
    return flip(slice(x, axis, lowest, lowest + (count == 0 ? 0 : steps * width + 1), width), axis);
  }
  const auto bound = [&](Index i) { return std::clamp<Index>(i < 0 ? i + extent : i, 0, extent); };
  return record(slice_op(), {x}, Slice::with({axis, bound(start), std::max(bound(start), bound(stop)), step}));
}

Var slice(Operand x, std::span<const AxisSlice> slices) {
  const Scope scope(x);
  Var result = x.var();
  for (const AxisSlice& s : slices) {
    if (s.start == 0 && !s.stop && s.step == 1) continue;
    const Index first = s.start.value_or(s.step < 0 ? -1 : 0);
    result = slice({result, x.where()}, s.axis, first, s.stop.value_or(to_end), s.step);
  }
  return result;
}
Var slice(Operand x, std::initializer_list<AxisSlice> slices) {
  return slice(x, std::span<const AxisSlice>(slices.begin(), slices.size()));
}

Var select(Operand x, Axis axis, Integer i) {
  const int along = axis_of(x, axis, "select");
  const Index extent = x.extent(along), at = i < 0 ? i + extent : Index{i};
  if (at < 0 || at >= extent)
    refuse(x, "select",
           fmt::format("index {} is out of range for axis {} of {}", Index{i}, along, to_string(x.shape())));
  const Scope scope(x, "select");
  return squeeze(slice(x, along, at, at + 1), along);
}

Var slice_backward(Operand g, Axis axis, Integer extent, Integer start, Integer step) {
  return record(slice_backward_instance, {g},
                SliceBackward::with({axis_of(g, axis, "slice_backward"), extent, start, step}));
}

Var Var::operator[](ElementIndex i) const { return select({*this, i.where()}, 0, i.value()); }

std::vector<Var> split(Operand x, std::span<const Index> extents, Axis axis) {
  axis = axis_of(x, axis, "split");
  Index left = x.extent(axis);  // an extent larger than what is left never gets into a sum
  const bool fits = std::all_of(extents.begin(), extents.end(),
                                [&](Index extent) { return extent >= 0 && extent <= left && (left -= extent, true); });
  if (!fits || left != 0)
    refuse(x, "split",
           fmt::format("extents [{}] do not make up axis {} of {}", join(extents), int(axis), to_string(x.shape())));
  const Scope scope(x, "split");
  std::vector<Var> parts;
  Index start = 0;
  for (Index extent : extents) {
    parts.push_back(slice(x, axis, start, start + extent));
    start += extent;
  }
  return parts;
}

std::vector<Var> split(Operand x, std::initializer_list<Index> extents, Axis axis) {
  return split(x, std::span<const Index>(extents.begin(), extents.size()), axis);
}

std::vector<Var> split(Operand x, Integer parts, Axis axis) {
  axis = axis_of(x, axis, "split");
  if (parts < 1 || x.extent(axis) % parts != 0 || parts > std::max<Index>(1, x.extent(axis)))
    refuse(x, "split",
           fmt::format("cannot cut axis {} of {} into {} equal parts", int(axis), to_string(x.shape()), Index(parts)));
  return split(x, std::vector<Index>(static_cast<std::size_t>(parts), x.extent(axis) / parts), axis);
}

std::vector<Var> chunk(Operand x, Integer parts, Axis axis) {
  const int along = axis_of(x, axis, "chunk");
  if (parts < 1 || parts > most_elements)
    refuse(x, "chunk",
           fmt::format("cannot cut axis {} of {} into {} parts", along, to_string(x.shape()), Index{parts}));
  const Index n = x.extent(along), width = std::max<Index>(1, n / parts + (n % parts != 0));
  std::vector<Index> extents;
  for (Index start = 0; start < n; start += width) extents.push_back(std::min(width, n - start));
  if (n == 0) extents.push_back(0);
  return split(x, extents, along);
}

}  // namespace wengert
