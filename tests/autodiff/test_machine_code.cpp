// Plans of small values alone, which are machine code: the bits of an eager tape, for every instruction, in loops, with
// more values than registers; which plans are code, and what comes of errors.
#define BOOST_TEST_MODULE machine_code
#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include <array>
#include <utility>

#include "tests/autodiff/machine_code.hpp"

using namespace wengert;
using namespace wengert::testing;

BOOST_AUTO_TEST_CASE(arithmetic_of_special_values) {
  const PlanFunction f = [](Vars in) {
    const Var a = in[0], b = in[1];
    return arithmetic_of(a, b);
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (double a : specials) {
      const Arrays given{array_of(dtype, {a}), array_of(dtype, specials)};
      check(f, given, fmt::format("{} {}", name_of(dtype), a));
      if (served) BOOST_TEST(kernel_of(f, given).find("call") == std::string::npos);  // all of it is instructions
    }
}

BOOST_AUTO_TEST_CASE(moves) {
  const PlanFunction f = [](Vars in) {
    const Var x = in[0], y = in[1];  // [2, 3] and [3]
    const Var sum_of = sum(square(x[1]) * flip(y, 0)) + sum(transpose(x) * x[0][1]);
    return std::vector{concat({x, reshape(y, {1, 3})}, 0) * 2,
                       transpose(x) + 1,
                       broadcast_to(y, {2, 3}) - x,
                       slice(x, 1, 0, 3, 2) * 3,
                       grad(sum_of, x),
                       stack({y, x[0]}, 1) / 3,
                       x};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) check(f, {random_array(dtype, {2, 3}, 1), random_array(dtype, {3}, 2)});
}

BOOST_AUTO_TEST_CASE(sums_and_products) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (Index n : {1, 2, 7, 8, 9, 15, 16, 17, 24})
      check(
          [](Vars in) {
            const Var x = in[0];
            const Var columns = stack({x, -x, 3 * x}, 1), rows = stack({x, 2 * x}, 0);
            return std::vector{sum(x), sum(columns, {0}), sum(rows, {1}), sum(rows), sum(x * -0.0)};
          },
          {array_of(dtype, numbers(random_array(dtype, {n}, 5)))}, fmt::format("a sum of {}", n));
    for (Index m : {1, 2, 4})
      for (Index n : {1, 3})
        for (Index k : {1, 2, 5})
          check(
              [](Vars in) {
                const Var y = matmul(in[0], in[1]);
                // Its chain goes on where this one ends.
                const Var first = matmul(slice(in[0], 1, 0, 1), slice(in[1], 0, 0, 1));

                return std::vector{y, grad(sum(y * y), in[0]), first * y, first,
                                   matmul(in[1], in[0], {.transpose_a = true, .transpose_b = true})};
              },
              {random_array(dtype, {m, k}, 1), random_array(dtype, {k, n}, 2)}, fmt::format("{} {} {}", m, n, k));
  }
}

