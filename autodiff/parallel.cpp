#include "autodiff/parallel.hpp"

#include <fmt/format.h>
#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <mutex>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "autodiff/error.hpp"

namespace wengert {
namespace {

std::atomic<int> wanted{0};
std::atomic<bool> team_at_work{false};
std::atomic<bool> team_left_behind{false};  // in the parent process
thread_local bool alone_in_region = false;  // what it calls stays on this thread
thread_local Barrier* leads = nullptr;      // whose other threads take part in what it calls

#if defined(__SSE2__)
std::uint64_t control() { return _mm_getcsr(); }
void set_control(std::uint64_t bits) { _mm_setcsr(static_cast<unsigned>(bits)); }
// Flush to zero, denormals are zero, every exception masked; with the two bits of rounding, all that is not a flag.
constexpr std::uint64_t mode_bits = 0x9fc0, settings = mode_bits | 0x6000;
#elif defined(__aarch64__)
std::uint64_t control() {
  std::uint64_t bits;
  asm volatile("mrs %0, fpcr" : "=r"(bits));
  return bits;
}
void set_control(std::uint64_t bits) { asm volatile("msr fpcr, %0" : : "r"(bits)); }
// Flush to zero; with the two bits of rounding and the traps.
constexpr std::uint64_t mode_bits = std::uint64_t{1} << 24, settings = mode_bits | 0xc00000 | 0x9f00;
#else
std::uint64_t control() { return 0; }
void set_control(std::uint64_t) {}
constexpr std::uint64_t mode_bits = 0, settings = 0;
#endif

// The whole team, for the caller that comes first; nested and concurrent callers work alone rather than oversubscribe
// the cores.
class Team {
 public:
  explicit Team(int size)
      : taken_(size > 1 && !alone_in_region && !team_at_work.exchange(true)), size_(taken_ ? size : 1) {
    if (!taken_) return;
    static const int registered = pthread_atfork(nullptr, nullptr, [] { team_left_behind.store(true); });
    static_cast<void>(registered);
  }
  ~Team() {
    if (taken_) team_at_work.store(false);
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  bool taken() const { return taken_; }
  int size() const { return size_; }

 private:
  bool taken_;
  int size_;
};

class AloneInRegion {
 public:
  AloneInRegion() : before_(std::exchange(alone_in_region, true)) {}
  ~AloneInRegion() { alone_in_region = before_; }
  AloneInRegion(const AloneInRegion&) = delete;
  AloneInRegion& operator=(const AloneInRegion&) = delete;

