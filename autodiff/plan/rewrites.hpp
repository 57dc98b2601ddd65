// Passes over a graph; compile() runs them in the order of this page, and some again. Each but with_shared_rows_apart
// gives the same bits as what it was given.
#pragma once
#include "autodiff/plan/graph.hpp"

namespace wengert::plan {

// What no output needs is gone; inputs stay, with their numbers.
Graph without_dead(const Graph& graph);

// Nodes with constant operands are computed now, up to a size that is worth keeping.
Graph with_constants_folded(const Graph& graph);

// A reshape, cast or broadcast to what x already is, an identity, a checkpoint: x itself. An elementwise op reads an
// operand that was only stretched for it before it was stretched. matmul of a transpose: a flag.
Graph simplified(const Graph& graph);

// Equal ops on equal operands are computed once. What was made for one call (a checkpoint's barrier) is kept apart.
Graph without_repeats(const Graph& graph);

// A weight that a product reads transposed, [m,k] x [n,k]', is transposed once for all rows, where there are more rows
// than columns.
Graph with_weights_transposed(const Graph& graph);

// One row is computed where all rows of a batch share it (one time t [1,1] for all points x [B,d]):
//   [x, e] W      = x Wx + e We        any number of parts in any order
//   (x A + r) + b = x A + (r + b)      r and b shared
//   (x A + r) B   = x (A B) + r B      where A is thin: layers without an activation between them become one
// The order of sums changes: networks' values agree with what was given within 1e-12 (f64) or 2e-6 (f32) of the largest
// entry, f32 derivatives within 1e-5. Which rule applies never depends on the number of rows: a row has the same bits
// in a batch of any size. Where no rule applies (every part varies, say) nothing changes.
Graph with_shared_rows_apart(const Graph& graph);

// silu(x) where sigmoid(x) is needed as well (by its derivative): x sigmoid(x).
Graph with_sigmoids_shared(const Graph& graph);

// What a checkpoint's derivative computes again was kept apart until here; now its operands are those of the first
// time.
Graph without_barriers(const Graph& graph);

}  // namespace wengert::plan
