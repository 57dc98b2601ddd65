// Operators that differentiate. They record more nodes on the tape of what they differentiate, written in ops, so that
// a derivative can be differentiated again, to any order.
#pragma once
#include <initializer_list>
#include <span>
#include <vector>

#include "autodiff/var.hpp"

namespace wengert {

// dy/dx for a y of one element, in x's shape: the total derivative at node x. Zeros where y does not depend on x.
// Throws Error when y is not a single float, or x is not on y's tape.
Var grad(Operand y, Var x);
std::vector<Var> grad(Operand y, std::initializer_list<Var> xs);
std::vector<Var> grad(Operand y, std::span<const Var> xs);

// The cotangents of xs under the cotangent `v` of y (of y's shape): v' dy/dx. Reverse mode, one loop over the tape.
std::vector<Var> vjp(Operand y, Operand v, std::span<const Var> xs);

}  // namespace wengert
