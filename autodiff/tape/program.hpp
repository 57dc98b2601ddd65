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
  // The nodes from `begin` on that `output` depends on. What lies before is captured; so are parameters read meanwhile.
  // Values of inputs made meanwhile are copied.
  Program(const Tape& tape, std::uint32_t begin, Var output);

  // The captured nodes, on the tape as it is now: it may have been rewound to `begin` since.
  std::vector<Var> captured(Tape& tape) const;

  // Records the stretch with other nodes in place of the captured ones and returns its output.
  Var replay(Tape& tape, std::span<const Var> captured) const;

  // The same where some of them carry a leading axis of batches (`batched`), and so every node that depends on them.
  // Returns the output and whether it carries the axis.
  std::pair<Var, bool> replay_batched(Tape& tape, std::span<const Var> captured, std::vector<bool> batched) const;

  const Type& type() const { return type_; }  // of the output
  // The fate of rows along `axis` of a captured node, as Op::rows states it.
  Rows rows(std::size_t captured, int axis) const;

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
    std::shared_ptr<Tape::Borrowing> leaf;  // or a parameter read meanwhile
    Type type;
  };
  const Type& type_of(const Source& source) const {
    return source.outside ? captured_[source.index].type : steps_[source.index].type;
  }

  std::vector<Step> steps_;
  std::vector<Captured> captured_;
  Source output_{true, 0};
  Type type_;
};

}  // namespace wengert
