// Checks of derivatives: an op against what it states about itself, by one call for an op of the library or of a user;
// and any function against differences.
#pragma once
#include <string>
#include <vector>

#include "autodiff/array.hpp"
#include "autodiff/op.hpp"
#include "autodiff/transforms.hpp"

namespace wengert {

struct CheckReport {
  int checks = 0;
  // "[tanh] example 0: f64: order 2, reverse over reverse: d/d input 0 at [3]: analytic 0.1, numeric 0.2"
  std::vector<std::string> failures;
};

// For every example, in f32 and f64: the type inferred and the value against the op's reference; the same bits when
// recorded again; in f64 the first `orders` derivatives, order n against central differences of the analytic order
// n - 1 under random projections; forward mode against reverse, on stacks of tangents, thin ones too; the row rule
// against what perturbing rows changes; vmap against one after the other. Then specials, with the first `orders`
// derivatives again where they are smooth, and rejects.
CheckReport check_op(const Op& op, int orders = 3);

enum class Modes { reverse, forward, both };  // both: each over each
struct GradientCheck {
  int order = 2;  // the first so many derivatives
  Modes modes = Modes::both;
  double tolerance = 0;  // of the projections' norm; 0: 1e-7, 1e-5, 1e-3 for orders 1, 2, 3; 1e-3 where f32 is met
};

// The derivatives of f (a function of several Vars, with a value of any shape) at the inputs, by every entry of each
// that is f32 or f64: order n against central differences of the analytic order n - 1 under fixed random projections.
// f is called many times and must be smooth around the inputs. A failure names the input, the entry, both numbers:
// "order 1, reverse: d/d input 1 at [0, 2]: analytic 0.1, numeric 0.2".
CheckReport check_grads(const FunctionOfMany& f, const std::vector<Array>& inputs, const GradientCheck& options = {});

}  // namespace wengert
