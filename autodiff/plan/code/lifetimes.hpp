// Lifetimes: when the numbers of a program are read.
#pragma once
#include <limits>
#include <vector>

#include "autodiff/plan/code/program.hpp"

namespace wengert::plan::code {

class Lifetimes {
 public:
  explicit Lifetimes(const Program& program);

  // True if it is read after instruction `at`: further down, or in the next round of a loop.
  bool outlives(Number number, std::size_t at) const { return last_[static_cast<std::size_t>(number)] > at; }
  // The next instruction from `at` on that reads it, further down; `never` if there is none.
  std::size_t next_use(Number number, std::size_t at);
  void restart() { passed_.assign(passed_.size(), 0); }
  static constexpr std::size_t never = std::numeric_limits<std::size_t>::max();

 private:
  std::vector<std::size_t> last_;
  std::vector<std::vector<std::uint32_t>> uses_;
  std::vector<std::uint32_t> passed_;  // how many uses lie before where next_use() was asked last
};

}  // namespace wengert::plan::code
