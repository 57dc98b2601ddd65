// From a graph to steps: stages, groups, memory, and every value's place.
#include <algorithm>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/plan/memory.hpp"
#include "autodiff/plan/schedule.hpp"

namespace wengert::plan {
namespace {

using Schedule = Plan::Schedule;
using Memory = Place::Memory;

constexpr Index rows_of_a_range = 96;  // where no sum over rows says otherwise

class Assembler {
 public:
  Assembler(const Graph& graph, const CompileOptions& options)
      : graph_(graph),
        rows_(find_rows(graph, options.split_rows)),
        groups_(groups_of_nodes(graph, rows_, options.rewrites)),
        readers_(readers_of(graph)),
        places_(graph.nodes.size()),
        partials_(graph.nodes.size()),
        group_of_(graph.nodes.size(), no_group) {
    for (std::size_t g = 0; g < groups_.size(); ++g)
      for (Id member : groups_[g].members) group_of_[member] = g;
  }

  std::unique_ptr<Schedule> run() {
    schedule_ = std::make_unique<Schedule>();
    schedule_->inputs = graph_.inputs;
    schedule_->names = graph_.names;
    schedule_->extent = rows_.extent;
    place_leaves();
    place_outputs();
    place_shared();
    schedule_->stages.resize(static_cast<std::size_t>(rows_.stages));
    for (int stage = 0; stage < rows_.stages; ++stage) assemble(stage);
    copy_leaf_outputs();
    count_scratch_and_work();
    return std::move(schedule_);
  }

 private:
  static constexpr std::size_t no_group = static_cast<std::size_t>(-1);

  // --- places of what all rows share ---

  std::size_t enter(const void* address) {
    schedule_->table.push_back(address);
    return schedule_->table.size() - 1;
  }
  void place_leaves() {
    schedule_->table.assign(graph_.inputs.size(), nullptr);
    for (Id id = 0; id < graph_.nodes.size(); ++id) {
      const Node& node = graph_.nodes[id];
      if (node.input >= 0) {
        places_[id] = {Memory::table, static_cast<std::size_t>(node.input)};
      } else if (node.parameter) {
        schedule_->owned.push_back(node.parameter->owner);
        places_[id] = {Memory::table, enter(node.parameter->data)};
      } else if (node.constant) {
        schedule_->owned.push_back(node.constant);
        places_[id] = {Memory::table, enter(node.constant->raw())};
      }
    }
  }
  // An output lies in an array of its own from the start. The same node twice, or a leaf, is copied at the end.
  void place_outputs() {
    for (Id output : graph_.outputs) schedule_->outputs.emplace_back(graph_.nodes[output].type);
    in_output_.assign(graph_.nodes.size(), false);
    for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
      const Id id = graph_.outputs[i];
      const std::size_t entry = enter(schedule_->outputs[i].raw());
      schedule_->output_entries.push_back(entry);
      if (graph_.nodes[id].is_leaf() || in_output_[id]) {
        copies_.push_back({id, entry});
      } else {
        places_[id] = {Memory::table, entry};
        in_output_[id] = true;
      }
    }
  }
  bool is_shared(Id id) const {
    return !graph_.nodes[id].is_leaf() && (rows_.part[id] != Part::rows || rows_.stored[id]);
  }
  // When, counted in groups, a node is written and last read. All groups of a stage's rows run as one.
  std::size_t time_of(std::size_t group) const {
    const Id first = groups_[group].members[0];
    if (rows_.part[first] == Part::whole) return group;
    std::size_t last = group;
    while (last + 1 < groups_.size() && rows_.part[groups_[last + 1].members[0]] != Part::whole &&
           rows_.stage[groups_[last + 1].members[0]] == rows_.stage[first])
      ++last;
    return last;
  }
  std::size_t start_of(std::size_t group) const {
    const Id first = groups_[group].members[0];
    if (rows_.part[first] == Part::whole) return group;
    while (group > 0 && rows_.part[groups_[group - 1].members[0]] != Part::whole &&
           rows_.stage[groups_[group - 1].members[0]] == rows_.stage[first])
      --group;
    return group;
  }
  void place_shared() {
    std::vector<plan::Span> spans;
    std::vector<Place*> users;
    const auto add = [&](Place& place, std::size_t bytes, std::size_t first, std::size_t last) {
      spans.push_back({bytes, first, last});
      users.push_back(&place);
    };
    for (Id id = 0; id < graph_.nodes.size(); ++id) {
      schedule_->value_bytes += graph_.nodes[id].is_leaf() ? 0 : graph_.nodes[id].type.bytes();
      if (!is_shared(id)) continue;
      const std::size_t group = group_of_[id], first = start_of(group), mine = time_of(group);
      std::size_t last = mine;
      for (Id reader : readers_[id]) last = std::max(last, time_of(group_of_[reader]));
      if (std::any_of(copies_.begin(), copies_.end(), [&](const Copy& copy) { return copy.from == id; }))
        last = groups_.size();
      if (!in_output_[id]) add(places_[id], graph_.nodes[id].type.bytes(), first, last);
      if (rows_.part[id] != Part::reduction) continue;
      const Index groups = groups_of(graph_, id);
      partials_[id] = places_[id];
      if (groups > 1) add(partials_[id], static_cast<std::size_t>(groups) * graph_.nodes[id].type.bytes(), first, mine);
    }
    schedule_->shared_bytes = pack(spans);
    for (std::size_t i = 0; i < spans.size(); ++i) *users[i] = {Memory::shared, spans[i].offset};
    for (Id id = 0; id < graph_.nodes.size(); ++id)
      if (rows_.part[id] == Part::reduction && groups_of(graph_, id) == 1) partials_[id] = places_[id];
  }

