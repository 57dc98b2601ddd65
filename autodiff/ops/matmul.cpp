#include <fmt/format.h>

#include <algorithm>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/kernels/products.hpp"
#include "autodiff/kernels/strided.hpp"
#include "autodiff/op.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/composite.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// The extents of a product: batch axes, m, n and k, after transposition.
struct Extents {
  Shape batch;
  Index m, n, k;
};

Extents extents_of(const Signature& s) {
  const auto [ta, tb] = arguments_of<MatmulOptions>(s.attributes);
  const Shape &a = s.shape(0), &b = s.shape(1);
  Extents e{{}, ta ? a[-1] : a[-2], tb ? b[-2] : b[-1], ta ? a[-2] : a[-1]};
  if (a.rank() > 2 || b.rank() > 2) {
    const auto batch = broadcast(a.leading(a.rank() - 2), b.leading(b.rank() - 2));
    if (!batch) reject(fmt::format("leading axes do not broadcast: {} x {}", to_string(a), to_string(b)));
    e.batch = *batch;
  }
  if (e.k != (tb ? b[-1] : b[-2]))
    reject(fmt::format("inner extents differ: {}{} x {}{}", to_string(a), ta ? " transposed" : "", to_string(b),
                       tb ? " transposed" : ""));
  return e;
}

struct Matmul final : OpOf<Matmul, OpWith<MatmulOptions>> {
  Matmul() : OpOf({.name = "matmul", .arity = 2, .linearity = Linearity::bilinear}) {}

  Type infer(const Signature& s) const override {
    for (int i = 0; i < 2; ++i) {
      if (!is_float(s.dtype(i))) reject(fmt::format("operand {} is i32: needs f32 or f64 (use cast)", i));
      if (s.shape(i).rank() < 2)
        reject(fmt::format("operand {} needs at least 2 axes, got shape {}", i, to_string(s.shape(i))));
    }
    if (s.dtype(0) != s.dtype(1))
      reject(fmt::format("operands differ in dtype: {} and {} (use cast)", name_of(s.dtype(0)), name_of(s.dtype(1))));
    Extents e = extents_of(s);
    e.batch.append(e.m);
    e.batch.append(e.n);
    return {s.dtype(0), e.batch};
  }

  // A first operand that is transposed shares its rows with the second: the sum over k runs over a batch.
  Grouping partial_sums(const Signature& s, const Type& out) const override {
    return partial_sums(s, out, extents_of(s));
  }
  static Grouping partial_sums(const Signature& s, const Type& out, const Extents& e) {
    if (!arguments(s).transpose_a) return {};
    return group_rows(e.k, e.m * e.n * static_cast<Index>(size_of(out.dtype)));
  }
  template <class T>
  static Strided<const T> right(const Signature& s, const T* data) {
    const Strided<const T> b{data, s.shape(1)[-1], 1};
    return arguments(s).transpose_b ? b.transposed() : b;
  }

  // The number of products in a row that have the first operand in common, of which the second has a stack (of
  // tangents, say).
  template <class T>
  Index stacked(const Signature& s, const Extents& e, Index groups) const {
    const int rank = e.batch.rank();
    if (rank == 0 || groups > 1 || e.k == 0 || !worth_stacking<T>(e.m, e.n)) return 1;
    const Shape a = s.shape(0).leading(s.shape(0).rank() - 2).padded(rank);
    const Shape b = s.shape(1).leading(s.shape(1).rank() - 2).padded(rank);
    Index count = 1;
    for (int axis = 0; axis < rank && a[axis] == 1 && b[axis] == e.batch[axis]; ++axis) count *= b[axis];
    return count;
  }

  std::size_t scratch_bytes(const Signature& s, const Type& out) const override {
    return dispatch_float(out.dtype, [&]<class T>() {
      const Extents e = extents_of(s);
      const Grouping grouping = partial_sums(s, out, e);
      const Index partials = partials_size(grouping, e), in_common = stacked<T>(s, e, grouping.groups);
      const Index packed = in_common > 1         ? in_common * e.n * e.k
                           : grouping.groups > 1 ? right<T>(s, nullptr).column == 1 ? 0 : e.n * e.k
                                                 : pack_size(e.m, e.n, e.k, right<T>(s, nullptr));
      return static_cast<std::size_t>(partials + packed) * sizeof(T);
    });
  }

