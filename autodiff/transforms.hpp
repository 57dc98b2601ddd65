// Functions that change how another function is recorded: over a batch, without keeping what is in between, or with a
// derivative of your own.
//
//   // One gradient for each sample of x [B,3] and y [B,2], in one go: [B, 3, 2]
//   const auto one = [&](std::span<const Var> s) { return grad(loss(matmul(reshape(s[0], {1, 3}), w), s[1]), w); };
//   Var g = vmap(one, {x, y});
#pragma once
#include <functional>
#include <initializer_list>
#include <span>
#include <vector>

#include "autodiff/derivatives.hpp"

namespace wengert {

// f applied to every slice of xs along their first axis, [N, ...], without a loop: f is recorded once, on the first
// slices, and again with the whole axis in front (by Op::batched). Captured nodes are shared by all. Returns
// [N, shape of f's value].
// Random draws inside f are the same for every slice. Throws Error when the first extents differ or are 0.
Var vmap(const FunctionOfMany& f, std::span<const Var> xs, Where where = Where::current());
Var vmap(const FunctionOfMany& f, std::initializer_list<Var> xs, Where where = Where::current());
Var vmap(const Function& f, Operand x);

// f(x) of which only the value is kept: the nodes in between are dropped from an eager tape, and recorded again when a
// derivative asks for them; so in a plan, which needs memory for one stretch at a time. Gradients flow to x and to all
// that f captured; the same bits as f(x). (Griewank and Walther, "Revolve", TOMS 2000, call it a
// checkpoint.)
Var checkpoint(const Function& f, Operand x);

// f(x) with a reverse rule of your own: rule(x, y, g) is the cotangent of x, of x's shape, for y = f(x) and its
// cotangent g. What f captured gets no gradient. Forward mode follows by transposing the rule, a batch (vmap) by that
// of its slices; a divergence through it is refused, since nobody knows what the rule does with rows. The rule is kept:
// what it captures must outlive the derivatives, and lie outside of a function given to vmap or checkpoint.
using PullBack = std::function<Var(Var x, Var y, Var g)>;
Var custom_derivative(const Function& f, const PullBack& rule, Operand x);

}  // namespace wengert
