#include "autodiff/plan/placement.hpp"

#include <algorithm>

#include "autodiff/plan/memory.hpp"

namespace wengert::plan {

using Memory = Address::Memory;

Placement::Placement(const Graph& graph, const RowPlan& rows, const std::vector<FusionGroup>& groups,
                     const Liveness& liveness, Schedule& schedule)
    : graph_(graph),
      rows_(rows),
      groups_(groups),
      liveness_(liveness),
      schedule_(schedule),
      addresses_(graph.nodes.size()),
      partial_sums_(graph.nodes.size()),
      in_output_(graph.nodes.size(), false),
      position_(groups.size(), 0) {
  place_leaves();
  place_outputs();
  place_shared();
}

Address Placement::enter(const void* data) {
  schedule_.table.push_back(data);
  return {Memory::table, schedule_.table.size() - 1};
}

void Placement::place_leaves() {
  schedule_.table.assign(graph_.inputs.size(), nullptr);
  for (Id id = 0; id < graph_.nodes.size(); ++id) {
    const Value& value = graph_.nodes[id];
    if (value.input >= 0) {
      addresses_[id] = {Memory::table, static_cast<std::size_t>(value.input)};
    } else if (value.parameter) {
      schedule_.owned.push_back(value.parameter->owner);
      addresses_[id] = enter(value.parameter->data);
    } else if (value.constant) {
      schedule_.owned.push_back(value.constant);
      addresses_[id] = enter(value.constant->raw());
    }
  }
}

// An output lies in an array of its own from the start.
void Placement::place_outputs() {
  for (Id output : graph_.outputs) schedule_.outputs.emplace_back(graph_.nodes[output].type);
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    const Id id = graph_.outputs[i];
    const Address address = enter(schedule_.outputs[i].raw());
    schedule_.output_entries.push_back(address.at);
    if (graph_.nodes[id].is_leaf() || in_output_[id]) {
      copies_.push_back({id, address});
    } else {
      addresses_[id] = address;
      in_output_[id] = true;
    }
  }
}

void Placement::place_shared() {
  std::vector<Span> spans;
  std::vector<Address*> users;
  const auto add = [&](Address& address, std::size_t bytes, Liveness::Interval interval) {
    spans.push_back({bytes, interval.first, interval.last});
    users.push_back(&address);
  };
  std::vector<bool> is_copied(graph_.nodes.size(), false);
  for (const Copy& copy : copies_) is_copied[copy.from] = true;
  for (Id id = 0; id < graph_.nodes.size(); ++id) {
    const Value& value = graph_.nodes[id];
    if (value.is_leaf()) continue;
    schedule_.value_bytes += value.type.bytes();
    if (rows_.part[id] == Part::rows && !rows_.stored[id]) continue;
    Liveness::Interval living = liveness_.living(id);
    if (is_copied[id]) living.last = groups_.size();
    if (!in_output_[id]) add(addresses_[id], value.type.bytes(), living);
    if (rows_.part[id] != Part::reduction) continue;
    if (const auto count = static_cast<std::size_t>(partial_sums_of(graph_, id)); count > 1)
      add(partial_sums_[id], count * value.type.bytes(), liveness_.writing(id));
  }
  schedule_.shared_bytes = pack(spans);
  for (std::size_t i = 0; i < spans.size(); ++i) *users[i] = {Memory::shared, spans[i].offset};
  for (Id id = 0; id < graph_.nodes.size(); ++id)  // one partial sum is the sum
    if (rows_.part[id] == Part::reduction && partial_sums_of(graph_, id) == 1) partial_sums_[id] = addresses_[id];
}

// Whether a node of rows needs memory in a range: what only its own group reads does not.
bool Placement::needs_local(Id id) const {
  if (rows_.part[id] != Part::rows || rows_.stored[id]) return false;
  const FusionGroup& group = groups_[liveness_.group_of(id)];
  if (group.product && id == group.first()) return liveness_.home_of_product(group) == id;
  return !group.elementwise || liveness_.escapes(id);
}

std::size_t Placement::place_range(const std::vector<std::size_t>& groups, Index rows) {
  for (std::size_t i = 0; i < groups.size(); ++i) position_[groups[i]] = i;
  std::vector<Span> spans;
  std::vector<Id> users;
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (Id id : groups_[groups[i]].members) {
      if (!needs_local(id)) continue;
      std::size_t last = i;
      for (Id reader : liveness_.readers(id))
        if (rows_.part[reader] != Part::whole) last = std::max(last, position_[liveness_.group_of(reader)]);
      spans.push_back({with_rows(graph_.nodes[id].type, rows_.axis[id], rows).bytes(), i, last});
      users.push_back(id);
    }
  const std::size_t bytes = pack(spans);
  for (std::size_t i = 0; i < spans.size(); ++i) addresses_[users[i]] = {Memory::local, spans[i].offset};
  return bytes;
}

Type with_rows(Type type, int axis, Index rows) {
  if (axis != 0) type.shape.set(axis, rows);
  return type;
}

}  // namespace wengert::plan
