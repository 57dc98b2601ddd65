// Parts of matrices on the last two axes: diagonal, its adjoint diag_embed, trace, tril and triu. They take every
// dtype; leading axes are a batch.
#include <fmt/format.h>

#include <algorithm>

#include "autodiff/kernels/strided.hpp"
#include "autodiff/op.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// x [..., n, n] -> [..., n]
struct Diagonal final : Op {
  Diagonal() : Op({.name = "diagonal", .linearity = Linearity::linear, .selects = true}) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    const Shape& x = s.shape(0);
    if (x.rank() < 2 || x[-1] != x[-2]) reject(fmt::format("needs square matrices, got {}", to_string(x)));
    return {s.dtype(0), x.leading(x.rank() - 1)};
  }
  void run(const Kernel& k) const override {
    const Index n = k.out_shape()[-1];
    Walk way;
    way.add_axis(k.out_shape().leading(k.out_shape().rank() - 1).size(), n * n);
    way.add_axis(n, n + 1);
    dispatch(k.type.dtype, [&]<class T>() { gather_all(way, k.in<T>(0), k.out_shape().size(), k.out<T>()); });
  }
  Var vjp(const Call&, int, Var g) const override { return diag_embed(g); }
  Rows rows(const Signature&, const Type&, int, int axis) const override {
    return axis < -2 ? Rows{RowRule::keeps, axis + 1} : Rows{RowRule::mixes, 0};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 3}}}}, {{Sample{{2, 3, 3}}}}, {{Sample{{2, 3, 1, 1}}}}, {{Sample{{2, 0, 0}}}}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    return {{{Sample{.shape = {2, 2}, .values = {1, 2, 3, 4}}}, {}, {1, 4}, {{1, 0, 0, 1}}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, {}, "needs square matrices, got [2, 3]"},
            {{{Dtype::f32, {2}}}, {}, "needs square matrices, got [2]"}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Index n = out.shape[-1];
    for (Index i = 0; i < in[0].size(); ++i)
      if (i / n % n == i % n) result.set(i / n, in[0].at(i));
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Diagonal diagonal_op;

// x [..., n] -> [..., n, n], zero beside the diagonal
struct DiagEmbed final : Op {
  DiagEmbed() : Op({.name = "diag_embed", .linearity = Linearity::custom_jvp}) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    const Shape& x = s.shape(0);
    if (x.rank() < 1) reject("needs at least one axis, got shape []");
    return {s.dtype(0), x.followed_by({x[-1]})};
  }
  void run(const Kernel& k) const override {
    const Index n = k.out_shape()[-1], grain = std::max<Index>(1, (Index{1} << 14) / std::max<Index>(1, n));
    dispatch(k.type.dtype, [&]<class T>() {
      parallel_pieces(k.shape(0).size(), grain, [&](Index begin, Index end) {  // one row of the result for each element
        std::fill(k.out<T>() + begin * n, k.out<T>() + end * n, T(0));
        for (Index i = begin; i < end; ++i) k.out<T>()[i * n + i % n] = k.in<T>(0)[i];
      });
    });
  }
  Var vjp(const Call&, int, Var g) const override { return diagonal(g); }
  Var jvp(const Call& c, std::span<const Var> t) const override {  // linear, but its result has an axis more
    return diag_embed(broadcast_to(t[0], c.shape(0).prepended(t[0].extent(0))));
  }
  Rows rows(const Signature&, const Type&, int, int axis) const override {
    return axis < -1 ? Rows{RowRule::keeps, axis - 1} : Rows{RowRule::mixes, 0};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3}}}}, {{Sample{{2, 3}}}}, {{Sample{{2, 3, 1}}}}, {{Sample{{2, 0}}}}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    return {{{Sample{.shape = {2}, .values = {infinity, 4}}}, {}, {infinity, 0, 0, 4}, {{1, 1}}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {}}}, {}, "needs at least one axis, got shape []"}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Index n = out.shape[-1];
    for (Index i = 0; i < result.size(); ++i)
      if (i / n % n == i % n) result.set(i, in[0].at(i / n));
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const DiagEmbed diag_embed_op;

