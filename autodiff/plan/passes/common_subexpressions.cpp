#include <map>
#include <tuple>

#include "autodiff/plan/graph_rewriter.hpp"
#include "autodiff/plan/passes.hpp"

namespace wengert::plan {

Graph eliminate_common_subexpressions(const Graph& graph) {
  using Key = std::tuple<const Op*, std::vector<Id>, std::string, std::string>;
  std::map<Key, Id> known;
  GraphRewriter result(graph);
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    Value value = result.moved(id);
    std::string values;
    if (value.constant) values.assign(static_cast<const char*>(value.constant->raw()), value.type.bytes());
    const bool apart = value.input >= 0 || value.parameter || (!value.is_leaf() && value.op->is_local());
    const Key key(value.constant ? nullptr : value.op, value.operands,
                  to_string(value.type) + bytes_of(value.attributes), values);
    const auto [found, fresh] = apart ? std::pair(known.end(), true) : known.emplace(key, 0);
    if (!fresh) {
      result.put(id, found->second);
      continue;
    }
    const Id now = result.add(std::move(value));
    if (!apart) found->second = now;
    result.put(id, now);
  }
  return result.finish();
}

}  // namespace wengert::plan
