// Parts of arrays along one axis: concat, slice, and slice's adjoint. They take every dtype.
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

// parts -> side by side along an axis; other axes of extent 1 are stretched
struct Concat final : OpWith<ConcatArguments> {
  Concat() : OpWith({.name = "concat", .arity = -1, .linearity = Linearity::linear}) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    if (s.arity() == 0) reject("needs at least one part");
    Type out = *s.in[0];
    const int axis = normalise_axis(arguments(s).axis, out.shape.rank());
    Index total = 0;
    for (int i = 0; i < s.arity(); ++i) {
      const Shape& part = s.shape(i);
      if (s.dtype(i) != out.dtype)
        reject(fmt::format("parts differ in dtype: {} and {} (use cast)", name_of(out.dtype), name_of(s.dtype(i))));
      if (part.rank() != out.shape.rank())
        reject(fmt::format("parts differ in rank: {} and {}", to_string(out.shape), to_string(part)));
      total += part[axis];
      for (int a = -part.rank(); a < 0; ++a) {
        if (a == axis) continue;
        if (out.shape[a] == 1) out.shape.set(a, part[a]);
        if (part[a] != 1 && part[a] != out.shape[a])
          reject(fmt::format("parts do not fit along axis {}: {} and {}", a, to_string(s.shape(0)), to_string(part)));
      }
    }
    out.shape.set(axis, total);
    return out;
  }

  static Index grain(Index width) { return std::max<Index>(1, (Index{1} << 14) / std::max<Index>(1, width)); }
  // Rows of `width` elements to where rows are `row` elements apart.
  template <class T>
  static void side_by_side(Index runs, Index width, const T* from, Index row, T* to) {
    parallel_pieces(runs, grain(width), [&](Index begin, Index end) {
      if (width == 1)
        for (Index r = begin; r < end; ++r) to[r * row] = from[r];
      else
        for (Index r = begin; r < end; ++r) std::copy_n(from + r * width, width, to + r * row);
    });
  }
  void run(const Kernel& k) const override {
    const int axis = arguments(k).axis;
    const Shape& out = k.out_shape();
    const Index runs = outside(out, axis), row = out[axis] * inside(out, axis);
    dispatch(k.type.dtype, [&]<class T>() {
      Index offset = 0;
      for (int i = 0; i < k.signature.arity(); ++i) {
        Shape stretched = out;
        stretched.set(axis, k.shape(i)[axis]);
        const Index width = stretched[axis] * inside(out, axis);
        T* to = k.out<T>() + offset;
        offset += width;
        if (k.shape(i) == stretched) {
          side_by_side(runs, width, k.in<T>(i), row, to);
          continue;
        }
        const Walk walk = broadcast_walk(k.shape(i), stretched);
        parallel_pieces(runs, grain(width), [&](Index begin, Index end) {
          for (Index r = begin; r < end; ++r) copy_run(walk, k.in<T>(i), r * width, width, to + r * row);
        });
      }
    });
  }

  Var vjp(const Call& c, int i, Var g) const override {
    const int axis = arguments(c).axis;
    Index start = 0;
    for (int before = 0; before < i; ++before) start += c.shape(before)[axis];
    return slice(g, axis, start, start + c.shape(i)[axis]);
  }
  Rows rows(const Signature& s, const Type& out, int operand, int axis) const override {
    if (axis == arguments(s).axis || s.shape(operand)[axis] != out.shape[axis]) return {RowRule::mixes, 0};
    return {RowRule::keeps, axis};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{2, 3}}, Sample{{2, 2}}}, with({-1})},
            {{Sample{{2, 3}}, Sample{{4, 3}}, Sample{{1, 3}}}, with({-2})},
            {{Sample{{5, 2}}, Sample{{1, 1}}}, with({-1})},
            {{Sample{{2, 2, 3}}, Sample{{2, 1, 3}}}, with({-2})},
            {{Sample{{3}}}, with({-1})},
            {{Sample{{2, 0}}, Sample{{2, 2}}}, with({-1})}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    const auto f32 = [](Shape shape) { return Type{Dtype::f32, shape}; };
    return {{{f32({2, 3}), f32({3, 3})}, with({-1}), "parts do not fit along axis -2: [2, 3] and [3, 3]"},
            {{f32({2, 3}), f32({3})}, with({-1}), "parts differ in rank: [2, 3] and [3]"},
            {{f32({2}), {Dtype::f64, {2}}}, with({-1}), "parts differ in dtype: f32 and f64"},
            {{f32({2, 3})}, with({-4}), "axis -4 is out of range for 2 axes"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    const int axis = arguments(a).axis;
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) {
      Index place = i / inside(out.shape, axis) % out.shape[axis];
      std::size_t part = 0;
      while (place >= in[part].shape()[axis]) place -= in[part++].shape()[axis];
      const Shape& from = in[part].shape();
      Index rest = i, at = 0;
      for (int b = -1; b >= -out.shape.rank(); --b) {
        const Index here = b == axis ? place : from[b] == 1 ? 0 : rest % out.shape[b];
        at += here * stride_of(from, b);
        rest /= out.shape[b];
      }
      result.set(i, in[part].at(at));
    }
    return result;
  }

 private:
  template <class T>
  static void copy_run(const Walk& walk, const T* source, Index start, Index n, T* out) {
    if (walk.extents.size() == 1 && walk.strides[0] == 1) {  // by far the most frequent: a part that is not stretched
      for (Index i = 0; i < n; ++i) out[i] = source[start + i];
      return;
    }
    gather(walk, source, start, n, out);
  }
};
[[gnu::init_priority(library_ops)]] const Concat concat_instance;

