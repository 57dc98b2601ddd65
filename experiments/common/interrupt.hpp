// Ctrl-C, heard by the program between two steps.
#pragma once
#include <csignal>
#include <exception>

namespace wengert::experiments {

// What ends a part of a run that has no result before its end.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

// While one lives, the first SIGINT or SIGTERM is noted instead of obeyed; the second one kills at once.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // Whether a signal has come to the Interrupt that lives; there is one at most.
  static bool requested();
  // Throws Interrupted if one has.
  static void heed() {
    if (requested()) throw Interrupted();
  }

 private:
  struct sigaction interrupt_before_ {
  }, terminate_before_{};
};

}  // namespace wengert::experiments
