// Threads: every index once, one team at a time, and no trace of them in the results; exceptions and forks.
// The thread sanitizer runs this file.
#define BOOST_TEST_MODULE parallel
#include "autodiff/parallel.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <limits>
#include <memory>
#include <thread>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

// How often each index in [0, count) was met.
class Tally {
 public:
  explicit Tally(Index count)
      : size_(count), met_(std::make_unique<std::atomic<int>[]>(static_cast<std::size_t>(count))) {}
  void meet(Index i) {
    if (i < 0 || i >= size_)
      outside_ = true;
    else
      met_[static_cast<std::size_t>(i)].fetch_add(1);
  }
  bool each(int times) const {
    for (Index i = 0; i < size_; ++i)
      if (met_[static_cast<std::size_t>(i)] != times) return false;
    return !outside_;
  }

 private:
  Index size_;
  std::unique_ptr<std::atomic<int>[]> met_;
  std::atomic<bool> outside_{false};
};

// A step with parts that are large enough for a team.
std::vector<Array> gradients(std::uint64_t seed) {
  Tape tape;
  const Var x = tape.input(random_array(Dtype::f32, {700, 64}, seed));
  const Var w = tape.input(random_array(Dtype::f32, {64, 64}, seed + 1)), b = tape.full(Shape{64}, 0.1);
  const Var h = silu(matmul(x, w) + b), loss = mean(square(tanh(matmul(h, w))));
  std::vector<Array> results{loss.value()};
  for (Var g : grad(loss, {x, w, b})) results.push_back(g.value());
  return results;
}

}  // namespace

// First, while nobody has set the number of threads: OpenBLAS sets OpenMP's when it is told its own.
BOOST_AUTO_TEST_CASE(a_large_product_leaves_the_number_of_threads_alone) {
  Tape tape;
  const int before = threads();
  const Var x = tape.full(Shape{300, 800}, 0.01), w = tape.full(Shape{800, 800}, 0.01);
  BOOST_TEST(matmul(x, w).value().at(0) == 0.08, boost::test_tools::tolerance(1e-5));
  matmul(slice(x, 0, 0, 4), w);  // one block: computed on the calling thread
  BOOST_TEST(threads() == before);
}

BOOST_AUTO_TEST_CASE(every_index_once) {
  for (int count : {1, 2, 3, 7}) {
    const Threads guard(count);
    BOOST_TEST(threads() == count);
    for (Index n : {0, 1, 2, 3, 6, 7, 8, 64, 1001}) {
      Tally tally(n);
      parallel_for(n, [&](Index i) { tally.meet(i); });
      BOOST_TEST(tally.each(1), n << " indices, " << count << " threads");
    }
  }
}

BOOST_AUTO_TEST_CASE(pieces_cover_everything_once) {
  for (int count : {1, 2, 3, 7}) {
    const Threads guard(count);
    for (Index size : {0, 1, 9, 10, 11, 100, 101})
      for (Index grain : {1, 3, 10, 1000}) {
        Tally tally(size);
        std::atomic<bool> fits{true};
        parallel_pieces(size, grain, [&](Index begin, Index end) {
          if (!(begin < end && end - begin <= grain && begin % grain == 0)) fits = false;
          for (Index i = begin; i < end; ++i) tally.meet(i);
        });
        BOOST_TEST(tally.each(1), size << " in pieces of " << grain << ", " << count << " threads");
        BOOST_TEST(fits);
      }
  }
}

BOOST_AUTO_TEST_CASE(a_body_may_change_what_it_captured) {
  const Threads guard(2);
  std::vector<double> values(500);
  const auto body = [&values](Index i) { values[static_cast<std::size_t>(i)] = static_cast<double>(i); };
  parallel_for(500, body);  // a constant body
  int calls = 0;
  parallel_for(1, [calls, &values](Index) mutable { values[0] = ++calls; });  // one that changes itself
  BOOST_TEST(values[0] == 1);
  BOOST_TEST(values[499] == 499);
}

