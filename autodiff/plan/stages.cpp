#include "autodiff/plan/stages.hpp"

#include <algorithm>

#include "autodiff/plan/code/small_graphs.hpp"
#include "autodiff/plan/forced.hpp"
#include "autodiff/plan/lasting.hpp"
#include "autodiff/plan/lowering.hpp"

namespace wengert::plan {
namespace {

constexpr Index rows_of_a_range = 96;  // where no sum over rows says otherwise
// What the steps of a range take at the least, on the average, lest starting them costs more than they do.
constexpr double least_microseconds = 2;

// A number of ranges that two or four threads can share evenly.
Index evenly_shared(Index ranges) { return ranges < 2 ? 1 : (ranges + 3) / 4 * 4; }

class Scheduler {
 public:
  Scheduler(const Graph& graph, const CompileOptions& options, Of of)
      : graph_(graph),
        code_(options.rewrites ? code::machine_code_of(graph) : nullptr),
        rows_(find_rows(graph, options.split_rows && !code_)),
        groups_(make_groups(options, of)),
        liveness_(graph, rows_, groups_),
        views_(options.rewrites && !code_ ? views_of(graph, rows_, liveness_)
                                          : std::vector<std::optional<View>>(graph.nodes.size())),
        placement_(graph, rows_, groups_, liveness_, views_, schedule_) {}

  Schedule run() {
    schedule_.inputs = graph_.inputs;
    schedule_.names = graph_.names;
    schedule_.extent = rows_.extent;
    for (const auto& groups : groups_by_stage()) schedule_.stages.push_back(make_stage(groups));
    if (!code_) add_copies();
    count_scratch_and_work();
    return std::move(schedule_);
  }

 private:
  std::vector<FusionGroup> make_groups(const CompileOptions& options, Of of) const {
    if (code_) return {{.members = code::computed_nodes(graph_), .code = code_}};
    std::vector<FusionGroup> groups = fusion_groups(graph_, rows_, options.rewrites);
    if (options.rewrites) code::give_loops_code(graph_, rows_, groups);
    if (options.rewrites && of == Of::plan) find_lasting(graph_, rows_, groups);
    return groups;
  }
  std::vector<std::vector<std::size_t>> groups_by_stage() const {
    std::vector<std::vector<std::size_t>> result(static_cast<std::size_t>(rows_.stages));
    for (std::size_t g = 0; g < groups_.size(); ++g)
      result[static_cast<std::size_t>(rows_.stage[groups_[g].first()])].push_back(g);
    return result;
  }

  void add_copies() {
    if (placement_.copies().empty()) return;
    schedule_.stages.emplace_back();
    for (const auto& copy : placement_.copies()) schedule_.stages.back().whole.push_back(copy_step(lowering_, copy));
  }

  Stage make_stage(const std::vector<std::size_t>& groups) {
    Stage result;
    std::vector<std::size_t> by_rows;  // groups
    for (std::size_t g : groups) {
      if (const Id first = groups_[g].first(); rows_.part[first] != Part::whole)
        by_rows.push_back(g);
      else if (!is_in_place(graph_, views_, first))
        (groups_[g].sources ? schedule_.lasting : result.whole).push_back(make_step(lowering_, groups_[g], 0));
    }
    // Ranges are the groups of the reduction that has the fewest: they are made up of those of the others.
    for (std::size_t g : by_rows) {
      const Id first = groups_[g].first();
      if (rows_.part[first] != Part::reduction) continue;
      const Grouping grouping = partial_sums_of(graph_, first);
      result.units = result.units == 0 ? grouping.groups : std::min(result.units, grouping.groups);
      result.shares = result.shares == 0 ? grouping.shares : std::min(result.shares, grouping.shares);
      if (grouping.groups > 1) result.combined.push_back(combine_step(lowering_, first));
    }
    if (!by_rows.empty()) add_ranges(by_rows, result);
    return result;
  }

  void add_ranges(const std::vector<std::size_t>& groups, Stage& stage) {
    stage.all = make_variant(groups, rows_.extent);
    const Index most = ranges_worth_starting(stage.all.steps);
    if (stage.units == 0) stage.units = stage.shares = evenly_shared(std::min(rows_.extent / rows_of_a_range, most));
    while (stage.units > std::max(stage.shares, most)) stage.units /= 2;  // a range has several groups then
    if (stage.units == 1) return;
    const Index shorter = rows_.extent / stage.units;
    stage.ranges.push_back(make_variant(groups, shorter));
    if (rows_.extent % stage.units != 0) stage.ranges.push_back(make_variant(groups, shorter + 1));
  }

  // The most ranges whose steps do enough: of narrow rows a range has many.
  Index ranges_worth_starting(const Steps& all) const {
    if (forced(Way::shortest_ranges)) return rows_.extent;
    double work = 0;
    for (const auto& step : all) work += step->microseconds;
    return static_cast<Index>(work / (least_microseconds * static_cast<double>(std::max<std::size_t>(all.size(), 1))));
  }

  Variant make_variant(const std::vector<std::size_t>& groups, Index rows) {
    Variant result{.rows = rows};
    result.local_bytes = placement_.place_range(groups, rows);
    for (std::size_t g : groups)
      if (!is_in_place(graph_, views_, groups_[g].first()))
        result.steps.push_back(make_step(lowering_, groups_[g], rows));
    return result;
  }

  void count_scratch_and_work() {
    const auto count = [&](const Steps& steps, double share) {
      for (const auto& step : steps) {
        schedule_.scratch_bytes = std::max(schedule_.scratch_bytes, step->scratch_bytes());
        schedule_.microseconds += share * step->microseconds;
      }
    };
    count(schedule_.lasting, 0);  // counted when it is due (LastingSteps)
    for (const Stage& stage : schedule_.stages) {
      for (const Steps* steps : {&stage.whole, &stage.all.steps, &stage.combined}) count(*steps, 1);
      for (const Variant& each : stage.ranges) count(each.steps, 0);  // the same work as all rows at once
    }
  }

  const Graph& graph_;
  Schedule schedule_;
  const std::shared_ptr<const code::MachineCode> code_;  // of all nodes; null where they are steps
  const RowPlan rows_;
  const std::vector<FusionGroup> groups_;
  const Liveness liveness_;
  const std::vector<std::optional<View>> views_;
  Placement placement_;
  const Lowering lowering_{graph_, rows_, liveness_, placement_};
};

}  // namespace

Schedule make_schedule(const Graph& graph, const CompileOptions& options, Of of) {
  return Scheduler(graph, options, of).run();
}

}  // namespace wengert::plan
