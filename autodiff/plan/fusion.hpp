// Which nodes are computed together: chains of elementwise ops, begun by a product where there is one.
#pragma once
#include "autodiff/plan/rows.hpp"

namespace wengert::plan {

struct Group {
  std::vector<Id> members;  // in an order in which they can be computed
  bool chain = false;       // elementwise ops, after the product where there is one
  bool product = false;     // the first member is a product with a matrix that all rows share
};

// All nodes that are computed, in the order of the plan: stage by stage, what is whole before what goes by rows.
// Without `fuse`, one node a group.
std::vector<Group> groups_of_nodes(const Graph& graph, const RowPlan& rows, bool fuse = true);

}  // namespace wengert::plan
