// Machine code on packs, which are values of several elements: the bits of an eager tape for every width, for every
// instruction, wherever elements come from and go to, with more packs than registers, in calls and loops.
#define BOOST_TEST_MODULE packs
#include <boost/test/unit_test.hpp>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <numeric>

#include "tests/autodiff/machine_code.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

// Wide values are code where there are packs; narrow ones are it anyway.
void check_wide(const PlanFunction& f, const Arrays& given, const std::string& what) {
  check(f, given, what, served && has_packs);
}

std::vector<Index> widths() {
  std::vector<Index> all(70);
  std::iota(all.begin(), all.end(), 1);
  all.insert(all.end(), {95, 127, 128, 131});
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(arithmetic_of_all_pairs_of_special_values) {
  const PlanFunction f = [](Vars in) {
    const Var a = in[0], b = in[1], c = in[2];
    std::vector<Var> all = arithmetic_of(a, b);
    for (Var each : {where(logical_and(less(a, b), c), b, -a), where(less(c, 1), a, c),
                     matmul(reshape(c, {1, 1}), reshape(slice(a, 0, 0, 18), {1, 18})), sum(stack({a, b}, 0), {0})})
      all.push_back(each);
    return all;
  };
  std::vector<double> firsts, seconds;
  for (double first : specials)
    for (double second : specials) firsts.push_back(first), seconds.push_back(second);
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (double c : specials) {
      Array alone(dtype, {});
      alone.set(0, c);
      const Arrays given{array_of(dtype, firsts), array_of(dtype, seconds), alone};
      check_wide(f, given, fmt::format("{} {}", name_of(dtype), c));
      if (served && has_packs) BOOST_TEST(kernel_of(f, given).find("call") == std::string::npos);
    }
}

BOOST_AUTO_TEST_CASE(elements_from_anywhere) {
  const PlanFunction f = [](Vars in) {
    const Var x = in[0], y = in[1], p = x * y + 0.5, q = x - 0.3 * y;  // what is read, and what is computed
    const Index n = x.shape()[0], half = (n + 1) / 2;
    std::vector<Var> all;
    for (Var v : {x, p}) {
      const Var one = v.tape().ones({1});
      all.push_back(q * concat({one, slice(v, 0, 0, n - 1)}, 0));
      all.push_back(q / concat({slice(v, 0, 1, n), 2 * one}, 0));
      all.push_back(q + flip(v, 0));
      all.push_back(q - concat({slice(v, 0, half, n), slice(q, 0, 0, half)}, 0));
      all.push_back(v[0] * q + v[n - 1] * v);
      all.push_back(slice(concat({v, q}, 0), 0, 0, 2 * n, 2) * y);
      all.push_back(reshape(transpose(stack({v, q, y}, 0)), {3 * n}) * 3);
      all.push_back(concat({v, q[half - 1] * one, y}, 0) + 1);
      all.push_back(slice(v, 0, half - 1, n) * slice(q, 0, 0, n - half + 1));
      all.push_back(concat({v[n / 2] * one, v[0] * one, q[n / 3] * one, v[n - 1] * one, q[0] * one}, 0) * q[0]);
    }
    const Var constant = x.tape().input(random_array(x.dtype(), {n}, 9));
    all.push_back(constant * x);
    all.push_back(q - concat({slice(constant, 0, 0, half), slice(x, 0, 0, n - half)}, 0));
    all.push_back(flip(x, 0));
    all.push_back(concat({p, x, constant, q}, 0));
    all.push_back(broadcast_to(p[0], {n}));
    return all;
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index n : widths()) {
      const Arrays given{random_array(dtype, {n}, 1), random_array(dtype, {n}, 2, 0.5, 1.5)};
      check(f, given, fmt::format("{} {}", name_of(dtype), n), served && (has_packs || n <= 16));
    }
}

BOOST_AUTO_TEST_CASE(rows_and_columns) {
  const PlanFunction f = [](Vars in) {
    const Var x = in[0], row = in[1], column = in[2];
    const Var y = x * row + column;
    const Var z = sum(y, {0}) * row, w = sum(y, {-1}, {.keepdims = true}) - column;
    return std::vector{y, z, w, transpose(y) * 2, y * w, y[0] + y[-1], grad(sum(square(y) * x), row)};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index m : {1, 2, 5, 8})
      for (Index n : {1, 3, 4, 7, 8, 13, 16, 17, 21})
        check_wide(f, {random_array(dtype, {m, n}, 1), random_array(dtype, {n}, 2), random_array(dtype, {m, 1}, 3)},
                   fmt::format("{} {} x {}", name_of(dtype), m, n));
}

BOOST_AUTO_TEST_CASE(sums_of_all_lengths) {
  const PlanFunction f = [](Vars in) {
    const Var x = in[0], y = x * in[1];
    const Var columns = stack({x, -y, 3 * y}, 1), rows = stack({y, 2 * x}, 0);
    return std::vector{sum(x),         sum(y),          sum(x * -0.0),
                       sum(rows, {1}), sum(rows, {0}),  sum(columns, {0}),
                       sum(rows),      x / sum(abs(y)), grad(sum(square(y)) * sum(x), x)};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index n : widths())
      check(f, {random_array(dtype, {n}, 5), random_array(dtype, {n}, 6)}, fmt::format("{} {}", name_of(dtype), n),
            served && n <= (has_packs ? 70 : 24));
}

BOOST_AUTO_TEST_CASE(more_packs_than_registers) {
  const PlanFunction f = [](Vars in) {
    std::vector<Var> products;
    for (Index i = 0; i < 9; ++i)
      for (Index j = 0; j < i; ++j) products.push_back(in[0][i] * in[0][j] + in[1]);
    Var total = in[0][0];
    for (Var each : products) total = total * 0.5 + each / (1 + square(total)) + each[3];
    for (std::size_t i = products.size(); i-- > 0;)
      total = where(less(total, products[i]), total - products[i] * products[(i * 7) % products.size()], -total);
    return std::vector{total, grad(sum(total), in[1])};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index n : {5, 16, 33, 70})
      check(f, {random_array(dtype, {9, n}, 3, 1, 2), random_array(dtype, {}, 4, 1, 2)},
            fmt::format("{} {}", name_of(dtype), n), served && (has_packs || n <= 16));
}

BOOST_AUTO_TEST_CASE(calls) {
  const PlanFunction f = [](Vars in) {
    const Var x = in[0], e = exp(x), s = softmax(x, -1),
              before = concat({s[0] + x.tape().zeros({1}), slice(e, 0, 0, -1)}, 0);
    return std::vector{sin(e) + x,
                       s * before,
                       cumsum(before, -1) - s,
                       max(x) * x,
                       pow(abs(before), 1.3),
                       tanh(x[1]) * e,
                       exp(e[0] + s),
                       grad(sum(log(1 + before) * s), x),
                       cast(cast(x, Dtype::i32), x.dtype()) + 1};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index n = 2; n <= 70; n += n < 20 ? 1 : 7)
      check(f, {random_array(dtype, {n}, 6, -3, 3)}, fmt::format("{} {}", name_of(dtype), n),
            served && (has_packs || n <= 20));
}

BOOST_AUTO_TEST_CASE(loops) {
  using Pair = std::array<Var, 2>;
  const PlanFunction f = [](Vars in) {
    const Var x = in[0], bound = in[1], twice = x * 2;
    const auto turned = [](Var v) { return concat({slice(v, 0, 1), slice(v, 0, 0, 1)}, 0); };
    // Variables become one another, turned or not; one value is the same in all steps, and what reads it too.
    const Pair swapped = while_loop([&](const Pair& at) { return at[1][0] < 1e3 * bound; },
                                    [&](const Pair& at) {
                                      return Pair{at[1], turned(at[0]) + at[1] * turned(square(x))};
                                    },
                                    Pair{x, twice});
    // Numbers beside packs; a loop in a loop.
    const Pair outer = while_loop([&](const Pair& at) { return at[1] < 5; },
                                  [&](const Pair& at) {
                                    const Var inner =
                                        while_loop([&](Var v) { return max(v) > at[0][0]; },
                                                   [&](Var v) { return turned(v) * 0.7 - 0.01 * at[0]; }, 3 * at[0]);
                                    return Pair{where(inner < at[0], at[0] * 0.9, turned(inner)), at[1] + 1};
                                  },
                                  Pair{x, 0 * bound});
    std::vector<Var> numbers;
    for (Index i = 0; i < x.shape()[0]; ++i) numbers.push_back(x[i] * static_cast<double>(i + 1) + 1);
    const Var from_numbers =
        while_loop([&](Var v) { return sum(v) < 1e3; }, [&](Var v) { return turned(v) + v; }, stack(numbers, 0));
    const Var from_zero = while_loop([&](Var v) { return v[-1] < bound; }, [&](Var v) { return v + twice; }, 0 * x);
    return std::vector{swapped[0], swapped[1], outer[0], outer[1], from_zero, from_numbers, twice};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index n : {2, 4, 7, 8, 9, 14, 16, 19, 40})
      check(f, {random_array(dtype, {n}, 7, 0.5, 1), random_array(dtype, {}, 8, 1, 2)},
            fmt::format("{} {}", name_of(dtype), n), served && (has_packs || n <= 19));
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

BOOST_AUTO_TEST_CASE(loops_on_packs_of_several_types) {
  const PlanFunction f = [](Vars in) {
    const Mixed last = while_loop([](const Mixed& at) { return sum(at.wide[0]) < 10; },
                                  [](const Mixed& at) {
                                    return Mixed{at.wide + cast(at.narrow, Dtype::f64), at.narrow * 1.1f, at.count};
                                  },
                                  Mixed{in[0], in[1], in[2]});
    return std::vector{last.wide * 2, last.narrow / 3, last.count, cast(last.count, Dtype::f64) * last.wide};
  };
  for (Index n : {4, 9, 16, 21})
    check(f,
          {random_array(Dtype::f64, {n}, 1), random_array(Dtype::f32, {n}, 2, 1, 2),
           random_array(Dtype::i32, {n}, 3, 5, 9)},
          fmt::format("{}", n), served);
}

// Steps' results lie side by side: what is written beyond one is in another, which was there before if time runs
// backwards.
BOOST_AUTO_TEST_CASE(bodies_of_scans) {
  const PlanFunction f = [](Vars in) {
    const auto step = [](Var h, Var x) {
      const Var next = h * 0.9 + x * concat({slice(h, 0, 1), x[0] + h.tape().zeros({1})}, 0);
      return std::pair(next, next * x - h[0]);
    };
    const Var forward = scan(step, in[1], in[0]).ys, backward = scan(step, in[1], in[0], {.reverse = true}).ys;
    return std::vector{forward, backward, grad(sum(square(forward) * backward), in[1])};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index n : {1, 3, 5, 8, 13, 16, 21, 64, 67}) {
      const Arrays given{random_array(dtype, {6, n}, 1), random_array(dtype, {n}, 2)};
      Plan plan = compile(f, types_of(given), {}, dtype);
      if (served && has_packs) BOOST_TEST(plan.explain().find("machine code") != std::string::npos);
      check_bits(run(plan, given), by_steps(f, given, dtype), fmt::format("{} {}", name_of(dtype), n));
    }
}

// An array that ends where memory does.
BOOST_AUTO_TEST_CASE(nothing_is_read_beyond_an_array) {
  const PlanFunction f = [](Vars in) {
    const Var x = in[0], n = x.tape().ones({1});
    return std::vector{2 - x, x * 2 + 1, x / flip(x, 0), x - concat({slice(x, 0, 1), n}, 0), slice(x, 0, 1) * x[-1], x};
  };
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  auto* memory =
      static_cast<std::byte*>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  BOOST_TEST_REQUIRE(memory != MAP_FAILED);
  BOOST_TEST_REQUIRE(mprotect(memory + page, page, PROT_NONE) == 0);
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index n = 2; n <= 40; ++n) {
      const Array x = random_array(dtype, {n}, 4, 1, 2);
      std::byte* data = memory + page - x.type().bytes();
      std::memcpy(data, x.raw(), x.type().bytes());
      Plan plan = compile(f, {x.type()});
      const PlanInput input{x.type(), data};
      const auto outputs = plan.run({&input, 1});
      check_bits({outputs.begin(), outputs.end()}, by_steps(f, {x}, dtype), fmt::format("{} {}", name_of(dtype), n));
    }
  munmap(memory, 2 * page);
}
