// Views: values that need no step, since they lie in the memory of another: a reshape of it, a run of its elements.
#pragma once
#include <optional>
#include <vector>

#include "autodiff/plan/rows.hpp"

namespace wengert::plan {

struct View {
  Id of;               // a value that is no view
  std::size_t offset;  // in bytes
};

// Where a value begins in its operand, in bytes; nothing where it is no run of the operand's elements.
std::optional<std::size_t> begin_in_operand(const Graph& graph, const Value& value);

// Of each node, nothing where it has a step, or comes from outside. An output is never a view, and neither is what goes
// by rows but for a reshape of rows that are read where they are made.
std::vector<std::optional<View>> views_of(const Graph& graph, const RowPlan& rows);

}  // namespace wengert::plan
