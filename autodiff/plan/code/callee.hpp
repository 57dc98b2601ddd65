// Callee: an op as machine code calls it.
#pragma once
#include <vector>

#include "autodiff/plan/code/program.hpp"

namespace wengert::plan::code {

struct Callee {
  explicit Callee(const CallSite& called);
  void run(std::byte* calls) const;

  const CallSite& site;
  std::vector<const Type*> types{};
};

// What code calls, with the memory of calls. Returns 1 if the op has thrown: no exception can pass through code without
// tables for it. Who has called the code throws it again.
int call_from_code(const Callee* callee, std::byte* calls) noexcept;
[[noreturn]] void rethrow();

}  // namespace wengert::plan::code
