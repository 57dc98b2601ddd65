// Elements chosen by i32 indices along one axis: take_along, its adjoint scatter_add, and what is made of the two.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "autodiff/kernels/lanes.hpp"
#include "autodiff/ops/axes.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// The base of both ops: operand 1 indexes an axis of an array; on all other axes the operands broadcast. Being linear
// in operand 0 alone, they count as bilinear: indices have no tangent.
template <class Arguments>
struct Indexing : OpWith<Arguments> {
  explicit Indexing(std::string name, bool selects = false)
      : OpWith<Arguments>({.name = std::move(name), .arity = 2, .linearity = Linearity::bilinear, .selects = selects}) {
  }
  bool supports(Dtype) const override { return true; }

 protected:
  // The operands' common shape, with an extent of 1 along the axis.
  static Shape beside(const Signature& s) {
    Shape x = s.shape(0), indices = s.shape(1);
    const int axis = normalise_axis(Indexing::arguments(s).axis, std::min(x.rank(), indices.rank()));
    if (s.dtype(1) != Dtype::i32) reject(fmt::format("indices are {}: need i32 (use cast)", name_of(s.dtype(1))));
    x.set(axis, 1);
    indices.set(axis, 1);
    const auto common = broadcast(x, indices);
    if (!common)
      reject(fmt::format("shapes do not broadcast beside axis {}: {} and indices {}", axis, to_string(s.shape(0)),
                         to_string(s.shape(1))));
    return *common;
  }

  static void check_range(const Kernel& k, const Shape& into) {
    const int axis = Indexing::arguments(k).axis;
    const Index extent = into[axis];
    const std::int32_t* indices = k.in<std::int32_t>(1);
    for (Index i = 0; i < k.shape(1).size(); ++i)
      if (indices[i] < 0 || indices[i] >= extent)
        reject(fmt::format("index {} is out of range for axis {} of {}: needs 0 to {}", indices[i], axis,
                           to_string(into), extent - 1));
  }

  // For references: calls f(place in x, place in indices, place in out) for every element of `shape`, in C order;
  // x and out are read along the axis at 0, and have `step` elements inside it.
  template <class F>
  static void for_each(const Shape& shape, int axis, const Shape& x, const Shape& indices, const Shape& out, F&& f) {
    for (Index i = 0; i < shape.size(); ++i) {
      Index at_x = 0, at_indices = 0, at_out = 0, rest = i;
      for (int a = -1; a >= -shape.rank(); --a) {
        const Index here = rest % shape[a];
        rest /= shape[a];
        if (a >= -x.rank() && x[a] != 1 && a != axis) at_x += here * stride_of(x, a);
        if (a >= -indices.rank() && indices[a] != 1) at_indices += here * stride_of(indices, a);
        if (a != axis) at_out += here * stride_of(out, a);
      }
      f(at_x, at_indices, at_out, i / stride_of(shape, axis) % shape[axis]);
    }
  }

  static Sample indices(Shape shape, std::vector<double> values) {
    return {.shape = shape, .values = std::move(values), .dtype = Dtype::i32};
  }
};

