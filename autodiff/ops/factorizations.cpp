// Triangular systems and the Cholesky factorization on the last two axes; leading axes are a batch. Every element is
// one chain of products, ascending (solved unknowns in the order in which they are solved): the same bits however
// matrices and columns are split. Derivatives: M. Giles, "An extended collection of matrix derivative results for
// forward and reverse mode algorithmic differentiation" (2008); I. Murray, "Differentiation of the Cholesky
// decomposition" (2016).
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "autodiff/kernels/lanes.hpp"
#include "autodiff/kernels/products.hpp"
#include "autodiff/op.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/matrices.hpp"

namespace wengert {
namespace {

// x of a x = b in place of b, columns of x `columns` apart; a is lower triangular (solved from the first row on) or
// upper
template <class T>
void solve_in_place(Index n, Index width, Strided<const T> a, bool lower, T* x, Index columns) {
  for (Index step = 0; step < n; ++step) {
    const Index i = lower ? step : n - 1 - step;
    T* row = x + i * columns;
    for (Index before = 0; before < step; ++before) {
      const Index p = lower ? before : n - 1 - before;
      const T factor = *a.at(i, p).data;
      const T* solved = x + p * columns;
      for (Index j = 0; j < width; ++j) row[j] -= factor * solved[j];
    }
    const T pivot = *a.at(i, i).data;
    for (Index j = 0; j < width; ++j) row[j] /= pivot;
  }
}

// a [..., n, n], b [..., n, k] -> x with a x = b, or a' x = b
struct TriangularSolve final : OpOf<TriangularSolve, OpWith<TriangularSolveOptions>> {
  TriangularSolve() : OpOf({.name = "triangular_solve", .arity = 2, .linearity = Linearity::custom_jvp}) {}

  Type infer(const Signature& s) const override {
    const Shape &a = s.shape(0), &b = s.shape(1);
    for (int i = 0; i < 2; ++i) {
      if (!is_float(s.dtype(i))) reject(fmt::format("operand {} is i32: needs f32 or f64 (use cast)", i));
      if (s.shape(i).rank() < 2)
        reject(fmt::format("operand {} needs at least 2 axes, got shape {}", i, to_string(s.shape(i))));
    }
    if (s.dtype(0) != s.dtype(1))
      reject(fmt::format("operands differ in dtype: {} and {} (use cast)", name_of(s.dtype(0)), name_of(s.dtype(1))));
    if (a[-1] != a[-2]) reject(fmt::format("needs square matrices, got {}", to_string(a)));
    if (a[-1] != b[-2])
      reject(fmt::format("matrices and right-hand sides differ in rows: {} and {}", to_string(a), to_string(b)));
    const auto batch = broadcast(batch_of(a), batch_of(b));
    if (!batch) reject(fmt::format("leading axes do not broadcast: {} and {}", to_string(a), to_string(b)));
    return {s.dtype(0), batch->followed_by({b[-2], b[-1]})};
  }

  template <class T>
  void compute(const Kernel& k) const {
    const TriangularSolveOptions o = arguments(k);
    const Index n = k.out_shape()[-2], columns = k.out_shape()[-1], width = 64;
    const Shape batch = batch_of(k.out_shape());
    Lanes<2> lanes;
    for (int axis = -batch.rank(); axis < 0; ++axis)
      lanes.add_axis(batch[axis], {stretched_stride(batch_of(k.shape(0)), batch, axis) * n * n,
                                   stretched_stride(batch_of(k.shape(1)), batch, axis) * n * columns});
    const Index strips = (columns + width - 1) / width, work = n * n * std::min(columns, width);
    const auto solve_strip = [&](Index matrix, Index first) {
      lanes.visit(matrix, matrix + 1, [&](const auto& at, Index, const auto&) {
        const Strided<const T> a{k.in<T>(0) + at[0], n, 1};
        const T* b = k.in<T>(1) + at[1] + first;
        T* x = k.out<T>() + matrix * n * columns + first;
        const Index count = std::min(width, columns - first);
        for (Index i = 0; i < n; ++i) std::copy_n(b + i * columns, count, x + i * columns);
        solve_in_place(n, count, o.transpose ? a.transposed() : a, o.upper == o.transpose, x, columns);
      });
    };
    const Index grain = std::max<Index>(1, (Index{1} << 14) / std::max<Index>(1, work));
    parallel_pieces(batch.size() * strips, grain, [&](Index begin, Index end) {
      for (Index piece = begin; piece < end; ++piece) solve_strip(piece / strips, piece % strips * width);
    });
  }

