// Determinants by LU factors. Derivatives: M. Giles, "An extended collection of matrix derivative results for forward
// and reverse mode algorithmic differentiation" (2008).
#include <fmt/format.h>

#include <cmath>

#include "autodiff/linalg.hpp"
#include "autodiff/ops/composite.hpp"
#include "autodiff/ops/matrices.hpp"
#include "autodiff/ops/matrix_references.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

double lu_flops(Index n) { return 2.0 / 3 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n); }

template <class T>
struct LuWork : Lu<T> {
  using Lu<T>::Lu;
  // True if the matrix is finite; then the index of its first pivot that is 0 is in `rank`.
  bool read(const T* matrix) {
    if (!all_finite(matrix, this->n * this->n)) return false;
    copy_flushed(matrix, this->n * this->n, this->a);
    rank = this->factor();
    return true;
  }
  bool singular() const { return rank < this->n; }
  Index rank = 0;
};

// The base of det and slogdet: one factorization for each matrix; their outputs have `fewer` axes less.
template <class Derived>
struct OfLuFactors : OpOf<Derived> {
  OfLuFactors(std::string name, int fewer)
      : OpOf<Derived>({.name = std::move(name), .linearity = Linearity::custom_jvp}), fewer_(fewer) {}

  std::size_t scratch_bytes(const Signature& s, const Type& out) const override {
    const Shape& a = s.shape(0);
    return dispatch_float(out.dtype, [&]<class T>() {
      return scratch_of_matrices<LuWork<T>>(batch_of(a).size(), lu_flops(a[-1]), a[-1]);
    });
  }
  Rows rows(const Signature&, const Type&, int, int axis) const override { return rows_of_batch(axis, fewer_); }
  Cost cost(const Signature& s, const Type& out) const override {
    Cost cost = Op::cost(s, out);
    cost.flops = static_cast<double>(batch_of(s.shape(0)).size()) * lu_flops(s.shape(0)[-1]);
    return cost;
  }
  double tolerance(Dtype dtype) const override { return dtype == Dtype::f32 ? 1e-5 : 1e-13; }
  std::vector<Example> examples() const override {
    return {{{Sample{.shape = {3, 3}, .values = {0, 2, 0.5, 1.5, -1, 1, 0.3, 0.4, -2}}}},
            {{Sample{.shape = {2, 2, 2}, .values = {1, 2, -1.5, 0.5, 0.2, 1, -2, 0.4}}}},
            {{Sample{{2, 1, 1, 1}, 0.5, 2}}},
            {{Sample{.shape = {4, 4}, .values = {2, 1, 0, 0.5, -1, 1.5, 1, 0, 0.3, 0, 1, -2, 1, 0.7, 0.2, 1}}}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, {}, "needs square matrices, got [2, 3]"},
            {{{Dtype::f32, {2}}}, {}, "operand 0 needs at least 2 axes, got shape [2]"},
            {{{Dtype::i32, {2, 2}}}, {}, "operand 0 is i32"}};
  }

 protected:
  template <class T, class F>
  static void each_factored(const Kernel& k, F&& f) {
    const Index n = k.shape(0)[-1];
    each_matrix<LuWork<T>>(
        k.scratch, batch_of(k.shape(0)).size(), lu_flops(n),
        [&](LuWork<T>& lu, Index i) { f(lu, i, lu.read(k.in<T>(0) + i * n * n)); }, n);
  }

 private:
  int fewer_;
};

// a [..., n, n] -> its matrix of cofactors, whose entries are the derivatives of det by a's
Var cofactors(Var a);

// a [..., n, n] -> [...]
struct Det final : OfLuFactors<Det> {
  Det() : OfLuFactors("det", 2) {}

