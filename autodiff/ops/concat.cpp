// Arrays side by side: concat along an axis, stack along a new one. They take every dtype.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "autodiff/kernels/strided.hpp"
#include "autodiff/ops/axes.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// parts -> side by side along an axis; other axes of extent 1 are broadcast
struct Concat final : OpWith<ConcatArguments> {
  Concat() : OpWith({.name = "concat", .arity = -1, .linearity = Linearity::linear, .selects = true}) {}
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

  void vjps(const Call& c, Var g, std::span<Cotangent> operands) const override {
    const int axis = arguments(c).axis;
    Index start = 0;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const Index end = start + c.shape(static_cast<int>(i))[axis];
      if (operands[i].wanted) operands[i].value = slice(g, axis, start, end);
      start = end;
    }
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
    if (walk.extents.size() == 1 && walk.strides[0] == 1) {  // by far the most frequent: a part that is not broadcast
      for (Index i = 0; i < n; ++i) out[i] = source[start + i];
      return;
    }
    gather(walk, source, start, n, out);
  }
};
[[gnu::init_priority(library_ops)]] const Concat concat_instance;

}  // namespace

const Op& concat_op() { return concat_instance; }

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

Var stack(std::span<const Operand> parts, Axis axis, Where where) {
  if (parts.empty()) throw Error(fmt::format("[stack] needs at least one part  ({})", to_string(where)));
  const Shape shape = parts[0].shape();
  axis = new_axis(parts[0], axis, "stack");
  const Scope scope(parts[0], "stack");
  std::vector<Operand> thicker;
  for (const Operand& part : parts) {
    if (part.shape() != shape)
      refuse(part, "stack", fmt::format("parts differ in shape: {} and {}", to_string(shape), to_string(part.shape())));
    thicker.emplace_back(reshape(part, with_one(shape, axis)), part.where());
  }
  return concat(std::span<const Operand>(thicker), axis, where);
}

Var stack(std::initializer_list<Operand> parts, Axis axis, Where where) {
  return stack(std::span<const Operand>(parts.begin(), parts.size()), axis, where);
}

Var stack(std::span<const Var> parts, Axis axis, Where where) {
  return stack(std::span<const Operand>(at_line(parts, where)), axis, where);
}

}  // namespace wengert
