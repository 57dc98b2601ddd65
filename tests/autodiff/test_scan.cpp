// scan against the loop written out: bits, derivatives, draws, batches, plans; what it refuses.
#define BOOST_TEST_MODULE scan
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include "autodiff/autodiff.hpp"
#include "autodiff/testing/check.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/autodiff/plans.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

Var row_of(Var x, Index i) { return reshape(slice(x, 0, i, i + 1), x.shape().trailing(x.rank() - 1)); }

void expect_none(const CheckReport& report) {
  for (const std::string& failure : report.failures) BOOST_ERROR(failure);
  BOOST_TEST(report.checks > 0);
}

// A cell with a carry of two arrays, which reads x and a weight, twice, and keeps something of both.
struct Pair {
  Var h, c;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("h", h), visit("c", c);
  }
};
std::pair<Pair, Var> cell(Pair now, Var x, Var w) {
  const Var h = tanh(matmul(now.h, w) + x), c = now.c * 0.5 + sigmoid(matmul(h, w));
  return {{h, c}, h * c + x};
}

// {last h, last c, all ys} by a scan, or written out.
std::vector<Var> by_scan(std::span<const Var> in, const ScanOptions& options = {}) {
  const auto [last, ys] =
      scan([&](Pair now, Var x) { return cell(now, x, in[3]); }, Pair{in[0], in[1]}, in[2], options);
  return {last.h, last.c, ys};
}
std::vector<Var> written_out(std::span<const Var> in, bool reverse = false) {
  Pair now{in[0], in[1]};
  const Index length = in[2].extent(0);
  std::vector<Var> ys(static_cast<std::size_t>(length));
  for (Index i = 0; i < length; ++i) {
    const Index at = reverse ? length - 1 - i : i;
    auto [next, y] = cell(now, row_of(in[2], at), in[3]);
    now = next;
    ys[static_cast<std::size_t>(at)] = y;
  }
  return {now.h, now.c, stack(std::span<const Var>(ys), 0)};
}
// A number of everything that a scan gives.
Var mixed(const std::vector<Var>& results) {
  Var total;
  for (Var result : results) {
    const Var term = sum(square(result) + result);
    total = total.is_null() ? term : total + term;
  }
  return total;
}

Arrays inputs_of(Index length, Dtype dtype, Index rows = 2) {
  return {random_array(dtype, {rows, 3}, 1), random_array(dtype, {rows, 3}, 2),
          random_array(dtype, {length, rows, 3}, 3), random_array(dtype, {3, 3}, 4)};
}
std::vector<Var> on(Tape& tape, const Arrays& arrays) {
  std::vector<Var> vars;
  for (const Array& array : arrays) vars.push_back(tape.input(array));
  return vars;
}
Arrays values(const std::vector<Var>& vars) {
  Arrays arrays;
  for (Var var : vars) arrays.push_back(var.value());
  return arrays;
}

}  // namespace

BOOST_AUTO_TEST_CASE(values_have_the_bits_of_the_loop_written_out) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index length : {1, 2, 7})
      for (bool reverse : {false, true})
        for (Index checkpoints : {0, 1, 2, 3, 4, 7, 100}) {
          Tape tape(dtype);
          const std::vector<Var> in = on(tape, inputs_of(length, dtype));
          const Arrays wanted = values(written_out(in, reverse));
          const ScanOptions options{.checkpoints = checkpoints, .reverse = reverse};
          BOOST_TEST(same_bits(values(by_scan(in, options)), wanted));
          for (bool rewrites : {false, true}) {
            Plan plan = compile([&](Vars x) { return by_scan(x, options); }, types_of(inputs_of(length, dtype)),
                                {.rewrites = rewrites}, dtype);
            BOOST_TEST(same_bits(run(plan, inputs_of(length, dtype)), wanted));
          }
        }
}

BOOST_AUTO_TEST_CASE(gradients_are_those_of_the_loop_written_out) {
  for (Index length : {1, 5})
    for (Index checkpoints : {0, 2, 3}) {
      Tape tape(Dtype::f64);
      const std::vector<Var> in = on(tape, inputs_of(length, Dtype::f64));
      const auto wanted = grad(mixed(written_out(in)), in), got = grad(mixed(by_scan(in, {checkpoints})), in);
      for (std::size_t i = 0; i < in.size(); ++i) BOOST_TEST(distance(got[i].value(), wanted[i].value()) < 1e-14);
    }
}

