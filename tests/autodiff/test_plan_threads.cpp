// Runs of plans on several threads: who waits for whom, what an exception on one of them leaves, and one run at a time.
// The thread sanitizer runs this file.
#define BOOST_TEST_MODULE plan_threads
#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <thread>

#include "autodiff/autodiff.hpp"
#include "autodiff/ops/elementwise.hpp"
#include "autodiff/plan/forced.hpp"
#include "tests/autodiff/plans.hpp"
#include "tests/autodiff/small_plans.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

// The identity. Whoever computes an element of this value comes later than the others to whatever follows.
constexpr float late = 1e6f;
const Unary laggard_op({.name = "laggard", .reference = [](double x) { return x; }}, [](auto x) {
  if (xsimd::any(x == decltype(x)(late))) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return x;
});
Var laggard(Var x) { return record(laggard_op, {x}); }

// How many of the two parts of its loop meet the other one.
struct Meeting final : OpOf<Meeting> {
  Meeting() : OpOf({.name = "meeting"}) {}
  Type infer(const Signature& s) const override { return *s.in[0]; }
  std::vector<Example> examples() const override { return {}; }
  Array reference(std::span<const Array> in, const Attributes&, const Type&) const override { return in[0]; }
  template <class T>
  void compute(const Kernel& k) const {
    std::atomic<int> here = 0, met = 0;
    parallel_for(2, [&](Index) {
      ++here;
      for (int i = 0; i < 2000 && here < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      met += here == 2 ? 1 : 0;  // of parts one after the other, the first waits in vain
    });
    std::fill_n(k.out<T>(), k.out_shape().size(), static_cast<T>(met));
  }
};
const Meeting meeting_op;
Var meeting(Var x) { return record(meeting_op, {x}); }

Array run_alone(Plan& plan, const Array& x) {
  const Threads guard(1);
  return plan.run({x})[0];
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_run_that_fails_says_where_and_leaves_the_plan_whole) {
  const auto f = [](Vars in) { return Outputs{sum(index_select(in[0], 0, in[1]), 1) * 2}; };
  Plan plan = compile(f, {{Dtype::f32, {300, 2}}, {Dtype::i32, {100}}});
  const Array x = random_array(Dtype::f32, {300, 2}, 1);
  Array rows(Dtype::i32, {100}), wrong = rows;
  wrong.set(99, 300);
  const Array wanted = plan.run({x, rows})[0];
  for (int count : {1, 3}) {
    const Threads guard(count);
    const std::string text = error_of([&] { plan.run({x, wrong}); });
    BOOST_TEST(contains(text, "] index 300 is out of range"), text);
    BOOST_TEST(contains(text, "test_plan_threads.cpp:"), text);
    BOOST_TEST(same_bits(plan.run({x, rows})[0], wanted));
  }
}

BOOST_AUTO_TEST_CASE(a_finish_that_throws_reaches_the_caller_and_leaves_the_team_whole) {
  const plan::Force whole_teams(plan::Way::shared_steps);  // not as many threads as were fastest
  const Type type{Dtype::f32, {200000, 4}};
  Plan plan = compile([](Vars in) { return Outputs{exp(sin(in[0])), sum(in[0])}; }, {type});
  const Array x = random_array(Dtype::f32, {200000, 4}, 1);
  const PlanInput input(x);
  for (int count : {1, 2, 3}) {
    const Threads guard(count);
    // As many threads as the plan finds to be fast; all of them finish.
    std::atomic<int> met = 0, team = 0;
    const auto counting = [&](int, int threads, Barrier& barrier) {
      ++met;
      barrier.wait();
      team = threads;
    };
    const auto run_whole = [&] {
      met = team = 0;
      plan.run({&input, 1}, counting);
      BOOST_TEST(met == team);
      BOOST_TEST((1 <= team && team <= count));
    };
    run_whole();
    const Arrays wanted(plan.outputs().begin(), plan.outputs().end());
    for (int bad = 0; bad < count; ++bad)
      for (bool adding : {false, true}) {
        const auto throwing = [&](int thread, int threads, Barrier& barrier) {
          if (thread == std::min(bad, threads - 1)) throw Error("mine");
          for (;;) barrier.wait();
        };
        BOOST_TEST(error_of([&] {
                     if (adding)
                       plan.accumulate({&input, 1}, throwing);
                     else
                       plan.run({&input, 1}, throwing);
                   }) == "mine");
        // Its outputs are void.
        BOOST_TEST(contains(error_of([&] { plan.accumulate({x}); }), "[accumulate] there is nothing to add to"));
        run_whole();
        BOOST_TEST(same_bits(Arrays(plan.outputs().begin(), plan.outputs().end()), wanted));
      }
  }
}

BOOST_AUTO_TEST_CASE(two_threads_run_two_plans) {
  const Threads guard(2);
  const auto f = [](Vars in) { return Outputs{matmul(tanh(in[0]), in[0], {.transpose_a = true})}; };
  Plan a = compile(f, {{Dtype::f32, {500, 16}}}), b = compile(f, {{Dtype::f32, {500, 16}}});
  const Array x = random_array(Dtype::f32, {500, 16}, 1), y = random_array(Dtype::f32, {500, 16}, 2);
  const Array of_x = a.run({x})[0], of_y = a.run({y})[0];
  bool good = true;
  std::thread other([&] {
    for (int i = 0; i < 200; ++i) good = good && same_bits(b.run({y})[0], of_y);
  });
  for (int i = 0; i < 200; ++i) BOOST_REQUIRE(same_bits(a.run({x})[0], of_x));
  other.join();
  BOOST_TEST(good);
}

// Two threads, of which one is late; and in every run other values, so that those of the run before are wrong.
BOOST_AUTO_TEST_CASE(no_thread_reads_what_another_has_yet_to_write) {
  const plan::Force whole_teams(plan::Way::shared_steps);
  struct {
    const char* name;
    PlanFunction f;
    Type type;
    bool split_rows;
    Index slow;  // the element that takes long, counted from the end if negative
  } const cases[] = {
      {"one thread alone, after both",
       [](Vars in) { return Outputs{cumsum(laggard(in[0]), 0)}; },
       {Dtype::f32, {1 << 17}},
       false,
       -1},
      {"both, after one alone",
       [](Vars in) { return Outputs{exp(cumsum(in[0], 0) * 1e-6)}; },
       {Dtype::f32, {1 << 17}},
       false,
       0},
      {"rows, after one alone",
       [](Vars in) { return Outputs{in[0] * laggard(sum(slice(in[0], 0, 0, 1), {0}, {.keepdims = true}))}; },
       {Dtype::f32, {4096, 32}},
       true,
       0},
      {"partial sums, after rows",
       [](Vars in) { return Outputs{sum(laggard(in[0]), {0})}; },
       {Dtype::f32, {4096, 32}},
       true,
       -1},
  };
  for (const auto& each : cases) BOOST_TEST_CONTEXT(each.name) {
      for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        Plan plan = compile(each.f, {each.type}, {.split_rows = each.split_rows});  // its first runs are on all threads
        Array x = random_array(each.type.dtype, each.type.shape, seed);
        x.set(each.slow < 0 ? x.size() + each.slow : each.slow, late);
        const Array alone = run_alone(plan, x);
        // What the run alone left behind must not be what is wanted.
        plan.run({random_array(each.type.dtype, each.type.shape, seed + 10)});
        const Threads guard(2);
        std::atomic<int> team = 0;
        const std::vector<PlanInput> inputs{x};
        const auto out = plan.run(inputs, [&](int, int threads, Barrier&) { team = threads; });
        BOOST_TEST(team == 2);
        BOOST_TEST(same_bits(out[0], alone));
      }
    }
}

