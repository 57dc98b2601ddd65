// The time of a plan, kernel by kernel.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <numeric>

#include "autodiff/parallel.hpp"
#include "autodiff/plan/executor.hpp"

namespace wengert::plan {
namespace {

// Of several runs, of which each kernel shows its median: whatever else the machine does falls on some of them.
class Profile {
 public:
  void begin_run() { ++runs_; }
  void run(const Step& step, const Frame& frame, bool lasts) {
    const auto start = std::chrono::steady_clock::now();
    step.run(frame);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    Entry& entry = (lasts ? lasting_ : kernels_)[step.kernel()];
    entry.seconds.resize(runs_, 0);
    entry.seconds.back() += seconds;
    entry.flops += step.flops;
    ++entry.calls;
  }

  std::string text() {
    const std::vector<Row> rows = sorted(kernels_), lasting = sorted(lasting_);
    std::string text = fmt::format("{:.3f} ms a run on one thread\n", total(rows) * 1e3) + listed(rows);
    if (!lasting.empty())
      text += fmt::format("{:.3f} ms more when parameters have changed\n", total(lasting) * 1e3) + listed(lasting);
    return text;
  }

 private:
  struct Entry {
    std::vector<double> seconds{};  // of each run
    double flops = 0;
    Index calls = 0;
  };
  using Kernels = std::map<std::string, Entry>;
  struct Row {
    double seconds;
    std::string kernel;
    Entry entry;
  };
  // The kernels that take most first.
  static std::vector<Row> sorted(Kernels& kernels) {
    std::vector<Row> rows;
    for (auto& [kernel, entry] : kernels) rows.push_back({median(entry.seconds), kernel, entry});
    std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.seconds > b.seconds; });
    return rows;
  }
  static double total(const std::vector<Row>& rows) {
    return std::accumulate(rows.begin(), rows.end(), 0.0, [](double sum, const Row& row) { return sum + row.seconds; });
  }
  std::string listed(const std::vector<Row>& rows) const {
    const double runs = static_cast<double>(runs_), all = total(rows);
    std::string text;
    for (const auto& [seconds, kernel, entry] : rows)
      text += fmt::format("{:9.3f} ms {:5.1f} % {:8.1f} GF/s {:6} calls  {}\n", seconds * 1e3, 100 * seconds / all,
                          entry.flops / runs / seconds / 1e9, entry.calls / static_cast<Index>(runs_), kernel);
    return text;
  }
  static double median(std::vector<double>& values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
  }
  Kernels kernels_, lasting_;
  std::size_t runs_ = 0;
};

}  // namespace

void Executor::visit_alone(const std::function<void(const Step&, const Frame&, bool lasts)>& visit) {
  for (const auto& step : schedule_.lasting) visit(*step, frame_of(0), true);
  for (const Stage& stage : schedule_.stages) {
    Frame frame = frame_of(0);
    const auto visit_all = [&](const Steps& steps) {
      for (const auto& step : steps) visit(*step, frame, false);
    };
    visit_all(stage.whole);
    if (by_ranges(stage, 1)) {
      for (Index unit = 0; unit < stage.units; ++unit) visit_all(range(stage, unit, frame.begin).steps);
      frame.begin = 0;
    } else {
      visit_all(stage.all.steps);
    }
    visit_all(stage.combined);
  }
}

std::string Executor::profile(std::span<const PlanInput> given, int runs) {
  const struct Kept {  // sums of micro-batches, say
    std::vector<Array>& outputs;
    std::vector<Array> values;
    bool &adds_up, added_up;
    ~Kept() {
      adds_up = added_up;
      for (std::size_t i = 0; i < outputs.size(); ++i)
        std::memcpy(outputs[i].raw(), values[i].raw(), values[i].type().bytes());
    }
  } kept{schedule_.outputs, schedule_.outputs, adds_up_, adds_up_};
  run(given, {});
  const Turn turn(running_);
  make_room(1);
  Profile profile;
  parallel_region(1, [&](int, int, Barrier&) {
    const OneThread alone;
    for (int i = 0; i < runs; ++i) {
      profile.begin_run();
      visit_alone([&](const Step& step, const Frame& frame, bool lasts) { profile.run(step, frame, lasts); });
    }
  });
  return profile.text();
}

}  // namespace wengert::plan
