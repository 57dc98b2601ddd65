// What a plan holds: steps in stages, their memory, and what explain() says.
#pragma once
#include "autodiff/plan.hpp"
#include "autodiff/plan/fusion.hpp"
#include "autodiff/plan/steps.hpp"

namespace wengert {

class Plan::Schedule {
 public:
  // The steps of a stage for ranges of this many rows.
  struct Variant {
    Index rows = 0;
    plan::Steps steps{};
    std::size_t local_bytes = 0;
  };
  struct Stage {
    plan::Steps whole{};            // one after the other, in tasks over all threads
    Index units = 0;                // ranges of rows that can be computed by themselves
    std::vector<Variant> ranges{};  // for the one or two lengths that these have
    Variant all{};                  // for all rows at once
    plan::Steps combined{};         // partial sums over rows
  };

  std::span<const Array> run(std::span<const PlanInput> inputs, const Finish& finish);
  std::span<const Array> accumulate(std::span<const PlanInput> inputs, const Finish& finish);
  std::string explain() const;
  std::vector<StepInfo> steps() const;
  std::size_t bytes() const;
  std::string profile(std::span<const PlanInput> inputs, int runs);

  std::vector<Type> inputs{};
  std::vector<std::string> names{};
  std::vector<PassInfo> passes{};
  std::vector<Stage> stages{};
  Index extent = 0;         // rows of the batch
  double microseconds = 0;  // of a run, about
  std::size_t shared_bytes = 0, scratch_bytes = 0, value_bytes = 0;
  std::vector<const void*> table{};  // inputs first, then parameters, constants and outputs
  std::vector<Array> outputs{};
  std::vector<std::size_t> output_entries{};         // in the table
  std::vector<std::shared_ptr<const void>> owned{};  // stores and constants that the table points into

 private:
  void check(std::span<const PlanInput> given) const;
  void execute(std::span<const PlanInput> given, const std::vector<Array>& to, const Finish& then);
  void add_to_outputs(int thread, int threads);
  void run_whole();
  int team() const;
  void make_room(int threads);
  void work(int thread, int threads, Barrier& barrier);
  void run_steps(const plan::Steps& steps, const plan::Frame& frame, int thread, int threads, Barrier& barrier);
  void run_ranges(const Stage& stage, plan::Frame frame, int thread, int threads);
  template <class F>
  void visit_alone(F&& f);
  plan::Frame frame_of(int thread);
  static bool by_ranges(const Stage& stage, int threads);

  struct Memory {
    Array bytes{Dtype::i32, {0}};
    std::byte* data() { return static_cast<std::byte*>(bytes.raw()); }
  };
  Memory shared_;
  std::vector<Memory> local_, scratch_;  // of each thread
  std::vector<Array> addends_;           // of accumulate()
  bool adds_up_ = false;                 // whether the outputs are something to add to
  std::atomic<bool> running_{false};
  std::atomic<bool> computed_{false};  // whether all steps of the run are through
};

namespace plan {
std::unique_ptr<Plan::Schedule> assemble(const Graph& graph, const CompileOptions& options);

// While one lives, plans share every step of several tasks among all threads, however little it does: for checks, whose
// arrays are small.
class ShareEveryStep {
 public:
  ShareEveryStep();
  ~ShareEveryStep();
  ShareEveryStep(const ShareEveryStep&) = delete;
  ShareEveryStep& operator=(const ShareEveryStep&) = delete;
};
}  // namespace plan

}  // namespace wengert
