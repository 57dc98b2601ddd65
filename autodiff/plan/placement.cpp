#include "autodiff/plan/placement.hpp"

#include <algorithm>
#include <map>

#include "autodiff/plan/memory.hpp"

namespace wengert::plan {

using Memory = Address::Memory;

Placement::Placement(const Graph& graph, const RowPlan& rows, const std::vector<FusionGroup>& groups,
                     const Liveness& liveness, const std::vector<std::optional<View>>& views, Schedule& schedule)
    : graph_(graph),
      rows_(rows),
      groups_(groups),
      liveness_(liveness),
      views_(views),
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
    outputs_.push_back(address);
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
  std::vector<Liveness::Interval> lives(graph_.nodes.size());  // of whole values, with what lies in them
  for (Id id = 0; id < graph_.nodes.size(); ++id)
    if (!graph_.nodes[id].is_leaf()) lives[id] = liveness_.living(id);
  for (Id id = 0; id < graph_.nodes.size(); ++id)
    if (const auto& view = views_[id]) {
      lives[view->of].last = std::max(lives[view->of].last, lives[id].last);
      if (view->written) lives[view->of].first = std::min(lives[view->of].first, lives[id].first);
    }
  std::vector<bool> is_copied(graph_.nodes.size(), false);
  for (const Copy& copy : copies_) is_copied[copy.from] = true;
  for (Id id = 0; id < graph_.nodes.size(); ++id) {
    const Value& value = graph_.nodes[id];
    if (value.is_leaf()) continue;
    schedule_.value_bytes += value.type.bytes();
    if (views_[id] || (rows_.part[id] == Part::rows && !rows_.stored[id])) continue;
    if (groups_[liveness_.group_of(id)].code && !liveness_.escapes(id)) continue;
    Liveness::Interval living = lives[id];
    if (is_copied[id]) living.last = groups_.size();
    if (!in_output_[id]) add(addresses_[id], value.type.bytes(), living);
    if (rows_.part[id] != Part::reduction) continue;
    if (const Grouping grouping = partial_sums_of(graph_, id); grouping.groups > 1)
      add(partial_sums_[id], static_cast<std::size_t>(grouping.slots()) * value.type.bytes(), liveness_.writing(id));
  }
  schedule_.shared_bytes = pack(spans);
  for (std::size_t i = 0; i < spans.size(); ++i) *users[i] = {Memory::shared, spans[i].offset};
  for (Id id = 0; id < graph_.nodes.size(); ++id)  // one partial sum is the sum
    if (rows_.part[id] == Part::reduction && partial_sums_of(graph_, id).groups == 1)
      partial_sums_[id] = addresses_[id];
  for (Id id = 0; id < graph_.nodes.size(); ++id)
    if (views_[id] && rows_.part[id] == Part::whole) place_view(id);
}

void Placement::place_view(Id id) {
  addresses_[id] = addresses_[views_[id]->of];
  addresses_[id].offset = views_[id]->offset;
}

// True if a node of rows needs memory in a range: what only its own group reads does not.
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
  std::map<Id, std::size_t> last;  // reading of each value, through its views
  for (std::size_t i = groups.size(); i-- > 0;)
    for (Id id : groups_[groups[i]].members) {
      std::size_t& mine = last.try_emplace(id, i).first->second;
      for (Id reader : liveness_.readers(id))
        if (rows_.part[reader] != Part::whole) mine = std::max(mine, position_[liveness_.group_of(reader)]);
      if (!views_[id]) continue;
      std::size_t& whole = last.try_emplace(views_[id]->of, 0).first->second;
      whole = std::max(whole, mine);
    }
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (Id id : groups_[groups[i]].members) {
      if (views_[id] || !needs_local(id)) continue;
      spans.push_back({with_rows(graph_.nodes[id].type, rows_.axis[id], rows).bytes(), i, last.at(id)});
      users.push_back(id);
    }
  const std::size_t bytes = pack(spans);
  for (std::size_t i = 0; i < spans.size(); ++i) addresses_[users[i]] = {Memory::local, spans[i].offset};
  for (std::size_t group : groups)
    if (const Id id = groups_[group].first(); views_[id]) place_view(id);
  return bytes;
}

Type with_rows(Type type, int axis, Index rows) {
  if (axis != 0) type.shape.set(axis, rows);
  return type;
}

}  // namespace wengert::plan
