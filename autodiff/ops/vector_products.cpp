// Products of vectors: outer, dot, cross; and Kronecker's of matrices.
#include <fmt/format.h>

#include <algorithm>

#include "autodiff/linalg.hpp"
#include "autodiff/ops/axes.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

void check_vectors(const Operand& a, const Operand& b, const char* op) {
  if (a.rank(op) != 1 || b.rank(op) != 1)
    refuse(a, op,
           fmt::format("needs two operands of one axis, got {} and {}", to_string(a.shape()), to_string(b.shape())));
}

}  // namespace

Var outer(Operand a, Operand b) {
  check_vectors(a, b, "outer");
  const Scope scope(a, "outer");
  return reshape(a, {a.extent(0), 1}) * b;
}

Var dot(Operand a, Operand b) {
  check_vectors(a, b, "dot");
  if (a.extent(0) != b.extent(0))
    refuse(a, "dot", fmt::format("extents differ: {} and {}", to_string(a.shape()), to_string(b.shape())));
  const Scope scope(a, "dot");
  return sum(a * b);
}

Var cross(Operand a, Operand b, Axis axis) {
  const int rank = std::max(a.rank(), b.rank());
  int at = axis;
  try {
    at = normalise_axis(axis, rank);
  } catch (const Error& error) {
    refuse(a, "cross", fmt::format("{} of {} and {}", error.what(), to_string(a.shape()), to_string(b.shape())));
  }
  for (const Operand& x : {a, b})
    if (x.rank() < -at || x.extent(at) != 3)
      refuse(x, "cross", fmt::format("needs 3 elements along axis {}, got {}", at, to_string(x.shape())));
  const Scope scope(a, "cross");
  return roll(a, -1, at) * roll(b, -2, at) - roll(a, -2, at) * roll(b, -1, at);
}

Var kron(Operand a, Operand b) {
  const int rank = std::max(a.rank(), b.rank());
  if (rank > static_cast<int>(max_rank) / 2)
    refuse(a, "kron", fmt::format("takes up to 4 axes, got {} and {}", to_string(a.shape()), to_string(b.shape())));
  const Shape left = a.shape().padded(rank), right = b.shape().padded(rank);
  Shape outside, inside, result;  // a's axes and b's in turn: axis i of a before axis i of b
  for (int axis = 0; axis < rank; ++axis) {
    outside = outside.followed_by({left[axis], 1});
    inside = inside.followed_by({1, right[axis]});
    result.append(left[axis] * right[axis]);
  }
  const Scope scope(a, "kron");
  return reshape(reshape(a, outside) * reshape(b, inside), result);
}

}  // namespace wengert
