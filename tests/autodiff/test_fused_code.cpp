// Chains of elementwise ops whose instructions are machine code: the bits of an eager tape for every op and every size,
// for operands of every kind, with ops in between that are called, and after products.
#define BOOST_TEST_MODULE fused_code
#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include <random>

#include "autodiff/plan/code/builder.hpp"
#include "autodiff/plan/code/shared_code.hpp"
#include "tests/autodiff/machine_code.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

// The plan is made of steps, some of them with code where there are packs, and gives the bits of an eager tape.
void check_fused(const PlanFunction& f, const Arrays& given, const std::string& what, bool code = has_packs) {
  const plan::Force alone(plan::Way::steps_alone);
  const Arrays wanted = eagerly(f, given, given[0].dtype());
  for (bool split_rows : {true, false}) {
    Plan plan = compile(f, types_of(given), {.split_rows = split_rows}, given[0].dtype());
    const auto steps = plan.steps();
    const bool has_code = std::any_of(steps.begin(), steps.end(), [](const Plan::StepInfo& step) {
      return step.kernel.find("in code") != std::string::npos;
    });
    BOOST_TEST(has_code == code, what << (code ? " has no code" : " has code"));
    for (int i = 0; i < 2; ++i) check_bits(run(plan, given), wanted, what);
  }
}

