#include "autodiff/ops/matrices.hpp"

#include <fmt/format.h>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert {

Var transposed(Var x) { return swapaxes(x, -1, -2); }
Var symmetric(Var x) { return 0.5 * (x + transposed(x)); }
Var as_matrices(Var x) { return reshape(x, x.shape().followed_by({1, 1})); }

Var reciprocal_or_zero(Var x, Var values, Index extent) {
  if (values.size() == 0) return x;
  const double rounding =
      static_cast<double>(extent) *
      (x.dtype() == Dtype::f32 ? std::numeric_limits<float>::epsilon() : std::numeric_limits<double>::epsilon());
  const Var counts = abs(x) > rounding * max(abs(values), -1, {.keepdims = true});
  return where(counts, 1 / where(counts, x, 1), 0);
}

Var full_stack(Var stack, const Shape& shape, int rank) {
  const Index count = stack.extent(0);
  const Var full = broadcast_to(stack, shape.prepended(count));
  return shape.rank() < rank ? reshape(full, shape.padded(rank).prepended(count)) : full;
}

Operand with_rank(const Operand& x, int rank) {
  if (x.is_number() || x.rank() >= rank) return x;
  return {reshape(x, x.shape().padded(rank)), x.where()};
}

void require_matrices(const Signature& s, int operand) {
  constexpr Index longest = 20000;  // of the shorter side: workspaces of four such squares
  const Shape& x = s.shape(operand);
  if (!is_float(s.dtype(operand))) reject(fmt::format("operand {} is i32: needs f32 or f64 (use cast)", operand));
  if (x.rank() < 2) reject(fmt::format("operand {} needs at least 2 axes, got shape {}", operand, to_string(x)));
  if (std::min(x[-1], x[-2]) > longest || std::max(x[-1], x[-2]) > std::numeric_limits<std::int32_t>::max())
    reject(fmt::format("takes matrices of up to {} rows or columns, got {}", longest, to_string(x)));
}

void require_square(const Signature& s, int operand) {
  require_matrices(s, operand);
  const Shape& x = s.shape(operand);
  if (x[-1] != x[-2]) reject(fmt::format("needs square matrices, got {}", to_string(x)));
}

std::string name_of_matrix(Index i, const Shape& shape) {
  return (batch_of(shape).size() > 1 ? fmt::format("matrix {} of ", i) : "") + to_string(shape);
}

}  // namespace wengert
