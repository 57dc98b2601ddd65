// Ctrl-C, heard by the program between two steps.
#pragma once
#include <csignal>

namespace wengert::experiments {

// While one lives, the first SIGINT or SIGTERM is noted instead of obeyed; the second one kills at once.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // Whether a signal has come to the Interrupt that lives; there is one at most.
  static bool requested();

 private:
  struct sigaction interrupt_before_ {
  }, terminate_before_{};
};

}  // namespace wengert::experiments
