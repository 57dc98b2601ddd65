#include "autodiff/plan/executor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "autodiff/parallel.hpp"
#include "autodiff/plan/forced.hpp"

namespace wengert::plan {
namespace {

// A step, or a whole run, that takes less stays on one thread: threads wait for each other, and for values from each
// other's caches.
constexpr double serial_microseconds = 25;

bool is_short(double microseconds) { return microseconds < serial_microseconds && !forced(Way::shared_steps); }
bool is_serial(const Step& step, int threads) {
  return step.is_loop() ? !step.gains_from(threads)
                        : (step.tasks() == 1 && !step.spreads()) || is_short(step.microseconds);
}

// True if so many shares keep all threads about equally busy.
bool balanced(Index shares, Index threads) {
  const Index rounds = (shares + threads - 1) / threads;
  return 10 * shares >= 8 * rounds * threads;
}

bool shared_out(const Steps& steps, int threads) {
  return !std::all_of(steps.begin(), steps.end(),
                      [&](const auto& step) { return !step->due || is_serial(*step, threads); });
}

bool overlap(const Type& type, const void* data, const Array& output) {
  const auto* from = static_cast<const std::byte*>(data);
  const auto* to = static_cast<const std::byte*>(output.raw());
  return std::less<>()(from, to + output.type().bytes()) && std::less<>()(to, from + type.bytes());
}

// A body of machine code, mostly: it takes about as long as to look through lists that are empty.
const Step* only_step_of(const Schedule& schedule) {
  if (schedule.stages.size() != 1 || !schedule.lasting.empty()) return nullptr;
  const Stage& stage = schedule.stages[0];
  const bool only = stage.whole.size() == 1 && stage.all.steps.empty() && stage.combined.empty();
  return only && !stage.whole[0]->is_loop() && stage.whole[0]->tasks() == 1 ? stage.whole[0].get() : nullptr;
}

Array room(std::size_t bytes) { return Array(Dtype::i32, {static_cast<Index>(bytes / 4 + 1)}); }

}  // namespace

Executor::Executor(Schedule schedule) : schedule_(std::move(schedule)), only_step_(only_step_of(schedule_)) {}

void Executor::check(std::span<const PlanInput> given) const {
  if (given.size() != schedule_.inputs.size())
    throw Error(fmt::format("[run] this plan has {} inputs, got {}", schedule_.inputs.size(), given.size()));
  for (std::size_t i = 0; i < schedule_.inputs.size(); ++i)
    if (given[i].type != schedule_.inputs[i])
      throw Error(fmt::format("[run] input {}{} is {}, got {}", i,
                              schedule_.names[i].empty() ? "" : " (" + schedule_.names[i] + ")",
                              to_string(schedule_.inputs[i]), to_string(given[i].type)));
  for (std::size_t i = 0; i < given.size(); ++i)
    if (given[i].data == nullptr && given[i].type.bytes() > 0)
      throw Error(fmt::format("[run] input {} is {}, got a null pointer", i, to_string(given[i].type)));
  for (std::size_t i = 0; i < given.size(); ++i)
    for (const Array& output : schedule_.outputs)
      if (overlap(schedule_.inputs[i], given[i].data, output))
        throw Error(
            fmt::format("[run] input {} is this plan's own output, which the run writes over: copy it first", i));
}

void Executor::make_room(int threads, bool all_at_once) {
  if (threads <= room_for_ && !all_at_once) return;
  room_for_ = std::max(room_for_, threads);
  if (shared_.bytes.size() == 0) shared_.bytes = room(schedule_.shared_bytes);
  std::size_t ranges = 0, all = 0;
  for (const Stage& stage : schedule_.stages) {
    for (const Variant& variant : stage.ranges) ranges = std::max(ranges, variant.local_bytes);
    bool always_by_ranges = !all_at_once;
    for (int team = 1; team <= threads; ++team)  // it may come out smaller than it was asked to be
      always_by_ranges = always_by_ranges && by_ranges(stage, team);
    if (!always_by_ranges) all = std::max(all, stage.all.local_bytes);
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
    at_least(scratch_[i], schedule_.scratch_bytes);
  }
}

bool Executor::by_ranges(const Stage& stage, int threads) {
  return stage.shares > 1 && balanced(stage.shares, threads);  // one thread gains, too: a range fits into its cache
}

Frame Executor::frame_of(int thread) {
  const std::size_t which = static_cast<std::size_t>(thread);
  return {schedule_.table.data(), shared_.data(), local_[which].data(), scratch_[which].data()};
}

void Executor::run_steps(const Steps& steps, const Frame& frame, int thread, int threads, Barrier& barrier) {
  bool together = true;  // whether all threads have seen what was written so far
  for (const auto& step : steps) {
    if (!step->due) continue;
    const Index tasks = step->tasks();
    if (threads == 1 || is_serial(*step, threads)) {
      if (thread == 0) step->run(frame);
      together = false;
      continue;
    }
    if (step->spreads() && !balanced(tasks, threads)) {
      barrier.together(thread, [&] { step->run(frame); });
      together = true;
      continue;
    }
    if (!together) barrier.wait();
    if (step->is_loop())
      step->run_together(frame, thread, threads, barrier);
    else
      step->run(frame, tasks * thread / threads, tasks * (thread + 1) / threads);
    barrier.wait();
    together = true;
  }
  if (!together) barrier.wait();
}

// The steps of range `unit`, and its first row.
const Variant& Executor::range(const Stage& stage, Index unit, Index& begin) const {
  begin = unit * schedule_.extent / stage.units;
  const Index rows = (unit + 1) * schedule_.extent / stage.units - begin;
  return stage.ranges[stage.ranges[0].rows == rows ? 0 : 1];
}

void Executor::run_ranges(const Stage& stage, Frame frame, int thread, int threads) {
  const Index units = stage.units / stage.shares,  // of a share
      first = stage.shares * thread / threads * units, last = stage.shares * (thread + 1) / threads * units;
  for (Index unit = first; unit < last; ++unit) {
    const Variant& variant = range(stage, unit, frame.begin);
    for (const auto& step : variant.steps) step->run(frame);
  }
}

void Executor::work(int thread, int threads, Barrier& barrier) {
  if (only_step_ != nullptr && threads == 1) return only_step_->run(frame_of(0));
  if (lasting_.any_due()) run_steps(schedule_.lasting, frame_of(thread), thread, threads, barrier);
  for (const Stage& stage : schedule_.stages) {
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

// Each of the threads would have work of its own. (Where none has, all values are better in one cache.)
bool Executor::gains_from(int threads) const {
  if (threads == 1 || is_short(schedule_.microseconds + lasting_.microseconds_due())) return false;
  return shared_out(schedule_.lasting, threads) ||
         std::any_of(schedule_.stages.begin(), schedule_.stages.end(), [&](const Stage& stage) {
           return by_ranges(stage, threads) || shared_out(stage.whole, threads) ||
                  shared_out(stage.all.steps, threads) || shared_out(stage.combined, threads);
         });
}

// Returns the number of threads that came.
int Executor::run_on(int team, const Finish& then) {
  int came = 1;
  parallel_region(team, [&](int thread, int threads, Barrier& barrier) {
    if (thread == 0) came = threads;
    work(thread, threads, barrier);
    computed_ = true;
    if (then) then(thread, threads, barrier);
  });
  return came;
}

// Computes the outputs where `to` lies; `then` runs on every thread of the region, once they are there. (What follows
// work() is behind a barrier after the last step: no thread is there if one has failed before.)
void Executor::execute(std::span<const PlanInput> given, const std::vector<Array>& to, const Finish& then) {
  computed_ = false;
  lasting_.look();
  const struct Forgetting {  // what a run has not computed, whatever it threw
    const std::atomic<bool>& computed;
    LastingSteps& lasting;
    ~Forgetting() {
      if (!computed) lasting.forget();
    }
  } forgetting{computed_, lasting_};
  for (std::size_t i = 0; i < given.size(); ++i) place_input(i, given[i].data);
  for (std::size_t i = 0; i < to.size(); ++i) place_output(i, const_cast<void*>(to[i].raw()));
  const int most = threads(), all = gains_from(most) ? most : 1;
  make_room(all);
  try {
    if (all == 1 || forced(Way::shared_steps)) {
      run_on(all, then);
    } else {
      const int team = team_size_.next(all);
      const auto start = std::chrono::steady_clock::now();
      if (run_on(team, then) == team)  // else the threads are at work elsewhere
        team_size_.took(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  } catch (const Error&) {
    if (!computed_) run_whole();
    throw;
  }
}

// A run that failed once more, every step over all rows by itself, on this thread: the error that comes of it is the
// first one in the order of the steps, and speaks of whole arrays, as an eager tape's does.
void Executor::run_whole() {
  make_room(1, true);
  const FloatingPointMode mode;
  const Frame frame = frame_of(0);
  for (const auto& step : schedule_.lasting) step->run_whole(frame);
  for (const Stage& stage : schedule_.stages)
    for (const Steps* steps : {&stage.whole, &stage.all.steps, &stage.combined})
      for (const auto& step : *steps) step->run_whole(frame);
}

std::span<const Array> Executor::run(std::span<const PlanInput> given, const Finish& finish) {
  check(given);
  const Turn turn(running_);
  adds_up_ = false;
  execute(given, schedule_.outputs, finish);
  adds_up_ = true;
  return schedule_.outputs;
}

// Each thread adds its part of every output.
void Executor::add_to_outputs(int thread, int threads) {
  for (std::size_t i = 0; i < schedule_.outputs.size(); ++i)
    dispatch_float(schedule_.outputs[i].dtype(), [&]<class T>() {
      const Index size = schedule_.outputs[i].size(), begin = size * thread / threads,
                  end = size * (thread + 1) / threads;
      T* sum = schedule_.outputs[i].data<T>().data();
      const T* addend = std::as_const(addends_[i]).data<T>().data();
      for (Index e = begin; e < end; ++e) sum[e] += addend[e];
    });
}

std::span<const Array> Executor::accumulate(std::span<const PlanInput> given, const Finish& finish) {
  check(given);
  const Turn turn(running_);
  if (!adds_up_) throw Error("[accumulate] there is nothing to add to: the plan has not run, or its last run failed");
  if (addends_.empty()) {
    for (const Array& output : schedule_.outputs)
      if (!is_float(output.dtype())) throw Error("[accumulate] adds f32 and f64, an output of this plan is i32");
    for (const Array& output : schedule_.outputs) addends_.emplace_back(output.type());
  }
  execute(given, addends_, [&](int thread, int threads, Barrier& barrier) {
    if (thread == 0) adds_up_ = false;  // unless all ends well
    add_to_outputs(thread, threads);
    if (!finish) return;
    barrier.wait();
    finish(thread, threads, barrier);
  });
  adds_up_ = true;
  return schedule_.outputs;
}

}  // namespace wengert::plan
