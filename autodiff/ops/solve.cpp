// Systems of linear equations by LU factors. A derivative is one more system with the same matrix or its transpose,
// which is factored again: an op has one output, and factors handed on as an operand would be one whose value no
// derivative knows of. Derivatives: M. Giles, "An extended collection of matrix derivative results for forward and
// reverse mode algorithmic differentiation" (2008).
#include <fmt/format.h>

#include "autodiff/kernels/lanes.hpp"
#include "autodiff/linalg.hpp"
#include "autodiff/ops/composite.hpp"
#include "autodiff/ops/matrices.hpp"
#include "autodiff/ops/matrix_references.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

template <class T>
struct SolveWork {
  SolveWork(Parts& parts, Index n, Index columns) : lu(parts, n), x(parts.take<T>(n * columns)) {}
  Lu<T> lu;
  T* x;
  Index factored = -1;  // which matrix of a is in lu
  bool finite = true;   // whether it is
};

// a [..., n, n], b [..., n, k] -> x with a x = b, or a' x = b
struct Solve final : OpOf<Solve, OpWith<SolveOptions>> {
  Solve() : OpOf({.name = "solve", .arity = 2, .linearity = Linearity::custom_jvp}) {}

  Type infer(const Signature& s) const override {
    const Shape &a = s.shape(0), &b = s.shape(1);
    require_square(s, 0);
    require_matrices(s, 1);
    if (s.dtype(0) != s.dtype(1))
      reject(fmt::format("operands differ in dtype: {} and {} (use cast)", name_of(s.dtype(0)), name_of(s.dtype(1))));
    if (a[-1] != b[-2])
      reject(fmt::format("matrices and right-hand sides differ in rows: {} and {}", to_string(a), to_string(b)));
    const auto batch = broadcast(batch_of(a), batch_of(b));
    if (!batch) reject(fmt::format("leading axes do not broadcast: {} and {}", to_string(a), to_string(b)));
    return {s.dtype(0), batch->followed_by({b[-2], b[-1]})};
  }

  std::size_t scratch_bytes(const Signature& s, const Type& out) const override {
    return dispatch_float(out.dtype, [&]<class T>() {
      return scratch_of_matrices<SolveWork<T>>(batch_of(out.shape).size(), flops(s, out), out.shape[-2], out.shape[-1]);
    });
  }
  template <class T>
  void compute(const Kernel& k) const {
    const Index n = k.out_shape()[-2], columns = k.out_shape()[-1], size = n * columns;
    if (size == 0) return;
    const bool transpose = arguments(k).transpose;
    const Lanes<3> systems = systems_of(k.signature, k.out_shape());
    const auto solve_one = [&](SolveWork<T>& w, Index system) {
      systems.visit(system, system + 1, [&](const auto& at, Index, const auto&) {
        if (w.factored != at[0]) factor(w, k, at[0]);
        T* out = k.out<T>() + at[2];
        if (!w.finite) return fill_nan(out, size);
        copy_transposed(k.in<T>(1) + at[1], n, columns, w.x);
        w.lu.solve(!transpose, columns, w.x);  // LAPACK has read a by columns: it has factored a'
        copy_transposed(w.x, columns, n, out);
      });
    };
    each_matrix<SolveWork<T>>(k.scratch, batch_of(k.out_shape()).size(), flops(k.signature, k.type), solve_one, n,
                              columns);
  }

  // a x = b: the cotangent of b is u with a' u = g, that of a is -u x'.
  void vjps(const Call& c, Var g, std::span<Cotangent> operands) const override {
    const bool transpose = arguments(c).transpose;
    const Var u = operands[1].value = solve(c.in(0), g, {.transpose = !transpose});
    if (operands[0].wanted)
      operands[0].value =
          -(transpose ? matmul(c.out(), u, {.transpose_b = true}) : matmul(u, c.out(), {.transpose_b = true}));
  }
  // a dx = db - da x
  Var jvp(const Call& c, std::span<const Var> t) const override {
    const bool transpose = arguments(c).transpose;
    const int rank = c.out_shape().rank();
    Var right = t[1].is_null() ? Var{} : full_stack(t[1], c.shape(1), rank);
    if (!t[0].is_null()) {
      const Var moved = matmul(full_stack(t[0], c.shape(0), rank), c.out(), {.transpose_a = transpose});
      right = right.is_null() ? -moved : right - moved;
    }
    return solve(c.in(0), right, {.transpose = transpose});
  }
  Rows rows(const Signature& s, const Type& out, int operand, int axis) const override {
    if (axis >= -2 || s.shape(operand)[axis] != out.shape[axis]) return {RowRule::mixes, 0};
    return {RowRule::keeps, axis};
  }
  Cost cost(const Signature& s, const Type& out) const override {
    Cost cost = Op::cost(s, out);
    cost.flops = flops(s, out) * static_cast<double>(batch_of(out.shape).size());
    return cost;
  }
  double tolerance(Dtype dtype) const override { return dtype == Dtype::f32 ? 1e-5 : 1e-13; }