  // a x = b: the cotangent of b is u with a' u = g, that of a is -u x' in a's triangle.
  void vjps(const Call& c, Var g, std::span<Cotangent> operands) const override {
    TriangularSolveOptions adjoint = arguments(c);
    adjoint.transpose = !adjoint.transpose;
    const Var u = operands[1].value = triangular_solve(c.in(0), g, adjoint);
    if (!operands[0].wanted) return;
    const Var product =
        adjoint.transpose ? matmul(u, c.out(), {.transpose_b = true}) : matmul(c.out(), u, {.transpose_b = true});
    operands[0].value = -triangle(c, product);
  }
  // a dx = db - da x
  Var jvp(const Call& c, std::span<const Var> t) const override {
    const int rank = c.out_shape().rank();
    Var right = t[1].is_null() ? Var{} : full_stack(t[1], c.shape(1), rank);
    if (!t[0].is_null()) {
      const Var moved =
          matmul(triangle(c, full_stack(t[0], c.shape(0), rank)), c.out(), {.transpose_a = arguments(c).transpose});
      right = right.is_null() ? -moved : right - moved;
    }
    return triangular_solve(c.in(0), right, arguments(c));
  }
  Rows rows(const Signature& s, const Type& out, int operand, int axis) const override {
    if (operand == 1 && axis == -1) return {RowRule::keeps, -1};
    if (axis >= -2 || s.shape(operand)[axis] != out.shape[axis]) return {RowRule::mixes, 0};
    return {RowRule::keeps, axis};
  }
  Cost cost(const Signature& s, const Type& out) const override {
    Cost cost = Op::cost(s, out);
    cost.flops = static_cast<double>(out.shape.size()) * static_cast<double>(out.shape[-2]);
    return cost;
  }
  double tolerance(Dtype dtype) const override { return dtype == Dtype::f32 ? 1e-5 : 1e-13; }