// x, indices -> the elements of x at the indices along an axis
struct TakeAlong final : Indexing<AxisArgument> {
  TakeAlong() : Indexing("take_along", true) {}
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    Shape out = beside(s);
    out.set(arguments(s).axis, s.shape(1)[arguments(s).axis]);
    return {s.dtype(0), out};
  }
  void run(const Kernel& k) const override {
    check_range(k, k.shape(0));
    const int axis = arguments(k).axis;
    const Index stride = stride_of(k.shape(0), axis);
    Lanes<2> lanes;
    for (int a = -k.out_shape().rank(); a < 0; ++a)
      lanes.add_axis(k.out_shape()[a], {a == axis ? 0 : stretched_stride(k.shape(0), k.out_shape(), a),
                                        stretched_stride(k.shape(1), k.out_shape(), a)});
    dispatch(k.type.dtype, [&]<class T>() {
      parallel_pieces(k.out_shape().size(), Index{1} << 14, [&](Index begin, Index end) {
        T* out = k.out<T>() + begin;
        lanes.visit(begin, end, [&](const Lanes<2>::Places& at, Index n, const Lanes<2>::Places& step) {
          const T* from = k.in<T>(0) + at[0];
          const std::int32_t* which = k.in<std::int32_t>(1) + at[1];
          if (step[0] == 1 && step[1] == 0)  // whole rows
            std::copy_n(from + *which * stride, n, out);
          else
            for (Index j = 0; j < n; ++j) out[j] = from[j * step[0] + which[j * step[1]] * stride];
          out += n;
        });
      });
    });
  }
  Var vjp(const Call& c, int i, Var g) const override {
    const int axis = arguments(c).axis;
    return i == 0 ? scatter_add(g, c.in(1), axis, c.shape(0)[axis]) : Var{};
  }
  Rows rows(const Signature& s, const Type& out, int operand, int axis) const override {
    if ((axis == arguments(s).axis && operand == 0) || s.shape(operand)[axis] != out.shape[axis])
      return {RowRule::mixes, 0};
    return {RowRule::keeps, axis};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 4}}, indices({3, 2}, {0, 3, 1, 1, 2, 0})}, with({-1})},
            {{Sample{{4, 2}}, indices({3, 2}, {3, 0, 1, 0, 3, 2})}, with({-2})},
            {{Sample{{5, 3}}, indices({4, 1}, {0, 2, 2, 4})}, with({-2})},
            {{Sample{{2, 3}}, indices({4}, {2, 0, 0, 1})}, with({-1})},
            {{Sample{{2, 4, 3}}, indices({1, 2, 1}, {3, 1})}, with({-2})},
            {{Sample{{4}}, indices({2, 3}, {0, 3, 3, 1, 2, 0})}, with({-1})},
            {{Sample{{2, 1, 3}}, indices({1, 3, 2}, {0, 1, 2, 2, 1, 0})}, with({-1})},
            {{Sample{{3, 0}}, indices({3, 0}, {})}, with({-1})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    return {{{Sample{.shape = {3}, .values = {1, 2, 3}}, indices({4}, {2, 0, 2, 2})},
             with({-1}),
             {3, 1, 3, 3},
             {{1, 0, 3}}},
            {{Sample{.shape = {2}, .values = {infinity, nan}}, indices({2}, {1, 0})},
             with({-1}),
             {nan, infinity},
             {{1, 1}}},
            {{Sample{{0, 3}}, indices({0, 1}, {})}, with({-2}), {}},
            {{Sample{.shape = {1}, .values = {7}}, indices({1}, {0})}, with({-1}), {7}, {{1}}},
            {{Sample{.shape = {2}, .values = {7, 8}}, indices({0}, {})}, with({-1}), {}, {{0, 0}}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    const Type x{Dtype::f32, {2, 3}};
    return {
        {{x, {Dtype::f32, {2, 1}}}, with({-1}), "indices are f32: need i32 (use cast)"},
        {{x, {Dtype::i32, {3, 1}}}, with({-1}), "shapes do not broadcast beside axis -1: [2, 3] and indices [3, 1]"},
        {{x, {Dtype::i32, {3}}}, with({-2}), "axis -2 is out of range for 1 axis"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const int axis = arguments(a).axis;
    Index i = 0;
    for_each(out.shape, axis, in[0].shape(), in[1].shape(), out.shape, [&](Index x, Index which, Index, Index) {
      result.set(i++, in[0].at(x + static_cast<Index>(in[1].at(which)) * stride_of(in[0].shape(), axis)));
    });
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const TakeAlong take_along_op;

struct ScatterAddArguments {
  Axis axis = -1;
  Index extent = 0;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("axis", axis), visit("extent", extent);
  }
};

// x, indices -> zeros of `extent` along `axis`, to which every element of x is added at its index. Each element of the
// result is summed by one thread in ascending order of x.
struct ScatterAdd final : Indexing<ScatterAddArguments> {
  ScatterAdd() : Indexing("scatter_add") {}

  Type infer(const Signature& s) const override {
    Shape out = beside(s);
    const int axis = arguments(s).axis;
    if (s.shape(0)[axis] != s.shape(1)[axis])
      reject(fmt::format("needs one index for each element along axis {}: {} and indices {}", axis,
                         to_string(s.shape(0)), to_string(s.shape(1))));
    out.set(axis, arguments(s).extent);
    return {s.dtype(0), out};
  }
  void run(const Kernel& k) const override {
    check_range(k, k.out_shape());
    const int axis = arguments(k).axis;
    using Places = Lanes<3>::Places;  // in x, in the indices, in the result
    const Places along{stride_of(k.shape(0), axis), stride_of(k.shape(1), axis), stride_of(k.out_shape(), axis)};
    Lanes<3> lanes;
    Shape beside = k.out_shape();
    beside.set(axis, 1);
    for (int a = -beside.rank(); a < 0; ++a)
      if (a != axis)
        lanes.add_axis(beside[a], {stretched_stride(k.shape(0), beside, a), stretched_stride(k.shape(1), beside, a),
                                   stride_of(k.out_shape(), a)});
    const Index count = k.shape(0)[axis], grain = std::max<Index>(16, (Index{1} << 14) / std::max<Index>(1, count));
    const std::int32_t* indices = k.in<std::int32_t>(1);
    dispatch(k.type.dtype, [&]<class T>() {
      T* out = k.out<T>();
      parallel_pieces(k.out_shape().size(), Index{1} << 15,
                      [&](Index begin, Index end) { std::fill(out + begin, out + end, T(0)); });
      parallel_pieces(beside.size(), grain, [&](Index begin, Index end) {
        lanes.visit(begin, end, [&](const Places& at, Index n, const Places& step) {
          const auto add_row = [&](Index i, Index first, Index last) {  // element i of lanes [first, last)
            const T* x = k.in<T>(0) + at[0] + i * along[0];
            const std::int32_t* which = indices + at[1] + i * along[1];
            if (step == Places{1, 0, 1}) {  // whole rows
              T* const to = out + at[2] + *which * along[2];
              for (Index j = first; j < last; ++j) to[j] += x[j];
              return;
            }
            for (Index j = first; j < last; ++j)
              out[at[2] + j * step[2] + which[j * step[1]] * along[2]] += x[j * step[0]];
          };
          if (step[2] == 1)
            for (Index i = 0; i < count; ++i) add_row(i, 0, n);
          else
            for (Index j = 0; j < n; ++j)
              for (Index i = 0; i < count; ++i) add_row(i, j, j + 1);
        });
      });
    });
  }
  Var vjp(const Call& c, int i, Var g) const override {
    return i == 0 ? take_along(g, c.in(1), arguments(c).axis) : Var{};
  }
  Rows rows(const Signature& s, const Type& out, int operand, int axis) const override {
    if (axis == arguments(s).axis || s.shape(operand)[axis] != out.shape[axis]) return {RowRule::mixes, 0};
    return {RowRule::keeps, axis};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 2}}, indices({3, 2}, {0, 3, 1, 1, 2, 0})}, with({-1, 4})},
            {{Sample{{3, 2}}, indices({3, 2}, {3, 0, 1, 0, 3, 2})}, with({-2, 4})},
            {{Sample{{4, 3}}, indices({4, 1}, {0, 2, 2, 4})}, with({-2, 5})},
            {{Sample{{2, 4}}, indices({4}, {2, 0, 0, 1})}, with({-1, 3})},
            {{Sample{{2, 2, 3}}, indices({1, 2, 1}, {3, 1})}, with({-2, 4})},
            {{Sample{{3}}, indices({2, 3}, {0, 3, 3, 1, 2, 0})}, with({-1, 4})},
            {{Sample{{2, 1, 2}}, indices({1, 3, 2}, {0, 1, 2, 2, 1, 0})}, with({-1, 3})},
            {{Sample{{3, 0}}, indices({3, 0}, {})}, with({-1, 2})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    return {{{Sample{.shape = {4}, .values = {1, 2, 3, 4}}, indices({4}, {2, 0, 2, 2})},
             with({-1, 4}),
             {2, 0, 8, 0},
             {{1, 1, 1, 1}}},
            {{Sample{.shape = {3}, .values = {infinity, -infinity, 1}}, indices({3}, {0, 0, 1})},
             with({-1, 2}),
             {nan, 1},
             {{1, 1, 1}}},
            {{Sample{{0}}, indices({0}, {})}, with({-1, 2}), {0, 0}},
            {{Sample{{0}}, indices({0}, {})}, with({-1, 0}), {}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    const Type x{Dtype::f32, {2, 3}};
    const Attributes into = with({-1, 4});
    return {
        {{x, {Dtype::f64, {2, 3}}}, into, "indices are f64: need i32 (use cast)"},
        {{x, {Dtype::i32, {2, 2}}}, into, "needs one index for each element along axis -1: [2, 3] and indices [2, 2]"},
        {{x, {Dtype::i32, {3, 3}}}, into, "shapes do not broadcast beside axis -1"},
        {{x, {Dtype::i32, {3}}}, with({-1, -1}), "extents cannot be negative, got -1"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const int axis = arguments(a).axis;
    Shape all = out.shape;
    all.set(axis, in[0].shape()[axis]);
    for_each(all, axis, in[0].shape(), in[1].shape(), out.shape, [&](Index x, Index which, Index to, Index i) {
      to += static_cast<Index>(in[1].at(which)) * stride_of(out.shape, axis);
      result.set(to, result.at(to) + in[0].at(x + i * stride_of(in[0].shape(), axis)));
    });
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const ScatterAdd scatter_add_op;

// [m] -> [m, 1, ..., 1]: the same indices for all that lies inside the axis
Var for_all_inside(const Operand& indices, int axis, const char* op) {
  if (indices.is_number() || indices.rank() != 1)
    refuse(indices, op,
           fmt::format("needs indices of one axis, got {}",
                       indices.is_number() ? "a number" : "shape " + to_string(indices.shape())));
  Shape shape = indices.shape();
  for (int inside = axis + 1; inside < 0; ++inside) shape.append(1);
  return axis == -1 ? indices.var() : reshape(indices, shape);
}

}  // namespace

Var take_along(Operand x, Operand indices, Axis axis) {
  return record(take_along_op, {x, indices}, TakeAlong::with({axis_of(x, axis, "take_along")}));
}

Var scatter_add(Operand x, Operand indices, Axis axis, Integer extent) {
  return record(scatter_add_op, {x, indices}, ScatterAdd::with({axis_of(x, axis, "scatter_add"), extent}));
}

Var index_select(Operand x, Axis axis, Operand indices) {
  axis = axis_of(x, axis, "index_select");
  const Scope scope(x, "index_select");
  return take_along(x, for_all_inside(indices, axis, "index_select"), axis);
}

Var index_add(Operand x, Axis axis, Operand indices, Operand updates) {
  axis = axis_of(x, axis, "index_add");
  const Scope scope(x, "index_add");
  return x + scatter_add(updates, for_all_inside(indices, axis, "index_add"), axis, x.extent(axis));
}

Var one_hot(Operand indices, Integer count) {
  const Scope scope(indices, "one_hot");
  Tape& tape = indices.tape();
  const Var one = tape.full(Type{tape.dtype(), {1}}, 1);
  return scatter_add(one, reshape(indices, indices.shape().followed_by({1})), -1, count);
}

Var bincount(Operand indices, Operand weights, Integer count) {
  if (indices.rank() != 1 || weights.shape() != indices.shape())
    refuse(indices, "bincount",
           fmt::format("needs indices of one axis, and as many weights, got {} and {}", to_string(indices.shape()),
                       to_string(weights.shape())));
  const Scope scope(indices, "bincount");
  return scatter_add(weights, indices, -1, count);
}
Var bincount(Operand indices, Integer count) {
  Tape& tape = indices.tape();
  const Scope scope(indices);
  return bincount(indices, tape.full(Type{tape.dtype(), indices.shape()}, 1), count);
}

Var fill_triangular(Operand x, FillTriangularOptions options) {
  const Index length = x.rank() == 0 ? -1 : x.extent(-1);
  Index n = 0;
  while (n * (n + 1) / 2 < length) ++n;
  if (length != n * (n + 1) / 2)
    refuse(x, "fill_triangular",
           fmt::format("needs n (n + 1) / 2 elements on the last axis, got shape {}", to_string(x.shape())));
  const Scope scope(x, "fill_triangular");
  std::vector<std::int32_t> places;
  for (Index i = 0; i < n; ++i)
    for (Index j = options.upper ? i : 0; j < (options.upper ? n : i + 1); ++j)
      places.push_back(static_cast<std::int32_t>(i * n + j));
  const Var at = x.tape().input(Array::of<std::int32_t>({length}, places));
  return reshape(scatter_add(x, at, -1, n * n), x.shape().leading(x.rank() - 1).followed_by({n, n}));
}

}  // namespace wengert