BOOST_AUTO_TEST_CASE(derivatives_agree_with_differences_in_both_modes) {
  for (Index length : {1, 3})
    for (const ScanOptions options : {ScanOptions{}, ScanOptions{.checkpoints = 2}, ScanOptions{.reverse = true}}) {
      const auto f = [&](Vars in) { return mixed(by_scan(in, options)); };
      expect_none(check_grads(f, inputs_of(length, Dtype::f64, 1), {.order = 2}));
    }
  expect_none(check_grads([](Vars in) { return mixed(by_scan(in)); }, inputs_of(2, Dtype::f64, 1), {.order = 3}));
}

BOOST_AUTO_TEST_CASE(plans_have_the_bits_of_an_eager_tape_on_any_number_of_threads) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index checkpoints : {0, 2}) {
      const auto f = [&](Vars in) { return by_scan(in, {checkpoints})[2]; };
      expect_none(check_plans(f, inputs_of(4, dtype)));
    }
}

BOOST_AUTO_TEST_CASE(loops_take_one_var_or_several_xs_or_a_number_of_steps_and_keep_what_they_like) {
  Tape tape(Dtype::f64);
  const Var x = tape.input(random_array(Dtype::f64, {4, 2}, 1)),
            i = tape.input(Array::of<std::int32_t>({4}, {1, 0, 3, 2}));
  const Var zero = tape.zeros({2});
  // A sum, as one Var and by a number of steps.
  const Var total = scan([](Var h, Var row) { return h + row; }, zero, x);
  BOOST_TEST(same_bits(total.value(), (row_of(x, 0) + row_of(x, 1) + row_of(x, 2) + row_of(x, 3)).value()));
  BOOST_TEST(scan([](Var y) { return 2 * y; }, tape.ones({}), 10).item() == 1024);
  // An array, a tuple and a vector; integers among xs and in the carry; a y that is the carry, an x, or a constant.
  using Two = std::array<Var, 2>;
  const auto [last, ys] = scan(
      [&](Two now, std::tuple<Var, Var> in) {
        const auto [row, index] = in;
        const Var chosen = reshape(index_select(x, 0, reshape(index, {1})), {2});
        return std::pair(Two{now[0] + chosen * row, index}, std::vector<Var>{now[0], index, zero, row});
      },
      Two{zero, i[0]}, std::tuple(x, i));
  BOOST_TEST(numbers(last[1]) == numbers(i[3]));
  BOOST_TEST(same_bits(ys[1].value(), i.value()));
  BOOST_TEST(same_bits(ys[3].value(), x.value()));
  BOOST_TEST(same_bits(ys[2].value(), tape.zeros({4, 2}).value()));
  BOOST_TEST(numbers(ys[0][0]) == numbers(zero));
  BOOST_TEST(same_bits(ys[0][1].value(), (row_of(x, 0) * row_of(x, 1) + zero).value()));
  // Without a carry it is a map.
  const auto mapped = scan([](std::vector<Var>, Var row) { return std::pair(std::vector<Var>{}, sum(square(row))); },
                           std::vector<Var>{}, x);
  BOOST_TEST(same_bits(mapped.ys.value(), sum(square(x), 1).value()));
}

BOOST_AUTO_TEST_CASE(a_scan_of_no_steps_gives_the_carry_and_empty_ys) {
  Tape tape(Dtype::f64);
  const Var h = tape.input(random_array(Dtype::f64, {3}, 1)), xs = tape.input(Array(Dtype::f64, {0, 3}));
  const auto [last, ys] = scan([](Var now, Var x) { return std::pair(now + x, sum(x) * now); }, h, xs);
  BOOST_TEST((last == h));
  BOOST_TEST((ys.shape() == Shape{0, 3}));
  BOOST_TEST(numbers(grad(sum(last) + sum(ys), h)) == numbers(tape.ones({3})));
  BOOST_TEST((grad(sum(last) + sum(ys), xs).shape() == Shape{0, 3}));
  BOOST_TEST((scan([](Var now) { return now * 2; }, h, 0) == h));
}