  std::vector<Example> examples() const override {
    const Attributes plain = with({}), transpose = with({.transpose = true});
    const Sample three{.shape = {3, 3}, .values = {0, 2, 0.5, 1.5, -1, 1, 0.3, 0.4, -2}};  // a 0 at the first pivot
    const Sample two{.shape = {2, 2}, .values = {1, 2, -1.5, 0.5}};
    const Sample many{.shape = {2, 2, 2}, .values = {1, 2, -1.5, 0.5, 0.2, -1, 2, 0.4}};
    const Sample spread{.shape = {2, 1, 2, 2}, .values = many.values};
    return {{{three, Sample{{3, 2}}}, plain},
            {{three, Sample{{3, 1}}}, transpose},
            {{many, Sample{{2, 2, 1}}}, plain},
            {{two, Sample{{3, 2, 2}}}, plain},
            {{spread, Sample{{3, 2, 1}}}, transpose},
            {{many, Sample{{2, 1}}}, plain},
            {{Sample{{2, 1, 1}, 0.5, 2}, Sample{{2, 1, 3}}}, plain}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    const Attributes plain = with({});
    return {
        {{Sample{.shape = {2, 2}, .values = {0, 2, 4, 0}}, Sample{.shape = {2, 1}, .values = {2, 4}}},
         plain,
         {1, 1},
         {{-0.5, -0.5, -0.25, -0.25}, {0.5, 0.25}}},
        {{Sample{.shape = {2, 1, 1}, .values = {nan, 2}}, Sample{.shape = {1, 1}, .values = {1}}}, plain, {nan, 0.5}},
        {{Sample{.shape = {2, 2}, .values = {1, 0, 0, infinity}}, Sample{.shape = {2, 1}, .values = {2, 5}}},
         plain,
         {nan, nan}},
        {{Sample{{0, 0}}, Sample{{0, 2}}}, plain, {}},
        {{Sample{{0, 2, 2}}, Sample{{2, 1}}}, plain, {}},
        {{Sample{.shape = {1, 1}, .values = {1}}, Sample{{1, 0}}}, plain, {}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    const Attributes plain = with({});
    const auto f32 = [](Shape shape) { return Type{Dtype::f32, shape}; };
    return {{{f32({2, 3}), f32({3, 1})}, plain, "needs square matrices, got [2, 3]"},
            {{f32({3, 3}), f32({2, 1})}, plain, "matrices and right-hand sides differ in rows: [3, 3] and [2, 1]"},
            {{f32({3, 3}), f32({3})}, plain, "operand 1 needs at least 2 axes, got shape [3]"},
            {{f32({2, 3, 3}), f32({4, 3, 1})}, plain, "leading axes do not broadcast: [2, 3, 3] and [4, 3, 1]"},
            {{f32({0, 20001, 20001}), f32({20001, 1})}, plain, "takes matrices of up to 20000 rows or columns"},
            {{f32({3, 3}), {Dtype::f64, {3, 1}}}, plain, "operands differ in dtype: f32 and f64"},
            {{{Dtype::i32, {3, 3}}, f32({3, 1})}, plain, "operand 0 is i32"}};
  }
  Array reference(std::span<const Array> in, const Attributes& attributes, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Shape batch = batch_of(out.shape);
    const Index size = out.shape[-2] * out.shape[-1];
    for (Index m = 0; m < batch.size(); ++m) {
      const auto matrix = [&](std::size_t i) {
        return reference::Matrix::of(in[i], position_of(broadcast_walk(batch_of(in[i].shape()), batch), m));
      };
      const reference::Matrix a = matrix(0);
      const reference::Matrix x = reference::solve(arguments(attributes).transpose ? a.transposed() : a, matrix(1));
      for (Index i = 0; i < size; ++i)
        result.set(m * size + i, static_cast<double>(x.entries[static_cast<std::size_t>(i)]));
    }
    return result;
  }

 private:
  static double flops(const Signature&, const Type& out) {
    const double n = static_cast<double>(out.shape[-2]), columns = static_cast<double>(out.shape[-1]);
    return n * n * (2 * n / 3 + 2 * columns);
  }
  // The offsets of a, b and x of each system; those that share their a are neighbours.
  static Lanes<3> systems_of(const Signature& s, const Shape& out) {
    const Shape batch = batch_of(out);
    const Index n = out[-2], columns = out[-1];
    Lanes<3> lanes;
    for (bool shared : {false, true})
      for (int axis = -batch.rank(); axis < 0; ++axis) {
        const Index a = stretched_stride(batch_of(s.shape(0)), batch, axis) * n * n;
        if ((a == 0) == shared)
          lanes.add_axis(batch[axis], {a, stretched_stride(batch_of(s.shape(1)), batch, axis) * n * columns,
                                       stride_of(batch, axis) * n * columns});
      }
    return lanes;
  }
  template <class T>
  static void factor(SolveWork<T>& w, const Kernel& k, Index at) {
    const Index n = w.lu.n;
    w.factored = at;
    w.finite = all_finite(k.in<T>(0) + at, n * n);
    if (!w.finite) return;
    copy_flushed(k.in<T>(0) + at, n * n, w.lu.a);
    if (const Index pivot = w.lu.factor(); pivot < n)
      reject(fmt::format("{} is singular: pivot {} is 0", name_of_matrix(at / (n * n), k.shape(0)), pivot));
  }
};
[[gnu::init_priority(library_ops)]] const Solve solve_op;

}  // namespace

Var solve(Operand a, Operand b, SolveOptions options) {
  const Attributes attributes = to_attributes(options);
  if (a.is_number() || b.is_number() || a.rank() < 2 || b.rank() < 1) return record(solve_op, {a, b}, attributes);
  if (b.rank() > 1) return record(solve_op, {with_rank(a, b.rank()), with_rank(b, a.rank())}, attributes);
  const Scope scope(b);
  const Var x = record(solve_op, {a, reshape(b, b.shape().followed_by({1}))}, attributes);
  return reshape(x, x.shape().leading(x.rank() - 1));
}

Var inv(Operand a) {
  if (a.rank() < 2) refuse(a, "inv", fmt::format("needs square matrices, got {}", to_string(a.shape())));
  const Scope scope(a, "inv");
  return solve(a, diag_embed(a.tape().full({a.dtype(), {a.shape()[-1]}}, 1)));
}

}  // namespace wengert
