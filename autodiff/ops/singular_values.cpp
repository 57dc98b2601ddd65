// The singular value decomposition: one op with all three factors in its output, so that a matrix is decomposed once;
// and the pseudoinverse by it. Derivatives: J. Townsend, "Differentiating the singular value decomposition" (2016);
// G. Golub, V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
// separate" (1973).
#include <fmt/format.h>

#include "autodiff/kernels/products.hpp"
#include "autodiff/linalg.hpp"
#include "autodiff/ops/matrices.hpp"
#include "autodiff/ops/matrix_references.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

double svd_flops(const Shape& a) {
  const double longer = static_cast<double>(std::max(a[-2], a[-1])), k = static_cast<double>(std::min(a[-2], a[-1]));
  return 6 * longer * k * k + 16 * k * k * k;
}

// A matrix lies by rows, so that LAPACK sees a' = V S U'.
template <class T>
struct SvdWork : SingularValues<T> {
  SvdWork(Parts& parts, Index m, Index n) : SingularValues<T>(parts, n, m) {}
  // True if the matrix is finite.
  bool read(const T* matrix, Index number, const Shape& shape) {
    const Index size = this->rows * this->columns;
    if (!all_finite(matrix, size)) return false;
    copy_flushed(matrix, size, this->a);
    if (!this->factor()) reject(name_of_matrix(number, shape) + ": the singular values did not converge");
    return true;
  }
  T u_at(Index i, Index p) const { return this->vt[i * this->k + p]; }
  T v_at(Index i, Index p) const { return this->u[p * this->rows + i]; }
};

std::size_t svd_scratch(const Signature& s, Dtype dtype) {
  const Shape& a = s.shape(0);
  return dispatch_float(dtype, [&]<class T>() {
    return scratch_of_matrices<SvdWork<T>>(batch_of(a).size(), svd_flops(a), a[-2], a[-1]);
  });
}

// a [..., m, n] -> [..., m + 1 + n, k], k = min(m, n): u above a row of singular values, descending, above v
struct SvdOp final : OpOf<SvdOp> {
  SvdOp() : OpOf({.name = "svd", .linearity = Linearity::custom_jvp}) {}

  Type infer(const Signature& s) const override {
    require_matrices(s, 0);
    const Shape& a = s.shape(0);
    return {s.dtype(0), batch_of(a).followed_by({a[-2] + 1 + a[-1], std::min(a[-2], a[-1])})};
  }
  std::size_t scratch_bytes(const Signature& s, const Type& out) const override { return svd_scratch(s, out.dtype); }
  template <class T>
  void compute(const Kernel& k) const {
    const Index m = k.shape(0)[-2], n = k.shape(0)[-1], columns = k.out_shape()[-1];
    if (k.out_shape().size() == 0) return;
    each_matrix<SvdWork<T>>(
        k.scratch, batch_of(k.shape(0)).size(), svd_flops(k.shape(0)),
        [&](SvdWork<T>& w, Index number) {
          T *u = k.out<T>() + number * (m + 1 + n) * columns, *values = u + m * columns, *v = values + columns;
          if (!w.read(k.in<T>(0) + number * m * n, number, k.shape(0))) return fill_nan(u, (m + 1 + n) * columns);
          copy_flushed(w.values, columns, values);
          for (Index p = 0; p < columns; ++p) {
            const T sign = sign_of(w.vt + p, m, columns);
            for (Index i = 0; i < m; ++i) u[i * columns + p] = sign * w.u_at(i, p) + T(0);
            for (Index i = 0; i < n; ++i) v[i * columns + p] = sign * w.v_at(i, p) + T(0);
          }
        },
        m, n);
  }