BOOST_AUTO_TEST_CASE(forward_mode_pushes_stacks_through) {
  const auto f = [](Var x) {
    const Var w = reshape(slice(x, 0, 0, 1) * x, {3, 1});
    const auto [last, ys] = scan(
        [&](Var h, Var z) {
          const Var next = tanh(matmul(h, w) * z + h);
          return std::pair(next, next * z);
        },
        reshape(x, {1, 3}), stack({x, x * x}, 0));
    return sum(last) + sum(square(ys));
  };
  const auto plainly = [](Var x) {
    const Var w = reshape(slice(x, 0, 0, 1) * x, {3, 1});
    Var h = reshape(x, {1, 3}), total;
    for (Var z : {x, x * x}) {
      h = tanh(matmul(h, w) * z + h);
      const Var term = sum(square(h * z));
      total = total.is_null() ? term : total + term;
    }
    return sum(h) + total;
  };
  Tape tape(Dtype::f64);
  const Var x = tape.input(random_array(Dtype::f64, {3}, 5)), v = tape.input(random_array(Dtype::f64, {3}, 6));
  BOOST_TEST(distance(jvp(f, x, v).tangent.value(), jvp(plainly, x, v).tangent.value()) < 1e-14);
  BOOST_TEST(distance(hvp(f, x, v).value(), hvp(plainly, x, v).value()) < 1e-13);
  BOOST_TEST(distance(hessian(f, x).value(), hessian(plainly, x).value()) < 1e-13);
  BOOST_TEST(distance(jacobian([&](Var z) { return grad(f(z), z); }, x).value(), hessian(plainly, x).value()) < 1e-13);
}