BOOST_AUTO_TEST_CASE(a_call_within_a_call_runs_on_its_caller) {
  const Threads guard(3);
  Tally tally(40);
  std::atomic<bool> alone{true};
  parallel_for(40, [&](Index i) {
    const auto caller = std::this_thread::get_id();
    Tally inner(30);
    parallel_for(30, [&](Index j) {
      inner.meet(j);
      if (std::this_thread::get_id() != caller) alone = false;
    });
    if (inner.each(1)) tally.meet(i);
  });
  BOOST_TEST(tally.each(1));
  BOOST_TEST(alone);
  // The team is free again.
  Tally after(20);
  parallel_for(20, [&](Index i) { after.meet(i); });
  BOOST_TEST(after.each(1));
}

BOOST_AUTO_TEST_CASE(callers_from_several_threads) {
  const Threads guard(2);
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int c = 0; c < 3; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        Tally tally(100);
        parallel_for(100, [&](Index i) { tally.meet(i); });
        if (!tally.each(1)) ++wrong;
      }
    });
  for (std::thread& caller : callers) caller.join();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(two_tapes_at_once_give_the_bits_of_one_at_a_time) {
  const Threads guard(2);
  const std::vector<Array> first = gradients(1), second = gradients(10);
  BOOST_TEST(!same_bits(first, second));
  std::atomic<int> wrong{0};
  const auto repeat = [&](std::uint64_t seed, const std::vector<Array>& wanted) {
    for (int round = 0; round < 10; ++round)
      if (!same_bits(gradients(seed), wanted)) ++wrong;
  };
  std::thread one([&] { repeat(1, first); }), two([&] { repeat(10, second); });
  one.join();
  two.join();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(tapes_are_made_and_used_on_many_threads) {
  std::vector<std::thread> workers;
  std::atomic<int> wrong{0};
  for (int w = 0; w < 4; ++w)
    workers.emplace_back([&wrong, w] {
      Var old;
      for (int i = 0; i < 200; ++i) {
        Tape tape;
        const Var x = tape.full(Shape{3}, w);
        if (sum(square(x)).item() != 3.0 * w * w) ++wrong;
        if (i > 0 && error_of([&] { old.item(); }) == "nothing was thrown") ++wrong;
        old = sum(x);
      }
    });
  for (std::thread& worker : workers) worker.join();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_is_checked) {
  const int before = threads();
  BOOST_TEST(before >= 1);
  const int most = most_threads();
  BOOST_TEST(most >= 16);
  BOOST_TEST(before <= most);
  for (int count : {0, -1, most + 1, std::numeric_limits<int>::max()})
    BOOST_TEST(error_of([&] { set_threads(count); }) == "the number of threads lies between 1 and " +
                                                            std::to_string(most) + " here, got " +
                                                            std::to_string(count));
  BOOST_TEST(threads() == before);
  {
    const Threads guard(most);
    BOOST_TEST(threads() == most);
  }
  BOOST_TEST(threads() == before);
  std::atomic<int> visits{0};
  int told = 0;
  parallel_region(std::numeric_limits<int>::max(), [&](int thread, int threads, Barrier&) {
    ++visits;
    if (thread == 0) told = threads;
  });
  BOOST_TEST(told <= most);
  BOOST_TEST(visits == told);
}

// As the process that the environment was set for sees it: this very test program, which then runs one case alone.
BOOST_AUTO_TEST_CASE(the_environment_asks_for_more_threads_than_there_can_be) {
  if (const char* asked = std::getenv("OMP_NUM_THREADS"); asked != nullptr && std::string(asked) == "100000") {
    BOOST_TEST(threads() == most_threads());
    BOOST_TEST(!gradients(1).empty());
    return;
  }
  const auto& self = boost::unit_test::framework::master_test_suite().argv[0];
  const std::string command = std::string("OMP_NUM_THREADS=100000 '") + self +
                              "' --run_test=the_environment_asks_for_more_threads_than_there_can_be >/dev/null";
  BOOST_TEST(std::system(command.c_str()) == 0);
}

// The team is whole: a region has as many threads as it asks for, and a loop meets every index.
void check_team(int count) {
  std::atomic<int> met{0}, told{0};
  parallel_region(count, [&](int thread, int threads, Barrier& barrier) {
    ++met;
    barrier.wait();
    if (thread == 0) told = threads;
  });
  BOOST_TEST(met == count);
  BOOST_TEST(told == count);
  Tally tally(100);
  parallel_for(100, [&](Index i) { tally.meet(i); });
  BOOST_TEST(tally.each(1));
}

BOOST_AUTO_TEST_CASE(of_the_exceptions_of_a_loop_the_first_reaches_the_caller) {
  for (int count : {1, 2, 3, 7}) {
    const Threads guard(count);
    for (int round = 0; round < 50; ++round)
      BOOST_TEST(error_of([] {
                   parallel_for(100, [](Index i) {
                     if (i >= 31 && i % 10 == 3) throw Error("at " + std::to_string(i));
                   });
                 }) == "at 33");
    BOOST_CHECK_THROW(parallel_for(8, [](Index) { throw 7; }), int);
    BOOST_CHECK_THROW(parallel_pieces(100, 10, [](Index, Index) { throw std::bad_alloc(); }), std::bad_alloc);
    // From a loop within a loop.
    BOOST_TEST(error_of([] {
                 parallel_for(10, [](Index) { parallel_for(10, [](Index i) { throw Error(std::to_string(i)); }); });
               }) == "0");
    check_team(count);
  }
}

BOOST_AUTO_TEST_CASE(an_exception_leaves_a_region_and_nobody_waits_for_its_thread) {
  for (int count : {1, 2, 3, 7}) {
    const Threads guard(count);
    for (int bad = 0; bad < count; ++bad)
      for (int rounds : {0, 1, 5}) {
        BOOST_TEST(error_of([&] {
                     parallel_region(count, [&](int thread, int, Barrier& barrier) {
                       for (int round = 0; round < rounds; ++round) barrier.wait();
                       if (thread == bad) throw Error("thread " + std::to_string(thread));
                       if (count > 1)
                         for (;;) barrier.wait();
                     });
                   }) == "thread " + std::to_string(bad));
        check_team(count);
      }
    // All at once: the first thread's.
    BOOST_TEST(error_of([&] {
                 parallel_region(count, [&](int thread, int, Barrier&) { throw Error(std::to_string(thread)); });
               }) == "0");
    // A region within a region has one thread, whose exception goes through both.
    BOOST_TEST(error_of([&] {
                 parallel_region(count, [&](int, int, Barrier& outer) {
                   parallel_region(count, [&](int, int, Barrier&) { throw Error("inner"); });
                   outer.wait();
                 });
               }) == "inner");
    BOOST_CHECK_THROW(parallel_region(1, [](int, int, Barrier&) { throw 7; }), int);
    check_team(count);
  }
}

// The threads of a team are not there in a child of its process.
BOOST_AUTO_TEST_CASE(a_child_of_a_process_with_a_team_computes_alone) {
  const Threads guard(3);
  check_team(3);
  const std::vector<Array> wanted = gradients(1);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // a child that hangs ends
    int told = 0;
    parallel_region(3, [&](int, int threads, Barrier&) { told = threads; });
    const bool good = threads() == 1 && told == 1 && same_bits(gradients(1), wanted);
    _exit(good ? 0 : 1);
  }
  BOOST_REQUIRE(child > 0);
  int status = -1;
  waitpid(child, &status, 0);
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 0);
  check_team(3);  // here they still are
}

