#include "autodiff/plan/code/lifetimes.hpp"

#include <algorithm>

namespace wengert::plan::code {

Lifetimes::Lifetimes(const Program& program)
    : last_(program.definitions.size(), 0), uses_(program.definitions.size()), passed_(program.definitions.size(), 0) {
  const std::vector<Instruction>& code = program.instructions;
  struct Loop {
    std::size_t begin, end;
  };
  std::vector<std::size_t> end_of(code.size(), 0), open;
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (code[i].code == Code::loop) open.push_back(i);
    if (code[i].code != Code::repeat) continue;
    end_of[open.back()] = i;
    open.pop_back();
  }
  std::vector<Loop> around;
  std::vector<std::size_t> first(program.definitions.size(), never);  // that computes or sets it
  for (std::size_t i = 0; i < code.size(); ++i) {
    const Instruction& each = code[i];
    const auto lives = [&](Number number) {
      const std::size_t s = static_cast<std::size_t>(number);
      last_[s] = std::max(last_[s], i);
      // What comes from before a loop is read again in its next round.
      for (const Loop& loop : around)
        if (first[s] < loop.begin) {
          last_[s] = std::max(last_[s], loop.end);
          break;
        }
    };
    for (Number operand : {each.a, each.b, each.c}) {
      if (operand == none) continue;
      lives(operand);
      uses_[static_cast<std::size_t>(operand)].push_back(static_cast<std::uint32_t>(i));
    }
    if (each.code == Code::loop) around.push_back({i, end_of[i]});
    if (each.code == Code::repeat) around.pop_back();
    if (each.to == none || each.code == Code::write) continue;
    first[static_cast<std::size_t>(each.to)] = std::min(first[static_cast<std::size_t>(each.to)], i);
    if (each.code == Code::set) lives(each.to);
  }
}

std::size_t Lifetimes::next_use(Number number, std::size_t at) {
  const std::size_t s = static_cast<std::size_t>(number);
  while (passed_[s] < uses_[s].size() && uses_[s][passed_[s]] < at) ++passed_[s];
  return passed_[s] < uses_[s].size() ? uses_[s][passed_[s]] : never;
}

}  // namespace wengert::plan::code
