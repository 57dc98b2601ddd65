// Placement: where each value of a plan lies. A value has memory from the step that writes it to the last that reads
// it, and shares it with others before and after (memory.hpp); what lasts from run to run shares it with none.
#pragma once
#include "autodiff/plan/liveness.hpp"
#include "autodiff/plan/schedule.hpp"
#include "autodiff/plan/views.hpp"

namespace wengert::plan {

class Placement {
 public:
  // Places leaves and outputs in the schedule's table, and in its shared memory what is whole, what rows leave behind
  // and partial sums. `views` have no memory of their own.
  Placement(const Graph& graph, const RowPlan& rows, const std::vector<FusionGroup>& groups, const Liveness& liveness,
            const std::vector<std::optional<View>>& views, Schedule& schedule);

  // Places what only a range of `rows` rows needs, of the groups with these numbers; returns its bytes. The
  // addresses hold until the next call.
  std::size_t place_range(const std::vector<std::size_t>& groups, Index rows);

  const Address& of(Id id) const { return addresses_[id]; }
  const Address& of_output(std::size_t output) const { return outputs_[output]; }
  const Address& of_partial_sums(Id reduction) const { return partial_sums_[reduction]; }

  // Outputs that no step of a group writes: leaves, and nodes that are an output already. (Machine code of all nodes
  // does.)
  struct Copy {
    Id from;
    Address to;
  };
  const std::vector<Copy>& copies() const { return copies_; }

 private:
  Address enter(const void* data);
  void place_leaves();
  void place_outputs();
  void place_shared();
  bool needs_local(Id id) const;
  void place_view(Id id);

  const Graph& graph_;
  const RowPlan& rows_;
  const std::vector<FusionGroup>& groups_;
  const Liveness& liveness_;
  const std::vector<std::optional<View>>& views_;
  Schedule& schedule_;
  std::vector<Address> addresses_, partial_sums_, outputs_;
  std::vector<bool> in_output_;
  std::vector<Copy> copies_;
  std::vector<std::size_t> position_;  // of a group among those of the stage at hand
};

// The type with `rows` rows along an axis, counted from the end; 0 where it has none.
Type with_rows(Type type, int axis, Index rows);

}  // namespace wengert::plan
