// Operators that differentiate. They record more nodes on the tape of what they differentiate, written in ops, so that
// a derivative can be differentiated again, to any order and by any mix of modes.
//
//   Var g = grad(loss, w);                                     // of nodes already recorded
//   auto [y, dy] = jvp([&](Var x) { return net(x); }, x, v);   // of a function, at x, along v
//   Var h = hvp(energy, x, v);                                 // forward over reverse
//   auto [s, trace] = value_and_divergence(score, x);          // rows of a batch, exact, in one stacked sweep
//
// Operators that take a function call it once on a node of its own (an identity of x) and differentiate by that one:
// what the function captured stays constant, x itself included. A function is called as f(Var) -> Var.
#pragma once
#include <functional>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "autodiff/var.hpp"

namespace wengert {

using Function = std::function<Var(Var)>;

// dy/dx for a y of one element, in x's shape: the total derivative at node x. Zeros where y does not depend on x.
// Throws Error when y is not a single float, or x is not on y's tape.
Var grad(Operand y, Var x);
std::vector<Var> grad(Operand y, std::initializer_list<Var> xs);
std::vector<Var> grad(Operand y, std::span<const Var> xs);

// The cotangents of xs under the cotangent `v` of y (of y's shape): v' dy/dx. Reverse mode, one loop over the tape.
std::vector<Var> vjp(Operand y, Operand v, std::span<const Var> xs);

struct ValueAndGrad {
  Var value, gradient;
};
// f(x) of one element, and its gradient in x's shape.
ValueAndGrad value_and_grad(const Function& f, Operand x);

struct ValueAndTangent {
  Var value, tangent;
};
// f(x) and the derivative along v (of x's shape), in f(x)'s shape. Forward mode: nothing is stored or run backwards.
ValueAndTangent jvp(const Function& f, Operand x, Operand v);

// The Hessian of an f of one element, times v, in x's shape: forward over reverse.
Var hvp(const Function& f, Operand x, Operand v);

// The sweep that computes a Jacobian: one stacked forward sweep of as many tangents as x has elements (jacfwd, as JAX
// says), or a reverse sweep for each element of f(x) (jacrev). Automatic: forward, unless f(x) is smaller than x.
enum class JacobianMode { automatic, forward, reverse };
struct JacobianOptions {
  JacobianMode mode = JacobianMode::automatic;
};
// All derivatives of f(x) by x: the shape of f(x), then that of x.
Var jacobian(const Function& f, Operand x, JacobianOptions options = {});

// All second derivatives of an f of one element: x's shape twice. Stacked forward over reverse.
Var hessian(const Function& f, Operand x);

// The operators of functions of several arguments, which are called as f(std::span<const Var>) -> Var:
//
//   auto [y, g] = value_and_grad([&](std::span<const Var> in) { return loss(in[0], in[1]); }, {w, b});   // g[0], g[1]
//
// They throw Error where there is no argument, where arguments lie on several tapes, and where the directions are not
// as many and of the same types.
using FunctionOfMany = std::function<Var(std::span<const Var>)>;

struct ValueAndGrads {
  Var value;
  std::vector<Var> gradients;
};
// f(xs) of one element, and its gradient by each argument, in the argument's shape.
ValueAndGrads value_and_grad(const FunctionOfMany& f, std::span<const Var> xs, Where where = Where::current());

// f(xs) and the derivative along all vs together.
ValueAndTangent jvp(const FunctionOfMany& f, std::span<const Var> xs, std::span<const Var> vs,
                    Where where = Where::current());

// The rows of the Hessian for each argument, times all vs together, in the argument's shape.
std::vector<Var> hvp(const FunctionOfMany& f, std::span<const Var> xs, std::span<const Var> vs,
                     Where where = Where::current());

// The derivatives by each argument: the shape of f(xs), then the argument's. Automatic compares f(xs) with all
// arguments together.
std::vector<Var> jacobian(const FunctionOfMany& f, std::span<const Var> xs, JacobianOptions options = {},
                          Where where = Where::current());

// [i][j]: the second derivatives by argument i and argument j: the shape of the first, then that of the second.
std::vector<std::vector<Var>> hessian(const FunctionOfMany& f, std::span<const Var> xs, Where where = Where::current());

// With arguments in braces.
ValueAndGrads value_and_grad(const FunctionOfMany& f, std::initializer_list<Var> xs, Where where = Where::current());
ValueAndTangent jvp(const FunctionOfMany& f, std::initializer_list<Var> xs, std::initializer_list<Var> vs,
                    Where where = Where::current());
std::vector<Var> hvp(const FunctionOfMany& f, std::initializer_list<Var> xs, std::initializer_list<Var> vs,
                     Where where = Where::current());
std::vector<Var> jacobian(const FunctionOfMany& f, std::initializer_list<Var> xs, JacobianOptions options = {},
                          Where where = Where::current());
std::vector<std::vector<Var>> hessian(const FunctionOfMany& f, std::initializer_list<Var> xs,
                                      Where where = Where::current());

// For a function of rows, [B,d] -> [B,d]: the trace of each row's Jacobian, [B]. Exact, by d tangents in one stacked
// forward sweep, in which a value is computed once for all tangents and a product with a weight is one product. Throws
// Error, naming the op, where f mixes rows (a batch mean, say): the sweep would be silently wrong.
Var divergence(const Function& f, Operand x);

struct ValueAndDivergence {
  Var value, divergence;
};
ValueAndDivergence value_and_divergence(const Function& f, Operand x);

// Hutchinson's estimate of the same trace from n probes [n,B,d] with mean 0 and covariance I, drawn (Draw::rademacher,
// Draw::normal) or given: the mean over probes of v' J v, [B], and its standard error sd/sqrt(n) with n - 1, [B]; NaN
// for n = 1. (M. F. Hutchinson, "A stochastic estimator of the trace of the influence matrix", 1990.)
struct HutchinsonEstimate {
  Var value, divergence, standard_error;
};
HutchinsonEstimate value_and_divergence(const Function& f, Operand x, Operand probes);

// For a function of rows with one value each, [B,d] -> [B] or [B,1]: the sum of its second derivatives, [B]: the
// divergence of its gradient.
Var laplacian(const Function& f, Operand x);

}  // namespace wengert
