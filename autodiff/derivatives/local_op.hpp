// LocalOp: an op made for one call.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "autodiff/tape.hpp"

namespace wengert {

// The tape owns it, and whoever takes its call down: programs and graphs.
class LocalOp : public Op {
 public:
  LocalOp(std::string name, int arity, Linearity linearity)
      : Op({.name = std::move(name), .arity = arity, .linearity = linearity, .local = true}) {}
  std::vector<Example> examples() const override { return {}; }
  Array reference(std::span<const Array>, const Attributes&, const Type& out) const override { return Array(out); }
};

template <class Local>
Var record_local(Tape& tape, std::shared_ptr<Local> op, std::span<const Operand> operands, Where where) {
  return tape.record(*op, operands, {}, where);
}

}  // namespace wengert