  // With p = u' da v and f_ij = 1 / (s_j^2 - s_i^2): du = u (f o (p s + s p')), dv = v (f o (s p + p' s)), and beside
  // the columns of u (1 - u u') da v / s, of v (1 - v v') da' u / s; ds = diag(p).
  Var vjp(const Call& c, int, Var g) const override {
    const Factors x = factors_of(c, c.out()), cotangent = factors_of(c, g);
    const Var f = weights(c, x.s), inverse = reciprocal_or_zero(x.s, x.s, longer_side(c));
    const Var pu = matmul(x.u, cotangent.u, {.transpose_a = true});
    const Var pv = matmul(x.v, cotangent.v, {.transpose_a = true});
    const Var inside = f * (pu - transposed(pu)) * x.s + transposed(x.s) * f * (pv - transposed(pv)) +
                       diag_embed(squeeze(cotangent.s, -2));
    Var left = matmul(x.u, inside);
    if (c.shape(0)[-2] > c.out_shape()[-1]) left = left + (cotangent.u - matmul(x.u, pu)) * inverse;
    Var total = matmul(left, x.v, {.transpose_b = true});
    if (c.shape(0)[-1] > c.out_shape()[-1])
      total = total + matmul(x.u, (cotangent.v - matmul(x.v, pv)) * inverse, {.transpose_b = true});
    return total;
  }
  Var jvp(const Call& c, std::span<const Var> t) const override {
    const Factors x = factors_of(c, c.out());
    const Var da = full_stack(t[0], c.shape(0)), f = weights(c, x.s);
    const Var inverse = reciprocal_or_zero(x.s, x.s, longer_side(c));
    const Var moved = matmul(da, x.v), back = matmul(da, x.u, {.transpose_a = true});
    const Var p = matmul(x.u, moved, {.transpose_a = true}), ps = p * x.s, sp = transposed(x.s) * p;
    Var du = matmul(x.u, f * (ps + transposed(ps))), dv = matmul(x.v, f * (sp + transposed(sp)));
    if (c.shape(0)[-2] > c.out_shape()[-1]) du = du + (moved - matmul(x.u, p)) * inverse;
    if (c.shape(0)[-1] > c.out_shape()[-1]) dv = dv + (back - matmul(x.v, p, {.transpose_b = true})) * inverse;
    return concat({du, unsqueeze(diagonal(p), -2), dv}, -2);
  }
  Rows rows(const Signature&, const Type&, int, int axis) const override { return rows_of_batch(axis); }
  Cost cost(const Signature& s, const Type& out) const override {
    Cost cost = Op::cost(s, out);
    cost.flops = svd_flops(s.shape(0)) * static_cast<double>(batch_of(out.shape).size());
    return cost;
  }
  double tolerance(Dtype dtype) const override { return dtype == Dtype::f32 ? 1e-5 : 1e-13; }

  std::vector<Example> examples() const override {
    return {{{Sample{.shape = {3, 3}, .values = {3, 0.3, -0.5, 0.7, -1.5, 0.4, -0.5, 0.4, 0.8}}}},
            {{Sample{.shape = {3, 2}, .values = {2, 0.3, -0.5, 1, 0.7, 0.4}}}},
            {{Sample{.shape = {2, 3}, .values = {2, 0.3, -0.5, 1, 0.7, 0.4}}}},
            {{Sample{.shape = {2, 2, 2}, .values = {3, 1, 0.5, 1, -1.5, -0.5, -0.5, 2.5}}}},
            {{Sample{{2, 1, 1, 1}, 0.5, 2}}}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    return {{{Sample{.shape = {2, 2}, .values = {0, 1, -2, 0}}},
             {},
             {0, 1, 1, 0, 2, 1, -1, 0, 0, 1},
             {{-2.0 / 3, 1, -1, 4.0 / 3}}},
            {{Sample{.shape = {2, 1}, .values = {0, 3}}}, {}, {0, 1, 3, 1}, {{1.0 / 3, 1}}},
            {{Sample{.shape = {1, 2}, .values = {nan, 1}}}, {}, {nan, nan, nan, nan}},
            {{Sample{{2, 0}}}, {}, {}},
            {{Sample{{0, 2, 3}}}, {}, {}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2}}}, {}, "operand 0 needs at least 2 axes, got shape [2]"},
            {{{Dtype::i32, {2, 2}}}, {}, "operand 0 is i32"}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    Index at = 0;
    const auto append = [&](const std::vector<reference::Real>& entries) {
      for (reference::Real x : entries) result.set(at++, static_cast<double>(x));
    };
    for (Index number = 0; number < batch_of(out.shape).size(); ++number) {
      reference::Singular factors = reference::singular(reference::Matrix::of(in[0], number));
      reference::fix_signs(factors.u, &factors.v);
      append(factors.u.entries), append(factors.values), append(factors.v.entries);
    }
    return result;
  }

 private:
  struct Factors {
    Var u, s, v;  // s [..., 1, k]
  };
  static Factors factors_of(const Call& c, Var all) {
    const Index m = c.shape(0)[-2];
    return {slice(all, -2, 0, m), slice(all, -2, m, m + 1), slice(all, -2, m + 1)};
  }
  // Between equal values 0, as eigh has it.
  static Var weights(const Call& c, Var s) {
    const Var apart = reciprocal_or_zero(s - transposed(s), s, longer_side(c));
    return where(apart, apart / where(apart, s + transposed(s), 1), 0);
  }
  static Index longer_side(const Call& c) { return std::max(c.shape(0)[-2], c.shape(0)[-1]); }
};
[[gnu::init_priority(library_ops)]] const SvdOp svd_op;