BOOST_AUTO_TEST_CASE(a_region_has_every_thread_once_and_one_within_another_has_one) {
  for (int count : {1, 2, 3, 7}) {
    const Threads guard(count);
    std::vector<int> visits(static_cast<std::size_t>(count), 0), within(static_cast<std::size_t>(count), 0);
    parallel_region(count, [&](int thread, int threads, Barrier&) {
      ++visits[static_cast<std::size_t>(thread)];
      parallel_region(count, [&](int, int inner, Barrier&) { within[static_cast<std::size_t>(thread)] = inner; });
      if (threads != count) visits[0] = 100;
    });
    for (int each : visits) BOOST_TEST(each == 1);
    for (int each : within) BOOST_TEST(each == 1);
  }
}

BOOST_AUTO_TEST_CASE(nobody_passes_a_barrier_before_all_have_come) {
  for (int count : {2, 3, 7}) {
    const Threads guard(count);
    constexpr int rounds = 300;
    std::vector<int> round_of(static_cast<std::size_t>(count), 0);
    std::atomic<int> early{0};
    parallel_region(count, [&](int thread, int, Barrier& barrier) {
      for (int round = 1; round <= rounds; ++round) {
        round_of[static_cast<std::size_t>(thread)] = round;
        barrier.wait();
        for (int each : round_of) early += each < round ? 1 : 0;
        barrier.wait();
      }
    });
    BOOST_TEST(early.load() == 0);
  }
}

