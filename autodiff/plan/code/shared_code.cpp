#include "autodiff/plan/code/shared_code.hpp"

#include <map>
#include <mutex>

namespace wengert::plan::code {
namespace {

constexpr std::size_t most_programs = 4096;

using Key = std::vector<std::uint64_t>;

Key key_of(const Program& program) {
  Key key{program.over_arrays, program.reads.size(), program.writes.size()};
  const auto add = [&](auto... values) { (key.push_back(static_cast<std::uint64_t>(values)), ...); };
  for (const Instruction& i : program.instructions) add(i.code, i.dtype, i.to, i.a, i.b, i.c, i.at, i.lanes);
  for (const Definition& d : program.definitions) add(d.kind, d.dtype, d.lanes, d.array, d.bits);
  for (const Line& line : program.lines) key.insert(key.end(), line.begin(), line.end());
  return key;
}

class Shared {
 public:
  std::shared_ptr<const MachineCode> of(Program program) {
    const Key key = key_of(program);
    const std::lock_guard lock(mutex_);
    if (const auto found = codes_.find(key); found != codes_.end())
      if (auto code = found->second.lock()) return code;
    if (codes_.size() >= most_programs) std::erase_if(codes_, [](const auto& each) { return each.second.expired(); });
    if (codes_.size() >= most_programs) return nullptr;
    std::shared_ptr<const MachineCode> code = assemble(std::move(program));
    if (code != nullptr) codes_[key] = code;
    return code;
  }

 private:
  std::mutex mutex_;
  std::map<Key, std::weak_ptr<const MachineCode>> codes_;
};

}  // namespace

std::shared_ptr<const MachineCode> shared_code(Program program) {
  static Shared shared;
  return shared.of(std::move(program));
}

}  // namespace wengert::plan::code