  Type infer(const Signature& s) const override {
    require_square(s, 0);
    return {s.dtype(0), batch_of(s.shape(0))};
  }
  template <class T>
  void compute(const Kernel& k) const {
    each_factored<T>(k, [&](const LuWork<T>& lu, Index i, bool finite) {
      T product = finite ? (lu.odd() ? T(-1) : T(1)) : std::numeric_limits<T>::quiet_NaN();
      for (Index p = 0; p < lu.n && finite; ++p) product *= lu.pivot(p);
      k.out<T>()[i] = finite && lu.singular() ? T(0) : product;
    });
  }
  Var vjp(const Call& c, int, Var g) const override { return as_matrices(g) * cofactors(c.in(0)); }
  Var jvp(const Call& c, std::span<const Var> t) const override {
    return sum(full_stack(t[0], c.shape(0)) * cofactors(c.in(0)), {-2, -1});
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    const std::vector<double> rank_three{1, 2, 0, 1, 0, 1, 1, 0, 2, 0, 1, 1, 3, 3, 2, 2};  // row 4 = sum of the others
    return {{{Sample{.shape = {2, 2}, .values = {1, 2, 2, 4}}}, {}, {0}, {{4, -2, -2, 1}}},
            {{Sample{.shape = {2, 2}, .values = {0, 0, 0, 0}}}, {}, {0}, {{0, 0, 0, 0}}},
            {{Sample{.shape = {3, 3}, .values = {1, 0, 0, 0, 1, 0, 0, 0, 0}}}, {}, {0}, {{0, 0, 0, 0, 0, 0, 0, 0, 1}}},
            {{Sample{.shape = {1, 1}, .values = {0}}}, {}, {0}, {{1}}},
            {.inputs = {Sample{.shape = {4, 4}, .values = rank_three}},
             .value = {0},
             .gradient = {{3, 1, -1, -5, 3, 1, -1, -5, 3, 1, -1, -5, -3, -1, 1, 5}},
             .kink = true},
            {{Sample{.shape = {2, 2}, .values = {1, nan, 0, 1}}}, {}, {nan}},
            {{Sample{{2, 0, 0}}}, {}, {1, 1}},
            {{Sample{{0, 2, 2}}}, {}, {}}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i)
      result.set(i, static_cast<double>(reference::determinant(reference::Matrix::of(in[0], i))));
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Det det_op;

template <class T>
struct CofactorsWork {
  CofactorsWork(Parts& parts, Index n) : lu(parts, n), svd(parts, n, n), turned(parts, n), x(parts.take<T>(n * n)) {}
  LuWork<T> lu;
  SingularValues<T> svd;
  Lu<T> turned;
  T* x;
};

// det(a) a^-T where that is well defined; else, of a = U S V', det(U) det(V) U C V', where C has the products of all
// singular values but one.
struct Cofactors final : OpOf<Cofactors> {
  Cofactors() : OpOf({.name = "cofactors", .linearity = Linearity::custom_jvp}) {}

  Type infer(const Signature& s) const override {
    require_square(s, 0);
    return *s.in[0];
  }
  std::size_t scratch_bytes(const Signature&, const Type& out) const override {
    return dispatch_float(out.dtype, [&]<class T>() {
      return scratch_of_matrices<CofactorsWork<T>>(batch_of(out.shape).size(), flops(out.shape[-1]), out.shape[-1]);
    });
  }
  template <class T>
  void compute(const Kernel& k) const {
    const Index n = k.out_shape()[-1], size = n * n;
    if (k.out_shape().size() == 0) return;
    each_matrix<CofactorsWork<T>>(
        k.scratch, batch_of(k.out_shape()).size(), flops(n),
        [&](CofactorsWork<T>& w, Index i) {
          const T* a = k.in<T>(0) + i * size;
          T* out = k.out<T>() + i * size;
          if (!w.lu.read(a)) return fill_nan(out, size);
          if (well_conditioned(w.lu))
            by_inverse(w, out);
          else
            by_singular_values(w, a, out);
        },
        n);
  }
  // d C = (C <C, da> - C da' C) / det, which is its own transpose.
  Var vjp(const Call& c, int, Var g) const override { return moved(c, g); }
  Var jvp(const Call& c, std::span<const Var> t) const override { return moved(c, full_stack(t[0], c.shape(0))); }
  Rows rows(const Signature&, const Type&, int, int axis) const override { return rows_of_batch(axis); }
  Cost cost(const Signature& s, const Type& out) const override {
    Cost cost = Op::cost(s, out);
    cost.flops = static_cast<double>(batch_of(out.shape).size()) * flops(out.shape[-1]);
    return cost;
  }
  double tolerance(Dtype dtype) const override { return dtype == Dtype::f32 ? 1e-5 : 1e-13; }

  std::vector<Example> examples() const override {
    return {{{Sample{.shape = {4, 4}, .values = {2, 1, 0, 0.5, -1, 1.5, 1, 0, 0.3, 0, 1, -2, 1, 0.7, 0.2, 1}}}},
            {{Sample{.shape = {2, 2, 2}, .values = {1, 2, -1.5, 0.5, 0.2, 1, -2, 0.4}}}}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    return {{{Sample{.shape = {2, 2}, .values = {1, 2, 2, 4}}}, {}, {4, -2, -2, 1}},
            {{Sample{.shape = {2, 2}, .values = {-1, 2, 2, -4}}}, {}, {-4, -2, -2, -1}},
            {{Sample{.shape = {3, 3}, .values = {1, 0, 0, 0, 0, 0, 0, 0, 2}}}, {}, {0, 0, 0, 0, 2, 0, 0, 0, 0}},
            {{Sample{.shape = {3, 3}, .values = {0, 0, 0, 0, 0, 0, 0, 0, 2}}}, {}, {0, 0, 0, 0, 0, 0, 0, 0, 0}},
            {{Sample{.shape = {1, 1}, .values = {0}}}, {}, {1}},
            {{Sample{.shape = {1, 1}, .values = {infinity}}}, {}, {nan}},
            {{Sample{{2, 0, 0}}}, {}, {}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, {}, "needs square matrices, got [2, 3]"},
            {{{Dtype::i32, {2, 2}}}, {}, "operand 0 is i32"}};
  }
  // Determinants of what is left without a row and a column.
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Index n = out.shape[-1];
    for (Index i = 0; i < result.size(); ++i) {
      const reference::Matrix a = reference::Matrix::of(in[0], i / (n * n));
      const Index row = i / n % n, column = i % n;
      reference::Matrix minor(n - 1, n - 1);
      for (Index r = 0; r < n - 1; ++r)
        for (Index c = 0; c < n - 1; ++c) minor(r, c) = a(r + (r >= row ? 1 : 0), c + (c >= column ? 1 : 0));
      result.set(i, static_cast<double>(reference::determinant(minor)) * ((row + column) % 2 == 0 ? 1 : -1));
    }
    return result;
  }

 private:
  static double flops(Index n) { return 4 * lu_flops(n); }

  template <class T>
  static bool well_conditioned(const LuWork<T>& lu) {
    T least = std::numeric_limits<T>::infinity(), largest = 0;
    for (Index p = 0; p < lu.n; ++p) {
      least = std::min(least, std::abs(lu.pivot(p)));
      largest = std::max(largest, std::abs(lu.pivot(p)));
    }
    return least > static_cast<T>(lu.n) * std::numeric_limits<T>::epsilon() * largest;
  }
  template <class T>
  static void by_inverse(CofactorsWork<T>& w, T* out) {
    const Index n = w.lu.n;
    T det = w.lu.odd() ? T(-1) : T(1);
    for (Index p = 0; p < n; ++p) det *= w.lu.pivot(p);
    std::fill_n(w.x, n * n, T(0));
    for (Index p = 0; p < n; ++p) w.x[p * n + p] = 1;
    w.lu.solve(true, n, w.x);  // LAPACK has a' by columns: this is a^-1 by columns
    for (Index i = 0; i < n * n; ++i) out[i] = det * w.x[i] + T(0);
  }
  template <class T>
  static void by_singular_values(CofactorsWork<T>& w, const T* a, T* out) {
    const Index n = w.lu.n;
    copy_flushed(a, n * n, w.svd.a);  // a' = U S V' by columns, so that a = V S U'
    if (!w.svd.factor()) return fill_nan(out, n * n);
    T sign = 1;
    for (const T* orthogonal : {w.svd.u, w.svd.vt}) {
      std::copy_n(orthogonal, n * n, w.turned.a);
      w.turned.factor();
      for (Index p = 0; p < n; ++p) sign *= w.turned.pivot(p) < 0 ? T(-1) : T(1);
      if (w.turned.odd()) sign = -sign;
    }
    std::fill_n(out, n * n, T(0));
    for (Index p = 0; p < n; ++p) {
      T product = sign;
      for (Index other = 0; other < n; ++other) product *= other == p ? T(1) : w.svd.values[other];
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) out[i * n + j] += product * w.svd.vt[i * n + p] * w.svd.u[p * n + j];
    }
  }
  static Var moved(const Call& c, Var t) {
    const Var product = matmul(matmul(c.out(), t, {.transpose_b = true}), c.out());
    return (c.out() * sum(c.out() * t, {-2, -1}, {.keepdims = true}) - product) / as_matrices(det(c.in(0)));
  }
};
[[gnu::init_priority(library_ops)]] const Cofactors cofactors_op;

// Up to 3 x 3 they are polynomials written out, whose derivatives are right for every matrix, to any order.
Var cofactors(Var a) {
  switch (a.extent(-1)) {
    case 1:
      return a.tape().full(a.type(), 1);
    case 2: {
      const Var signs = a.tape().input(Array::of<double>({2, 2}, {1, -1, -1, 1}).cast(a.dtype()));
      return signs * flip(a, {-2, -1});
    }
    case 3:
      return cross(roll(a, -1, -2), roll(a, -2, -2));
    default:
      return record(cofactors_op, {a});
  }
}

// a [..., n, n] -> [..., 2]: the sign of the determinant and the logarithm of its magnitude
struct SlogDetOp final : OfLuFactors<SlogDetOp> {
  SlogDetOp() : OfLuFactors("slogdet", 1) {}

