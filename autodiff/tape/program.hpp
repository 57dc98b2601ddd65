// Program: a stretch of a tape taken down without its values, to be recorded again on other operands.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "autodiff/tape.hpp"

namespace wengert {

class Program {
 public:
  // The nodes from `begin` on that the outputs depend on. What lies before is captured; so are parameters read
  // meanwhile. Values of inputs made meanwhile are copied. `first` are captured before all others, read or not.
  Program(const Tape& tape, std::uint32_t begin, std::span<const Var> outputs, std::span<const Var> first = {});
  Program(const Tape& tape, std::uint32_t begin, Var output) : Program(tape, begin, {&output, 1}) {}

  // The captured nodes from number `from` on, on the tape as it is now: it may have been rewound to `begin` since.
  std::vector<Var> captured(Tape& tape, std::size_t from = 0) const;

  // The captured nodes as they were recorded, valid until the tape is rewound.
  std::vector<Var> recorded() const;

  // Records the stretch with other nodes in place of the captured ones and returns its outputs.
  std::vector<Var> replay(Tape& tape, std::span<const Var> captured) const;

  // The replay where some of them carry a leading axis of batches (`batched`), and so every node that depends on them.
  struct Replayed {
    std::vector<Var> outputs;
    std::vector<bool> batched;  // whether each carries the axis
  };
  Replayed replay_batched(Tape& tape, std::span<const Var> captured, const std::vector<bool>& batched) const;

  const Type& type(std::size_t output = 0) const { return type_of(outputs_[output]); }
  // The fate of rows along `axis` of a captured node in the first output, as Op::rows states it.
  Rows rows(std::size_t captured, int axis) const;

  // Whether each output depends on any of these captured nodes; with a derivative, where that is what matters.
  enum class By { value, derivative };
  std::vector<bool> depend(const std::vector<bool>& captured, By by) const;

 private:
  // The source of an operand: captured node number `index`, or step number `index`.
  struct Source {
    bool outside;
    std::size_t index;
  };
  struct Step {
    const Op* op;
    std::shared_ptr<const Op> owned;  // a local op's
    Attributes attributes;
    Type type;
    std::vector<Source> operands;
    std::shared_ptr<const Array> value;  // of an input
    Where where;
    std::uint32_t scope;
  };
  struct Captured {
    Var var;                                // a node before `begin`
    std::shared_ptr<Tape::Borrowing> leaf;  // of a parameter read meanwhile, which is read again
    Type type;
  };
  const Type& type_of(const Source& source) const {
    return source.outside ? captured_[source.index].type : steps_[source.index].type;
  }

  std::vector<Step> steps_;
  std::vector<Captured> captured_;
  std::vector<Source> outputs_;
};

}  // namespace wengert
