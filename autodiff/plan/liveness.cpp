#include "autodiff/plan/liveness.hpp"

#include <algorithm>

namespace wengert::plan {

Liveness::Liveness(const Graph& graph, const RowPlan& rows, const std::vector<FusionGroup>& groups)
    : readers_(readers_of(graph)),
      group_of_(graph.nodes.size(), groups.size()),
      is_output_(graph.nodes.size(), false),
      lasts_(graph.nodes.size(), false) {
  for (Id output : graph.outputs) is_output_[output] = true;
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (Id member : groups[g].members) {
      group_of_[member] = g;
      lasts_[member] = groups[g].sources.has_value();
    }
  const auto runs_with_the_next = [&](std::size_t g) {
    if (g + 1 >= groups.size()) return false;
    const Id mine = groups[g].first(), next = groups[g + 1].first();
    return rows.part[mine] != Part::whole && rows.part[next] != Part::whole && rows.stage[mine] == rows.stage[next];
  };
  for (std::size_t first = 0, last = 0; first < groups.size(); first = ++last) {
    while (runs_with_the_next(last)) ++last;
    together_.insert(together_.end(), last + 1 - first, {first, last});
  }
}

bool Liveness::escapes(Id id) const {
  return is_output_[id] || std::any_of(readers_[id].begin(), readers_[id].end(),
                                       [&](Id reader) { return group_of_[reader] != group_of_[id]; });
}

Id Liveness::home_of_product(const FusionGroup& group) const {
  const Id product = group.first();
  if (escapes(product)) return product;
  Id home = product;
  for (Id member : group.members)  // the last one: members after the product are in the order of their numbers
    if (member != product && escapes(member)) home = member;
  const auto& readers = readers_[product];
  const Id last_reader = readers.empty() ? product : *std::max_element(readers.begin(), readers.end());
  return home == product || home < last_reader ? product : home;
}

Liveness::Interval Liveness::living(Id id) const {
  if (lasts_[id] && escapes(id)) return {0, together_.size()};
  Interval interval = writing(id);
  for (Id reader : readers_[id]) interval.last = std::max(interval.last, together_[group_of_[reader]].last);
  return interval;
}

}  // namespace wengert::plan
