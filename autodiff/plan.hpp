// Plans: a function recorded once and run again and again.
//
//   const auto f = [&](std::span<const Var> in) { return std::vector<Var>{net(in[0])}; };
//   Plan plan = compile(f, {{Dtype::f32, {32, 3}}});
//   const Array& y = plan.run({x})[0];      // x: f32 [32,3]; no allocation
//   std::puts(plan.explain().c_str());
//
// Inputs, parameters (read where they lie, as they are at each run) and what follows from them change between runs;
// all else is frozen when compile() records the function on a symbolic tape, which refuses to be read, so that
// nothing is frozen by mistake. What is computed of parameters alone is mostly kept from run to run until they change.
//
// The work is cut by rows of the batch or by pieces of single steps, over at most threads() threads: a plan times its
// runs to find how many are fastest, and explain() says what it found. The bits of a result depend neither on that nor
// on the number of threads. They are those of an eager tape with one exception: what all rows share is taken out of
// products. A sampler's [x, e(t)] W with one time t [1,1] for all rows of x [B,d] becomes x Wx + (e We), of which the
// second is one row, and layers without an activation between them become one. That is as accurate as the eager order
// of sums, not equal to it: networks' values agree within 1e-12 (f64) or 2e-6 (f32) of the largest entry, f32
// derivatives, which magnify rounding, within 1e-5. A row has the same bits in a batch of any size
// (CompileOptions::rows).
#pragma once
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "autodiff/array.hpp"
#include "autodiff/var.hpp"

namespace wengert {

class Barrier;

// An input of one run: an array, or memory of the caller's, aligned or not. It must live until run() returns.
struct PlanInput {
  PlanInput(const Array& array) : type(array.type()), data(array.raw()) {}
  PlanInput(const Type& of, const void* at) : type(of), data(at) {}
  Type type;
  const void* data;
};

// One that was moved from throws Error whatever it is asked.
class Plan {
 public:
  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;
  ~Plan();

  // The outputs, in the plan's own memory: they hold until the next run. Throws Error naming an input of another type,
  // or, with the op and the user's line, values that cannot be served (an index out of range): the outputs are then
  // void. One run at a time; two plans may run on two threads, of which one then works alone.
  std::span<const Array> run(std::span<const PlanInput> inputs) &;
  std::span<const Array> run(std::initializer_list<PlanInput> inputs = {}) & {
    return run(std::span<const PlanInput>(inputs.begin(), inputs.size()));
  }

  // The same; then `finish(thread, threads, barrier)` on every thread, after all outputs are there and before run()
  // returns. What it throws reaches the caller, as from a body of parallel_region(), and the outputs are void.
  using Finish = std::function<void(int, int, Barrier&)>;
  std::span<const Array> run(std::span<const PlanInput> inputs, const Finish& finish) &;

  // The same, but every element is added to the output that was there (micro-batches: run() for the first, accumulate()
  // for the others). Throws Error where an output is not f32 or f64, and where there is nothing to add to: before the
  // first run(), and after one that threw. Values that cannot be served leave the sums as they were.
  std::span<const Array> accumulate(std::span<const PlanInput> inputs, const Finish& finish = {}) &;
  std::span<const Array> accumulate(std::initializer_list<PlanInput> inputs = {}) & {
    return accumulate(std::span<const PlanInput>(inputs.begin(), inputs.size()));
  }

  std::span<const Array> outputs() const&;  // as the last run left them
  std::span<const Array> outputs() const&& = delete;

  // The plan as text: passes, stages, kernels with their operations, bytes.
  std::string explain() const;

  // The facts of explain() as data, for checks of the compiler.
  struct PassInfo {
    std::string name;
    std::size_t nodes = 0;  // after it
    bool keeps_bits = true;
    bool changed = false;  // whether it did something; that dead nodes are gone counts for the pass for them alone
  };
  struct StepInfo {
    // lasting: when parameters have changed; range, all_rows: one range of rows, or all at once
    enum class Part { lasting, whole, range, all_rows, combined };
    int stage = 0;
    Part part = Part::whole;
    std::string kernel;
    std::size_t ops = 0;  // fused in it
    Index tasks = 1;
  };
  std::vector<PassInfo> passes() const;
  std::vector<StepInfo> steps() const;

  // The memory of all values between steps, with the partial sums of all rows and one range of rows at a time, and that
  // of loops.
  std::size_t bytes() const;

  // Runs it some times, step by step on the calling thread alone, and says where the time went: ms a run, share, GF/s
  // of every kernel, by the medians of these runs, and apart from them of what is computed when parameters have
  // changed. The outputs are afterwards what they were.
  std::string profile(std::span<const PlanInput> inputs, int runs = 20);
  std::string profile(std::initializer_list<PlanInput> inputs, int runs = 20) {
    return profile(std::span<const PlanInput>(inputs.begin(), inputs.size()), runs);
  }

  class Executor;
  explicit Plan(std::unique_ptr<Executor> executor);  // as compile() makes it

 private:
  Executor& executor() const;
  std::unique_ptr<Executor> executor_;
};

struct CompileOptions {
  bool rewrites = true;    // merging, folding, fusing; without it every node is a step (to see what a pass does)
  bool split_rows = true;  // whether rows of the batch may go through several steps at a time

  // Numbers of the inputs whose first axis counts the rows of the batch, {0} say; draws with that first extent are rows
  // as well. None: the inputs whose first extent is the one that most elements have. State them where a row is to have
  // the same bits in a batch of any size, of one row too (what all rows share is then an input, not a draw).
  std::vector<std::size_t> rows = {};
};

using PlanFunction = std::function<std::vector<Var>(std::span<const Var>)>;

// Records f on a symbolic tape with inputs of these types and makes a plan of what its outputs need. `dtype` is the
// tape's, that of constants and draws: where none is given, that of the first input that is f32 or f64, and f32 where
// there is none. Throws Error where f is empty.
Plan compile(const PlanFunction& f, std::span<const Type> inputs, const CompileOptions& options = {},
             std::optional<Dtype> dtype = {});
Plan compile(const PlanFunction& f, std::initializer_list<Type> inputs, const CompileOptions& options = {},
             std::optional<Dtype> dtype = {});

}  // namespace wengert