struct DiagonalArgument {
  Index k = 0;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("k", k);
  }
};

// x [..., m, n] -> x where column - row <= k (lower) or >= k (upper), 0 elsewhere whatever x is there. Its own adjoint.
struct Triangle final : OpWith<DiagonalArgument> {
  Triangle(std::string name, bool lower)
      : OpWith({.name = std::move(name), .linearity = Linearity::linear, .selects = true}), lower_(lower) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    if (s.shape(0).rank() < 2) reject(fmt::format("needs matrices, got shape {}", to_string(s.shape(0))));
    return *s.in[0];
  }
  void run(const Kernel& k) const override {
    const Index m = k.out_shape()[-2], n = k.out_shape()[-1];
    const Index offset = std::clamp(arguments(k).k, -m - 1, n);  // beyond, all rows are alike
    const Index rows = k.out_shape().leading(k.out_shape().rank() - 1).size();
    const Index grain = std::max<Index>(1, (Index{1} << 14) / std::max<Index>(1, n));
    dispatch(k.type.dtype, [&]<class T>() {
      parallel_pieces(rows, grain, [&](Index begin, Index end) {
        for (Index r = begin; r < end; ++r) {
          const T* x = k.in<T>(0) + r * n;
          T* out = k.out<T>() + r * n;
          const Index cut = std::clamp<Index>(r % m + offset + (lower_ ? 1 : 0), 0, n);
          const Index first = lower_ ? 0 : cut, last = lower_ ? cut : n;
          std::fill(out, out + first, T(0));
          std::copy(x + first, x + last, out + first);
          std::fill(out + last, out + n, T(0));
        }
      });
    });
  }
  Var vjp(const Call& c, int, Var g) const override { return record(*this, {g}, c.attributes()); }
  Rows rows(const Signature&, const Type&, int, int axis) const override {
    return {axis < -2 ? RowRule::keeps : RowRule::mixes, axis};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 3}}}, with({0})},     {{Sample{{3, 4}}}, with({1})},     {{Sample{{4, 3}}}, with({-2})},
            {{Sample{{2, 3, 3}}}, with({-1})}, {{Sample{{2, 2, 3}}}, with({-9})}, {{Sample{{2, 2, 3}}}, with({9})},
            {{Sample{{0, 3}}}, with({0})},     {{Sample{{2, 0}}}, with({0})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    if (lower_) return {{{Sample{.shape = {2, 2}, .values = {1, nan, 3, 4}}}, with({0}), {1, 0, 3, 4}, {{1, 0, 1, 1}}}};
    return {{{Sample{.shape = {2, 2}, .values = {1, 2, nan, 4}}}, with({0}), {1, 2, 0, 4}, {{1, 1, 0, 1}}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {3}}}, with({0}), "needs matrices, got shape [3]"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) {
      const Index over = i % out.shape[-1] - i / out.shape[-1] % out.shape[-2];
      if (lower_ ? over <= arguments(a).k : over >= arguments(a).k) result.set(i, in[0].at(i));
    }
    return result;
  }

 private:
  bool lower_;
};
[[gnu::init_priority(library_ops)]] const Triangle tril_op("tril", true), triu_op("triu", false);

}  // namespace

Var diagonal(Operand x) { return record(diagonal_op, {x}); }
Var diag_embed(Operand x) { return record(diag_embed_op, {x}); }
Var tril(Operand x, Integer k) { return record(tril_op, {x}, Triangle::with({k})); }
Var triu(Operand x, Integer k) { return record(triu_op, {x}, Triangle::with({k})); }

Var trace(Operand x) {
  const Scope scope(x, "trace");
  return sum(diagonal(x), -1);
}

}  // namespace wengert
