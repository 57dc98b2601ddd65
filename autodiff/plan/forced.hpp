// Force: ways of plans that checks ask for. Their arrays are small, and would not lead to what large ones do.
#pragma once

namespace wengert::plan {

enum class Way {
  steps_alone,      // new plans have no machine code of small values
  shortest_ranges,  // new plans cut rows into ranges as short as sums over them allow, however little these do
  shared_steps      // plans share every step of several tasks among all threads, however cheap it is
};
inline constexpr int ways = 3;

// While one lives, plans take this way.
class Force {
 public:
  explicit Force(Way way);
  ~Force();
  Force(const Force&) = delete;
  Force& operator=(const Force&) = delete;

 private:
  const Way way_;
};

bool forced(Way way);

}  // namespace wengert::plan
