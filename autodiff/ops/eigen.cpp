// Eigenvalues and eigenvectors of symmetric matrices: one op with both in its output, so that a matrix is decomposed
// once. Derivatives: M. Giles, "An extended collection of matrix derivative results for forward and reverse mode
// algorithmic differentiation" (2008).
#include <fmt/format.h>

#include "autodiff/linalg.hpp"
#include "autodiff/ops/matrices.hpp"
#include "autodiff/ops/matrix_references.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// The parts of [..., n + 1, n], a value or a tangent: the values in the first row, the vectors in columns below it.
Var values_of(Var both) { return slice(both, -2, 0, 1); }
Var vectors_of(Var both) { return slice(both, -2, 1); }

// a [..., n, n] -> [..., n + 1, n]: a row of eigenvalues of (a + a')/2, ascending, above their eigenvectors, columns
struct EighOp final : OpOf<EighOp> {
  EighOp() : OpOf({.name = "eigh", .linearity = Linearity::custom_jvp}) {}

  Type infer(const Signature& s) const override {
    require_square(s, 0);
    Shape shape = s.shape(0);
    shape.set(-2, shape[-1] + 1);
    return {s.dtype(0), shape};
  }
  std::size_t scratch_bytes(const Signature& s, const Type& out) const override {
    return dispatch_float(out.dtype, [&]<class T>() {
      return scratch_of_matrices<SymmetricEigen<T>>(batch_of(s.shape(0)).size(), flops(out), out.shape[-1]);
    });
  }
  template <class T>
  void compute(const Kernel& k) const {
    const Index n = k.out_shape()[-1];
    if (n == 0) return;
    each_matrix<SymmetricEigen<T>>(
        k.scratch, batch_of(k.out_shape()).size(), flops(k.type),
        [&](SymmetricEigen<T>& w, Index number) {
          const T* a = k.in<T>(0) + number * n * n;
          T* out = k.out<T>() + number * (n + 1) * n;
          if (!all_finite(a, n * n)) return fill_nan(out, (n + 1) * n);
          for (Index i = 0; i < n; ++i)
            for (Index j = 0; j <= i; ++j) w.a[j * n + i] = T(0.5) * (a[i * n + j] + a[j * n + i]) + T(0);
          if (!w.factor()) reject(name_of_matrix(number, k.shape(0)) + ": the eigenvalues did not converge");
          copy_flushed(w.values, n, out);
          for (Index j = 0; j < n; ++j) {
            const T sign = sign_of(w.a + j * n, n, 1);
            for (Index i = 0; i < n; ++i) out[(1 + i) * n + j] = sign * w.a[j * n + i] + T(0);
          }
        },
        n);
  }

  // With m = v' da v, symmetric: d values = diag(m), dv = v (f o m), f_ij = 1 / (value_j - value_i).
  Var vjp(const Call& c, int, Var g) const override {
    const Var v = vectors_of(c.out());
    const Var inner = factors(c) * matmul(v, vectors_of(g), {.transpose_a = true});
    const Var m = inner + diag_embed(squeeze(values_of(g), -2));
    return symmetric(matmul(matmul(v, m), v, {.transpose_b = true}));
  }
  Var jvp(const Call& c, std::span<const Var> t) const override {
    const Var v = vectors_of(c.out());
    const Var m = matmul(matmul(v, symmetric(full_stack(t[0], c.shape(0))), {.transpose_a = true}), v);
    return concat({unsqueeze(diagonal(m), -2), matmul(v, factors(c) * m)}, -2);
  }
  Rows rows(const Signature&, const Type&, int, int axis) const override { return rows_of_batch(axis); }
  Cost cost(const Signature& s, const Type& out) const override {
    Cost cost = Op::cost(s, out);
    cost.flops = flops(out) * static_cast<double>(batch_of(out.shape).size());
    return cost;
  }
  double tolerance(Dtype dtype) const override { return dtype == Dtype::f32 ? 1e-5 : 1e-13; }

  std::vector<Example> examples() const override {
    return {{{Sample{.shape = {3, 3}, .values = {2, 0.3, -0.5, 0.3, -1, 0.4, -0.5, 0.4, 0.5}}}},
            {{Sample{.shape = {2, 2}, .values = {3, -1, 0.4, 1}}}},  // not symmetric: its symmetric part counts
            {{Sample{.shape = {2, 2, 2}, .values = {3, 1, 1, 1, -1.5, -0.5, -0.5, 2.5}}}},
            {{Sample{{2, 1, 1, 1}, 0.5, 2}}}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    const std::vector<double> all_nan(6, nan);
    return {{{Sample{.shape = {2, 2}, .values = {2, 0, 0, 1}}}, {}, {1, 2, 0, 1, 1, 0}, {{1, 0, 0, 1}}},
            {{Sample{.shape = {2, 2}, .values = {1, 0, 0, 1}}}, {}, {1, 1, 1, 0, 0, 1}, {{1, 0, 0, 1}}, true},
            {{Sample{.shape = {2, 2}, .values = {1, nan, 0, 1}}}, {}, all_nan},
            {{Sample{.shape = {2, 2}, .values = {1, 0, 0, infinity}}}, {}, all_nan},
            {{Sample{{2, 0, 0}}}, {}, {}},
            {{Sample{{0, 2, 2}}}, {}, {}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, {}, "needs square matrices, got [2, 3]"},
            {{{Dtype::f32, {2}}}, {}, "operand 0 needs at least 2 axes, got shape [2]"},
            {{{Dtype::i32, {2, 2}}}, {}, "operand 0 is i32"}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Index n = out.shape[-1];
    for (Index number = 0; number < batch_of(out.shape).size(); ++number) {
      reference::Matrix a = reference::Matrix::of(in[0], number);
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < i; ++j) a(i, j) = a(j, i) = (a(i, j) + a(j, i)) / 2;
      reference::Eigen eigen = reference::eigen(a);
      reference::fix_signs(eigen.vectors);
      for (Index j = 0; j < n; ++j) {
        result.set(number * (n + 1) * n + j, static_cast<double>(eigen.values[static_cast<std::size_t>(j)]));
        for (Index i = 0; i < n; ++i)
          result.set((number * (n + 1) + 1 + i) * n + j, static_cast<double>(eigen.vectors(i, j)));
      }
    }
    return result;
  }

 private:
  static double flops(const Type& out) {
    const double n = static_cast<double>(out.shape[-1]);
    return 9 * n * n * n;
  }
  // Between equal values 0, what a function of them and of the space of their vectors wants.
  static Var factors(const Call& c) {
    const Var values = values_of(c.out());
    return reciprocal_or_zero(values - transposed(values), values, values.extent(-1));
  }
};
[[gnu::init_priority(library_ops)]] const EighOp eigh_op;

}  // namespace

Eigh eigh(Operand a) {
  const Var both = record(eigh_op, {a});
  const Scope scope(a);
  return {squeeze(values_of(both), -2), vectors_of(both)};
}

}  // namespace wengert
