// Operators on functions, each a few lines over the reverse and the forward sweep.
#include <fmt/format.h>

#include "autodiff/derivatives.hpp"
#include "autodiff/derivatives/forward.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/composite.hpp"

namespace wengert {
namespace {

// A function at a point: the nodes that stand for its arguments, and its value. Made before an operator enters its
// scope: the function's lines are the user's own.
struct Bound {
  Tape& tape;
  std::vector<Var> xs;
  Var y;
  std::vector<std::uint32_t> x_indices;
  std::uint32_t y_index;

  Bound(const FunctionOfMany& f, std::span<const Operand> at, const char* op) : tape(at[0].tape(op)) {
    for (const Operand& x : at) {
      x.tape(op);
      tape.index_of(x.var(), x.where(), op);
      xs.push_back(identity(x));
    }
    y = f(xs);
    for (Var x : xs) x_indices.push_back(tape.index_of(x, at[0].where(), op));
    y_index = tape.index_of(y, at[0].where(), op);
  }
  Bound(const Function& f, const Operand& at, const char* op)
      : Bound([&](std::span<const Var> in) { return f(in[0]); }, {&at, 1}, op) {}

  Var x() const { return xs[0]; }
  Index columns() const {
    Index total = 0;
    for (Var x : xs) total += x.size();
    return total;
  }
};

void check_scalar(const Bound& bound, const char* op, const Operand& at) {
  if (bound.y.shape().size() != 1 || !is_float(bound.y.dtype()))
    throw Error(fmt::format("[{}] needs a function whose value is a float of one element, got {}  ({})", op,
                            to_string(bound.y.type()), location_of(at)));
}

// The arguments of a function of several, as operands.
std::vector<Operand> arguments(std::span<const Var> xs, const char* op, Where where) {
  if (xs.empty()) throw Error(fmt::format("[{}] needs at least one argument  ({})", op, to_string(where)));
  return at_line(xs, where);
}

void check_direction(const Operand& x, const Operand& v, const char* op) {
  if (v.is_number() || v.type() != x.type(op))
    throw Error(fmt::format("[{}] the direction must be of x's type {}, got {}  ({})", op, to_string(x.type()),
                            v.is_number() ? "a number" : to_string(v.type()), location_of(v)));
}

void check_directions(std::span<const Operand> xs, std::span<const Var> vs, const char* op) {
  if (vs.size() != xs.size())
    throw Error(fmt::format("[{}] needs a direction for each of {} arguments, got {}  ({})", op, xs.size(), vs.size(),
                            location_of(xs[0])));
  for (std::size_t i = 0; i < xs.size(); ++i)
    if (const Type& wanted = xs[i].type(op), &got = vs[i].type(xs[i].where()); got != wanted)
      throw Error(fmt::format("[{}] direction {} must be of its argument's type {}, got {}  ({})", op, i,
                              to_string(wanted), to_string(got), location_of(xs[i])));
}

// The derivatives of ys along vs.
std::vector<Var> push(const Bound& bound, std::span<const Var> ys, std::span<const Operand> vs) {
  std::vector<Var> stacks;
  for (const Operand& v : vs) stacks.push_back(reshape(v, v.shape().prepended(1)));
  std::vector<std::uint32_t> indices;
  for (Var y : ys) indices.push_back(bound.tape.index_of(y, vs[0].where()));
  const ForwardSweep sweep(bound.tape, bound.x_indices, stacks, indices);
  std::vector<Var> result;
  for (std::size_t i = 0; i < ys.size(); ++i) result.push_back(reshape(sweep.full(indices[i], 1), ys[i].shape()));
  return result;
}

// The identity matrix of n rows as a stack of tangents: [n, shape], n = shape.size().
Var basis(Tape& tape, const Type& type) {
  const Index n = type.shape.size();
  Array values(type.dtype, type.shape.prepended(n));
  for (Index i = 0; i < n; ++i) values.set(i * n + i, 1);
  return tape.input(values, "basis");
}

// [n, S] -> [S, n axes of x]
Var stack_last(Var stack, const Shape& y, const Shape& x) {
  const Var columns = transpose(reshape(stack, {x.size(), y.size()}));
  return reshape(columns, y.followed_by(x));
}

// [i][j]: the derivatives of ys[i] by argument j, in a stacked sweep for each argument.
std::vector<std::vector<Var>> forward_jacobians(const Bound& bound, std::span<const Var> ys) {
  std::vector<std::uint32_t> indices;
  for (Var y : ys) indices.push_back(bound.tape.index_of(y, Where::current()));
  std::vector<std::vector<Var>> result(ys.size());
  for (std::size_t j = 0; j < bound.xs.size(); ++j) {
    const Var x = bound.xs[j], tangents = basis(bound.tape, x.type());
    const ForwardSweep sweep(bound.tape, {&bound.x_indices[j], 1}, {&tangents, 1}, indices);
    for (std::size_t i = 0; i < ys.size(); ++i)
      result[i].push_back(stack_last(sweep.full(indices[i], x.size()), ys[i].shape(), x.shape()));
  }
  return result;
}

std::vector<Var> reverse_jacobian(const Bound& bound) {
  const Shape& rows = bound.y.shape();
  const Var flat = flatten(bound.y);
  std::vector<std::vector<Operand>> gradients(bound.xs.size());
  for (Index i = 0; i < rows.size(); ++i) {
    const std::vector<Var> row = grad(slice(flat, 0, i, i + 1), bound.xs);
    for (std::size_t j = 0; j < row.size(); ++j)
      gradients[j].emplace_back(reshape(row[j], row[j].shape().prepended(1)));
  }
  std::vector<Var> result;
  for (std::size_t j = 0; j < gradients.size(); ++j)
    result.push_back(reshape(concat(std::span<const Operand>(gradients[j]), 0), rows.followed_by(bound.xs[j].shape())));
  return result;
}

std::vector<Var> jacobians(const Bound& bound, JacobianMode mode) {
  const Index rows = bound.y.size(), columns = bound.columns();
  if (rows == 0 || columns == 0) {
    std::vector<Var> empty;
    for (Var x : bound.xs)
      empty.push_back(bound.tape.full(Type{bound.y.dtype(), bound.y.shape().followed_by(x.shape())}, 0));
    return empty;
  }
  if (mode == JacobianMode::automatic) mode = rows >= columns ? JacobianMode::forward : JacobianMode::reverse;
  return mode == JacobianMode::forward ? forward_jacobians(bound, {&bound.y, 1})[0] : reverse_jacobian(bound);
}

}  // namespace

ValueAndGrad value_and_grad(const Function& f, Operand x) {
  const Bound bound(f, x, "value_and_grad");
  const Scope scope(x, "value_and_grad");
  check_scalar(bound, "value_and_grad", x);
  return {bound.y, grad(bound.y, bound.x())};
}

ValueAndTangent jvp(const Function& f, Operand x, Operand v) {
  check_direction(x, v, "jvp");
  const Bound bound(f, x, "jvp");
  const Scope scope(x, "jvp");
  return {bound.y, push(bound, {&bound.y, 1}, {&v, 1})[0]};
}

Var hvp(const Function& f, Operand x, Operand v) {
  check_direction(x, v, "hvp");
  const Bound bound(f, x, "hvp");
  const Scope scope(x, "hvp");
  check_scalar(bound, "hvp", x);
  const Var gradient = grad(bound.y, bound.x());
  return push(bound, {&gradient, 1}, {&v, 1})[0];
}

Var jacobian(const Function& f, Operand x, JacobianOptions options) {
  const Bound bound(f, x, "jacobian");
  const Scope scope(x, "jacobian");
  return jacobians(bound, options.mode)[0];
}

Var hessian(const Function& f, Operand x) {
  const Bound bound(f, x, "hessian");
  const Scope scope(x, "hessian");
  check_scalar(bound, "hessian", x);
  const Var gradient = grad(bound.y, bound.x());
  return forward_jacobians(bound, {&gradient, 1})[0][0];
}

ValueAndGrads value_and_grad(const FunctionOfMany& f, std::span<const Var> xs, Where where) {
  const std::vector<Operand> at = arguments(xs, "value_and_grad", where);
  const Bound bound(f, at, "value_and_grad");
  const Scope scope(at[0], "value_and_grad");
  check_scalar(bound, "value_and_grad", at[0]);
  return {bound.y, grad(bound.y, bound.xs)};
}

ValueAndTangent jvp(const FunctionOfMany& f, std::span<const Var> xs, std::span<const Var> vs, Where where) {
  const std::vector<Operand> at = arguments(xs, "jvp", where);
  check_directions(at, vs, "jvp");
  const Bound bound(f, at, "jvp");
  const Scope scope(at[0], "jvp");
  return {bound.y, push(bound, {&bound.y, 1}, at_line(vs, where))[0]};
}

std::vector<Var> hvp(const FunctionOfMany& f, std::span<const Var> xs, std::span<const Var> vs, Where where) {
  const std::vector<Operand> at = arguments(xs, "hvp", where);
  check_directions(at, vs, "hvp");
  const Bound bound(f, at, "hvp");
  const Scope scope(at[0], "hvp");
  check_scalar(bound, "hvp", at[0]);
  return push(bound, grad(bound.y, bound.xs), at_line(vs, where));
}

std::vector<Var> jacobian(const FunctionOfMany& f, std::span<const Var> xs, JacobianOptions options, Where where) {
  const std::vector<Operand> at = arguments(xs, "jacobian", where);
  const Bound bound(f, at, "jacobian");
  const Scope scope(at[0], "jacobian");
  return jacobians(bound, options.mode);
}

std::vector<std::vector<Var>> hessian(const FunctionOfMany& f, std::span<const Var> xs, Where where) {
  const std::vector<Operand> at = arguments(xs, "hessian", where);
  const Bound bound(f, at, "hessian");
  const Scope scope(at[0], "hessian");
  check_scalar(bound, "hessian", at[0]);
  return forward_jacobians(bound, grad(bound.y, bound.xs));
}

namespace {

std::span<const Var> listed(std::initializer_list<Var> vars) { return {vars.begin(), vars.size()}; }

}  // namespace

ValueAndGrads value_and_grad(const FunctionOfMany& f, std::initializer_list<Var> xs, Where where) {
  return value_and_grad(f, listed(xs), where);
}
ValueAndTangent jvp(const FunctionOfMany& f, std::initializer_list<Var> xs, std::initializer_list<Var> vs,
                    Where where) {
  return jvp(f, listed(xs), listed(vs), where);
}
std::vector<Var> hvp(const FunctionOfMany& f, std::initializer_list<Var> xs, std::initializer_list<Var> vs,
                     Where where) {
  return hvp(f, listed(xs), listed(vs), where);
}
std::vector<Var> jacobian(const FunctionOfMany& f, std::initializer_list<Var> xs, JacobianOptions options,
                          Where where) {
  return jacobian(f, listed(xs), options, where);
}
std::vector<std::vector<Var>> hessian(const FunctionOfMany& f, std::initializer_list<Var> xs, Where where) {
  return hessian(f, listed(xs), where);
}

namespace {

void check_rows(Var x, Var y, const char* op, const Operand& at) {
  if (x.rank() != 2 || x.type() != y.type())
    throw Error(fmt::format("[{}] needs a function from [B,d] to [B,d], got {} to {}  ({})", op, to_string(x.type()),
                            to_string(y.type()), location_of(at)));
}

// The trace of every row's Jacobian of y by the bound argument, [B]
Var trace_rows(const Bound& bound, Var y) {
  const Index rows = bound.x().extent(0), d = bound.x().extent(1);
  const Var unit = reshape(basis(bound.tape, {bound.x().dtype(), {d}}), {d, 1, d});
  const std::uint32_t last = bound.tape.index_of(y, Where::current());
  const ForwardSweep sweep(bound.tape, bound.x_indices, {&unit, 1}, last, ForwardSweep::RowCheck::independent);
  const Var stack = sweep.at(last);
  if (stack.is_null()) return bound.tape.full(Type{y.dtype(), {rows}}, 0);
  return broadcast_to(sum(stack * unit, {0, 2}), {rows});
}

}  // namespace

ValueAndDivergence value_and_divergence(const Function& f, Operand x) {
  const Bound bound(f, x, "divergence");
  const Scope scope(x, "divergence");
  check_rows(bound.x(), bound.y, "divergence", x);
  return {bound.y, trace_rows(bound, bound.y)};
}

Var divergence(const Function& f, Operand x) { return value_and_divergence(f, x).divergence; }

HutchinsonEstimate value_and_divergence(const Function& f, Operand x, Operand probes) {
  const Bound bound(f, x, "divergence");
  const Scope scope(x, "divergence");
  check_rows(bound.x(), bound.y, "divergence", x);
  if (probes.is_number() || probes.rank() != 3 || probes.shape().trailing(2) != bound.x().shape() ||
      probes.dtype() != bound.x().dtype())
    throw Error(fmt::format("[divergence] needs probes [n,B,d] for x {}, got {}  ({})", to_string(bound.x().type()),
                            probes.is_number() ? "a number" : to_string(probes.type()), location_of(probes)));
  const Index n = probes.extent(0);
  const Var v = probes.var();
  const ForwardSweep sweep(bound.tape, bound.x_indices, {&v, 1}, bound.y_index, ForwardSweep::RowCheck::independent);
  const Var products = sum(v * sweep.full(bound.y_index, n), 2);  // v' J v, [n,B]
  const Var average = mean(products, 0);
  const Var variance = sum(square(products - average), 0) / static_cast<double>(n - 1);
  return {bound.y, average, sqrt(variance / static_cast<double>(n))};
}

Var laplacian(const Function& f, Operand x) {
  const Bound bound(f, x, "laplacian");
  const Scope scope(x, "laplacian");
  const Shape& y = bound.y.shape();
  if (bound.x().rank() != 2 || y.size() != bound.x().extent(0) || y.rank() < 1 || y[0] != bound.x().extent(0))
    throw Error(fmt::format("[laplacian] needs a function from [B,d] to [B] or [B,1], got {} to {}  ({})",
                            to_string(bound.x().type()), to_string(bound.y.type()), location_of(x)));
  return trace_rows(bound, grad(sum(bound.y), bound.x()));
}

}  // namespace wengert
