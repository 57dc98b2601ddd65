#include "autodiff/parallel.hpp"

#include <fmt/format.h>
#include <omp.h>

#include <atomic>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "autodiff/error.hpp"

namespace wengert {
namespace {

std::atomic<int> wanted{0};
std::atomic<bool> team_at_work{false};
thread_local bool alone_in_region = false;  // what it calls stays on this thread

#if defined(__SSE2__)
std::uint64_t control() { return _mm_getcsr(); }
void set_control(std::uint64_t bits) { _mm_setcsr(static_cast<unsigned>(bits)); }
constexpr std::uint64_t flush_bits = 0x8040;  // flush to zero, denormals are zero
#elif defined(__aarch64__)
std::uint64_t control() {
  std::uint64_t bits;
  asm volatile("mrs %0, fpcr" : "=r"(bits));
  return bits;
}
void set_control(std::uint64_t bits) { asm volatile("msr fpcr, %0" : : "r"(bits)); }
constexpr std::uint64_t flush_bits = std::uint64_t{1} << 24;
#else
std::uint64_t control() { return 0; }
void set_control(std::uint64_t) {}
constexpr std::uint64_t flush_bits = 0;
#endif

}  // namespace

FlushDenormals::FlushDenormals() : before_(control()) {
  if ((before_ & flush_bits) != flush_bits) set_control(before_ | flush_bits);
}

FlushDenormals::~FlushDenormals() {
  if ((before_ & flush_bits) != flush_bits) set_control(before_);
}

OneThread::OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
OneThread::~OneThread() { omp_set_num_threads(before_); }

int threads() {
  const int count = wanted.load(std::memory_order_relaxed);
  return count > 0 ? count : omp_get_max_threads();
}

void set_threads(int count) {
  if (count < 1 || count > 1024)
    throw Error(fmt::format("the number of threads lies between 1 and 1024, got {}", count));
  wanted.store(count);
}

void Barrier::wait() {
  const int threads = threads_.load(std::memory_order_relaxed);
  if (threads == 1) return;
  const std::uint32_t round = round_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    round_.notify_all();
    return;
  }
  // Half a millisecond: whoever sleeps waits for a slice of the processor afterwards, milliseconds where others are
  // busy. Where there are more threads than processors, those who wait hold up the others: about as long as a wake-up
  // takes.
  static const int processors = omp_get_num_procs();
  const int spins = threads > processors ? 200 : 10000;
  for (int i = 0; i < spins; ++i) {
    if (round_.load(std::memory_order_acquire) != round) return;
#if defined(__SSE2__)
    _mm_pause();
#endif
  }
  while (round_.load(std::memory_order_acquire) == round) round_.wait(round, std::memory_order_acquire);
}

namespace detail {

void parallel_for(Index count, void (*body)(void*, Index), void* context) {
  const int team = static_cast<int>(count < threads() ? count : threads());
  // One team at a time: nested and concurrent callers work alone rather than oversubscribe the cores.
  if (team <= 1 || alone_in_region || team_at_work.exchange(true)) {
    const FlushDenormals flush;
    for (Index i = 0; i < count; ++i) body(context, i);
    return;
  }
#pragma omp parallel num_threads(team)
  {
    const FlushDenormals flush;
#pragma omp for schedule(static)
    for (Index i = 0; i < count; ++i) body(context, i);
  }
  team_at_work.store(false);
}

void parallel_region(int team, void (*body)(void*, int, int, Barrier&), void* context) {
  if (team <= 1 || alone_in_region || team_at_work.exchange(true)) {
    const FlushDenormals flush;
    Barrier barrier(1);
    const bool before = std::exchange(alone_in_region, true);
    body(context, 0, 1, barrier);
    alone_in_region = before;
    return;
  }
  Barrier barrier(team);
#pragma omp parallel num_threads(team)
  {
    const FlushDenormals flush;
    barrier.expect(omp_get_num_threads());
    body(context, omp_get_thread_num(), omp_get_num_threads(), barrier);
  }
  team_at_work.store(false);
}

}  // namespace detail
}  // namespace wengert