// a [..., m, n] -> [..., n, m]
struct Pinv final : OpOf<Pinv, OpWith<PinvOptions>> {
  Pinv() : OpOf({.name = "pinv", .linearity = Linearity::custom_jvp}) {}

  Type infer(const Signature& s) const override {
    require_matrices(s, 0);
    const Shape& a = s.shape(0);
    return {s.dtype(0), batch_of(a).followed_by({a[-1], a[-2]})};
  }
  std::size_t scratch_bytes(const Signature& s, const Type& out) const override { return svd_scratch(s, out.dtype); }
  template <class T>
  void compute(const Kernel& k) const {
    const Index m = k.shape(0)[-2], n = k.shape(0)[-1];
    if (k.out_shape().size() == 0) return;
    const double rtol = rtol_of(k.attributes(), k.type.dtype, k.shape(0));
    each_matrix<SvdWork<T>>(
        k.scratch, batch_of(k.shape(0)).size(), svd_flops(k.shape(0)),
        [&](SvdWork<T>& w, Index number) {
          T* out = k.out<T>() + number * m * n;
          if (!w.read(k.in<T>(0) + number * m * n, number, k.shape(0))) return fill_nan(out, m * n);
          for (Index p = 0; p < w.k; ++p) {  // v / s, in place
            const bool counts = static_cast<double>(w.values[p]) > rtol * static_cast<double>(w.values[0]);
            for (Index i = 0; i < n; ++i) w.u[p * n + i] = counts ? w.u[p * n + i] / w.values[p] : T(0);
          }
          multiply_blas<T>(n, m, w.k, {w.u, 1, n}, {w.vt, 1, w.k}, {w.a, m, 1});
          copy_flushed(w.a, m * n, out);
        },
        m, n);
  }

  // dp = -p da p + p p' da' (1 - a p) + (1 - p a) da' p' p
  Var vjp(const Call& c, int, Var g) const override {
    const Var a = c.in(0), p = c.out();
    const Var x = matmul(matmul(g, p, {.transpose_a = true}), p, {.transpose_b = true});  // g' p p'
    const Var y = matmul(p, matmul(p, g, {.transpose_b = true}), {.transpose_a = true});  // p' p g'
    const Var middle = matmul(matmul(p, g, {.transpose_a = true}), p, {.transpose_b = true});
    return x - matmul(a, matmul(p, x)) + y - matmul(matmul(y, p), a) - middle;
  }
  Var jvp(const Call& c, std::span<const Var> t) const override {
    const Var a = c.in(0), p = c.out(), da = full_stack(t[0], c.shape(0));
    const Var x = matmul(p, matmul(da, p), {.transpose_b = true});  // p p' da'
    const Var y = matmul(matmul(p, da), p, {.transpose_a = true});  // da' p' p
    return x - matmul(matmul(x, a), p) + y - matmul(p, matmul(a, y)) - matmul(matmul(p, da), p);
  }
  Rows rows(const Signature&, const Type&, int, int axis) const override { return rows_of_batch(axis); }
  Cost cost(const Signature& s, const Type& out) const override {
    Cost cost = Op::cost(s, out);
    cost.flops = svd_flops(s.shape(0)) * static_cast<double>(batch_of(out.shape).size());
    return cost;
  }
  double tolerance(Dtype dtype) const override { return dtype == Dtype::f32 ? 1e-5 : 1e-13; }