  // --- operands ---

  Type with_rows(Type type, int axis, Index rows) const {
    if (axis != 0) type.shape.set(axis, rows);
    return type;
  }
  // A value as a step for `rows` rows reads or writes it; `axis` is that of its rows, 0 where it is taken whole.
  Operand operand(Id id, int axis, Index rows) const {
    Operand result{places_[id], with_rows(graph_.nodes[id].type, axis, rows), axis};
    if (axis != 0 && result.place.memory != Memory::local)
      result.place.row_bytes = graph_.nodes[id].type.bytes() / static_cast<std::size_t>(rows_.extent);
    return result;
  }
  Operand read(Id reader, std::size_t which, Index rows) const {
    const Id id = graph_.nodes[reader].operands[which];
    if (rows_.part[reader] == Part::whole) return operand(id, 0, rows);
    if (rows_.axis[id] != 0) return operand(id, rows_.axis[id], rows);
    if (rows_.part[reader] == Part::rows && rows_.sliced(graph_, reader, which)) {
      for (Id other : graph_.nodes[reader].operands)
        if (rows_.axis[other] != 0) return operand(id, rows_.axis[other], rows);
    }
    return operand(id, 0, rows);
  }
  Operand written(Id id, Index rows) const {
    return operand(id, rows_.part[id] == Part::rows ? rows_.axis[id] : 0, rows);
  }

  // --- steps ---

  std::unique_ptr<Step> make(const Group& group, Index rows) {
    const Id first = group.members[0];
    std::unique_ptr<Step> step;
    if (rows_.part[first] == Part::reduction)
      step = reduction(first, rows);
    else if (group.chain || group.product)
      step = chain(group, rows);
    else
      step = plain(first, rows);
    step->nodes = group.members;
    return step;
  }
  std::unique_ptr<Step> plain(Id id, Index rows) const {
    std::vector<Operand> operands;
    for (std::size_t i = 0; i < graph_.nodes[id].operands.size(); ++i) operands.push_back(read(id, i, rows));
    return op_step(graph_.nodes[id], std::move(operands), written(id, rows));
  }
  std::unique_ptr<Step> reduction(Id id, Index rows) const {
    const Index groups = groups_of(graph_, id);
    const Operand to{partials_[id], graph_.nodes[id].type};
    if (graph_.nodes[id].op->name() == "sum")
      return sum_step(graph_.nodes[id], read(id, 0, rows), to, groups, rows_.extent);
    return outer_step(read(id, 0, rows), read(id, 1, rows), to, groups, rows_.extent);
  }

