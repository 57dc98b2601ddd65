// Large results of elementwise ops, written through the caches or past them: the same bits, and the faster way, under a
// clock of the test's own.
#include <boost/test/unit_test.hpp>

#include "autodiff/autodiff.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/ops/streaming.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using testing::same_bits;

namespace {

struct Clock {
  double through, past;  // seconds of a run
};

struct Counts {
  int streamed = 0, timed = 0;
};

Counts run(Streaming& streaming, int runs, const Clock& clock) {
  Counts counts;
  for (int i = 0; i < runs; ++i) {
    const Streaming::Run run = streaming.next();
    counts.streamed += run.streamed;
    counts.timed += run.timed;
    if (run.timed) streaming.took(run, run.streamed ? clock.past : clock.through);
  }
  return counts;
}

// Operands that are read in place, stretched over rows, and one number.
Var (*const ops[])(Var, Var, Var) = {
    [](Var x, Var y, Var) { return x * y; },
    [](Var x, Var, Var z) { return x - z; },
    [](Var x, Var, Var) { return x * 1.7; },
    [](Var x, Var, Var) { return exp(x); },
};

constexpr int first_runs = 8, trial = 24;

BOOST_AUTO_TEST_CASE(the_faster_way_is_taken) {
  for (const bool past : {false, true}) {
    Streaming streaming;
    const Clock clock = past ? Clock{1.3, 1} : Clock{1, 1.3};
    const Counts first = run(streaming, first_runs, clock);
    BOOST_TEST((first.streamed == 0 && first.timed == 0));
    BOOST_TEST(run(streaming, trial, clock).streamed == trial / 2);
    BOOST_TEST(run(streaming, 1000, clock).streamed == (past ? 1000 : 0));
  }
}

BOOST_AUTO_TEST_CASE(a_difference_that_may_be_chance_changes_nothing) {
  Streaming streaming;
  run(streaming, first_runs + trial, {1, 0.95});
  BOOST_TEST(run(streaming, 1000, {1, 0.95}).streamed == 0);
}

BOOST_AUTO_TEST_CASE(a_machine_that_changes_is_noticed) {
  Streaming streaming;
  run(streaming, 10'000, {1.3, 1});
  run(streaming, 2500, {1, 1.3});
  BOOST_TEST(run(streaming, 1000, {1, 1.3}).streamed == 0);
}

BOOST_AUTO_TEST_CASE(trials_are_rare) {
  Streaming streaming;
  BOOST_TEST(run(streaming, 100'000, {1, 1.3}).timed < 1000);
}

// A run of another thread that began in a trial may end after it.
BOOST_AUTO_TEST_CASE(a_late_time_is_dropped) {
  Streaming streaming;
  run(streaming, first_runs + trial, {1, 1.3});
  for (int i = 0; i < 100; ++i) streaming.took({.streamed = true, .timed = true}, 1e-3);
  run(streaming, 2400, {1, 1.3});
  run(streaming, trial, {1, 1.3});
  BOOST_TEST(run(streaming, 100, {1, 1.3}).streamed == 0);
}

// More runs than the first trial has, so both ways; a size that no block, piece or line divides.
BOOST_AUTO_TEST_CASE(both_ways_compute_the_same_bits) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64})
    for (const int team : {1, 3}) {
      const testing::Threads threads(team);
      const Index rows = 3, columns = (Index{1} << (dtype == Dtype::f32 ? 21 : 20)) / rows + 5;
      const auto draw = [&](std::uint64_t seed, Shape shape) { return Rng(seed).uniform({dtype, shape}, -3, 3); };
      const Array a = draw(1, {rows, columns}), b = draw(2, {rows, columns}), row = draw(3, {columns});
      Tape tape(dtype);
      const Var x = tape.input(a), y = tape.input(b), z = tape.input(row);
      for (const auto op : ops) {
        const auto mark = tape.mark();
        const Array first = op(x, y, z).value();
        BOOST_TEST(first.type().bytes() >= Streaming::least_bytes);
        for (int i = 0; i < first_runs + trial; ++i) {
          tape.rewind(mark);
          tape.input(b);  // other numbers where the result will be
          tape.rewind(mark);
          if (!same_bits(op(x, y, z).value(), first)) BOOST_ERROR("run " << i << " has other bits");
        }
        tape.rewind(mark);
      }
    }
}

// At the end: the table stays full.
BOOST_AUTO_TEST_CASE(a_kernel_that_finds_the_table_full_goes_through_the_caches) {
  const Type type{Dtype::f32, {Index{1} << 22}};
  const Attributes none;
  const Kernel kernel{{{}, none}, {}, type, nullptr, nullptr};
  const auto of = [&](int large_operands) { return Streaming::of(sum_op(), kernel, large_operands); };
  Streaming* const first = of(0);
  BOOST_TEST(first != nullptr);
  BOOST_TEST(of(1) != first);
  for (int i = 0; i < 1000; ++i) of(i);
  BOOST_TEST(of(0) == first);
  BOOST_TEST(of(1000) == nullptr);
  Tape tape;
  const Var x = tape.input(Array(Dtype::f32, {Index{1} << 21}));
  BOOST_TEST(rsqrt(x + 4).value().at(5) == 0.5);
}

}  // namespace