  static Index partials_size(const Grouping& grouping, const Extents& e) {
    return grouping.groups > 1 ? grouping.slots() * e.m * e.n : 0;
  }

  template <class T>
  void compute(const Kernel& k) const {
    const Signature& s = k.signature;
    const bool ta = arguments(s).transpose_a;
    Extents e = extents_of(s);
    if (!ta && s.shape(1).rank() == 2) {  // leading axes that only the first operand has are more rows of one product
      e.m *= e.batch.size();
      e.batch = {};
    }
    const Grouping grouping = partial_sums(s, k.type, e);
    const Index count = e.batch.size(), in_common = stacked<T>(s, e, grouping.groups);
    Walk a_walk, b_walk;
    if (e.batch.rank() > 0) {
      a_walk = broadcast_walk(k.shape(0).leading(k.shape(0).rank() - 2), e.batch);
      b_walk = broadcast_walk(k.shape(1).leading(k.shape(1).rank() - 2), e.batch);
    }
    T* scratch = static_cast<T*>(k.scratch);
    for (Index i = 0, products = count / std::max<Index>(in_common, 1); i < products; ++i) {
      const Strided<const T> a{k.in<T>(0) + position_of(a_walk, i) * e.m * e.k, ta ? e.m : e.k, 1};
      const Strided<const T> b = right<T>(s, k.in<T>(1) + position_of(b_walk, i) * e.k * e.n);
      const Strided<T> out{k.out<T>() + i * e.m * e.n, e.n, 1};
      if (grouping.groups > 1)
        multiply_grouped(grouping, e.m, e.n, e.k, a.transposed(), b, out, scratch,
                         scratch + partials_size(grouping, e));
      else if (in_common > 1)
        multiply_stack(in_common, e.m, e.n, e.k, ta ? a.transposed() : a, b,
                       (position_of(b_walk, products) - position_of(b_walk, 0)) * e.k * e.n, out, products * e.m * e.n,
                       scratch);
      else
        multiply(e.m, e.n, e.k, ta ? a.transposed() : a, b, out, scratch);
    }
  }

  // C = A B: dA = G B', dB = A' G, with the operands' own transpositions folded into flags.
  Var vjp(const Call& c, int i, Var g) const override {
    const auto [ta, tb] = arguments(c);
    if (i == 0)
      return ta ? matmul(c.in(1), g, {.transpose_a = tb, .transpose_b = true})
                : matmul(g, c.in(1), {.transpose_a = false, .transpose_b = !tb});
    return tb ? matmul(g, c.in(0), {.transpose_a = true, .transpose_b = ta})
              : matmul(c.in(0), g, {.transpose_a = !ta, .transpose_b = false});
  }

  Rows rows(const Signature& s, const Type& out, int operand, int axis) const override {
    const auto [ta, tb] = arguments(s);
    if (axis >= -2) {
      const int kept = operand == 0 ? -2 : -1;  // the output's axis that this operand brings
      const int mine = (operand == 0 ? ta : tb) ? -3 - kept : kept;
      return axis == mine ? Rows{RowRule::keeps, kept} : Rows{RowRule::reduces, 0};
    }
    return s.shape(operand)[axis] == out.shape[axis] ? Rows{RowRule::keeps, axis} : Rows{RowRule::mixes, 0};
  }

  Cost cost(const Signature& s, const Type& out) const override {
    Cost cost = Op::cost(s, out);
    cost.flops = 2 * static_cast<double>(out.shape.size()) * static_cast<double>(extents_of(s).k);
    return cost;
  }

