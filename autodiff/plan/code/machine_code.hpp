// MachineCode: a Program as instructions of this processor.
#pragma once
#include <memory>

#include "autodiff/plan/code/program.hpp"

namespace wengert::plan::code {

class MachineCode {
 public:
  virtual ~MachineCode() = default;
  // `arrays` are those that the program reads and then those that it writes; `memory` is frame_bytes(), from a cache
  // line on; `bytes` those of each array that a loop over arrays goes through. Throws what an op that it calls throws.
  virtual void run(const void* const* arrays, std::byte* memory, std::size_t bytes = 0) const = 0;
  virtual const Program& program() const = 0;
  virtual std::size_t frame_bytes() const = 0;
  virtual std::size_t bytes() const = 0;  // of the code
};

// Null where none can be made: on other processors than x86-64, and where the system grants no memory to be executed.
std::unique_ptr<const MachineCode> assemble(Program program);

}  // namespace wengert::plan::code