  // What a chain reads from outside, each once, and what others read of it.
  std::unique_ptr<Step> chain(const Group& group, Index rows) {
    std::vector<Operand> operands, outputs;
    std::vector<std::pair<Id, int>> known;  // node and axis of the operands
    std::vector<Chain::Instruction> instructions;
    const Id head = group.members[0];
    const std::size_t skipped = group.product ? 1 : 0;
    const auto within = [&](Id id) {
      const auto at = std::find(group.members.begin(), group.members.end(), id);
      return at == group.members.end() ? -1 : static_cast<int>(at - group.members.begin());
    };
    constexpr int product = 1 << 20;  // until all others have their numbers
    for (std::size_t m = skipped; m < group.members.size(); ++m) {
      const Id id = group.members[m];
      if (graph_.nodes[id].owned) schedule_->owned.push_back(graph_.nodes[id].owned);
      Chain::Instruction instruction{graph_.nodes[id].op, &graph_.nodes[id].attributes, {}, -1};
      for (std::size_t i = 0; i < graph_.nodes[id].operands.size(); ++i) {
        const Id from = graph_.nodes[id].operands[i];
        const int member = within(from);
        if (member >= static_cast<int>(skipped)) {
          instruction.operands.push_back(~(member - static_cast<int>(skipped)));
        } else if (member == 0) {
          instruction.operands.push_back(product);
        } else {
          const Operand value = read(id, i, rows);
          const std::pair key(from, value.axis);
          auto at = std::find(known.begin(), known.end(), key);
          if (at == known.end()) {
            known.push_back(key);
            operands.push_back(value);
            at = known.end() - 1;
          }
          instruction.operands.push_back(static_cast<int>(at - known.begin()));
        }
      }
      if (read_outside(group, id)) {
        instruction.output = static_cast<int>(outputs.size());
        outputs.push_back(written(id, rows));
      }
      instructions.push_back(std::move(instruction));
    }
    for (auto& each : instructions)
      std::replace(each.operands.begin(), each.operands.end(), product, static_cast<int>(operands.size()));
    if (!group.product) return chain_step(std::move(operands), std::move(outputs), own(std::move(instructions)));
    Product p{read(head, 0, rows),
              read(head, 1, rows),
              {},
              graph_.nodes[head].attributes.integers[1] != 0,
              rows == 0 || rows == rows_.extent};
    p.output = {product_place(group, instructions, outputs, rows),
                with_rows(graph_.nodes[head].type, rows_.part[head] == Part::rows ? rows_.axis[head] : 0, rows), 0};
    return product_step(p, std::move(operands), std::move(outputs), own(std::move(instructions)));
  }
  // Attributes live as long as the plan, unlike the graph.
  std::vector<Chain::Instruction> own(std::vector<Chain::Instruction> instructions) {
    for (auto& each : instructions) {
      auto copy = std::make_shared<Attributes>(*each.attributes);
      each.attributes = copy.get();
      schedule_->owned.push_back(std::move(copy));
    }
    return instructions;
  }
  bool read_outside(const Group& group, Id id) const {
    const auto outside = [&](Id reader) {
      return std::find(group.members.begin(), group.members.end(), reader) == group.members.end();
    };
    return is_output(id) || std::any_of(readers_[id].begin(), readers_[id].end(), outside);
  }
  bool is_output(Id id) const {
    return std::find(graph_.outputs.begin(), graph_.outputs.end(), id) != graph_.outputs.end();
  }
  // Where a product waits for its chain: in its own memory if somebody else reads it, or in that of a result which is
  // written by its last reader or after it.
  Place product_place(const Group& group, const std::vector<Chain::Instruction>& instructions,
                      const std::vector<Operand>& outputs, Index rows) const {
    const Id head = group.members[0];
    if (read_outside(group, head) || needs_memory(group)) return written(head, rows).place;
    for (std::size_t i = instructions.size(); i-- > 0;)
      if (instructions[i].output >= 0) return outputs[static_cast<std::size_t>(instructions[i].output)].place;
    return written(head, rows).place;
  }
  // Whether no result is written late enough to take a product's place.
  bool needs_memory(const Group& group) const {
    const Id head = group.members[0];
    Id last_reader = head, last_result = head;
    for (Id member : group.members) {
      if (member == head) continue;
      const auto& operands = graph_.nodes[member].operands;
      if (std::find(operands.begin(), operands.end(), head) != operands.end())
        last_reader = std::max(last_reader, member);
      if (read_outside(group, member)) last_result = std::max(last_result, member);
    }
    return last_result < last_reader || group.members.size() == 1;
  }
  // Whether a node of rows needs memory in a range: what only its own chain reads does not.
  bool needs_local(Id id) const {
    if (rows_.part[id] != Part::rows || rows_.stored[id]) return false;
    const Group& group = groups_[group_of_[id]];
    if (!group.chain && !group.product) return true;
    if (group.product && id == group.members[0]) return read_outside(group, id) || needs_memory(group);
    return read_outside(group, id);
  }

