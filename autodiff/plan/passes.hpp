// Passes: from one graph to another that computes the same with less work. compile() walks the table in its order; to
// add one, declare it here, define it in a file of passes/ (and meson.build), and enter it in the table (passes.cpp).
//
// Every pass takes and gives a graph in which operands come before their readers, keeps the inputs with their numbers,
// and keeps the bits of every output, unless its row in the table says Keeps::accuracy.
#pragma once
#include "autodiff/plan/graph.hpp"

namespace wengert::plan {

enum class Keeps { bits, accuracy };

struct Pass {
  const char* name;  // in explain()
  Graph (*run)(const Graph&);
  Keeps keeps = Keeps::bits;
  bool rewrites = true;  // left out by CompileOptions::rewrites = false
};

// In their order. A pass may come several times.
std::span<const Pass> passes();

// Dead-code elimination: what no output needs goes. Inputs stay.
Graph eliminate_dead_code(const Graph& graph);

// Constant folding: nodes with constant operands are computed now, up to a size that is worth keeping.
Graph fold_constants(const Graph& graph);

// Common-subexpression elimination: equal ops on equal operands are computed once. Local ops are kept apart: a
// checkpoint's barrier must not meet the first computation before remove_barriers.
Graph eliminate_common_subexpressions(const Graph& graph);

// Algebraic simplification. A reshape, cast or broadcast to what x already is, an identity, a checkpoint: x itself. An
// elementwise op, and a concat, read an operand that was only broadcast for them before it was broadcast. matmul of a
// transpose: a flag. Leaves dead nodes.
Graph simplify(const Graph& graph);

// Loop merging: loops that begin with the same carry and take the same steps, as far as one of them goes, become one
// that gives the results of both. So a scan of which value and gradient are wanted is not run once for its results and
// once more for the carries that its reverse reads, and a loop's tangents bring its value along. Wants repeats gone.
Graph merge_loops(const Graph& graph);

// Weight layout: a weight that a product reads transposed, [m,k] x [n,k]', is transposed once for all rows, where there
// are more rows than columns. Several such products share the transpose.
Graph transpose_weights(const Graph& graph);

// Batch-invariant hoisting: one row is computed where all rows of a batch share it (one time t [1,1] for all points
// x [B,d]):
//   [x, e] W      = x Wx + e We        any number of parts in any order
//   (x A + r) + b = x A + (r + b)      r and b shared
//   (x A + r) B   = x (A B) + r B      where A is thin: layers without an activation between them become one
// The order of sums changes: networks' values agree with what was given within 1e-12 (f64) or 2e-6 (f32) of the largest
// entry, f32 derivatives within 1e-5. Which rule applies never depends on the number of rows: a row has the same bits
// in a batch of any size. Where no rule applies (every part varies, say) nothing changes. Leaves dead nodes. Wants
// repeats and needless nodes gone: a value that seems to be read twice is not taken apart.
Graph hoist_batch_invariants(const Graph& graph);

// Loop-invariant hoisting: what a loop's body, or its condition, computes of the loop's constants alone (parameters,
// what a step captured) is computed once, before the loop, and is a constant of it. That holds for elementwise ops,
// products, reductions, softmax and what moves values. It is left in the loop where a step would read more than it does
// now for the sake of a few operations (a sum of a row and a column), and where it costs nothing there (a view, a
// broadcast); so are ops that may refuse values, since the loop may not get to them, and draws. Leaves dead nodes.
// Wants loops merged: afterwards they do not begin alike.
Graph hoist_loop_invariants(const Graph& graph);

// Shared sigmoids: silu(x) where sigmoid(x) is needed as well (by its derivative) is x sigmoid(x). Leaves the sigmoids
// to be merged.
Graph share_sigmoids(const Graph& graph);

// Shared exponentials: logsumexp(x) where exp(x - max x) is needed as well (by its derivative) is max x + log of the
// sum of these. So there is one exponential an element, which goes by rows. Wants repeats gone; leaves copies of the
// exponentials to be merged.
Graph share_exponentials(const Graph& graph);

// Rematerialisation barriers: what a checkpoint's derivative computes again was kept apart until here; now its operands
// are those of the first time. It comes last: merging afterwards would undo it.
Graph remove_barriers(const Graph& graph);

}  // namespace wengert::plan