// Kernels that spread their work by themselves, where there are fewer rows than threads, or none: the bits of an eager
// tape.
BOOST_AUTO_TEST_CASE(threads_share_what_is_no_task_of_theirs) {
  const plan::Force whole_teams(plan::Way::shared_steps);
  const auto attention = [](Vars in) {
    const Var scores = softmax(matmul(in[0], in[0], {.transpose_b = true}) / 4.0, -1), y = matmul(scores, in[0]);
    return Outputs{y, grad(sum(square(y)), in[0])};
  };
  const auto ensemble = [](Vars in) {
    const Var x = slice(in[0], 0, 0, 1);
    return Outputs{matmul(squeeze(x, 0), in[0], {.transpose_a = true})};
  };
  const auto columns = [](Vars in) { return Outputs{softmax(in[0], 1), cumsum(in[0], 1), logsumexp(in[0], 1)}; };
  const Array x = random_array(Dtype::f32, {3, 70, 50}, 1);
  for (const PlanFunction& f : {PlanFunction(attention), PlanFunction(ensemble), PlanFunction(columns)})
    for (const bool split_rows : {true, false}) {
      Plan plan = compile(f, {x.type()}, {.split_rows = split_rows});
      const Arrays wanted = eagerly(f, {x}, Dtype::f32);
      for (int count : {1, 2, 3, 5}) {
        const Threads guard(count);
        const Arrays got = run(plan, {x});
        for (std::size_t i = 0; i < wanted.size(); ++i)
          BOOST_TEST(same_bits(got[i], wanted[i]), "output " << i << ", " << count << " threads");
      }
    }
  Plan plan = compile([](Vars in) { return Outputs{meeting(in[0] + 1)}; }, {x.type()});
  const Threads guard(2);
  BOOST_TEST(run(plan, {x})[0].at(0) == 2);
}

BOOST_AUTO_TEST_CASE(one_plan_serves_one_run_at_a_time) {
  Plan plan = compile([](Vars in) { return Outputs{in[0] + 1}; }, {row_of_3});
  const Array x = row(1, 2, 3);
  std::string text;
  const Plan::Finish again = [&](int thread, int, Barrier&) {
    if (thread == 0) text = error_of([&] { plan.run({x}); });
  };
  const PlanInput input(x);
  plan.run({&input, 1}, again);
  BOOST_TEST(contains(text, "[run] this plan is running"));
  // accumulate() is refused alike.
  const Plan::Finish adding = [&](int thread, int, Barrier&) {
    if (thread == 0) text = error_of([&] { plan.accumulate({x}); });
  };
  plan.run({&input, 1}, adding);
  BOOST_TEST(contains(text, "[run] this plan is running"));
  BOOST_TEST(same_bits(plan.run({x})[0], row(2, 3, 4)));
}
