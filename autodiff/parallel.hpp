// Threads. This file and its source are the only ones that know where they come from (OpenMP).
#pragma once
#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "autodiff/dtype.hpp"

namespace wengert {

// Denormal numbers flushed to zero, on the calling thread, until the end of the scope: moments of dead units decay
// into denormals, on which every operation takes a hundred cycles more.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  std::uint64_t before_;
};

// Until the end of the scope libraries that ask OpenMP for threads on the calling thread (OpenBLAS) are told one.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// The number of threads that kernels use: OMP_NUM_THREADS or the number of processors until set. Results never depend
// on it. Throws Error unless 1 <= count <= 1024.
int threads();
void set_threads(int count);

namespace detail {
void parallel_for(Index count, void (*body)(void*, Index), void* context);
}

// body(i) for every i in [0, count), spread over the threads; body must not throw. A call from within another call, or
// from a second thread while the team is at work, runs on its caller alone.
template <class Body>
void parallel_for(Index count, Body&& body) {
  using B = std::remove_reference_t<Body>;
  detail::parallel_for(
      count, [](void* context, Index i) { (*static_cast<B*>(context))(i); },
      const_cast<std::remove_const_t<B>*>(&body));
}

// Splits [0, size) into pieces of `grain` and calls body(begin, end) on each; a single piece stays on the caller.
template <class Body>
void parallel_pieces(Index size, Index grain, Body&& body) {
  const Index pieces = (size + grain - 1) / grain;
  parallel_for(pieces, [&](Index piece) {
    const Index begin = piece * grain;
    body(begin, begin + grain < size ? begin + grain : size);
  });
}

// Where all threads of a region wait for each other: at work for a while, then asleep, so that a busy machine is not
// held up by those who wait.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  // Each thread says so before it first waits: a runtime may give fewer of them than were asked for.
  void expect(int threads) { threads_.store(threads, std::memory_order_relaxed); }
  void wait();

 private:
  std::atomic<int> threads_;
  std::atomic<int> arrived_{0};
  std::atomic<std::uint32_t> round_{0};
};

namespace detail {
void parallel_region(int team, void (*body)(void*, int, int, Barrier&), void* context);
}

// body(thread, threads, barrier) once on each of `team` threads, with denormals flushed; body must not throw, and
// parallel_for within it stays on its caller. A call from within a region or a parallel_for, or from a second thread
// meanwhile, has one thread.
template <class Body>
void parallel_region(int team, Body&& body) {
  using B = std::remove_reference_t<Body>;
  detail::parallel_region(
      team,
      [](void* context, int thread, int threads, Barrier& barrier) {
        (*static_cast<B*>(context))(thread, threads, barrier);
      },
      const_cast<std::remove_const_t<B>*>(&body));
}

}  // namespace wengert
