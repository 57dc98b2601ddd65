// Views: values that lie in the memory of another. A reshape of it, or a run of its elements, needs no step; a part of
// a concat is written by its own step to where it belongs.
#pragma once
#include <optional>
#include <vector>

#include "autodiff/plan/liveness.hpp"

namespace wengert::plan {

struct View {
  Id of;                 // a value that is no view
  std::size_t offset;    // in bytes
  bool written = false;  // by a step: a part of a concat
};

// Where a value begins in its operand, in bytes; nothing where it is no run of the operand's elements.
std::optional<std::size_t> begin_in_operand(const Graph& graph, const Value& value);

// Of each node, nothing where it has memory of its own, or comes from outside. An output is never a view, and neither
// is what goes by rows but for a reshape of rows that are read where they are made.
std::vector<std::optional<View>> views_of(const Graph& graph, const RowPlan& rows, const Liveness& liveness);

// True if a node needs no step: it is a view of what is there, or a concat all of whose parts lie in it.
bool is_in_place(const Graph& graph, const std::vector<std::optional<View>>& views, Id id);

}  // namespace wengert::plan
