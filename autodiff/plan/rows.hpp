// Which nodes go row by row. Rows are those of the batch: the first axis of the inputs that are said to bring them, or
// the extent that most of what comes in has along its first axis. A row of a node in `rows` depends on the same row of
// its operands, so that any range of rows can be computed by itself; what sums over rows is a reduction, in groups of
// rows; everything else is whole. This split never changes a result.
#pragma once
#include "autodiff/kernels/groups.hpp"
#include "autodiff/plan/graph.hpp"

namespace wengert::plan {

enum class Part { whole, rows, reduction };

struct RowPlan {
  Index extent = 0;          // rows of the batch; 0 where nothing goes by rows
  std::vector<Part> part;    // of each node
  std::vector<int> axis;     // where the rows of a node lie, counted from the end; 0 where it has none
  std::vector<int> stage;    // whole nodes of stage s come before the rows and reductions of stage s
  std::vector<bool> stored;  // rows that are read by whole nodes, at a later stage, or from outside
  int stages = 0;

  // True if a reader takes the same rows of an operand that is stored whole, rather than all of it.
  bool sliced(const Graph& graph, Id reader, std::size_t operand) const;
};

// The rows of the batch: the first extent of the inputs Graph::rows or, where it names none, the first extent above 1
// that most elements of inputs and draws have; 0 where there are none.
Index batch_of(const Graph& graph);

// True if a node brings in rows of a batch of this extent: one of those inputs, or a draw with this first extent.
bool brings_rows(const Graph& graph, const Value& value, Index extent);

// With `batch` false, or for a batch of one row, nothing goes by rows.
RowPlan find_rows(const Graph& graph, bool batch = true);

// Into how many partial sums a reduction is cut (kernels/groups.hpp).
Grouping partial_sums_of(const Graph& graph, Id reduction);

}  // namespace wengert::plan
