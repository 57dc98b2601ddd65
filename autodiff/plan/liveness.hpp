// Liveness: who reads a value, and when it is first written and last read.
#pragma once
#include "autodiff/plan/fusion.hpp"

namespace wengert::plan {

class Liveness {
 public:
  Liveness(const Graph& graph, const RowPlan& rows, const std::vector<FusionGroup>& groups);

  // The number of the group that computes a node.
  std::size_t group_of(Id id) const { return group_of_[id]; }
  const std::vector<Id>& readers(Id id) const { return readers_[id]; }
  bool is_output(Id id) const { return is_output_[id]; }
  // True if a value is read outside of its group, so that it needs memory.
  bool escapes(Id id) const;
  // The member whose memory holds a group's product until its last reader: the last member that escapes, if that is
  // written no earlier than the reader; otherwise the product itself.
  Id home_of_product(const FusionGroup& group) const;

  // Lifetimes, in numbers of groups: from writing to the last reading. The groups of a stage's rows count as one.
  struct Interval {
    std::size_t first = 0, last = 0;
  };
  Interval writing(Id id) const { return together_[group_of_[id]]; }
  // What lasts from run to run lives at all times.
  Interval living(Id id) const;
  bool lasts(Id id) const { return lasts_[id]; }

 private:
  std::vector<std::vector<Id>> readers_;
  std::vector<std::size_t> group_of_;
  std::vector<bool> is_output_, lasts_;
  std::vector<Interval> together_;  // of each group: those that run as one with it
};

}  // namespace wengert::plan
