// What plans make of a scan: nodes, memory, the bits of a body, threads.
#define BOOST_TEST_MODULE scan_plans
#include <boost/test/unit_test.hpp>

#include <algorithm>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/autodiff/plans.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

Var row_of(Var x, Index i) { return reshape(slice(x, 0, i, i + 1), x.shape().trailing(x.rank() - 1)); }

}  // namespace

BOOST_AUTO_TEST_CASE(one_time_for_all_rows_is_not_taken_out_of_a_product_within_a_step) {
  // A plan of its own would compute it as one row, which changes bits; a body has those of the tape that runs it.
  const Arrays given{random_array(Dtype::f32, {200, 2}, 1), random_array(Dtype::f32, {3, 1, 1}, 2),
                     random_array(Dtype::f32, {3, 2}, 3)};
  const auto step = [](Var x, Var t, Var w) { return tanh(matmul(concat({x, broadcast_to(t, {200, 1})}, 1), w)); };
  const auto loop = [&](Vars in) {
    return std::vector<Var>{scan([&](Var x, Var t) { return step(x, t, in[2]); }, in[0], in[1])};
  };
  const auto plainly = [&](Vars in) {
    Var x = in[0];
    for (Index i = 0; i < 3; ++i) x = step(x, row_of(in[1], i), in[2]);
    return std::vector<Var>{x};
  };
  const Arrays wanted = eagerly(plainly, given, Dtype::f32);
  BOOST_TEST(same_bits(eagerly(loop, given, Dtype::f32), wanted));
  Plan plan = compile(loop, types_of(given));
  BOOST_TEST(same_bits(run(plan, given), wanted));
}

BOOST_AUTO_TEST_CASE(nodes_and_lines_of_a_plan_do_not_grow_with_the_steps) {
  const auto counts = [](Index length, Index checkpoints) {
    const auto f = [&](Vars in) {
      const auto [last, ys] =
          scan([&](Var h, Var x) { return std::pair(tanh(h * in[2] + x), sum(h)); }, in[0], in[1], {checkpoints});
      const Var loss = sum(last) + sum(ys);
      return std::vector<Var>{loss, grad(loss, in[2]), grad(sum(square(grad(loss, in[0]))), in[2])};
    };
    const std::vector<Type> types{{Dtype::f32, {3}}, {Dtype::f32, {length, 3}}, {Dtype::f32, {3}}};
    const Plan plan = compile(f, types, {.split_rows = false});  // sums over many rows are more lines, of any function
    const std::string text = plan.explain();
    return std::pair(plan.passes()[0].nodes, std::count(text.begin(), text.end(), '\n'));
  };
  BOOST_TEST((counts(1, 0) == counts(100000, 0)));
  BOOST_TEST((counts(20, 2) == counts(100000, 2)));
}

BOOST_AUTO_TEST_CASE(reverse_mode_with_n_checkpoints_keeps_n_and_the_length_over_n_carries) {
  constexpr Index length = 4096, width = 256;
  const auto bytes = [&](Index checkpoints) {
    const auto f = [&](Vars in) {
      const Var last = scan([&](Var h) { return tanh(h * in[1]); }, in[0], length, {checkpoints});
      return std::vector<Var>{grad(sum(last), in[0])};
    };
    return compile(f, {{Dtype::f32, {width}}, {Dtype::f32, {width}}}).bytes();
  };
  constexpr std::size_t carry = width * 4;
  // Beside those that are kept, each loop has a few of its own.
  BOOST_TEST(bytes(0) >= length * carry);
  BOOST_TEST(bytes(0) <= (length + 40) * carry);
  for (Index checkpoints : {1, 16, 64, 300, 4096}) {
    const auto kept = static_cast<std::size_t>(checkpoints + (length + checkpoints - 1) / checkpoints);
    BOOST_TEST(bytes(checkpoints) >= (kept - 1) * carry);
    BOOST_TEST(bytes(checkpoints) <= 2 * (kept + 40) * carry);
  }
}

BOOST_AUTO_TEST_CASE(carries_that_the_reverse_does_not_read_are_not_kept) {
  // h is linear in itself: its reverse needs no carry, and neither does the sum of cotangents of w.
  constexpr Index length = 2048, width = 64;
  const auto f = [&](Vars in) {
    const Var last = scan([&](Var h) { return h * 0.5 + in[1]; }, in[0], length);
    return std::vector<Var>{grad(sum(last), in[1])};
  };
  BOOST_TEST(compile(f, {{Dtype::f32, {width}}, {Dtype::f32, {width}}}).bytes() < 100 * width * 4);
}

BOOST_AUTO_TEST_CASE(a_body_is_shared_by_threads_without_a_trace_in_the_bits) {
  // 400 rows of 64: products and ranges of rows that threads share within a step.
  const Arrays given{random_array(Dtype::f32, {400, 64}, 1), random_array(Dtype::f32, {64, 64}, 2, -0.2, 0.2),
                     random_array(Dtype::f32, {3, 1, 64}, 3)};
  const auto f = [](Vars in) {
    const auto [last, ys] = scan(
        [&](Var h, Var x) {
          const Var next = tanh(matmul(h, in[1]) + x);
          return std::pair(next, mean(next));
        },
        in[0], in[2]);
    const Var loss = mean(square(last)) + sum(ys);
    return std::vector<Var>{last, ys, grad(loss, in[1]), grad(loss, in[0])};
  };
  const Threads alone(1);
  const Arrays wanted = eagerly(f, given, Dtype::f32);
  Plan plan = compile(f, types_of(given));
  for (int count : {1, 2, 3, 5}) {
    const Threads team(count);
    BOOST_TEST(same_bits(run(plan, given), wanted));
    BOOST_TEST(same_bits(eagerly(f, given, Dtype::f32), wanted));
  }
}
