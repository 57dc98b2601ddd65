#include "experiments/common/interrupt.hpp"

#include <atomic>

namespace wengert::experiments {
namespace {

// Signals by which a user or a system asks for an end.
constexpr std::array requests{SIGINT, SIGTERM, SIGHUP};
// Signals that tell who writes that his pipe has no reader, his file no room; the failed write says so too, and which.
constexpr std::array remarks{SIGPIPE, SIGXFSZ};

// Not a sig_atomic_t: the signal may come to any thread of the team. Without a lock, this one suits handlers as well.
std::atomic<bool> living{false}, heard{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void hear(int) {
  heard = true;
  struct sigaction obey {};
  obey.sa_handler = SIG_DFL;
  for (int signal : requests) ::sigaction(signal, &obey, nullptr);
}

struct sigaction action_of(int signal) {
  struct sigaction action {};
  ::sigaction(signal, nullptr, &action);
  return action;
}

}  // namespace

// SIGINT and SIGTERM are heard also where a shell's & has made the program deaf to them: whoever sends one by hand
// wants the results so far. An ignored SIGHUP is nohup's, and the user's wish.
Interrupt::Interrupt() {
  static_assert(std::size(requests) + std::size(remarks) == std::tuple_size_v<decltype(before_)>);
  heard = false;
  living = true;
  struct sigaction note {};
  note.sa_handler = hear;
  note.sa_flags = SA_RESTART;  // nobody's writing and waiting is cut short
  auto before = before_.begin();
  for (int signal : requests) {
    *before = action_of(signal);
    if (signal != SIGHUP || before->sa_handler != SIG_IGN) ::sigaction(signal, &note, nullptr);
    ++before;
  }
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  for (int signal : remarks) ::sigaction(signal, &ignore, &*before++);
}

Interrupt::~Interrupt() {
  living = heard = false;
  auto before = before_.begin();
  for (int signal : requests) ::sigaction(signal, &*before++, nullptr);
  for (int signal : remarks) ::sigaction(signal, &*before++, nullptr);
}

void Interrupt::request() {
  if (living) heard = true;
}

bool Interrupt::requested() { return heard; }

}  // namespace wengert::experiments