BOOST_AUTO_TEST_CASE(vmap_of_a_scan_is_a_scan_of_batches) {
  Tape tape(Dtype::f64);
  const Arrays all = inputs_of(4, Dtype::f64);
  const Index batch = 3;
  // Every operand batched, or any of them alone; and the gradients of each slice.
  for (std::size_t batched = 0; batched <= all.size(); ++batched) {
    std::vector<Var> in = on(tape, all), slices;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (batched == all.size() || batched == i) {
        in[i] = tape.input(random_array(Dtype::f64, all[i].shape().prepended(batch), 20 + i));
        slices.push_back(in[i]);
      }
    const auto call = [&](Vars s, std::size_t result) {
      std::vector<Var> x = in;
      std::size_t next = 0;
      for (std::size_t i = 0; i < all.size(); ++i)
        if (batched == all.size() || batched == i) x[i] = s[next++];
      const std::vector<Var> results = by_scan(x);
      return result < 3 ? results[result] : grad(mixed(results), x[3]);
    };
    for (std::size_t result = 0; result < 4; ++result) {
      const Var got = vmap([&](Vars s) { return call(s, result); }, slices);
      for (Index k = 0; k < batch; ++k) {
        std::vector<Var> mine;
        for (Var x : slices) mine.push_back(row_of(x, k));
        BOOST_TEST(distance(row_of(got, k).value(), call(mine, result).value()) < 1e-13);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(draws_differ_from_step_to_step_and_are_the_same_for_every_reader) {
  for (Index checkpoints : {0, 2}) {
    Tape tape(Dtype::f64);
    const Var x = tape.input(random_array(Dtype::f64, {3}, 1)), state = tape.input(draw_state(7, 3));
    const auto by_scan = [&](Var start) {
      Draw draw(state);
      const auto [last, ys] = scan(
          [&](Var h) {
            const Var z = draw.normal({3});
            return std::pair(h * z, z);
          },
          start, 5, {checkpoints});
      return std::pair(last, ys);
    };
    const auto plainly = [&](Var h) {
      std::vector<Var> zs;
      for (Index i = 0; i < 5; ++i) {
        Draw draw(draw_state_at(state, tape.input(Array::of<std::int32_t>({}, {static_cast<int>(i)}))));
        zs.push_back(draw.normal({3}));
        h = h * zs.back();
      }
      return std::pair(h, stack(std::span<const Var>(zs), 0));
    };
    BOOST_TEST(same_bits(by_scan(x).second.value(), plainly(x).second.value()));
    BOOST_TEST(same_bits(by_scan(x).first.value(), plainly(x).first.value()));
    BOOST_TEST(same_bits(grad(sum(by_scan(x).first), x).value(), grad(sum(plainly(x).first), x).value()));
    const auto sum_of = [&](auto&& f) { return [&](Var h) { return sum(f(h).first); }; };
    BOOST_TEST(same_bits(jvp(sum_of(by_scan), x, x).tangent.value(), jvp(sum_of(plainly), x, x).tangent.value()));
  }
  // A loop in a loop: all differ. A state that is an x is taken as it is.
  Tape tape(Dtype::f64);
  const Var state = tape.input(draw_state(7, 3));
  const auto nested = scan(
      [&](Var h) {
        Draw draw(state);
        return std::pair(h, scan([&](Var g) { return std::pair(g, draw.uniform({2})); }, h, 3).ys);
      },
      tape.zeros({}), 4);
  std::vector<double> all = numbers(nested.ys);
  std::sort(all.begin(), all.end());
  BOOST_TEST(all.size() == 24u);
  BOOST_TEST((std::adjacent_find(all.begin(), all.end()) == all.end()));
  const Var states = stack({state, state}, 0);
  const auto given = scan([&](Var h, Var s) { return std::pair(h, Draw(s).uniform({2})); }, tape.zeros({}), states);
  BOOST_TEST(same_bits(given.ys[0].value(), Draw(state).uniform({2}).value()));
  BOOST_TEST(same_bits(given.ys[1].value(), given.ys[0].value()));
}

BOOST_AUTO_TEST_CASE(weights_that_a_step_reads_get_gradients) {
  Rng rng(3);
  nn::Mlp net({.in = 3, .hidden = {5}, .out = 2, .activation = tanh, .dtype = Dtype::f64}, rng);
  const Arrays in{random_array(Dtype::f64, {4, 2}, 1), random_array(Dtype::f64, {3, 4, 1}, 2)};
  const auto loss = [&](Vars x, bool loop) {
    const auto step = [&](Var h, Var t) { return h + 0.1 * net(concat({h, t}, 1)); };
    Var h = x[0];
    if (loop) return mean(square(scan(step, h, x[1])));
    for (Index i = 0; i < 3; ++i) h = step(h, row_of(x[1], i));
    return mean(square(h));
  };
  const auto gradients = [&](bool loop) {
    return [&net, &loss, loop](Vars x) {
      const Var y = loss(x, loop);
      std::vector<Var> all{y}, weights;
      for (const auto& [name, parameter] : net.parameters()) weights.push_back(parameter->on(x[0].tape()));
      for (Var g : grad(y, weights)) all.push_back(g);
      return all;
    };
  };
  const Arrays wanted = eagerly(gradients(false), in, Dtype::f64), got = eagerly(gradients(true), in, Dtype::f64);
  for (std::size_t i = 0; i < wanted.size(); ++i) BOOST_TEST(distance(got[i], wanted[i]) < 1e-14);
  Plan plan = compile(gradients(true), types_of(in), {}, Dtype::f64);
  BOOST_TEST(same_bits(run(plan, in), got));
}

BOOST_AUTO_TEST_CASE(checkpoints_and_user_rules_lie_within_a_step) {
  Tape tape(Dtype::f64);
  const Var x = tape.input(random_array(Dtype::f64, {3}, 1)), w = tape.input(random_array(Dtype::f64, {3}, 2));
  const auto inner = [&](Var h) { return sin(h * w) * h; };
  const auto ruled = [](Var h) {
    return custom_derivative([](Var z) { return tanh(z); }, [](Var, Var y, Var g) { return 2 * g * (1 - y * y); }, h);
  };
  const auto loop = [&](auto&& f) { return scan([&](Var h) { return f(h); }, x, 3); };
  const auto plainly = [&](auto&& f) { return f(f(f(x))); };
  const auto check = [&](auto&& f, auto&& same) {
    const Var wanted = sum(plainly(same)), got = sum(loop(f));
    BOOST_TEST(same_bits(got.value(), wanted.value()));
    for (Var by : {x, w}) BOOST_TEST(distance(grad(got, by).value(), grad(wanted, by).value()) < 1e-14);
  };
  check([&](Var h) { return checkpoint(inner, h); }, inner);
  check(ruled, ruled);
  const Var whole = sum(checkpoint([&](Var z) { return scan([&](Var h) { return inner(h); }, z, 3); }, x));
  BOOST_TEST(distance(grad(whole, x).value(), grad(sum(plainly(inner)), x).value()) < 1e-14);
}

BOOST_AUTO_TEST_CASE(a_loop_leaves_nothing_behind_but_its_node) {
  Tape tape(Dtype::f64);
  const Var x = tape.input(random_array(Dtype::f64, {3}, 1));
  const std::uint32_t before = tape.size();
  const auto results = scan([](Var h) { return std::pair(sin(exp(sin(h * 0.5))), h); }, x, 1000);
  BOOST_TEST((results.ys.shape() == Shape{1000, 3}));
  BOOST_TEST(tape.size() - before <= 6u);  // the loop, and two results taken apart
  BOOST_TEST(!tape.symbolic());
  // Also where a step throws.
  const std::uint32_t after = tape.size();
  BOOST_CHECK_THROW(scan([](Var h) { return h + h.tape().zeros({7}); }, x, 3), Error);
  BOOST_TEST(tape.size() == after);
  BOOST_TEST(!tape.symbolic());
  BOOST_TEST(tape.loops().empty());
}

BOOST_AUTO_TEST_CASE(errors_name_scan_what_was_wanted_what_came_and_the_line) {
  Tape tape(Dtype::f64);
  const Var x = tape.input(random_array(Dtype::f64, {3}, 1)), xs = tape.input(random_array(Dtype::f64, {4, 3}, 2));
  const auto expect = [](auto&& f, const std::string& text) {
    const std::string error = error_of(f);
    BOOST_TEST(contains(error, text), error);
    BOOST_TEST(contains(error, "test_scan.cpp:"), error);
  };
  expect(
      [&] {
        scan([](Var h) { return concat({h, h}, 0); }, x, 3);
      },
      "[scan] a step must give the carry as it got it: f64 [3], it gave f64 [6]");
  expect([&] { scan([](Var h) { return cast(h, Dtype::f32); }, x, 3); }, "f64 [3], it gave f32 [3]");
  using Two = std::array<Var, 2>;
  expect(
      [&] {
        scan([](Two c) { return Two{c[0], sum(c[1])}; }, Two{x, x}, 3);
      },
      "array 1 of it is f64 [3], it gave f64 []");
  expect([&] { scan([](std::vector<Var>) { return std::vector<Var>{}; }, std::vector<Var>{x}, 3); },
         "[scan] a step must give the carry as it got it: 1 arrays, it gave 0");
  expect(
      [&] {
        scan([](Var h, std::array<Var, 2>) { return h; }, x, std::array{xs, x});
      },
      "[scan] xs need one first extent in common: got f64 [3] after 4");
  expect([&] { scan([](Var h, Var) { return h; }, x, sum(x)); }, "got f64 []");
  expect([&] { scan([](Var h) { return h; }, x, -1); }, "[scan] needs xs, or a number of steps of 0 at least, got -1");
  expect([&] { scan([](Var h) { return h; }, x, 3, {.checkpoints = -2}); }, "checkpoints: needs 0 at least, got -2");
  expect([&] { scan([](Var h) { return h * h.item(); }, x, 3); }, "a value was read");
  expect([&] { scan([](Var) { return Var(); }, x, 3); }, "[scan] this Var belongs to no tape");
  expect([&] { scan([](Var h) { return h; }, Var(), 3); }, "[scan] this Var belongs to no tape");
  Tape other(Dtype::f64);
  expect(
      [&] {
        scan([](Var h, Var) { return h; }, x, other.input(random_array(Dtype::f64, {4, 3}, 2)));
      },
      "another tape");
  // An index out of range in some step, on a tape and in a plan.
  const auto reads = [](Var table, Var indices) {
    return scan([&](Var h, Var i) { return h + sum(index_select(table, 0, reshape(i, {1}))); }, sum(table), indices);
  };
  const Array indices = Array::of<std::int32_t>({3}, {0, 9, 1});
  expect([&] { reads(x, tape.input(indices)); }, "[scan] [");
  Plan plan = compile([&](Vars in) { return std::vector<Var>{reads(in[0], in[1])}; },
                      {{Dtype::f64, {3}}, {Dtype::i32, {3}}}, {}, Dtype::f64);
  expect([&] { plan.run({x.value(), indices}); }, "[scan] [");
}
