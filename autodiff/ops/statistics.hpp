// Parts of statistics and norms.
#pragma once
#include <span>

#include "autodiff/var.hpp"

namespace wengert {

// x minus its mean, without cancellation.
Var from_mean_of(const Operand& x, std::span<const int> axes);
// The square root, with derivatives 0 where x is 0.
Var root(Var x);

}  // namespace wengert
