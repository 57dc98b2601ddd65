#include "autodiff/plan/forced.hpp"

#include <array>
#include <atomic>

namespace wengert::plan {
namespace {

std::atomic<int>& count(Way way) {
  static std::array<std::atomic<int>, ways> of_each{};
  return of_each[static_cast<std::size_t>(way)];
}

}  // namespace

Force::Force(Way way) : way_(way) { ++count(way_); }
Force::~Force() { --count(way_); }

bool forced(Way way) { return count(way) > 0; }

}  // namespace wengert::plan