BOOST_AUTO_TEST_CASE(threads_of_a_region_take_part_in_the_loops_of_the_first) {
  static thread_local int mine;
  for (int count : {1, 2, 3, 7}) {
    const Threads guard(count);
    std::vector<int> visits(280);
    std::vector<std::atomic<int>> within(280);
    std::atomic<int> wrong{0};
    const auto loop = [&](Index size, int threads) {
      parallel_for(size, [&](Index i) {
        ++visits[static_cast<std::size_t>(i)];
        if (size > 1 && (i < size * mine / threads || i >= size * (mine + 1) / threads)) ++wrong;
        parallel_for(3, [&, before = mine](Index) {  // stays on its thread, unless it is all there is
          ++within[static_cast<std::size_t>(i)];
          if (size > 1 && mine != before) ++wrong;
        });
      });
    };
    parallel_region(count, [&](int thread, int threads, Barrier& barrier) {
      mine = thread;
      for (Index round = 0; round < 40; ++round)
        barrier.together(thread, [&] {
          if (thread != 0) ++wrong;
          for (const Index size : {7 * round, Index{1}, round}) loop(size, threads);
        });
    });
    for (Index i = 0; i < 280; ++i) {
      int wanted = i == 0 ? 40 : 0;
      for (Index round = 0; round < 40; ++round) wanted += (i < 7 * round ? 1 : 0) + (i < round ? 1 : 0);
      BOOST_TEST(visits[static_cast<std::size_t>(i)] == wanted);
      BOOST_TEST(within[static_cast<std::size_t>(i)].load() == 3 * wanted);
    }
    BOOST_TEST(wrong.load() == 0);
    check_team(count);
  }
}

BOOST_AUTO_TEST_CASE(an_exception_of_a_loop_that_threads_take_part_in_reaches_the_first) {
  for (int count : {1, 2, 3, 7}) {
    const Threads guard(count);
    for (const Index bad : {0, 3, 99})
      BOOST_TEST(error_of([&] {
                   parallel_region(count, [&](int thread, int, Barrier& barrier) {
                     barrier.together(thread, [&] {
                       parallel_for(100, [&](Index i) {
                         if (i >= bad) throw Error(std::to_string(i));
                       });
                     });
                     barrier.wait();
                   });
                 }) == std::to_string(bad));
    // One that the work lets pass, then one of its own.
    BOOST_TEST(error_of([&] {
                 parallel_region(count, [&](int thread, int, Barrier& barrier) {
                   barrier.together(thread, [&] {
                     const std::string first = error_of([] { parallel_for(9, [](Index) { throw Error("loop"); }); });
                     parallel_for(9, [](Index) {});
                     throw Error(first + ", work");
                   });
                   barrier.wait();
                 });
               }) == "loop, work");
    check_team(count);
  }
}