  std::vector<Example> examples() const override {
    const Attributes plain = with({});
    return {{{Sample{.shape = {3, 3}, .values = {3, 0.3, -0.5, 0.7, -1.5, 0.4, -0.5, 0.4, 0.8}}}, plain},
            {{Sample{.shape = {3, 2}, .values = {2, 0.3, -0.5, 1, 0.7, 0.4}}}, plain},
            {{Sample{.shape = {2, 3}, .values = {2, 0.3, -0.5, 1, 0.7, 0.4}}}, plain},
            {{Sample{.shape = {2, 2, 2}, .values = {3, 1, 0.5, 1, -1.5, -0.5, -0.5, 2.5}}}, plain},
            {{Sample{.shape = {2, 2}, .values = {1, 1, -1, 1}}}, plain},  // equal singular values
            {{Sample{{2, 3, 1}, 0.5, 2}}, with({.rtol = 0.1})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    const Attributes plain = with({});
    return {{{Sample{.shape = {2, 2}, .values = {1, 2, 2, 4}}}, plain, {0.04, 0.08, 0.08, 0.16}},
            {{Sample{.shape = {2, 2}, .values = {4, 0, 0, 1}}}, with({.rtol = 0.3}), {0.25, 0, 0, 0}},
            {{Sample{.shape = {2, 3}, .values = {0, 0, 0, 0, 0, 0}}}, plain, {0, 0, 0, 0, 0, 0}},
            {{Sample{.shape = {1, 2}, .values = {3, 4}}}, plain, {0.12, 0.16}, {{-0.0272, -0.0496}}},
            {{Sample{.shape = {1, 2}, .values = {infinity, 1}}}, plain, {nan, nan}},
            {{Sample{{2, 0}}}, plain, {}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    const Attributes plain = with({});
    return {{{{Dtype::f32, {2}}}, plain, "operand 0 needs at least 2 axes, got shape [2]"},
            {{{Dtype::i32, {2, 2}}}, plain, "operand 0 is i32"}};
  }
  Array reference(std::span<const Array> in, const Attributes& attributes, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const double rtol = rtol_of(attributes, out.dtype, in[0].shape());
    Index at = 0;
    for (Index number = 0; number < batch_of(out.shape).size(); ++number) {
      reference::Singular factors = reference::singular(reference::Matrix::of(in[0], number));
      for (Index p = 0; p < factors.v.columns; ++p) {
        const reference::Real value = factors.values[static_cast<std::size_t>(p)];
        for (Index i = 0; i < factors.v.rows; ++i)
          factors.v(i, p) =
              value > static_cast<reference::Real>(rtol) * factors.values[0] ? factors.v(i, p) / value : 0;
      }
      const reference::Matrix inverse = factors.v * factors.u.transposed();
      for (reference::Real x : inverse.entries) result.set(at++, static_cast<double>(x));
    }
    return result;
  }

 private:
  static double rtol_of(const Attributes& attributes, Dtype dtype, const Shape& a) {
    const double rtol = arguments(attributes).rtol;
    const double epsilon =
        dtype == Dtype::f32 ? std::numeric_limits<float>::epsilon() : std::numeric_limits<double>::epsilon();
    return rtol >= 0 ? rtol : static_cast<double>(std::max(a[-2], a[-1])) * epsilon;
  }
};
[[gnu::init_priority(library_ops)]] const Pinv pinv_op;

}  // namespace

Svd svd(Operand a) {
  const Var all = record(svd_op, {a});
  const Scope scope(a);
  const Index m = a.extent(-2);
  return {slice(all, -2, 0, m), squeeze(slice(all, -2, m, m + 1), -2), transposed(slice(all, -2, m + 1))};
}

Var pinv(Operand a, PinvOptions options) { return record(pinv_op, {a}, to_attributes(options)); }

}  // namespace wengert
