// The QR factorization by Householder's reflections: one op with both factors in its output, so that a matrix is
// factored once. Derivatives: M. Seeger, A. Hetzel, Z. Dai, E. Meissner, N. Lawrence, "Auto-differentiating linear
// algebra" (2017).
#include <fmt/format.h>

#include "autodiff/linalg.hpp"
#include "autodiff/ops/composite.hpp"
#include "autodiff/ops/matrices.hpp"
#include "autodiff/ops/matrix_references.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// x where column > row, half of it on the diagonal, 0 below
Var upper_half(Var x) { return 0.5 * (triu(x) + triu(x, 1)); }
// a [..., m, n], m >= n -> [..., m + n, n]: q above r
struct QrOp final : OpOf<QrOp> {
  QrOp() : OpOf({.name = "qr", .linearity = Linearity::custom_jvp}) {}

  Type infer(const Signature& s) const override {
    require_matrices(s, 0);
    Shape shape = s.shape(0);
    if (shape[-2] < shape[-1]) reject(fmt::format("needs as many rows as columns or more, got {}", to_string(shape)));
    shape.set(-2, shape[-2] + shape[-1]);
    return {s.dtype(0), shape};
  }
  std::size_t scratch_bytes(const Signature& s, const Type& out) const override {
    const Shape& a = s.shape(0);
    return dispatch_float(out.dtype, [&]<class T>() {
      return scratch_of_matrices<Householder<T>>(batch_of(a).size(), flops(a), a[-2], a[-1]);
    });
  }
  template <class T>
  void compute(const Kernel& k) const {
    const Index m = k.shape(0)[-2], n = k.shape(0)[-1];
    if (k.out_shape().size() == 0) return;
    each_matrix<Householder<T>>(
        k.scratch, batch_of(k.shape(0)).size(), flops(k.shape(0)),
        [&](Householder<T>& w, Index number) {
          const T* a = k.in<T>(0) + number * m * n;
          T *q = k.out<T>() + number * (m + n) * n, *r = q + m * n;
          if (!all_finite(a, m * n)) return fill_nan(q, (m + n) * n);
          copy_transposed(a, m, n, w.a);
          w.factor();
          for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < n; ++j) r[i * n + j] = j < i ? T(0) : w.a[j * m + i];
          w.form();
          for (Index j = 0; j < n; ++j) {
            const T sign = r[j * n + j] < 0 ? T(-1) : T(1);
            for (Index i = 0; i < m; ++i) q[i * n + j] = sign * w.a[j * m + i] + T(0);
            for (Index p = j; p < n; ++p) r[j * n + p] = sign * r[j * n + p] + T(0);
          }
        },
        m, n);
  }

  // With m = r gr' - gq' q and its lower triangle copied to the upper one: (gq + q m) r^-T.
  Var vjp(const Call& c, int, Var g) const override {
    const auto [q, r] = factors(c, c.out());
    const auto [gq, gr] = factors(c, g);
    const Var m = matmul(r, gr, {.transpose_b = true}) - matmul(gq, q, {.transpose_a = true});
    const Var right = gq + matmul(q, tril(m) + transposed(tril(m, -1)));
    return transposed(triangular_solve(r, transposed(right), {.upper = true}));
  }
  // q' dq is antisymmetric and dr r^-1 upper triangular: with x = da r^-1, dr r^-1 is what x' q + q' x has above.
  Var jvp(const Call& c, std::span<const Var> t) const override {
    const auto [q, r] = factors(c, c.out());
    const Var x =
        transposed(triangular_solve(r, transposed(full_stack(t[0], c.shape(0))), {.upper = true, .transpose = true}));
    const Var inside = matmul(q, x, {.transpose_a = true}), upper = upper_half(inside + transposed(inside));
    return concat({x - matmul(q, upper), matmul(upper, r)}, -2);
  }
  Rows rows(const Signature&, const Type&, int, int axis) const override { return rows_of_batch(axis); }
  Cost cost(const Signature& s, const Type& out) const override {
    Cost cost = Op::cost(s, out);
    cost.flops = flops(s.shape(0)) * static_cast<double>(batch_of(out.shape).size());
    return cost;
  }
  double tolerance(Dtype dtype) const override { return dtype == Dtype::f32 ? 1e-5 : 1e-13; }

  std::vector<Example> examples() const override {
    return {{{Sample{.shape = {3, 3}, .values = {2, 0.3, -0.5, 0.7, -1, 0.4, -0.5, 0.4, 1.5}}}},
            {{Sample{.shape = {4, 2}, .values = {-2, 0.3, -0.5, 0.7, -1, 0.4, -0.5, 1.4}}}},
            {{Sample{.shape = {2, 2, 2}, .values = {3, 1, 1, 1, -1.5, -0.5, -0.5, 2.5}}}},
            {{Sample{{2, 1, 3, 1}, 0.5, 2}}}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    return {{{Sample{.shape = {2, 1}, .values = {-3, 4}}}, {}, {-0.6, 0.8, 5}, {{-0.376, 0.968}}},
            {{Sample{.shape = {2, 2}, .values = {0, 1, 0, 0}}}, {}, {1, 0, 0, 1, 0, 1, 0, 0}},
            {{Sample{.shape = {2, 1}, .values = {1, nan}}}, {}, {nan, nan, nan}},
            {{Sample{{2, 3, 0}}}, {}, {}},
            {{Sample{{0, 2, 2}}}, {}, {}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, {}, "needs as many rows as columns or more, got [2, 3]"},
            {{{Dtype::f32, {2}}}, {}, "operand 0 needs at least 2 axes, got shape [2]"},
            {{{Dtype::i32, {2, 2}}}, {}, "operand 0 is i32"}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    Index at = 0;
    for (Index number = 0; number < batch_of(out.shape).size(); ++number) {
      const reference::Orthogonal factors = reference::orthogonal(reference::Matrix::of(in[0], number));
      for (reference::Real x : factors.q.entries) result.set(at++, static_cast<double>(x));
      for (reference::Real x : factors.r.entries) result.set(at++, static_cast<double>(x));
    }
    return result;
  }

 private:
  static double flops(const Shape& a) {
    const double m = static_cast<double>(a[-2]), n = static_cast<double>(a[-1]);
    return 4 * n * n * (m - n / 3);
  }
  static Qr factors(const Call& c, Var both) {
    const Index m = c.shape(0)[-2];
    return {slice(both, -2, 0, m), slice(both, -2, m)};
  }
};
[[gnu::init_priority(library_ops)]] const QrOp qr_op;

bool is_wide(const Operand& a) { return a.rank() >= 2 && a.extent(-2) < a.extent(-1); }

}  // namespace

