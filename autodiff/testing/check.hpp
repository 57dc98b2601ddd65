// Checks: an op against what it states about itself, by one call for an op of the library or of a user; any function
// against differences, and in plans against an eager tape.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "autodiff/array.hpp"
#include "autodiff/op.hpp"
#include "autodiff/transforms.hpp"

namespace wengert {

struct CheckReport {
  int checks = 0;
  // The deeds of the plans that were checked, with their numbers: passes that changed something, by name; "fusion";
  // "ranges of rows"; "sums over rows", by partial ones; "tasks", of one step;
  // "machine code"; "lasting values", of parameters alone.
  std::map<std::string, int> planned;
  // "[tanh] example 0: f64: order 2, reverse over reverse: d/d input 0 at [3]: analytic 0.1, numeric 0.2"
  std::vector<std::string> failures;
};

// For every example, in f32 and f64: the type inferred and the value against the op's reference; the same bits when
// recorded again; in f64 the first `orders` derivatives, order n against central differences of the analytic order
// n - 1 under random projections; forward mode against reverse, on stacks of tangents, thin ones too; the row rule
// against what perturbing rows changes; vmap against one after the other; check_plans() of it, of 200 of its rows where
// its rows() let an operand have them, and of 200 of it under vmap. Then edge cases, with the first `orders`
// derivatives again where they are smooth, and invalid inputs.
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

struct PlanCheck {
  int orders = 2;                            // derivatives
  std::vector<std::size_t> rows = {};        // inputs whose first axis counts rows, for plans that are told
  std::vector<std::size_t> parameters = {};  // inputs that plans read where they lie, instead of being given
};

// f in plans against an eager tape: its value, and the gradients, by all inputs, of projections of it and of these
// gradients, with and without rewrites, rows split or not, with CompileOptions::rows or not, on 1 and 3 threads. The
// bits are the same unless a pass that does not keep them was applied: then within README's promise. Inputs of 200 rows
// and more are cut into ranges. A failure says how it was compiled, and the first entry that differs:
// "plan without rewrites, 3 threads: gradient of order 1, 0 of 2, at [0, 2]: got 0.1, the eager tape 0.2".
CheckReport check_plans(const FunctionOfMany& f, const std::vector<Array>& inputs, const PlanCheck& options = {});

}  // namespace wengert