// x -> its elements start, start + step, ... below stop along an axis
struct Slice final : OpWith<SliceArguments> {
  Slice() : OpWith({.name = "slice", .linearity = Linearity::linear}) {}
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
  Var vjp(const Call& c, int, Var g) const override {
    const Arguments a = arguments(c);
    return slice_backward(g, a.axis, c.shape(0)[a.axis], a.start, a.step);
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

struct SliceBackwardArguments {
  Axis axis = -1;
  Index extent = 0, start = 0, step = 1;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("axis", axis), visit("extent", extent), visit("start", start), visit("step", step);
  }
};

// x -> zeros of `extent` along an axis, with x at start, start + step, ...
struct SliceBackward final : OpWith<SliceBackwardArguments> {
  SliceBackward() : OpWith({.name = "slice_backward", .linearity = Linearity::linear}) {}
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
          T* out = k.out<T>() + r * extent * inner;
          std::fill(out, out + extent * inner, T(0));
          for (Index i = 0; i < count; ++i)
            std::copy_n(k.in<T>(0) + (r * count + i) * inner, inner, out + (a.start + i * a.step) * inner);
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
[[gnu::init_priority(library_ops)]] const SliceBackward slice_backward_op;

}  // namespace

const Op& concat_op() { return concat_instance; }
const Op& slice_op() { return slice_instance; }

Var concat(std::span<const Operand> parts, Axis axis, Where where) {
  if (parts.empty()) throw Error(fmt::format("[concat] needs at least one part  ({})", to_string(where)));
  return record(concat_op(), parts, Concat::with({axis_of(parts[0], axis, "concat")}));
}
Var concat(std::initializer_list<Operand> parts, Axis axis, Where where) {
  return concat(std::span<const Operand>(parts.begin(), parts.size()), axis, where);
}

Var concat(std::span<const Var> parts, Axis axis, Where where) {
  return concat(std::span<const Operand>(at_line(parts, where)), axis, where);
}

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
  return record(slice_backward_op, {g}, SliceBackward::with({axis_of(g, axis, "slice_backward"), extent, start, step}));
}

}  // namespace wengert
