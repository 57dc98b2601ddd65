#include "autodiff/plan/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/parallel.hpp"

namespace wengert {

using plan::Frame;
using plan::Steps;

namespace {

// A step, or a whole run, that takes less stays on one thread: threads wait for each other, and for values from each
// other's caches.
constexpr double serial_microseconds = 25;
std::atomic<int> sharing_every_step{0};

bool is_short(double microseconds) { return microseconds < serial_microseconds && sharing_every_step == 0; }
bool is_serial(const plan::Step& step) { return step.tasks() == 1 || is_short(step.microseconds); }

bool shared_out(const Steps& steps) {
  return !std::all_of(steps.begin(), steps.end(), [](const auto& step) { return is_serial(*step); });
}

bool overlap(const Type& type, const void* data, const Array& output) {
  const auto* from = static_cast<const std::byte*>(data);
  const auto* to = static_cast<const std::byte*>(output.raw());
  return std::less<>()(from, to + output.type().bytes()) && std::less<>()(to, from + type.bytes());
}

// While it lives nobody else runs the plan.
class Turn {
 public:
  explicit Turn(std::atomic<bool>& running) : running_(running) {
    if (running_.exchange(true))
      throw Error("[run] this plan is running on another thread: its memory serves one run at a time");
  }
  ~Turn() { running_.store(false); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  std::atomic<bool>& running_;
};

Array room(std::size_t bytes) { return Array(Dtype::i32, {static_cast<Index>(bytes / 4 + 1)}); }

}  // namespace

void Plan::Schedule::check(std::span<const PlanInput> given) const {
  if (given.size() != inputs.size())
    throw Error(fmt::format("[run] this plan has {} inputs, got {}", inputs.size(), given.size()));
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (*given[i].type != inputs[i])
      throw Error(fmt::format("[run] input {}{} is {}, got {}", i, names[i].empty() ? "" : " (" + names[i] + ")",
                              to_string(inputs[i]), to_string(*given[i].type)));
  for (std::size_t i = 0; i < given.size(); ++i)
    for (const Array& output : outputs)
      if (overlap(inputs[i], given[i].data, output))
        throw Error(
            fmt::format("[run] input {} is this plan's own output, which the run writes over: copy it first", i));
}

void Plan::Schedule::make_room(int threads) {
  if (shared_.bytes.size() == 0) shared_.bytes = room(shared_bytes);
  std::size_t ranges = 0, all = 0;
  for (const Stage& stage : stages) {
    for (const Variant& variant : stage.ranges) ranges = std::max(ranges, variant.local_bytes);
    all = std::max(all, stage.all.local_bytes);  // a team may come out smaller than it was asked to be
  }
  const auto at_least = [](Memory& memory, std::size_t bytes) {
    if (memory.bytes.type().bytes() < bytes + 1) memory.bytes = room(bytes);
  };
  const std::size_t count = static_cast<std::size_t>(threads);
  if (local_.size() < count) {
    local_.resize(count);
    scratch_.resize(count);
  }
  for (std::size_t i = 0; i < count; ++i) {
    at_least(local_[i], i == 0 ? std::max(ranges, all) : ranges);
    at_least(scratch_[i], scratch_bytes);
  }
}

bool Plan::Schedule::by_ranges(const Stage& stage, int threads) {
  // All threads about equally busy, or one alone, which gains from ranges that fit into its cache.
  const Index rounds = (stage.units + threads - 1) / threads;
  return stage.units > 1 && 10 * stage.units >= 8 * rounds * threads;
}

Frame Plan::Schedule::frame_of(int thread) {
  const std::size_t which = static_cast<std::size_t>(thread);
  return {table.data(), shared_.data(), local_[which].data(), scratch_[which].data()};
}

void Plan::Schedule::run_steps(const Steps& steps, const Frame& frame, int thread, int threads, Barrier& barrier) {
  const auto run = [&](const plan::Step& step, Index begin, Index end) {
    for (Index task = begin; task < end; ++task) step.run(frame, task);
  };
  bool together = true;  // whether all threads have seen what was written so far
  for (const auto& step : steps) {
    const Index tasks = step->tasks();
    if (threads == 1 || is_serial(*step)) {
      if (thread == 0) run(*step, 0, tasks);
      together = false;
      continue;
    }
    if (!together) barrier.wait();
    run(*step, tasks * thread / threads, tasks * (thread + 1) / threads);
    barrier.wait();
    together = true;
  }
  if (!together) barrier.wait();
}

void Plan::Schedule::run_ranges(const Stage& stage, Frame frame, int thread, int threads) {
  for (Index unit = stage.units * thread / threads; unit < stage.units * (thread + 1) / threads; ++unit) {
    frame.begin = group_begin(unit, stage.units, extent);
    const Index rows = group_begin(unit + 1, stage.units, extent) - frame.begin;
    const Variant& variant = stage.ranges[stage.ranges[0].rows == rows ? 0 : 1];
    for (const auto& step : variant.steps)
      for (Index task = 0, tasks = step->tasks(); task < tasks; ++task) step->run(frame, task);
  }
}

void Plan::Schedule::work(int thread, int threads, Barrier& barrier) {
  for (const Stage& stage : stages) {
    Frame frame = frame_of(thread);
    run_steps(stage.whole, frame, thread, threads, barrier);
    if (by_ranges(stage, threads)) {
      run_ranges(stage, frame, thread, threads);
      barrier.wait();
    } else {
      frame.local = frame_of(0).local;
      run_steps(stage.all.steps, frame, thread, threads, barrier);
    }
    run_steps(stage.combined, frame, thread, threads, barrier);
  }
}

// One thread where none of several would have work of its own. (Its values are then in one cache for what follows.)
int Plan::Schedule::team() const {
  if (is_short(microseconds)) return 1;
  const int wanted = threads();
  for (const Stage& stage : stages)
    if (by_ranges(stage, wanted) || shared_out(stage.whole) || shared_out(stage.all.steps) ||
        shared_out(stage.combined))
      return wanted;
  return 1;
}

// Computes the outputs where `to` lies; `then` runs on every thread of the region, once they are there. (What follows
// work() is behind a barrier after the last step: no thread is there if one has failed before.)
void Plan::Schedule::execute(std::span<const PlanInput> given, const std::vector<Array>& to, const Finish& then) {
  for (std::size_t i = 0; i < given.size(); ++i) table[i] = given[i].data;
  for (std::size_t i = 0; i < to.size(); ++i) table[output_entries[i]] = to[i].raw();
  const int wanted = team();
  make_room(wanted);
  computed_ = false;
  try {
    parallel_region(wanted, [&](int thread, int threads, Barrier& barrier) {
      work(thread, threads, barrier);
      computed_ = true;
      if (then) then(thread, threads, barrier);
    });
  } catch (const Error&) {
    if (!computed_) run_whole();
    throw;
  }
}

// A run that failed once more, every step over all rows by itself, on this thread: the error that comes of it is the
// first one, and speaks of whole arrays, as an eager tape's does.
void Plan::Schedule::run_whole() {
  const FloatingPointMode mode;
  const Frame frame = frame_of(0);
  for (const Stage& stage : stages)
    for (const Steps* steps : {&stage.whole, &stage.all.steps, &stage.combined})
      for (const auto& step : *steps) step->run_whole(frame);
}

std::span<const Array> Plan::Schedule::run(std::span<const PlanInput> given, const Finish& finish) {
  check(given);
  const Turn turn(running_);
  adds_up_ = false;
  execute(given, outputs, finish);
  adds_up_ = true;
  return outputs;
}

// Each thread adds its part of every output.
void Plan::Schedule::add_to_outputs(int thread, int threads) {
  for (std::size_t i = 0; i < outputs.size(); ++i)
    dispatch_float(outputs[i].dtype(), [&]<class T>() {
      const Index size = outputs[i].size(), begin = size * thread / threads, end = size * (thread + 1) / threads;
      T* sum = outputs[i].data<T>().data();
      const T* addend = std::as_const(addends_[i]).data<T>().data();
      for (Index e = begin; e < end; ++e) sum[e] += addend[e];
    });
}

std::span<const Array> Plan::Schedule::accumulate(std::span<const PlanInput> given, const Finish& finish) {
  check(given);
  const Turn turn(running_);
  if (!adds_up_) throw Error("[accumulate] there is nothing to add to: the plan has not run, or its last run failed");
  if (addends_.empty()) {
    for (const Array& output : outputs)
      if (!is_float(output.dtype())) throw Error("[accumulate] adds f32 and f64, an output of this plan is i32");
    for (const Array& output : outputs) addends_.emplace_back(output.type());
  }
  execute(given, addends_, [&](int thread, int threads, Barrier& barrier) {
    if (thread == 0) adds_up_ = false;  // unless all ends well
    add_to_outputs(thread, threads);
    if (!finish) return;
    barrier.wait();
    finish(thread, threads, barrier);
  });
  adds_up_ = true;
  return outputs;
}

// f(step, frame) for every step as one thread alone would run them.
template <class F>
void Plan::Schedule::visit_alone(F&& f) {
  for (const Stage& stage : stages) {
    Frame frame = frame_of(0);
    const auto visit = [&](const Steps& steps) {
      for (const auto& step : steps) f(*step, frame);
    };
    visit(stage.whole);
    if (by_ranges(stage, 1)) {
      for (Index unit = 0; unit < stage.units; ++unit) {
        frame.begin = group_begin(unit, stage.units, extent);
        const Index rows = group_begin(unit + 1, stage.units, extent) - frame.begin;
        visit(stage.ranges[stage.ranges[0].rows == rows ? 0 : 1].steps);
      }
      frame.begin = 0;
    } else {
      visit(stage.all.steps);
    }
    visit(stage.combined);
  }
}

std::string Plan::Schedule::profile(std::span<const PlanInput> given, int runs) {
  const struct Kept {  // sums of micro-batches, say
    std::vector<Array>& outputs;
    std::vector<Array> values;
    bool &adds_up, added_up;
    ~Kept() {
      adds_up = added_up;
      for (std::size_t i = 0; i < outputs.size(); ++i)
        std::memcpy(outputs[i].raw(), values[i].raw(), values[i].type().bytes());
    }
  } kept{outputs, outputs, adds_up_, adds_up_};
  run(given, {});
  const Turn turn(running_);
  make_room(1);
  struct Entry {
    double seconds = 0, flops = 0;
    Index calls = 0;
  };
  std::map<std::string, Entry> kernels;
  double total = 0;
  const auto measure = [&](const plan::Step& step, const Frame& frame) {
    const auto start = std::chrono::steady_clock::now();
    for (Index task = 0, tasks = step.tasks(); task < tasks; ++task) step.run(frame, task);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    Entry& entry = kernels[step.kernel()];
    entry.seconds += seconds;
    entry.flops += step.flops;
    ++entry.calls;
    total += seconds;
  };
  parallel_region(1, [&](int, int, Barrier&) {
    const OneThread alone;
    for (int i = 0; i < runs; ++i) visit_alone(measure);
  });
  std::vector<std::pair<std::string, Entry>> sorted(kernels.begin(), kernels.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  std::string text = fmt::format("{:.3f} ms a run on one thread\n", total / runs * 1e3);
  for (const auto& [kernel, entry] : sorted)
    text += fmt::format("{:9.3f} ms {:5.1f} % {:8.1f} GF/s {:6} calls  {}\n", entry.seconds / runs * 1e3,
                        100 * entry.seconds / total, entry.flops / entry.seconds / 1e9, entry.calls / runs, kernel);
  return text;
}

std::vector<Plan::StepInfo> Plan::Schedule::steps() const {
  using Part = StepInfo::Part;
  std::vector<StepInfo> all;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const auto add = [&](Part part, const Steps& of) {
      for (const auto& step : of)
        all.push_back({static_cast<int>(i), part, step->kernel(), step->nodes.size(), step->tasks()});
    };
    add(Part::whole, stages[i].whole);
    if (!stages[i].ranges.empty()) add(Part::range, stages[i].ranges[0].steps);
    add(Part::all_rows, stages[i].all.steps);
    add(Part::combined, stages[i].combined);
  }
  return all;
}

std::size_t Plan::Schedule::bytes() const {
  std::size_t local = 0;
  for (const Stage& stage : stages)
    local = std::max(local, stage.ranges.empty() ? stage.all.local_bytes : stage.ranges[0].local_bytes);
  return shared_bytes + local;
}

std::string Plan::Schedule::explain() const {
  std::string text = "passes:";
  for (const PassInfo& pass : passes) text += fmt::format("  {} {}", pass.name, pass.nodes);
  text += fmt::format("\nrows of the batch: {}; bytes: {} shared, of {} for all values\n", extent, shared_bytes,
                      value_bytes);
  const auto list = [&](const char* title, const Steps& steps) {
    if (steps.empty()) return;
    text += fmt::format("  {}\n", title);
    for (const auto& step : steps)
      text += fmt::format("    {:60} {:12.0f} flop  {} tasks\n", step->kernel(), step->flops, step->tasks());
  };
  for (std::size_t i = 0; i < stages.size(); ++i) {
    text += fmt::format("stage {}\n", i);
    list("whole", stages[i].whole);
    if (stages[i].units > 1)
      list(fmt::format("rows, in {} ranges of {} or one more ({} bytes each)", stages[i].units,
                       stages[i].ranges[0].rows, stages[i].ranges[0].local_bytes)
               .c_str(),
           stages[i].ranges[0].steps);
    else
      list("rows, all at once", stages[i].all.steps);
    list("combined", stages[i].combined);
  }
  return text;
}

plan::ShareEveryStep::ShareEveryStep() { ++sharing_every_step; }
plan::ShareEveryStep::~ShareEveryStep() { --sharing_every_step; }

}  // namespace wengert