Qr qr(Operand a) {
  if (is_wide(a)) {  // the first columns make up q
    const Scope scope(a);
    const Index m = a.extent(-2);
    const auto [q, r] = qr(slice(a, -1, 0, m));
    return {q, concat({r, matmul(q, slice(a, -1, m), {.transpose_a = true})}, -1)};
  }
  const Var both = record(qr_op, {a});
  const Scope scope(a);
  const Index m = a.extent(-2);
  return {slice(both, -2, 0, m), slice(both, -2, m)};
}

Var lstsq(Operand a, Operand b) {
  if (a.rank() < 2 || b.rank() < 1 || a.extent(-2) != b.extent(b.rank() == 1 ? -1 : -2))
    refuse(a, "lstsq",
           fmt::format("matrices and right-hand sides differ in rows: {} and {}", to_string(a.shape()),
                       to_string(b.shape())));
  const Scope scope(a, "lstsq");
  if (b.rank() == 1) return squeeze(lstsq(a, unsqueeze(b, -1)), -1);
  if (is_wide(a)) {  // the shortest solution lies in the space of a's rows
    const auto [q, r] = qr(transposed(a.var()));
    return matmul(q, triangular_solve(r, b, {.upper = true, .transpose = true}));
  }
  const auto [q, r] = qr(a);
  return triangular_solve(r, matmul(q, b, {.transpose_a = true}), {.upper = true});
}

}  // namespace wengert
