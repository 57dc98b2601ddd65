// Code that is shared: programs that are equal have one MachineCode, in all plans.
#pragma once
#include "autodiff/plan/code/machine_code.hpp"

namespace wengert::plan::code {

// The code of a program that reads and writes nothing but what it is given. Null where none can be made, and where
// there is much already: each takes memory pages of its own, of which a process has a limited number.
std::shared_ptr<const MachineCode> shared_code(Program program);

}  // namespace wengert::plan::code
