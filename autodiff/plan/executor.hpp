// Executor: runs a schedule, again and again, on a team of threads.
#pragma once
#include <atomic>
#include <functional>

#include "autodiff/plan.hpp"
#include "autodiff/plan/lasting.hpp"
#include "autodiff/plan/schedule.hpp"
#include "autodiff/plan/team_size.hpp"

namespace wengert::plan {

// While it is alive, no other thread can run the plan.
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

class Executor {
 public:
  explicit Executor(Schedule schedule);

  using Finish = Plan::Finish;
  std::span<const Array> run(std::span<const PlanInput> inputs, const Finish& finish);
  std::span<const Array> accumulate(std::span<const PlanInput> inputs, const Finish& finish);
  std::string profile(std::span<const PlanInput> inputs, int runs);

  const Schedule& schedule() const { return schedule_; }
  std::string explain() const { return schedule_.explain() + team_size_.text(); }
  std::span<const Array> outputs() const { return schedule_.outputs; }

  // The parts of a run, for loops, whose steps are runs within one region. An input or output lies where it was placed
  // last. work() is called by all threads of the region, for as many of which there is room; the outputs are there for
  // all of them when it returns. run_whole() is the same on one thread, every step over all rows by itself.
  void place_input(std::size_t i, const void* data) { schedule_.table[i] = data; }
  void place_output(std::size_t i, void* data) { schedule_.table[schedule_.output_entries[i]] = data; }
  bool gains_from(int threads) const;
  void make_room(int threads, bool all_at_once = false);
  void work(int thread, int threads, Barrier& barrier);
  void run_whole();

 private:
  void check(std::span<const PlanInput> given) const;
  void execute(std::span<const PlanInput> given, const std::vector<Array>& to, const Finish& then);
  void add_to_outputs(int thread, int threads);
  int run_on(int team, const Finish& then);
  void run_steps(const Steps& steps, const Frame& frame, int thread, int threads, Barrier& barrier);
  void run_ranges(const Stage& stage, Frame frame, int thread, int threads);
  // Every step with its frame, as one thread alone would run them; `lasts`: whether it is a lasting one.
  void visit_alone(const std::function<void(const Step&, const Frame&, bool lasts)>& visit);
  Frame frame_of(int thread);
  const Variant& range(const Stage& stage, Index unit, Index& begin) const;
  static bool by_ranges(const Stage& stage, int threads);

  struct Memory {
    Array bytes{Dtype::i32, {0}};
    std::byte* data() { return static_cast<std::byte*>(bytes.raw()); }
  };
  Schedule schedule_;
  LastingSteps lasting_{schedule_.lasting};
  const Step* only_step_;  // null where there are several, or several tasks of one
  Memory shared_;
  std::vector<Memory> local_, scratch_;  // of each thread
  int room_for_ = 0;                     // threads
  std::vector<Array> addends_;           // of accumulate()
  TeamSize team_size_;
  bool adds_up_ = false;  // whether the outputs are something to add to
  std::atomic<bool> running_{false};
  std::atomic<bool> computed_{false};  // whether all steps of the run have completed
};

}  // namespace wengert::plan
