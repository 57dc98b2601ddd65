// LoopBody: what a loop does in a step, recorded once.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "autodiff/plan/graph.hpp"
#include "autodiff/tape/program.hpp"

namespace wengert {

// A function of the carry and of what else differs between steps; its results are the next carry, then what is kept.
using LoopStepFunction = std::function<std::vector<Var>(std::span<const Var> carry, std::span<const Var> xs)>;

struct LoopBody {
  Program program;    // inputs: carry, xs, constants
  plan::Graph graph;  // the same, to be compiled
  std::size_t carry, xs;

  std::size_t constants() const { return graph.inputs.size() - carry - xs; }
  std::size_t outputs() const { return graph.outputs.size(); }
  const Type& input(std::size_t i) const { return graph.inputs[i]; }
  const Type& output(std::size_t i) const { return program.type(i); }

  // Those inputs and the arrays of the carry that depend on these inputs after some steps.
  std::vector<bool> reached(std::vector<bool> inputs, Program::By by) const;
};

struct RecordedBody {
  std::shared_ptr<const LoopBody> body;
  std::vector<Var> constants;   // what the function captured, on the tape
  std::vector<std::size_t> xs;  // those that are read, of the ones that were offered
  bool counts = false;          // whether the step's number is one more, after them
};

// Records a step on the tape, as if it were symbolic, and takes it down: the tape is afterwards as it was.
// `numbered`: draws in it differ from step to step, by its number.
RecordedBody record_body(Tape& tape, std::span<const Type> carry, std::span<const Type> xs,
                         const LoopStepFunction& step, bool numbered, Where where);

// A step that does what a recorded one did. Its xs are those that were read and, where it counts, the step's number.
LoopStepFunction replaying(const RecordedBody& recorded, Tape& tape);

}  // namespace wengert