  std::vector<Example> examples() const override {
    return {{{Sample{{3, 4}}, Sample{{4, 2}}}, with({})},
            {{Sample{{4, 3}}, Sample{{4, 2}}}, with({.transpose_a = true})},
            {{Sample{{3, 4}}, Sample{{2, 4}}}, with({.transpose_b = true})},
            {{Sample{{4, 3}}, Sample{{2, 4}}}, with({true, true})},
            {{Sample{{2, 3, 4}}, Sample{{4, 5}}}, with({})},
            {{Sample{{3, 4}}, Sample{{2, 4, 2}}}, with({})},
            {{Sample{{2, 3, 4}}, Sample{{2, 4, 5}}}, with({})},
            {{Sample{{2, 1, 4, 3}}, Sample{{3, 4, 2}}}, with({.transpose_a = true})},
            {{Sample{{133, 3}}, Sample{{133, 2}}},
             with({.transpose_a = true})},  // a sum over enough rows to be cut into groups
            {{Sample{{133, 3}}, Sample{{2, 133}}}, with({true, true})},
            {{Sample{{9, 5}}, Sample{{5, 37}}}, with({})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    const Attributes plain = with({});
    return {{{Sample{{2, 0}}, Sample{{0, 2}}}, plain, {0, 0, 0, 0}}, {{Sample{{0, 3}}, Sample{{3, 2}}}, plain, {}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    const Attributes plain = with({});
    const auto f32 = [](Shape shape) { return Type{Dtype::f32, shape}; };
    return {{{f32({32, 68}), f32({70, 256})}, plain, "inner extents differ: [32, 68] x [70, 256]"},
            {{f32({3}), f32({3, 2})}, plain, "operand 0 needs at least 2 axes, got shape [3]"},
            {{f32({2, 3, 4}), f32({5, 4, 2})}, plain, "leading axes do not broadcast"},
            {{f32({3, 4}), {Dtype::f64, {4, 2}}}, plain, "operands differ in dtype: f32 and f64"},
            {{{Dtype::i32, {2, 2}}, f32({2, 2})}, plain, "operand 0 is i32"}};
  }
  Array reference(std::span<const Array> in, const Attributes& attributes, const Type& out) const override {
    const std::array<Type, 2> types{in[0].type(), in[1].type()};
    const std::array<const Type*, 2> pointers{&types[0], &types[1]};
    const Extents e = extents_of({pointers, attributes});
    const auto [ta, tb] = arguments(attributes);
    Array result(Dtype::f64, out.shape);
    const Walk a_walk = broadcast_walk(in[0].shape().leading(in[0].shape().rank() - 2), e.batch);
    const Walk b_walk = broadcast_walk(in[1].shape().leading(in[1].shape().rank() - 2), e.batch);
    for (Index r = 0; r < result.size(); ++r) {
      const Index batch = r / (e.m * e.n), i = r / e.n % e.m, j = r % e.n;
      const Index a = position_of(a_walk, batch) * e.m * e.k, b = position_of(b_walk, batch) * e.k * e.n;
      long double total = 0;
      for (Index p = 0; p < e.k; ++p)
        total += static_cast<long double>(in[0].at(a + (ta ? p * e.m + i : i * e.k + p))) *
                 in[1].at(b + (tb ? j * e.k + p : p * e.n + j));
      result.set(r, static_cast<double>(total));
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Matmul matmul_instance;

}  // namespace

const Op& matmul_op() { return matmul_instance; }

Var matmul(Operand a, Operand b, MatmulOptions options) {
  const auto rank = [](const Operand& x) { return x.is_number() ? 0 : x.rank("matmul"); };
  const int rank_a = rank(a), rank_b = rank(b);
  const bool row = rank_a == 1, column = rank_b == 1;
  if (rank_a == 0 || rank_b == 0 || (!row && !column)) return record(matmul_op(), {a, b}, Matmul::with(options));
  const Index inner_a = a.extent(row || !options.transpose_a ? -1 : -2);
  if (inner_a != b.extent(column || options.transpose_b ? -1 : -2))
    refuse(a, "matmul", fmt::format("inner extents differ: {} x {}", to_string(a.shape()), to_string(b.shape())));
  const Scope scope(a);
  const Var left = row ? reshape(a, {1, inner_a}) : a.var(), right = column ? reshape(b, {inner_a, 1}) : b.var();
  const Var product = matmul(left, right, {options.transpose_a && !row, options.transpose_b && !column});
  const Shape& shape = product.shape();
  Shape kept = shape.leading(shape.rank() - 2);
  if (!row) kept.append(shape[-2]);
  if (!column) kept.append(shape[-1]);
  return reshape(product, kept);
}

}  // namespace wengert