 private:
  bool before_;
};

}  // namespace

namespace detail {

// The exception of the lowest place, of all that a team threw.
class FirstError {
 public:
  void keep(Index place) {
    const std::lock_guard lock(mutex_);
    if (place >= place_.load(std::memory_order_relaxed)) return;
    place_.store(place, std::memory_order_relaxed);
    error_ = std::current_exception();
  }
  bool before(Index place) const { return place_.load(std::memory_order_relaxed) < place; }
  void rethrow() {
    const std::lock_guard lock(mutex_);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  std::mutex mutex_;
  std::atomic<Index> place_{std::numeric_limits<Index>::max()};
  std::exception_ptr error_;
};

}  // namespace detail

using detail::FirstError;

FloatingPointMode::FloatingPointMode() : before_(control()) {
  if ((before_ & settings) != mode_bits) set_control((before_ & ~settings) | mode_bits);
}

FloatingPointMode::~FloatingPointMode() {
  if ((before_ & settings) != mode_bits) set_control(before_);
}

OneThread::OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
OneThread::~OneThread() { omp_set_num_threads(before_); }

int most_threads() {
  static const int most = std::max(16, 4 * omp_get_num_procs());
  return most;
}

int threads() {
  if (team_left_behind.load(std::memory_order_relaxed)) return 1;
  const int count = wanted.load(std::memory_order_relaxed);
  return std::min(count > 0 ? count : omp_get_max_threads(), most_threads());
}

void set_threads(int count) {
  if (count < 1 || count > most_threads())
    throw Error(fmt::format("the number of threads lies between 1 and {} here, got {}", most_threads(), count));
  wanted.store(count);
}

void Barrier::wait() {
  const int threads = threads_.load(std::memory_order_relaxed);
  if (threads == 1) return;
  const std::uint32_t round = round_.load(std::memory_order_acquire);
  const auto go_on = [this] {
    if (abandoned_.load(std::memory_order_relaxed)) throw Abandoned();
  };
  go_on();
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    round_.notify_all();
    return;
  }
  sleep_while(round_, round);
  go_on();
}

// Awake for half a millisecond: whoever sleeps waits for a slice of the processor afterwards, milliseconds where others
// are busy. Where there are more threads than processors, those who wait hold up the others: about as long as a wake-up
// takes.
void Barrier::sleep_while(const std::atomic<std::uint32_t>& counter, std::uint32_t value) const {
  static const int processors = omp_get_num_procs();
  const int spins = threads_.load(std::memory_order_relaxed) > processors ? 200 : 10000;
  for (int i = 0; i < spins; ++i) {
    if (counter.load(std::memory_order_acquire) != value) return;
#if defined(__SSE2__)
    _mm_pause();
#endif
  }
  while (counter.load(std::memory_order_acquire) == value) counter.wait(value, std::memory_order_acquire);
}

// Whoever waits, or comes later, is let go. The caller has left every round that it came to, so nobody ends one now.
void Barrier::abandon() {
  abandoned_.store(true, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
}

// The calling thread's next parallel_for() is shared with those that wait for it.
Barrier::Leader::Leader(Barrier& barrier) : barrier_(barrier) { leads = &barrier; }
Barrier::Leader::~Leader() {
  leads = nullptr;
  barrier_.add({});
}

void Barrier::add(const Job& job) {
  job_ = job;
  jobs_.fetch_add(1, std::memory_order_release);
  jobs_.notify_all();
}

void Barrier::run_part(int thread) const {
  const Index threads = threads_.load(std::memory_order_relaxed);
  for (Index i = job_.count * thread / threads; i < job_.count * (thread + 1) / threads; ++i) {
    if (job_.error->before(i)) continue;
    try {
      job_.body(job_.context, i);
    } catch (...) {
      job_.error->keep(i);
    }
  }
}

void Barrier::share(Job job) {
  FirstError error;
  job.error = &error;
  const auto helpers = static_cast<std::uint32_t>(threads_.load(std::memory_order_relaxed) - 1);
  const std::uint32_t all = finished_.load(std::memory_order_relaxed) + helpers;
  leads = nullptr;  // what a part calls stays on its thread
  add(job);
  run_part(0);
  for (std::uint32_t now; (now = finished_.load(std::memory_order_acquire)) != all;) sleep_while(finished_, now);
  leads = this;
  error.rethrow();
}

void Barrier::help(int thread, std::uint32_t seen) {
  while (true) {
    sleep_while(jobs_, seen++);
    if (job_.body == nullptr) return;
    run_part(thread);
    finished_.fetch_add(1, std::memory_order_release);
    finished_.notify_one();
  }
}

namespace detail {

void parallel_for(Index count, void (*body)(void*, Index), void* context) {
  if (count == 1) {  // a small array's
    const FloatingPointMode mode;
    return body(context, 0);
  }
  if (leads != nullptr) return leads->share({count, body, context});
  const Team team(static_cast<int>(std::min<Index>(count, threads())));
  if (!team.taken()) {
    const FloatingPointMode mode;
    for (Index i = 0; i < count; ++i) body(context, i);
    return;
  }
  FirstError error;
#pragma omp parallel num_threads(team.size())
  {
    const FloatingPointMode mode;
#pragma omp for schedule(static)
    for (Index i = 0; i < count; ++i) {
      if (error.before(i)) continue;
      try {
        body(context, i);
      } catch (...) {
        error.keep(i);
      }
    }
  }
  error.rethrow();
}

void parallel_region(int size, void (*body)(void*, int, int, Barrier&), void* context) {
  const Team team(team_left_behind.load(std::memory_order_relaxed) ? 1 : std::min(size, most_threads()));
  Barrier barrier(team.size());
  if (!team.taken()) {
    const FloatingPointMode mode;
    const AloneInRegion alone;
    return body(context, 0, 1, barrier);
  }
  FirstError error;
#pragma omp parallel num_threads(team.size())
  {
    const FloatingPointMode mode;
    const int thread = omp_get_thread_num();
    barrier.expect(omp_get_num_threads());
    try {
      body(context, thread, omp_get_num_threads(), barrier);
    } catch (const Barrier::Abandoned&) {
      // It left because of another one's exception, which is kept.
    } catch (...) {
      error.keep(thread);
      barrier.abandon();
    }
  }
  error.rethrow();
}

}  // namespace detail
}  // namespace wengert
