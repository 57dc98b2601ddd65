// Checks an op against what it states about itself: one call for an op of the library or of a user.
#pragma once
#include <string>
#include <vector>

#include "autodiff/op.hpp"

namespace wengert {

struct CheckReport {
  int checks = 0;
  std::vector<std::string> failures;  // "[tanh] example 0, order 2: d/d operand 0 at 3: analytic 0.1, numeric 0.2"
};

// For every example, in f32 and f64: the type inferred and the value against the op's reference; the same bits when
// recorded again; in f64 the first `orders` derivatives, order n against central differences of the analytic order
// n - 1 under random projections; forward mode against reverse, on stacks of tangents; the row rule against what
// perturbing rows changes. Then specials and rejects.
CheckReport check_op(const Op& op, int orders = 3);

}  // namespace wengert
