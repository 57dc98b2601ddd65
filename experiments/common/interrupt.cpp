#include "experiments/common/interrupt.hpp"

#include <atomic>

namespace wengert::experiments {
namespace {

// Not a sig_atomic_t: the signal may come to any thread of the team. Without a lock, this one suits handlers as well.
std::atomic<bool> heard{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void hear(int) {
  heard = true;
  struct sigaction obey {};
  obey.sa_handler = SIG_DFL;
  ::sigaction(SIGINT, &obey, nullptr);
  ::sigaction(SIGTERM, &obey, nullptr);
}

}  // namespace

// Also where a shell's & has made the program deaf to SIGINT: whoever sends it by hand wants the results so far.
Interrupt::Interrupt() {
  heard = false;
  struct sigaction note {};
  note.sa_handler = hear;
  note.sa_flags = SA_RESTART;  // nobody's writing and waiting is cut short
  ::sigaction(SIGINT, &note, &interrupt_before_);
  ::sigaction(SIGTERM, &note, &terminate_before_);
}

Interrupt::~Interrupt() {
  heard = false;
  ::sigaction(SIGINT, &interrupt_before_, nullptr);
  ::sigaction(SIGTERM, &terminate_before_, nullptr);
}

bool Interrupt::requested() { return heard; }

}  // namespace wengert::experiments
