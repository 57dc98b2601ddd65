// Threads. This file and its source are the only ones that know where they come from (OpenMP).
//
// threads() of them work: what set_threads() said, else OMP_NUM_THREADS, else one for each processor; never more than
// most_threads(), which is four for each processor that the process may use, and at least 16: more would wait for each
// other. A plan takes fewer where they are faster (plan.hpp). A child made by fork() after its parent had a team
// computes on one thread: the team's threads are not copied, and OpenMP would wait for them for ever. Results never
// depend on the number.
#pragma once
#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "autodiff/dtype.hpp"

namespace wengert {

// The floating-point mode of the calling thread until the end of the scope, in which all kernels run. Results are
// rounded to nearest. Denormal numbers are zeros of their sign, in f32 and f64, as operands and as results (below
// 1.2e-38 and 2.2e-308: moments of dead units decay into them, and every operation on them takes a hundred cycles
// more). No exception traps.
class FloatingPointMode {
 public:
  FloatingPointMode();
  ~FloatingPointMode();
  FloatingPointMode(const FloatingPointMode&) = delete;
  FloatingPointMode& operator=(const FloatingPointMode&) = delete;

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

int threads();
int most_threads();
// Throws Error unless 1 <= count <= most_threads().
void set_threads(int count);

namespace detail {
void parallel_for(Index count, void (*body)(void*, Index), void* context);
}

// body(i) for every i in [0, count), spread over the threads. An exception ends the loop; of several the one of the
// lowest i reaches the caller, as on one thread. A call from within another call, or from a second thread while the
// team is at work, runs on its caller alone.
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

class Barrier;
namespace detail {
class FirstError;
void parallel_region(int team, void (*body)(void*, int, int, Barrier&), void* context);
}  // namespace detail

// A meeting point for all threads of a region, which wait at work for a while, then asleep, so that a busy machine is
// not held up by those who wait.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  // Each thread says so before it first waits: a runtime may give fewer of them than were asked for.
  void expect(int threads) { threads_.store(threads, std::memory_order_relaxed); }
  // Throws Abandoned, no std::exception, where another thread left the region by an exception: let it pass.
  void wait();
  struct Abandoned {};
  // work() on thread 0, while the others wait to take their part of each parallel_for() within it. All threads call
  // this; when it returns, what was written is there for each of them.
  template <class Work>
  void together(int thread, Work&& work) {
    const std::uint32_t jobs = jobs_.load(std::memory_order_relaxed);  // none is added before all have come
    wait();
    if (thread == 0) {
      const Leader leader(*this);
      work();
    } else {
      help(thread, jobs);
    }
    wait();
  }

 private:
  friend void detail::parallel_region(int, void (*)(void*, int, int, Barrier&), void*);
  friend void detail::parallel_for(Index, void (*)(void*, Index), void*);
  // A parallel_for() of thread 0; one without a body says that no more follow.
  struct Job {
    Index count = 0;
    void (*body)(void*, Index) = nullptr;
    void* context = nullptr;
    detail::FirstError* error = nullptr;
  };
  class Leader {
   public:
    explicit Leader(Barrier& barrier);
    ~Leader();
    Leader(const Leader&) = delete;
    Leader& operator=(const Leader&) = delete;

   private:
    Barrier& barrier_;
  };
  void abandon();
  void add(const Job& job);
  void share(Job job);
  void help(int thread, std::uint32_t seen);
  void run_part(int thread) const;
  void sleep_while(const std::atomic<std::uint32_t>& counter, std::uint32_t value) const;

  std::atomic<int> threads_;
  std::atomic<int> arrived_{0};
  std::atomic<bool> abandoned_{false};
  std::atomic<std::uint32_t> round_{0};
  Job job_;
  std::atomic<std::uint32_t> jobs_{0}, finished_{0};  // jobs so far; helpers that have done their parts, of all jobs
};

// body(thread, threads, barrier) once on each of `team` threads (at most most_threads()), in FloatingPointMode;
// parallel_for within it stays on its caller, but for Barrier::together(). An exception abandons the barrier, so that
// nobody waits for its thread, and reaches the caller when all threads have ended; of several that of the first thread
// does. A call from within a region or a parallel_for, or from a second thread meanwhile, has one thread.
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
