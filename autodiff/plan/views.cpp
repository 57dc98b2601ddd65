#include "autodiff/plan/views.hpp"

#include <algorithm>
#include <map>

#include "autodiff/ops/known.hpp"

namespace wengert::plan {

std::optional<std::size_t> begin_in_operand(const Graph& graph, const Value& value) {
  if (value.is_leaf() || value.type.bytes() == 0) return {};
  if (value.is(reshape_op())) return 0;
  if (!value.is(slice_op())) return {};
  const auto [axis, start, stop, step] = value.arguments<SliceArguments>();
  const Shape& from = graph.type_of(value, 0).shape;
  if (from.leading(from.rank() + axis).size() != 1 || (step != 1 && value.type.shape[axis] > 1)) return {};
  const Index inner = from.trailing(-axis - 1).size();
  return static_cast<std::size_t>(start * inner) * size_of(value.type.dtype);
}

namespace {

// Where the parts of a concat begin in it, in bytes; nothing for one that is no run of its elements, or broadcast.
std::vector<std::optional<std::size_t>> begins_of_parts(const Graph& graph, const Value& concat) {
  const int axis = concat.arguments<ConcatArguments>().axis;
  const Shape& whole = concat.type.shape;
  std::vector<std::optional<std::size_t>> begins;
  Index at = 0;
  for (Id part : concat.operands) {
    const Shape& shape = graph.nodes[part].type.shape;
    Shape expected = whole;
    expected.set(axis, shape[axis]);
    const Index before = at * whole.trailing(-axis - 1).size();
    begins.emplace_back(static_cast<std::size_t>(before) * size_of(concat.type.dtype));
    if (shape != expected || whole.leading(whole.rank() + axis).size() != 1) begins.back().reset();
    at += shape[axis];
  }
  return begins;
}

// Puts parts of concats of whole values where they are read.
class Parts {
 public:
  Parts(const Graph& graph, const RowPlan& rows, const Liveness& liveness, std::vector<std::optional<View>>& views)
      : graph_(graph), rows_(rows), liveness_(liveness), views_(views) {}

  void run() {
    for (Id id = static_cast<Id>(graph_.nodes.size()); id-- > 0;)  // readers first: a concat may be a part itself
      if (graph_.nodes[id].is(concat_op()) && rows_.part[id] == Part::whole) place(id);
    for (auto& view : views_)  // views of parts are views of what these are in
      while (view && views_[view->of])
        view = View{views_[view->of]->of, views_[view->of]->offset + view->offset, view->written};
  }

 private:
  struct Place {
    Id id;  // that is computed: the part, or what it is a reshape of
    std::size_t begin;
    Liveness::Interval living;
  };

  // The memory of the concat lives as long as its parts, which is longer than before, and their own memory is saved: as
  // many bytes for as long must be, but for a factor of 2, which parts of one size have that come one by one. An
  // output has its memory anyway.
  void place(Id concat) {
    const Id outer = outermost(concat);
    const double bytes = liveness_.is_output(outer) ? 0 : static_cast<double>(graph_.nodes[outer].type.bytes());
    Liveness::Interval& living = living_.try_emplace(outer, liveness_.living(outer)).first->second;
    Liveness::Interval longer = living, longest = living;
    const std::vector<Place> places = places_of(concat);
    std::size_t count = 0;
    double saved = 0;
    for (std::size_t i = 0; i < places.size(); ++i) {
      const Place& part = places[i];
      const auto length = [](Liveness::Interval interval) {
        return static_cast<double>(interval.last - interval.first);
      };
      saved += static_cast<double>(graph_.nodes[part.id].type.bytes()) * length(part.living);
      longer = {std::min(longer.first, part.living.first), std::max(longer.last, part.living.last)};
      if (bytes * (length(longer) - length(living)) > 2 * saved) continue;
      count = i + 1;
      longest = longer;
    }
    living = longest;
    for (std::size_t i = 0; i < count; ++i) views_[places[i].id] = View{concat, places[i].begin, true};
  }
  // Of those parts that can lie in it, the last to be written first.
  std::vector<Place> places_of(Id concat) const {
    const Value& value = graph_.nodes[concat];
    const auto begins = begins_of_parts(graph_, value);
    std::vector<Place> places;
    for (std::size_t i = 0; i < begins.size(); ++i) {
      Id id = value.operands[i];
      while (views_[id] && graph_.nodes[id].is(reshape_op())) id = graph_.nodes[id].operands[0];
      const bool known = std::ranges::find(places, id, &Place::id) != places.end();
      if (!begins[i] || known || !can_move(id) || liveness_.lasts(id) != liveness_.lasts(concat)) continue;
      places.push_back({id, *begins[i], liveness_.living(id)});
      Liveness::Interval& living = places.back().living;
      living.last = std::max(living.last, liveness_.writing(concat).last);  // through a reshape
    }
    std::ranges::stable_sort(places, std::ranges::greater(), [](const Place& place) { return place.living.first; });
    return places;
  }
  bool can_move(Id id) const {
    return !graph_.nodes[id].is_leaf() && !views_[id] && rows_.part[id] == Part::whole && !liveness_.is_output(id) &&
           graph_.nodes[id].type.bytes() > 0;
  }
  Id outermost(Id id) const { return views_[id] ? outermost(views_[id]->of) : id; }

  const Graph& graph_;
  const RowPlan& rows_;
  const Liveness& liveness_;
  std::vector<std::optional<View>>& views_;
  std::map<Id, Liveness::Interval> living_;  // of concats with their parts
};

}  // namespace

std::vector<std::optional<View>> views_of(const Graph& graph, const RowPlan& rows, const Liveness& liveness) {
  std::vector<std::optional<View>> views(graph.nodes.size());
  std::vector<bool> is_output(graph.nodes.size(), false);
  for (Id output : graph.outputs) is_output[output] = true;
  const auto local = [&](Id id) {  // rows that come first, and are gone after their stage
    return rows.part[id] == Part::rows && !rows.stored[id] && rows.axis[id] == -graph.nodes[id].type.shape.rank();
  };
  for (Id id = 0; id < graph.nodes.size(); ++id) {
    const Value& value = graph.nodes[id];
    const auto begin = is_output[id] ? std::nullopt : begin_in_operand(graph, value);
    if (!begin) continue;
    const Id from = value.operands[0];
    if (rows.part[id] != Part::whole && !(value.is(reshape_op()) && local(id) && local(from))) continue;
    views[id] = views[from] ? View{views[from]->of, views[from]->offset + *begin} : View{from, *begin};
  }
  Parts(graph, rows, liveness, views).run();
  return views;
}

bool is_in_place(const Graph& graph, const std::vector<std::optional<View>>& views, Id id) {
  const View memory = views[id].value_or(View{id, 0, true});
  if (!memory.written) return true;
  const Value& value = graph.nodes[id];
  if (!value.is(concat_op())) return false;
  const auto begins = begins_of_parts(graph, value);
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const auto& part = views[value.operands[i]];
    if (!begins[i] || !part || part->of != memory.of || part->offset != memory.offset + *begins[i]) return false;
  }
  return true;
}

}  // namespace wengert::plan
