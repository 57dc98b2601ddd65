// The base of steps that sum over rows.
#pragma once
#include <algorithm>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/plan/step.hpp"

namespace wengert::plan {

// A step of `rows` rows that sums over them. A frame holds whole groups of the sum over all `extent` rows of the batch:
// a part of a share, or whole shares, which are tasks.
class PartialSumsStep : public Step {
 public:
  PartialSumsStep(const Grouping& grouping, Index extent, Index rows)
      : grouping_(grouping), extent_(extent), rows_(rows) {
    held_ = std::max<Index>(1, (grouping.groups * rows + extent / 2) / std::max<Index>(extent, 1));
    groups_of_task_ = std::min(held_, grouping.groups_of_share());
    by_tasks_ = {grouping.groups / groups_of_task_, grouping.shares};
  }

 protected:
  Index held() const { return held_; }  // groups
  Index share_tasks() const { return held_ / groups_of_task_; }
  // The groups of share tasks [from, to), one after the other: compute(begin, end, slot) is to write the sum of rows
  // [begin, end), counted from the frame's first one, to a slot; add(to, from) adds a slot to another.
  template <class Compute, class Add>
  void add_groups(const Frame& frame, Index from, Index to, Compute&& compute, Add&& add) const {
    const Index first = first_group(frame);
    for (Index g = first + from * groups_of_task_; g < first + to * groups_of_task_; ++g)
      grouping_.add_group(
          g, [&](Index slot) { compute(begin_of(g, frame), begin_of(g + 1, frame), slot); }, add);
  }
  // The same where the groups of a task are summed faster in one call: compute(first, count, slot) is to write the sum
  // of groups [first, first + count) of all rows, pairwise; count is a power of two. begin_of() says where they begin.
  template <class Compute, class Add>
  void add_tasks(const Frame& frame, Index from, Index to, Compute&& compute, Add&& add) const {
    const Index first = first_group(frame) / groups_of_task_;
    for (Index task = first + from; task < first + to; ++task)
      by_tasks_.add_group(
          task, [&](Index slot) { compute(task * groups_of_task_, groups_of_task_, slot); }, add);
  }
  // The first row of a group, counted from the frame's.
  Index begin_of(Index group, const Frame& frame) const { return grouping_.begin(group, extent_) - frame.begin; }
  Grouping grouping_;
  Index extent_, rows_;

 private:
  Index first_group(const Frame& frame) const {
    if (frame.begin == 0) return 0;  // without divisions
    return (frame.begin * grouping_.groups + extent_ - 1) / extent_;
  }
  Index held_, groups_of_task_;
  Grouping by_tasks_;  // tasks as groups
};

}  // namespace wengert::plan
