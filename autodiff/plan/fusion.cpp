#include "autodiff/plan/fusion.hpp"

#include <algorithm>
#include <queue>
#include <set>

#include "autodiff/plan/lasting.hpp"

namespace wengert::plan {
namespace {

// Readers that a search looks at, at most: in long graphs nearly all longer searches end at a path.
constexpr std::size_t most_searched = 2048;

class Fuser {
 public:
  Fuser(const Graph& graph, const RowPlan& rows)
      : graph_(graph),
        rows_(rows),
        readers_(readers_of(graph)),
        of_parameters_(of_parameters_alone(graph, rows)),
        seen_(graph.nodes.size(), 0) {
    for (Id id = 0; id < graph.nodes.size(); ++id) {
      group_.push_back(id);
      members_.push_back({id});
    }
  }

  void fuse() {
    for (Id id = 0; id < graph_.nodes.size(); ++id)
      if (elementwise(id))
        for (Id operand : graph_.nodes[id].operands) join(group_[operand], group_[id]);
  }

  std::vector<FusionGroup> ordered() const {
    std::vector<int> waiting(members_.size(), 0);
    std::vector<std::set<Id>> next(members_.size());
    for (Id id = 0; id < graph_.nodes.size(); ++id)
      for (Id operand : graph_.nodes[id].operands)
        if (group_[operand] != group_[id] && next[group_[operand]].insert(group_[id]).second) ++waiting[group_[id]];
    using Entry = std::tuple<int, int, Id, Id>;  // stage, after what is whole, last member, group
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready;
    const auto push = [&](Id group) {
      const Id last = members_[group].back();
      ready.emplace(graph_.nodes[last].is_leaf() ? -1 : rows_.stage[last], rows_.part[last] == Part::whole ? 0 : 1,
                    last, group);
    };
    for (Id group = 0; group < members_.size(); ++group)
      if (!members_[group].empty() && waiting[group] == 0) push(group);
    std::vector<FusionGroup> result;
    while (!ready.empty()) {
      const Id group = std::get<3>(ready.top());
      ready.pop();
      const Id first = members_[group][0];
      if (!graph_.nodes[first].is_leaf())
        result.push_back({members_[group], elementwise(members_[group].back()), product(first)});
      for (Id after : next[group])
        if (--waiting[after] == 0) push(after);
    }
    return result;
  }

 private:
  bool elementwise(Id id) const {
    const Value& value = graph_.nodes[id];
    return !value.is_leaf() && value.op->fusable() && value.op->arity() <= most_arity && is_float(value.type.dtype) &&
           rows_.part[id] != Part::reduction;
  }
  bool product(Id id) const {
    const Value& value = graph_.nodes[id];
    return is_product_by_matrix(graph_, value) && rows_.part[id] != Part::reduction &&
           rows_.axis[value.operands[1]] == 0;
  }

  bool joinable(Id from, Id to) const {
    const Id a = members_[from].back(), b = members_[to].back();
    const bool starts = elementwise(a) || (members_[from].size() == 1 && product(a));
    return from != to && starts && !product(members_[to][0]) && elementwise(b) &&
           graph_.nodes[a].type == graph_.nodes[b].type && rows_.part[a] == rows_.part[b] &&
           rows_.stage[a] == rows_.stage[b] && rows_.axis[a] == rows_.axis[b] &&
           members_[from].size() + members_[to].size() <= most_members && graph_.nodes[a].type.shape.size() > 0 &&
           !leaves_weights(from, b);
  }
  // A product of weights stays apart from what reads inputs as well, so that it lasts.
  bool leaves_weights(Id from, Id reader) const {
    return product(members_[from][0]) && of_parameters_[members_[from].back()] && !of_parameters_[reader];
  }
  void join(Id from, Id to) {
    if (!joinable(from, to) || reaches(from, to)) return;
    auto& members = members_[to];
    members.insert(members.end(), members_[from].begin(), members_[from].end());
    std::sort(members.begin(), members.end());
    // A product comes first whatever its number: the rest of the chain is elementwise.
    const auto head = std::find_if(members.begin(), members.end(), [&](Id id) { return product(id); });
    if (head != members.end()) std::rotate(members.begin(), head, head + 1);
    for (Id member : members_[from]) group_[member] = to;
    members_[from].clear();
  }
  // `to` needs `from` by way of another group, or the search was given up: then they stay two. Groups are joined in the
  // order of their nodes, so that later nodes than the last of `to` are by themselves and lead to none before.
  bool reaches(Id from, Id to) {
    const Id last = members_[to].back();
    std::size_t looked_at = 0;
    ++search_;
    std::vector<Id> open{from};
    for (std::size_t next = 0; next < open.size(); ++next)
      for (Id member : members_[open[next]])
        for (Id reader : readers_[member]) {
          if (reader > last) break;  // readers are in order
          if (++looked_at > most_searched) return true;
          const Id group = group_[reader];
          if (group == to && next > 0) return true;
          if (group == from || group == to || seen_[group] == search_) continue;
          seen_[group] = search_;
          open.push_back(group);
        }
    return false;
  }

  const Graph& graph_;
  const RowPlan& rows_;
  std::vector<std::vector<Id>> readers_;
  std::vector<bool> of_parameters_;       // alone
  std::vector<Id> group_;                 // of each node
  std::vector<std::vector<Id>> members_;  // of each group
  std::vector<std::uint32_t> seen_;       // the search that a group was last seen in
  std::uint32_t search_ = 0;
};

}  // namespace

std::vector<FusionGroup> fusion_groups(const Graph& graph, const RowPlan& rows, bool fuse) {
  Fuser fuser(graph, rows);
  if (fuse) fuser.fuse();
  return fuser.ordered();
}

}  // namespace wengert::plan
