// The number of threads that a plan finds for itself, under a clock of the test's own.
#include <boost/test/unit_test.hpp>
#include <map>

#include "autodiff/autodiff.hpp"
#include "autodiff/plan/team_size.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using plan::TeamSize;
using testing::same_bits;

namespace {

// Seconds of a run on each number of threads.
using Clock = std::map<int, double>;

// Runs, and how many of them were on each number of threads.
std::map<int, int> run(TeamSize& team, int runs, int most, const Clock& clock) {
  std::map<int, int> counts;
  for (int i = 0; i < runs; ++i) {
    const int size = team.next(most);
    ++counts[size];
    team.took(clock.at(size));
  }
  return counts;
}

double seconds(const std::map<int, int>& counts, const Clock& clock) {
  double sum = 0;
  for (const auto& [size, count] : counts) sum += count * clock.at(size);
  return sum;
}

constexpr double ms = 1e-3;

BOOST_AUTO_TEST_CASE(threads_that_are_faster_stay) {
  TeamSize team;
  const Clock clock{{1, 1.8 * ms}, {2, 1 * ms}};
  BOOST_TEST(team.next(2) == 2);
  const auto counts = run(team, 10'000, 2, clock);
  BOOST_TEST(counts.at(1) > 4);  // it looked again
  BOOST_TEST(seconds(counts, clock) < 1.01 * 10'000 * ms);
  BOOST_TEST(team.text() == "threads: 2 of 2 (1.000 ms a run; on 1 1.800 ms)\n");
}

BOOST_AUTO_TEST_CASE(threads_that_are_slower_are_left) {
  TeamSize team;
  const Clock clock{{1, 0.69 * ms}, {2, 1.01 * ms}};
  BOOST_TEST(run(team, 8, 2, clock).at(2) == 4);
  BOOST_TEST(seconds(run(team, 10'000, 2, clock), clock) < 1.01 * 10'000 * 0.69 * ms);
  BOOST_TEST(team.text() == "threads: 1 of 2 (0.690 ms a run; on 2 1.010 ms)\n");
}

BOOST_AUTO_TEST_CASE(the_best_of_many_threads_is_found) {
  const Clock clock{{1, 4 * ms}, {2, 2.5 * ms}, {3, 2 * ms}, {4, 1.5 * ms}, {6, 2 * ms}, {8, 2.5 * ms}, {12, 3 * ms}};
  for (int most : {3, 6, 8, 12}) {
    TeamSize team;
    run(team, 3000, most, clock);
    int best = most;
    for (int size = most; size > 1; size = (size + 1) / 2)
      if (clock.at(size) < clock.at(best)) best = size;
    BOOST_TEST(run(team, 200, most, clock).at(best) > 100);
  }
}

BOOST_AUTO_TEST_CASE(busy_neighbours_are_noticed_and_so_is_their_end) {
  TeamSize team;
  const Clock alone{{1, 1.8 * ms}, {2, 1 * ms}}, beside{{1, 2 * ms}, {2, 6 * ms}};
  run(team, 1000, 2, alone);
  BOOST_TEST(run(team, 200, 2, beside).at(2) < 20);
  run(team, 5000, 2, alone);
  BOOST_TEST(run(team, 500, 2, alone).at(2) > 480);
}

BOOST_AUTO_TEST_CASE(one_slow_run_changes_nothing) {
  TeamSize team;
  const Clock alone{{1, 1.8 * ms}, {2, 1 * ms}}, slow{{1, 50 * ms}, {2, 50 * ms}};
  run(team, 100, 2, alone);
  for (int i = 0; i < 20; ++i) {
    BOOST_TEST(team.next(2) == 2);
    run(team, 1, 2, slow);
    BOOST_TEST(run(team, 4, 2, alone).at(2) == 4);
  }
}

BOOST_AUTO_TEST_CASE(long_runs_are_not_tried_on_fewer_threads) {
  TeamSize team;
  const Clock clock{{1, 4}, {2, 2.5}};
  BOOST_TEST(run(team, 150, 2, clock).at(2) == 150);
}

BOOST_AUTO_TEST_CASE(another_limit_starts_anew) {
  TeamSize team;
  const Clock clock{{1, 0.5 * ms}, {2, 1 * ms}, {4, 1 * ms}};
  run(team, 100, 2, clock);
  BOOST_TEST(team.next(2) == 1);
  BOOST_TEST(team.next(4) == 4);
  BOOST_TEST(team.text().empty());
  BOOST_TEST(run(team, 100, 1, clock).at(1) == 100);
  BOOST_TEST(team.text().empty());
}

// A plan asks: its text says what it found once it has run often enough, with the same bits all along.
BOOST_AUTO_TEST_CASE(a_plan_says_how_many_threads_it_took) {
  const int before = threads();
  set_threads(2);
  const Type type{Dtype::f32, {512, 64}};
  const Array x = Rng(1).normal(type), w = Rng(2).normal({Dtype::f32, {64, 64}});
  Plan plan =
      compile([](std::span<const Var> in) { return std::vector<Var>{tanh(matmul(in[0], in[1]))}; }, {type, w.type()});
  const Array first = plan.run({x, w})[0];
  BOOST_TEST(plan.explain().find("threads:") == std::string::npos);
  // On a machine so busy that a run takes long, it tries later.
  for (int i = 0; i < 2000 && plan.explain().find("threads:") == std::string::npos; ++i)
    BOOST_TEST(same_bits(plan.run({x, w})[0], first));
  BOOST_TEST(plan.explain().find(" of 2 (") != std::string::npos);
  set_threads(before);
}

}  // namespace