  // --- stages ---

  void assemble(int stage) {
    Schedule::Stage& out = schedule_->stages[static_cast<std::size_t>(stage)];
    std::vector<std::size_t> by_rows;
    Index units = 0;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const Id first = groups_[g].members[0];
      if (rows_.stage[first] != stage) continue;
      if (rows_.part[first] == Part::whole) {
        out.whole.push_back(make(groups_[g], 0));
        continue;
      }
      by_rows.push_back(g);
      if (rows_.part[first] != Part::reduction) continue;
      const Index groups = groups_of(graph_, first);
      units = units == 0 ? groups : std::min(units, groups);
      if (groups > 1)
        out.combined.push_back(combine_step({partials_[first], graph_.nodes[first].type},
                                            {places_[first], graph_.nodes[first].type}, groups));
    }
    if (by_rows.empty()) return;
    if (units == 0) units = ranges_of(rows_.extent);
    out.units = units;
    out.all = variant(by_rows, rows_.extent);
    if (units == 1) return;
    const Index shorter = rows_.extent / units;
    out.ranges.push_back(variant(by_rows, shorter));
    if (rows_.extent % units != 0) out.ranges.push_back(variant(by_rows, shorter + 1));
  }

  // Where no sum fixes them: as many as two or four threads can share evenly.
  static Index ranges_of(Index extent) {
    const Index ranges = extent / rows_of_a_range;
    return ranges < 2 ? 1 : (ranges + 3) / 4 * 4;
  }

  Schedule::Variant variant(const std::vector<std::size_t>& by_rows, Index rows) {
    Schedule::Variant result{.rows = rows};
    std::vector<plan::Span> spans;
    std::vector<Id> users;
    std::vector<std::size_t> position(groups_.size(), 0);
    for (std::size_t i = 0; i < by_rows.size(); ++i) position[by_rows[i]] = i;
    for (std::size_t i = 0; i < by_rows.size(); ++i)
      for (Id id : groups_[by_rows[i]].members) {
        if (!needs_local(id)) continue;
        std::size_t last = i;
        for (Id reader : readers_[id])
          if (rows_.part[reader] != Part::whole) last = std::max(last, position[group_of_[reader]]);
        spans.push_back({with_rows(graph_.nodes[id].type, rows_.axis[id], rows).bytes(), i, last});
        users.push_back(id);
      }
    result.local_bytes = pack(spans);
    for (std::size_t i = 0; i < spans.size(); ++i) places_[users[i]] = {Memory::local, spans[i].offset};
    for (std::size_t g : by_rows) result.steps.push_back(make(groups_[g], rows));
    return result;
  }

  void copy_leaf_outputs() {
    if (copies_.empty()) return;
    schedule_->stages.emplace_back();
    for (const Copy& copy : copies_) {
      const Node node{
          .op = &op_named("identity"), .type = graph_.nodes[copy.from].type, .place = graph_.nodes[copy.from].place};
      schedule_->stages.back().whole.push_back(
          op_step(node, {operand(copy.from, 0, 0)}, {{Memory::table, copy.entry}, node.type, 0}));
    }
  }
  void count_scratch_and_work() {
    const auto count = [&](const Steps& steps) {
      for (const auto& step : steps)
        schedule_->scratch_bytes = std::max(schedule_->scratch_bytes, step->scratch_bytes());
    };
    for (const Schedule::Stage& stage : schedule_->stages) {
      count(stage.whole);
      count(stage.all.steps);
      for (const Steps* steps : {&stage.whole, &stage.all.steps, &stage.combined})
        for (const auto& step : *steps) schedule_->microseconds += step->microseconds;
      for (const auto& each : stage.ranges) count(each.steps);
    }
  }

  struct Copy {
    Id from;
    std::size_t entry;
  };
  const Graph& graph_;
  RowPlan rows_;
  std::vector<Group> groups_;
  std::vector<std::vector<Id>> readers_;
  std::vector<Place> places_, partials_;
  std::vector<std::size_t> group_of_;
  std::vector<bool> in_output_;
  std::vector<Copy> copies_;
  std::unique_ptr<Schedule> schedule_;
};

}  // namespace

std::unique_ptr<Plan::Schedule> assemble(const Graph& graph, const CompileOptions& options) {
  return Assembler(graph, options).run();
}

}  // namespace wengert::plan
