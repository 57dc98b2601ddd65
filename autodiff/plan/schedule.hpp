// Schedule: what a plan is, as data: steps in stages, and where their values lie. executor.hpp runs it, explain.cpp
// prints it.
#pragma once
#include "autodiff/plan.hpp"
#include "autodiff/plan/step.hpp"

namespace wengert::plan {

// The steps of a stage for ranges of this many rows.
struct Variant {
  Index rows = 0;
  Steps steps{};
  std::size_t local_bytes = 0;
};

struct Stage {
  Steps whole{};                  // one after the other, in tasks over all threads
  Index units = 0;                // ranges of rows
  Index shares = 0;               // runs of as many neighbouring ranges each, which threads take
  std::vector<Variant> ranges{};  // for the one or two lengths that ranges have
  Variant all{};                  // for all rows at once
  Steps combined{};               // partial sums over rows
};

struct Schedule {
  std::vector<Type> inputs{};
  std::vector<std::string> names{};
  std::vector<Plan::PassInfo> passes{};
  Steps lasting{};  // whole, before all stages, where what they left is out of date (lasting.hpp)
  std::vector<Stage> stages{};
  Index extent = 0;         // rows of the batch
  double microseconds = 0;  // of a run without what lasts, about
  std::size_t shared_bytes = 0, scratch_bytes = 0, value_bytes = 0;
  std::vector<const void*> table{};  // inputs first, then parameters, constants and outputs
  std::vector<Array> outputs{};
  std::vector<std::size_t> output_entries{};         // in the table
  std::vector<std::shared_ptr<const void>> owned{};  // stores and constants that the table points into

  // The memory of all values between steps, with the partial sums of all rows and one range of rows at a time, and that
  // of loops.
  std::size_t bytes() const;
  std::string explain() const;
  std::string explain_stages() const;  // its part about stages
  std::vector<Plan::StepInfo> steps() const;
};

}  // namespace wengert::plan
