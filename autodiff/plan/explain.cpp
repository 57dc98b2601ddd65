// The text of explain(), and its facts as data.
#include <fmt/format.h>

#include <algorithm>

#include "autodiff/plan/schedule.hpp"

namespace wengert::plan {
namespace {

std::string indented(const std::string& lines) {
  std::string text;
  for (std::size_t begin = 0, end; begin < lines.size(); begin = end) {
    end = std::min(lines.find('\n', begin), lines.size() - 1) + 1;
    text += "      " + lines.substr(begin, end - begin);
  }
  return text;
}

std::string listed(const std::string& title, const Steps& steps) {
  std::string text = steps.empty() ? "" : "  " + title + "\n";
  for (const auto& step : steps)
    text += fmt::format("    {:60} {:12.0f} flop  {} tasks\n", step->kernel(), step->flops, step->tasks()) +
            indented(step->inside());
  return text;
}

}  // namespace

std::vector<Plan::StepInfo> Schedule::steps() const {
  using Part = Plan::StepInfo::Part;
  std::vector<Plan::StepInfo> all;
  const auto add = [&](std::size_t stage, Part part, const Steps& steps) {
    for (const auto& step : steps)
      all.push_back({static_cast<int>(stage), part, step->kernel(), step->nodes.size(), step->tasks()});
  };
  add(0, Part::lasting, lasting);
  for (std::size_t i = 0; i < stages.size(); ++i) {
    add(i, Part::whole, stages[i].whole);
    if (!stages[i].ranges.empty()) add(i, Part::range, stages[i].ranges[0].steps);
    add(i, Part::all_rows, stages[i].all.steps);
    add(i, Part::combined, stages[i].combined);
  }
  return all;
}

std::size_t Schedule::bytes() const {
  std::size_t local = 0;
  for (const Stage& stage : stages)
    local = std::max(local, stage.ranges.empty() ? stage.all.local_bytes : stage.ranges[0].local_bytes);
  std::size_t loops = 0;
  for (const auto& step : lasting) loops += step->bytes();
  for (const Stage& stage : stages)
    for (const auto& step : stage.whole) loops += step->bytes();
  return shared_bytes + local + loops;
}

std::string Schedule::explain() const {
  std::string text = "nodes:";
  for (const auto& pass : passes)
    text += fmt::format("{} {} {}", &pass == &passes[0] ? "" : ",", pass.nodes, pass.name);
  text += fmt::format("\nrows of the batch: {}; bytes: {} shared, of {} for all values\n", extent, shared_bytes,
                      value_bytes);
  return text + explain_stages();
}

std::string Schedule::explain_stages() const {
  std::string text = listed("when parameters have changed", lasting);
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const Stage& stage = stages[i];
    text += fmt::format("stage {}\n", i) + listed("whole", stage.whole);
    if (stage.units > 1)
      text += listed(fmt::format("rows, in {} ranges of {} or one more ({} bytes each)", stage.units,
                                 stage.ranges[0].rows, stage.ranges[0].local_bytes),
                     stage.ranges[0].steps);
    else
      text += listed("rows, all at once", stage.all.steps);
    text += listed("combined", stage.combined);
  }
  return text;
}

}  // namespace wengert::plan