  std::vector<Example> examples() const override {
    const auto well = [](Shape shape) { return Sample{shape, 0.5, 2}; };  // pivots away from 0
    return {{{well({3, 3}), Sample{{3, 2}}}, with({})},
            {{well({3, 3}), Sample{{3, 2}}}, with({.upper = true})},
            {{well({3, 3}), Sample{{3, 1}}}, with({.transpose = true})},
            {{well({3, 3}), Sample{{3, 2}}}, with({true, true})},
            {{well({2, 2, 2}), Sample{{2, 2, 1}}}, with({})},
            {{well({2, 2}), Sample{{3, 2, 2}}}, with({.transpose = true})},
            {{well({2, 1, 2, 2}), Sample{{3, 2, 1}}}, with({.upper = true})},
            {{well({2, 2, 2}), Sample{{2, 1}}}, with({})},
            {{well({2, 2}), Sample{{2, 70}}}, with({})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    const Attributes plain = with({});
    return {{{Sample{.shape = {2, 2}, .values = {2, nan, 1, 4}}, Sample{.shape = {2, 1}, .values = {2, 5}}},
             plain,
             {1, 1},
             {{-0.375, 0, -0.25, -0.25}, {0.375, 0.25}}},  // the other triangle is not read
            {{Sample{.shape = {1, 1}, .values = {0}}, Sample{.shape = {1, 1}, .values = {1}}},
             plain,
             {infinity},
             {{-infinity}, {infinity}}},
            {{Sample{{0, 0}}, Sample{{0, 2}}}, plain, {}},
            {{Sample{.shape = {1, 1}, .values = {1}}, Sample{{1, 0}}}, plain, {}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    const Attributes plain = with({});
    const auto f32 = [](Shape shape) { return Type{Dtype::f32, shape}; };
    return {{{f32({2, 3}), f32({3, 1})}, plain, "needs square matrices, got [2, 3]"},
            {{f32({3, 3}), f32({2, 1})}, plain, "matrices and right-hand sides differ in rows: [3, 3] and [2, 1]"},
            {{f32({3, 3}), f32({3})}, plain, "operand 1 needs at least 2 axes, got shape [3]"},
            {{f32({2, 3, 3}), f32({4, 3, 1})}, plain, "leading axes do not broadcast: [2, 3, 3] and [4, 3, 1]"},
            {{f32({3, 3}), {Dtype::f64, {3, 1}}}, plain, "operands differ in dtype: f32 and f64"},
            {{{Dtype::i32, {3, 3}}, f32({3, 1})}, plain, "operand 0 is i32"}};
  }
  // Gauss-Jordan elimination on the whole matrix.
  Array reference(std::span<const Array> in, const Attributes& attributes, const Type& out) const override {
    const TriangularSolveOptions o = arguments(attributes);
    Array result(Dtype::f64, out.shape);
    const Index n = out.shape[-2], columns = out.shape[-1];
    const Shape batch = batch_of(out.shape);
    std::vector<Index> numbers[2];  // which matrix of each operand belongs to a matrix of the result
    for (std::size_t operand = 0; operand < 2; ++operand)
      for (Index m = 0; m < batch.size(); ++m) {
        Index at = 0;
        const Shape own = batch_of(in[operand].shape());
        for (int axis = -own.rank(); axis < 0; ++axis)
          if (own[axis] != 1) at += m / stride_of(batch, axis) % batch[axis] * stride_of(own, axis);
        numbers[operand].push_back(at);
      }
    for (Index m = 0; m < batch.size(); ++m) {
      const Index a_at = numbers[0][static_cast<std::size_t>(m)] * n * n;
      const Index b_at = numbers[1][static_cast<std::size_t>(m)] * n * columns;
      std::vector<std::vector<double>> rows;
      for (Index i = 0; i < n; ++i) {
        std::vector<double>& row = rows.emplace_back();
        for (Index j = 0; j < n; ++j) {
          const Index r = o.transpose ? j : i, c = o.transpose ? i : j;
          row.push_back((o.upper ? c >= r : c <= r) ? in[0].at(a_at + r * n + c) : 0);
        }
        for (Index j = 0; j < columns; ++j) row.push_back(in[1].at(b_at + i * columns + j));
      }
      for (std::size_t p = 0; p < rows.size(); ++p)
        for (std::size_t i = 0; i < rows.size(); ++i) {
          if (i == p) continue;
          const double factor = rows[i][p] / rows[p][p];
          for (std::size_t j = 0; j < rows[i].size(); ++j) rows[i][j] -= factor * rows[p][j];
        }
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < columns; ++j) {
          const auto& row = rows[static_cast<std::size_t>(i)];
          result.set((m * n + i) * columns + j,
                     row[static_cast<std::size_t>(n + j)] / row[static_cast<std::size_t>(i)]);
        }
    }
    return result;
  }

 private:
  static Var triangle(const Call& c, Var x) { return arguments(c).upper ? triu(x) : tril(x); }
};
[[gnu::init_priority(library_ops)]] const TriangularSolve triangular_solve_op;

// x where column < row, half of it on the diagonal, 0 above
Var lower_half(Var x) { return 0.5 * (tril(x) + tril(x, -1)); }

// The lower factor of (a + a')/2, zero above the diagonal. Returns the first row whose pivot is not positive and leaves
// the pivot in its place; n when all are.
template <class T>
Index factor(Index n, const T* a, T* l) {
  for (Index i = 0; i < n; ++i) {
    T* row = l + i * n;
    for (Index j = 0; j <= i; ++j) {
      const T* other = l + j * n;
      T rest = T(0.5) * (a[i * n + j] + a[j * n + i]);
      for (Index p = 0; p < j; ++p) rest -= row[p] * other[p];
      row[j] = i == j ? rest : rest / other[j];
    }
    if (!(row[i] > 0)) return i;
    row[i] = std::sqrt(row[i]);
    std::fill(row + i + 1, row + n, T(0));
  }
  return n;
}

// a [..., n, n] -> l [..., n, n], lower triangular with a positive diagonal, l l' = (a + a')/2
struct Cholesky final : OpOf<Cholesky> {
  Cholesky() : OpOf({.name = "cholesky", .linearity = Linearity::custom_jvp}) {}

  Type infer(const Signature& s) const override {
    const Shape& a = s.shape(0);
    if (!is_float(s.dtype(0))) reject("operand 0 is i32: needs f32 or f64 (use cast)");
    if (a.rank() < 2 || a[-1] != a[-2]) reject(fmt::format("needs square matrices, got {}", to_string(a)));
    return *s.in[0];
  }
  template <class T>
  void compute(const Kernel& k) const {
    const Index n = k.out_shape()[-1], count = batch_of(k.out_shape()).size();
    const Index grain = std::max<Index>(1, (Index{1} << 14) / std::max<Index>(1, n * n * n));
    std::atomic<bool> refused = false;
    const auto pivot_row = [&](Index i) { return factor(n, k.in<T>(0) + i * n * n, k.out<T>() + i * n * n); };
    parallel_pieces(count, grain, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i)
        if (pivot_row(i) < n) refused = true;
    });
    for (Index i = 0; refused && i < count; ++i)  // on the calling thread: nothing is thrown inside a region
      if (const Index row = pivot_row(i); row < n)
        reject(fmt::format("{} is not positive definite: pivot {} is {:g}", name_of_matrix(i, k.out_shape()), row,
                           k.out<T>()[(i * n + row) * n + row]));
  }
  // l' dl l^-T = Phi(l^-1 da l^-T), Phi = lower_half; da is symmetric.
  Var vjp(const Call& c, int, Var g) const override {
    const Var l = c.out();
    const Var half = triangular_solve(l, lower_half(matmul(l, g, {.transpose_a = true})), {.transpose = true});
    return symmetric(triangular_solve(l, swapaxes(half, -1, -2), {.transpose = true}));
  }
  Var jvp(const Call& c, std::span<const Var> t) const override {
    const Var l = c.out();
    const Var half = triangular_solve(l, symmetric(full_stack(t[0], c.shape(0))));
    return matmul(l, lower_half(triangular_solve(l, swapaxes(half, -1, -2))));
  }
  Rows rows(const Signature&, const Type&, int, int axis) const override {
    return {axis < -2 ? RowRule::keeps : RowRule::mixes, axis};
  }
  Cost cost(const Signature& s, const Type& out) const override {
    Cost cost = Op::cost(s, out);
    cost.flops = static_cast<double>(out.shape.size()) * static_cast<double>(out.shape[-1]) / 3;
    return cost;
  }
  double tolerance(Dtype dtype) const override { return dtype == Dtype::f32 ? 1e-5 : 1e-13; }

  std::vector<Example> examples() const override {
    return {{{Sample{.shape = {3, 3}, .values = {4, 1, -0.5, 1, 3, 0.7, -0.5, 0.7, 2}}}},
            {{Sample{.shape = {2, 2}, .values = {3, -1, 0.4, 2}}}},  // not symmetric: its symmetric part counts
            {{Sample{.shape = {2, 2, 2}, .values = {3, 1, 1, 2, 1.5, -0.5, -0.5, 2.5}}}},
            {{Sample{{2, 1, 1, 1}, 0.5, 2}}}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    return {{{Sample{.shape = {2, 2}, .values = {4, 0, 4, 5}}}, {}, {2, 0, 1, 2}, {{0.1875, 0.125, 0.125, 0.25}}},
            {{Sample{.shape = {1, 1}, .values = {4}}}, {}, {2}, {{0.25}}},
            {{Sample{{0, 0}}}, {}, {}},
            {{Sample{{0, 2, 2}}}, {}, {}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, {}, "needs square matrices, got [2, 3]"},
            {{{Dtype::f32, {2}}}, {}, "needs square matrices, got [2]"},
            {{{Dtype::i32, {2, 2}}}, {}, "operand 0 is i32"}};
  }
  // By outer products: each column is taken off what is left of the matrix.
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Index n = out.shape[-1];
    for (Index start = 0; start < result.size(); start += n * n) {
      std::vector<double> left;
      for (Index i = 0; i < n * n; ++i) left.push_back((in[0].at(start + i) + in[0].at(start + i % n * n + i / n)) / 2);
      for (Index j = 0; j < n; ++j) {
        const double root = std::sqrt(left[static_cast<std::size_t>(j * n + j)]);
        for (Index i = j; i < n; ++i) result.set(start + i * n + j, left[static_cast<std::size_t>(i * n + j)] / root);
        for (Index i = j; i < n; ++i)
          for (Index p = j; p < n; ++p)
            left[static_cast<std::size_t>(i * n + p)] -= result.at(start + i * n + j) * result.at(start + p * n + j);
      }
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Cholesky cholesky_op;

}  // namespace

Var triangular_solve(Operand a, Operand b, TriangularSolveOptions options) {
  const Attributes attributes = TriangularSolve::with(options);
  if (a.is_number() || b.is_number() || a.rank() < 2 || b.rank() < 2)
    return record(triangular_solve_op, {a, b}, attributes);
  return record(triangular_solve_op, {with_rank(a, b.rank()), with_rank(b, a.rank())}, attributes);
}

Var cholesky(Operand a) { return record(cholesky_op, {a}); }

}  // namespace wengert