BOOST_AUTO_TEST_CASE(more_values_than_registers) {
  // Every sum of every pair is there before the first of them is read again.
  const PlanFunction f = [](Vars in) {
    std::vector<Var> sums;
    for (Index i = 0; i < 12; ++i)
      for (Index j = 0; j < i; ++j) sums.push_back(in[0][i] * in[0][j] + in[1]);
    Var total = in[1];
    for (Var each : sums) total = total * 0.5 + each / total;
    for (std::size_t i = sums.size(); i-- > 0;) total = total - sums[i] * sums[(i * 7) % sums.size()];
    return std::vector{total, grad(total, in[0])};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    check(f, {random_array(dtype, {12}, 3, 1, 2), random_array(dtype, {}, 4, 1, 2)});
}

BOOST_AUTO_TEST_CASE(a_long_program) {
  const PlanFunction f = [](Vars in) {
    Var x = in[0][0], y = in[0][1], z = in[0][2];
    for (int i = 0; i < 1000; ++i) {
      const Var dx = 10 * (y - x), dy = x * (28 - z) - y, dz = x * y - 8 / 3. * z;
      x = x + 0.01 * dx, y = y + 0.01 * dy, z = z + 0.01 * dz;
    }
    return std::vector{x, y, z};
  };
  check(f, {random_array(Dtype::f64, {3}, 3, 1, 2)});
}

BOOST_AUTO_TEST_CASE(ops_that_are_called) {
  const PlanFunction f = [](Vars in) {
    const Var x = in[0], e = exp(x), s = softmax(x, -1);
    return std::vector{sin(e) + x,
                       s * e,
                       cumsum(x, -1) - s,
                       max(x) * x,
                       pow(abs(x), 1.3),
                       tanh(x[2]) * e,
                       grad(sum(log(1 + e) * s), x),
                       cast(cast(x, Dtype::i32), x.dtype()) + 1};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index n : {3, 8, 17}) check(f, {random_array(dtype, {n}, 6, -3, 3)}, fmt::format("{} elements", n));
}

BOOST_AUTO_TEST_CASE(loops) {
  using Pair = std::array<Var, 2>;
  const PlanFunction f = [](Vars in) {
    const Var bound = in[1], unused = in[0] * 2;
    // Variables become one another, and one value is the same in all steps.
    const auto step = [&](const Pair& at) { return Pair{at[1], at[0] + at[1] * sum(square(bound))}; };
    const Pair fibonacci =
        while_loop([&](const Pair& at) { return sum(at[1]) < 1e3 * bound; }, step, Pair{in[0], unused});
    const Pair turned = while_loop([&](const Pair& at) { return sum(at[0]) < 50; },
                                   [&](const Pair& at) {
                                     return Pair{at[0] + 0.3 * at[1], at[0]};
                                   },
                                   Pair{in[0], unused});
    const Var chosen =
        while_loop([&](Var v) { return sum(v) < 50; }, [&](Var v) { return v + where(bound < 0, bound, v); }, in[0]);
    // A loop in a loop, whose steps differ.
    const auto inner = [&](Var y, Var x) {
      return while_loop([&](Var v) { return sum(v) > sum(x); }, [&](Var v) { return v * 0.7 - 0.01 * x; }, y);
    };
    const Pair outer = while_loop([&](const Pair& at) { return at[1] < 5; },
                                  [&](const Pair& at) {
                                    return Pair{at[0] * 0.9, at[1] + 1 + 0 * sum(inner(3 * at[0], at[0]))};
                                  },
                                  Pair{in[0], 0 * bound});
    // None at all.
    const Var same = while_loop([&](Var v) { return sum(v) > 1e30; }, [&](Var v) { return v / 0; }, in[0]);
    return std::vector{fibonacci[0], fibonacci[1],        outer[0],  outer[1],  inner(in[0] * 9, in[0]),
                       same,         same * fibonacci[0], turned[0], turned[1], chosen,
                       unused};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    check(f, {random_array(dtype, {3}, 7, 0.5, 1), random_array(dtype, {}, 8, 1, 2)});
}

namespace {

struct Mixed {
  Var wide, narrow, count;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("wide", wide), visit("narrow", narrow), visit("count", count);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_loop_on_numbers_of_several_types) {
  const PlanFunction f = [](Vars in) {
    const Mixed last = while_loop([](const Mixed& at) { return sum(at.wide) < 10; },
                                  [](const Mixed& at) {
                                    return Mixed{at.wide + cast(at.narrow, Dtype::f64), at.narrow * 1.1f, at.count};
                                  },
                                  Mixed{in[0], in[1], in[2]});
    return std::vector{last.wide * 2, last.narrow / 3, last.count, cast(last.count, Dtype::f64) * last.wide};
  };
  check(f, {random_array(Dtype::f64, {2}, 1), random_array(Dtype::f32, {2}, 2, 1, 2),
            random_array(Dtype::i32, {2}, 3, 5, 9)});
}

BOOST_AUTO_TEST_CASE(calls_in_loops) {
  const PlanFunction f = [](Vars in) {
    const Var w = in[1];
    return std::vector{while_loop([](Var v) { return sum(square(v)) > 1e-3; },
                                  [&](Var v) { return 0.5 * tanh(matmul(v, w)) + 0.1 * sin(v) * softmax(v, -1); },
                                  in[0])};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    check(f, {random_array(dtype, {2, 3}, 1), random_array(dtype, {3, 3}, 2)});
}

BOOST_AUTO_TEST_CASE(errors_are_those_of_an_eager_tape) {
  const PlanFunction straight = [](Vars in) {
    return std::vector{2 * take_along(in[0] * in[0], in[1], 0) + in[0] / 3};
  };
  const PlanFunction in_loops = [](Vars in) {
    const auto below = [](double bound) { return [=](Var v) { return sum(abs(v)) < bound; }; };
    const auto step = [indices = in[1]](Var v) { return 2 * v + take_along(v, indices, 0); };
    return std::vector{while_loop(
        below(50), [&](Var v) { return 3 * while_loop(below(5), step, v); }, square(in[0]) + 0.1)};
  };
  const Array x = random_array(Dtype::f64, {3}, 1);
  Array indices(Dtype::i32, {3});
  const Arrays good{x, indices};
  indices.set(1, 7);
  const Arrays bad{x, indices};
  for (const PlanFunction& f : {straight, in_loops}) {
    Plan plan = compile(f, types_of(good));
    BOOST_TEST(is_code(plan) == served);
    const std::string eager = error_of([&] { eagerly(f, bad, Dtype::f64); });
    BOOST_TEST(eager.find("[take_along] index 7 is out of range") != std::string::npos);
    for (int i = 0; i < 2; ++i) {
      BOOST_TEST(error_of([&] { run(plan, bad); }) == eager);
      check_bits(run(plan, good), by_steps(f, good, Dtype::f64));
    }
  }
}

BOOST_AUTO_TEST_CASE(which_plans_are_code) {
  if (!served) return;
  const PlanFunction chain = [](Vars in) { return std::vector{sqrt(abs(in[0] * 2 + 1)) - 3}; };
  const auto code = [&](Index n, const CompileOptions& options = {}) {
    return is_code(compile(chain, {Type{Dtype::f64, {n}}}, options));
  };
  const Index most = has_packs ? 512 : 32;  // 64 packs, or 32 numbers
  BOOST_TEST(code(most));
  BOOST_TEST(!code(most + 1));
  BOOST_TEST(!code(4, {.rewrites = false}));
  BOOST_TEST(!code(4, {.rows = {0}}));
  {
    const plan::Force steps(plan::Way::steps_alone);
    BOOST_TEST(!code(4));
  }
  BOOST_TEST(code(4));
  // A loop over few numbers in a plan of many, and the body of a scan.
  const PlanFunction mixed = [](Vars in) {
    const Var last = while_loop([](Var v) { return v > 1; }, [](Var v) { return v / 2; }, sum(in[0]));
    const Var ys = scan([](Var h, Var x) { return std::pair(sqrt(h * x + 1) / (x + 2), h); }, last, in[0]).ys;
    return std::vector{last * in[0], ys};
  };
  Plan plan = compile(mixed, {Type{Dtype::f64, {100}}});
  const std::string explained = plan.explain();
  BOOST_TEST(explained.find("machine code of 3 operations, 1 loop") != std::string::npos);
  BOOST_TEST(explained.find("machine code of 5 operations") != std::string::npos);
  const Arrays given{random_array(Dtype::f64, {100}, 1, 0, 1)};
  check_bits(run(plan, given), by_steps(mixed, given, Dtype::f64));
}