  Type infer(const Signature& s) const override {
    require_square(s, 0);
    return {s.dtype(0), batch_of(s.shape(0)).followed_by({2})};
  }
  template <class T>
  void compute(const Kernel& k) const {
    each_factored<T>(k, [&](const LuWork<T>& lu, Index i, bool finite) {
      T* out = k.out<T>() + 2 * i;
      if (!finite) return fill_nan(out, 2);
      bool negative = lu.odd();
      double logarithm = 0;
      for (Index p = 0; p < lu.n; ++p) {
        negative = negative != (lu.pivot(p) < 0);
        logarithm += std::log(std::abs(static_cast<double>(lu.pivot(p))));
      }
      out[0] = lu.singular() ? T(0) : negative ? T(-1) : T(1);
      out[1] = lu.singular() ? -std::numeric_limits<T>::infinity() : static_cast<T>(logarithm);
    });
  }
  // d log |det a| = tr(a^-1 da)
  Var vjp(const Call& c, int, Var g) const override {
    const Shape& a = c.shape(0);
    const Var diagonal = broadcast_to(slice(g, -1, 1), a.leading(a.rank() - 1));
    return solve(c.in(0), diag_embed(diagonal), {.transpose = true});
  }
  Var jvp(const Call& c, std::span<const Var> t) const override {
    const Var trace_of = sum(diagonal(solve(c.in(0), full_stack(t[0], c.shape(0)))), -1);
    return slice_backward(unsqueeze(trace_of, -1), -1, 2, 1);
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    const double large = 1e30, log_large = std::log(1e30);
    return {{{Sample{.shape = {2, 2}, .values = {0, 2, 4, 0}}}, {}, {-1, std::log(8.0)}, {{0, 0.5, 0.25, 0}}},
            {{Sample{.shape = {2, 2}, .values = {large, 0, 0, -large}}}, {}, {-1, 2 * log_large}},
            {{Sample{.shape = {1, 1}, .values = {nan}}}, {}, {nan, nan}},
            {{Sample{{0, 0}}}, {}, {1, 0}}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size() / 2; ++i) {
      const long double det = reference::determinant(reference::Matrix::of(in[0], i));
      result.set(2 * i, det > 0 ? 1 : det < 0 ? -1 : 0);
      result.set(2 * i + 1, static_cast<double>(std::log(std::abs(det))));
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const SlogDetOp slogdet_op;

}  // namespace

Var det(Operand a) { return record(det_op, {a}); }

SlogDet slogdet(Operand a) {
  const Var both = record(slogdet_op, {a});
  const Scope scope(a);
  return {squeeze(slice(both, -1, 0, 1), -1), squeeze(slice(both, -1, 1, 2), -1)};
}

}  // namespace wengert