std::vector<Index> sizes() {
  std::vector<Index> all{95, 127, 128, 131, 511, 512, 513, 1023, 1100, 5000};
  for (Index n = 1; n <= 35; ++n) all.push_back(n);
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(all_pairs_of_special_values) {
  std::vector<double> firsts, seconds;
  for (double first : specials)
    for (double second : specials) firsts.push_back(first), seconds.push_back(second);
  const PlanFunction f = [](Vars in) {
    std::vector<Var> all;
    for (Var each : arithmetic_of(in[0], in[1])) all.push_back(each * in[2] + in[1]);
    return all;
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (double c : specials)
      check_fused(f, {array_of(dtype, firsts), array_of(dtype, seconds), array_of(dtype, {c})},
                  fmt::format("{} {}", name_of(dtype), c));
}

BOOST_AUTO_TEST_CASE(sizes_with_ops_that_are_called) {
  // Code, calls of two ops, code that reads what both phases have left, and a call at the end.
  const PlanFunction f = [](Vars in) {
    const Var x = in[0], y = in[1], a = in[2];
    const Var u = x * a + y, v = square(u) - 0.5, e = exp(-v), s = sin(u);
    return std::vector{u, e * s + v, tanh(e - a * s) * u, maximum(e, s) / (1 + v * v)};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index n : sizes())
      check_fused(f, {random_array(dtype, {n}, 1), random_array(dtype, {n}, 2), random_array(dtype, {}, 3)},
                  fmt::format("{} {}", name_of(dtype), n));
}

BOOST_AUTO_TEST_CASE(operands_of_every_shape) {
  const PlanFunction f = [](Vars in) {
    Var y = in[0];
    for (std::size_t i = 1; i < in.size(); ++i) y = (y - in[i]) * (0.5 + in[i]);
    return std::vector{y, square(y) + 1};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index rows : {1, 2, 3, 40})
      for (Index columns : {1, 2, 3, 8, 17, 64, 100, 128, 130, 256, 600}) {
        Arrays given{random_array(dtype, {2, rows, columns}, 1)};
        for (const Shape& shape : {Shape{}, Shape{1, 1}, Shape{columns}, Shape{rows, 1}, Shape{rows, columns},
                                   Shape{2, 1, 1}, Shape{2, 1, columns}, Shape{2, rows, 1}})
          given.push_back(random_array(dtype, shape, static_cast<unsigned>(given.size())));
        check_fused(f, given, fmt::format("{} {} x {}", name_of(dtype), rows, columns));
        if (rows == 40)  // one by one: where all are read, blocks end where any of them begins anew
          for (std::size_t i = 1; i < given.size(); ++i)
            check_fused(f, {given[0], given[i]}, fmt::format("{} 40 x {}, operand {}", name_of(dtype), columns, i));
      }
}

BOOST_AUTO_TEST_CASE(more_numbers_than_registers_and_more_arrays_than_pointers) {
  const PlanFunction f = [](Vars in) {
    Var y = in[0], z = in[1];
    for (std::size_t i = 2; i + 1 < in.size(); i += 2) y = y * in[i] + in[i + 1], z = z / in[i + 1];
    return std::vector{y, z, y + z};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (bool numbers : {false, true})
      for (Index n : {7, 64, 1000}) {
        Arrays given{random_array(dtype, {n}, 1), random_array(dtype, {n}, 2)};
        while (given.size() < 16)
          given.push_back(
              random_array(dtype, numbers ? Shape{} : Shape{n}, static_cast<unsigned>(given.size()), 0.5, 1));
        check_fused(f, given, fmt::format("{} {} {}", name_of(dtype), numbers ? "numbers" : "arrays", n));
      }
}

BOOST_AUTO_TEST_CASE(after_a_product) {
  // The product lies where the last output will be: that is written when nothing reads the product any more, though
  // it could be computed before `e`.
  const PlanFunction f = [](Vars in) {
    const Var p = matmul(in[0], in[1]), e = exp(p), y = p * in[2] + in[3];
    return std::vector{e, y + 0.5};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index m : {1, 5, 33, 130})
      for (Index n : {1, 8, 19, 130, 700})
        check_fused(f,
                    {random_array(dtype, {m, 9}, 1), random_array(dtype, {9, n}, 2), random_array(dtype, {n}, 3),
                     random_array(dtype, {}, 4)},
                    fmt::format("{} {} x {}", name_of(dtype), m, n));
}

BOOST_AUTO_TEST_CASE(chains_at_random) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const Dtype dtype = seed % 2 == 0 ? Dtype::f32 : Dtype::f64;
    const PlanFunction f = [&](Vars in) {
      std::mt19937 random(seed);
      std::vector<Var> values(in.begin(), in.end());
      const auto any = [&] { return values[random() % values.size()]; };
      for (int i = 0; i < 40; ++i) {
        const Var a = any(), b = any(), c = any();
        const std::vector<Var> ops{a + b,         a - b,           a * b,       a / (1 + square(b)), where(a < b, c, a),
                                   maximum(a, b), -abs(c),         sign(a) * c, sqrt(abs(a)),        tanh(a),
                                   cos(b),        exp(-square(a)), relu(a)};
        values.push_back(ops[random() % ops.size()]);
      }
      return std::vector<Var>(values.end() - 10, values.end());
    };
    check_fused(f,
                {random_array(dtype, {6, 90}, seed), random_array(dtype, {90}, seed + 1),
                 random_array(dtype, {6, 1}, seed + 2), random_array(dtype, {}, seed + 3)},
                fmt::format("seed {}", seed));
  }
}

BOOST_AUTO_TEST_CASE(lone_ops_and_calls_have_none) {
  const Array x = random_array(Dtype::f32, {300}, 1);
  check_fused([](Vars in) { return std::vector{in[0] * in[0]}; }, {x}, "a product", false);
  check_fused([](Vars in) { return std::vector{sin(exp(in[0]))}; }, {x}, "calls", false);
}

BOOST_AUTO_TEST_CASE(equal_programs_share_code) {
  using namespace plan::code;
  if (!has_packs) return;
  const auto program = [](double factor) {
    Builder to;
    const Number x = to.read(to.read_array({}), 0, Dtype::f64, lanes_of(Dtype::f64));
    const Number y = to.compute(Code::mul, Dtype::f64, x, to.constant(factor, Dtype::f64));
    to.write({}, std::array{y}, lanes_of(Dtype::f64));
    Program made = to.finish();
    made.over_arrays = true;
    return made;
  };
  const auto two = shared_code(program(2)), other = shared_code(program(3));
  BOOST_TEST_REQUIRE(two != nullptr);
  BOOST_TEST((shared_code(program(2)) == two));
  BOOST_TEST((other != two));
  const std::vector<double> x{1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<double> y(10, -1);
  const void* const arrays[] = {x.data(), y.data()};
  two->run(arrays, nullptr, 9 * sizeof(double));
  BOOST_TEST(y == (std::vector<double>{2, 4, 6, 8, 10, 12, 14, 16, 18, -1}), boost::test_tools::per_element());
}
