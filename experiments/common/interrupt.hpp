// Ctrl-C and its kin, heard by the program between two steps.
#pragma once
#include <array>
#include <csignal>
#include <exception>

namespace wengert::experiments {

// The exception that ends a part of a run which has no result before its end.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

// While one lives, the first SIGINT, SIGTERM or SIGHUP (a terminal that was closed; not under nohup) is noted instead
// of obeyed; the second one kills at once. A pipe without a reader is an error of who writes to it, no SIGPIPE.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // Asks for the end as a signal would: by who finds that nobody reads what is shown any more.
  static void request();
  // True if a signal or a request has come to the Interrupt that lives; there is one at most.
  static bool requested();
  // Throws Interrupted if one has.
  static void heed() {
    if (requested()) throw Interrupted();
  }

 private:
  std::array<struct sigaction, 5> before_{};
};

}  // namespace wengert::experiments
