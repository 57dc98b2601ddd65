#pragma once
#include <chrono>

namespace wengert::experiments {

// Wall-clock time since it was made.
class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace wengert::experiments
