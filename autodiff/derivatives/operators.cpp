// Operators on functions, each a few lines over the reverse and the forward sweep.
#include <fmt/format.h>

#include "autodiff/derivatives.hpp"
#include "autodiff/derivatives/forward.hpp"
#include "autodiff/ops.hpp"

namespace wengert {
namespace {

// A function at a point: the node that stands for its argument, and its value. Made before an operator enters its
// scope: the function's lines are the user's own.
struct Bound {
  Tape& tape;
  Var x, y;
  std::uint32_t x_index, y_index;

  Bound(const Function& f, const Operand& at, const char* op)
      : tape(at.tape(op)),
        x(identity(at)),
        y(f(x)),
        x_index(tape.index_of(x, at.where())),
        y_index(tape.index_of(y, at.where())) {}
};

void check_scalar(Var y, const char* op, const Operand& at) {
  if (y.shape().size() != 1 || !is_float(y.dtype()))
    throw Error(fmt::format("[{}] needs a function whose value is a float of one element, got {}  ({})", op,
                            to_string(y.type()), location_of(at)));
}

void check_direction(const Operand& x, const Operand& v, const char* op) {
  if (v.is_number() || v.type() != x.type(op))
    throw Error(fmt::format("[{}] the direction must be of x's type {}, got {}  ({})", op, to_string(x.type()),
                            v.is_number() ? "a number" : to_string(v.type()), location_of(v)));
}

Var push(const Bound& bound, Var y, const Operand& v) {
  const Var stack = reshape(v, v.shape().prepended(1));
  const std::uint32_t last = bound.tape.index_of(y, v.where());
  const ForwardSweep sweep(bound.tape, {&bound.x_index, 1}, {&stack, 1}, last);
  return reshape(sweep.full(last, 1), y.shape());
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

Var forward_jacobian(const Bound& bound, Var y) {
  const Var tangents = basis(bound.tape, bound.x.type());
  const std::uint32_t last = bound.tape.index_of(y, Where::current());
  const ForwardSweep sweep(bound.tape, {&bound.x_index, 1}, {&tangents, 1}, last);
  return stack_last(sweep.full(last, bound.x.size()), y.shape(), bound.x.shape());
}

}  // namespace

ValueAndGrad value_and_grad(const Function& f, Operand x) {
  const Bound bound(f, x, "value_and_grad");
  const Scope scope(x, "value_and_grad");
  check_scalar(bound.y, "value_and_grad", x);
  return {bound.y, grad(bound.y, bound.x)};
}

ValueAndTangent jvp(const Function& f, Operand x, Operand v) {
  check_direction(x, v, "jvp");
  const Bound bound(f, x, "jvp");
  const Scope scope(x, "jvp");
  return {bound.y, push(bound, bound.y, v)};
}

Var hvp(const Function& f, Operand x, Operand v) {
  check_direction(x, v, "hvp");
  const Bound bound(f, x, "hvp");
  const Scope scope(x, "hvp");
  check_scalar(bound.y, "hvp", x);
  return push(bound, grad(bound.y, bound.x), v);
}

Var jacobian(const Function& f, Operand x) {
  const Bound bound(f, x, "jacobian");
  const Scope scope(x, "jacobian");
  const Shape &rows = bound.y.shape(), &columns = bound.x.shape();
  if (rows.size() == 0 || columns.size() == 0)
    return bound.tape.full(Type{bound.y.dtype(), rows.followed_by(columns)}, 0);
  if (rows.size() >= columns.size()) return forward_jacobian(bound, bound.y);
  const Var flat = flatten(bound.y);
  std::vector<Operand> gradients;
  for (Index i = 0; i < rows.size(); ++i)
    gradients.emplace_back(reshape(grad(slice(flat, 0, i, i + 1), bound.x), columns.prepended(1)));
  return reshape(concat(std::span<const Operand>(gradients), 0), rows.followed_by(columns));
}

Var hessian(const Function& f, Operand x) {
  const Bound bound(f, x, "hessian");
  const Scope scope(x, "hessian");
  check_scalar(bound.y, "hessian", x);
  return forward_jacobian(bound, grad(bound.y, bound.x));
}

namespace {

void check_rows(Var x, Var y, const char* op, const Operand& at) {
  if (x.rank() != 2 || x.type() != y.type())
    throw Error(fmt::format("[{}] needs a function from [B,d] to [B,d], got {} to {}  ({})", op, to_string(x.type()),
                            to_string(y.type()), location_of(at)));
}

// The trace of every row's Jacobian of y by the bound argument, [B]
Var trace_rows(const Bound& bound, Var y) {
  const Index rows = bound.x.extent(0), d = bound.x.extent(1);
  const Var unit = reshape(basis(bound.tape, {bound.x.dtype(), {d}}), {d, 1, d});
  const std::uint32_t last = bound.tape.index_of(y, Where::current());
  const ForwardSweep sweep(bound.tape, {&bound.x_index, 1}, {&unit, 1}, last, ForwardSweep::RowCheck::independent);
  const Var stack = sweep.at(last);
  if (stack.is_null()) return bound.tape.full(Type{y.dtype(), {rows}}, 0);
  return broadcast_to(sum(stack * unit, {0, 2}), {rows});
}

}  // namespace

ValueAndDivergence value_and_divergence(const Function& f, Operand x) {
  const Bound bound(f, x, "divergence");
  const Scope scope(x, "divergence");
  check_rows(bound.x, bound.y, "divergence", x);
  return {bound.y, trace_rows(bound, bound.y)};
}

Var divergence(const Function& f, Operand x) { return value_and_divergence(f, x).divergence; }

HutchinsonEstimate value_and_divergence(const Function& f, Operand x, Operand probes) {
  const Bound bound(f, x, "divergence");
  const Scope scope(x, "divergence");
  check_rows(bound.x, bound.y, "divergence", x);
  if (probes.is_number() || probes.rank() != 3 || probes.shape().trailing(2) != bound.x.shape() ||
      probes.dtype() != bound.x.dtype())
    throw Error(fmt::format("[divergence] needs probes [n,B,d] for x {}, got {}  ({})", to_string(bound.x.type()),
                            probes.is_number() ? "a number" : to_string(probes.type()), location_of(probes)));
  const Index n = probes.extent(0);
  const Var v = probes.var();
  const ForwardSweep sweep(bound.tape, {&bound.x_index, 1}, {&v, 1}, bound.y_index,
                           ForwardSweep::RowCheck::independent);
  const Var products = sum(v * sweep.full(bound.y_index, n), 2);  // v' J v, [n,B]
  const Var average = mean(products, 0);
  const Var variance = sum(square(products - average), 0) / static_cast<double>(n - 1);
  return {bound.y, average, sqrt(variance / static_cast<double>(n))};
}

Var laplacian(const Function& f, Operand x) {
  const Bound bound(f, x, "laplacian");
  const Scope scope(x, "laplacian");
  const Shape& y = bound.y.shape();
  if (bound.x.rank() != 2 || y.size() != bound.x.extent(0) || y.rank() < 1 || y[0] != bound.x.extent(0))
    throw Error(fmt::format("[laplacian] needs a function from [B,d] to [B] or [B,1], got {} to {}  ({})",
                            to_string(bound.x.type()), to_string(bound.y.type()), location_of(x)));
  return trace_rows(bound, grad(sum(bound.y), bound.x));
}

}  // namespace wengert
