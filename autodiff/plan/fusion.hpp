// Fusion: which nodes are computed together, so that what is between them never leaves the L1 cache.
#pragma once
#include <optional>

#include "autodiff/plan/rows.hpp"

namespace wengert::plan {

namespace code {
class MachineCode;
}

// Elementwise ops of one type, after a product where there is one; any node by itself; or nodes that are machine code.
struct FusionGroup {
  std::vector<Id> members;                          // in an order in which they can be computed
  bool elementwise = false;                         // the members, or those after the product
  bool product = false;                             // the first member is a product with a matrix that all rows share
  std::shared_ptr<const code::MachineCode> code{};  // of all members, element by element
  // Of what lasts from run to run (lasting.hpp): the versions of the stores that it comes from.
  std::optional<std::vector<const std::uint64_t*>> sources{};

  Id first() const { return members[0]; }
};

// All nodes that are computed, in the order of the plan: stage by stage, what is whole before what goes by rows.
// Without `fuse`, one node a group. No group needs itself by way of another.
std::vector<FusionGroup> fusion_groups(const Graph& graph, const RowPlan& rows, bool fuse = true);

// The limits of a group, on which the memory of a FusedKernel's call depends.
inline constexpr std::size_t most_members = 20;
inline constexpr int most_arity = 3;

}  // namespace wengert::plan
