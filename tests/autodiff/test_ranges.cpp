// Ranges of rows: how many a plan cuts a batch into, and that this does not show in any bit.
// The thread sanitizer runs this file.
#define BOOST_TEST_MODULE ranges
#include <boost/test/unit_test.hpp>

#include "autodiff/autodiff.hpp"
#include "autodiff/plan/forced.hpp"
#include "tests/autodiff/plans.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

// Sums of scalars, of rows, and a weight's gradient, with what depends on them: stages of each kind.
std::vector<Var> narrow(Vars in) {
  const Var x = in[0], weight = in[1];
  const Var y = tanh(matmul(x, weight)), each = sum(y * x, 1), scaled = each / sum(square(each));
  return {grad(sum(exp(y)), weight), sum(y, 0), sum(scaled), scaled};
}

// The ranges of the first stage that has some.
Index ranges_of(const Plan& plan) {
  const std::string text = plan.explain();
  const std::size_t at = text.find("rows, in ");
  return at == std::string::npos ? 1 : std::stol(text.substr(at + 9));
}

}  // namespace

// 100 003 rows are summed in 512 groups, which no number of ranges divides evenly.
BOOST_AUTO_TEST_CASE(a_range_of_narrow_rows_holds_several_groups) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64})
    for (const Index rows : {Index{8192}, Index{20'000}, Index{100'003}}) {
      const Arrays inputs{random_array(dtype, {rows, 2}, 1), random_array(dtype, {2, 2}, 2)};
      const Arrays wanted = eagerly(narrow, inputs, dtype);
      const auto compiled = [&] { return compile(narrow, types_of(inputs), {}, dtype); };
      const auto shortest = [&] {
        const plan::Force all(plan::Way::shortest_ranges);
        return compiled();
      };
      Plan long_ranges = compiled(), short_ranges = shortest();
      BOOST_TEST(ranges_of(long_ranges) >= 8);
      BOOST_TEST(2 * ranges_of(long_ranges) <= ranges_of(short_ranges));
      for (Plan* plan : {&long_ranges, &short_ranges})
        for (const int threads : {1, 2, 3, 4}) {
          const Threads team(threads);
          const plan::Force every(plan::Way::shared_steps);
          const Arrays got = run(*plan, inputs);
          for (std::size_t i = 0; i < wanted.size(); ++i)
            BOOST_TEST(same_bits(got[i], wanted[i]), rows << " rows, output " << i << ", " << threads << " threads");
        }
    }
}

// Wide rows keep ranges that fit into a cache: a range is a group.
BOOST_AUTO_TEST_CASE(a_range_of_wide_rows_is_a_group) {
  const auto f = [](Vars in) { return std::vector<Var>{grad(sum(tanh(matmul(in[0], in[1]))), in[1])}; };
  Plan plan = compile(f, {{Dtype::f32, {20'000, 64}}, {Dtype::f32, {64, 64}}});
  BOOST_TEST(ranges_of(plan) == 128);
}

// Of a table that has no rows of the batch, constant indices choose some: what follows goes by rows. Where the indices
// have other readers, or lie beside rows along another axis, the bits are the same.
BOOST_AUTO_TEST_CASE(constant_indices_bring_rows) {
  constexpr Index rows = 3000, entries = 20;
  Array chosen(Dtype::i32, {rows});
  for (Index i = 0; i < rows; ++i) chosen.set(i, static_cast<double>((7 * i + i / 11) % entries));
  const auto along_rows = [&](Vars in) {
    const Var weight = unsqueeze(in[1], 1), x = index_select(in[0], 0, in[0].tape().input(chosen));
    const Var y = tanh(x) * weight;
    return std::vector<Var>{y, sum(y, 0), exp(x)};
  };
  const auto added_up = [&](Vars in) {
    const Var indices = in[0].tape().input(chosen), x = index_select(in[0], 0, indices);
    return std::vector<Var>{index_add(in[0], 0, indices, x * unsqueeze(in[1], 1)), grad(sum(square(x)), in[0])};
  };
  const auto across = [&](Vars in) {
    const Var wide = unsqueeze(in[1], 1) * slice(in[0], 0, 0, 1);  // [rows, 6]
    return std::vector<Var>{index_select(transpose(wide), 1, in[0].tape().input(chosen)),
                            index_select(wide, 0, in[0].tape().input(chosen))};
  };
  const Arrays inputs{random_array(Dtype::f32, {entries, 6}, 1), random_array(Dtype::f32, {rows}, 2)};
  for (const PlanFunction& f : {PlanFunction(along_rows), PlanFunction(added_up), PlanFunction(across)}) {
    const plan::Force shortest(plan::Way::shortest_ranges);
    Plan plan = compile(f, types_of(inputs));
    const Arrays wanted = eagerly(f, inputs, Dtype::f32);
    for (const int threads : {1, 3}) {
      const Threads team(threads);
      const plan::Force every(plan::Way::shared_steps);
      const Arrays got = run(plan, inputs);
      for (std::size_t i = 0; i < wanted.size(); ++i) BOOST_TEST(same_bits(got[i], wanted[i]), "output " << i);
    }
  }
  const plan::Force shortest(plan::Way::shortest_ranges);
  for (const Plan::StepInfo& step : compile(along_rows, types_of(inputs)).steps())
    BOOST_TEST((step.part != Plan::StepInfo::Part::whole), step.kernel);
}

// What has little work for all its steps is not cut at all.
BOOST_AUTO_TEST_CASE(a_little_work_is_one_range) {
  const auto f = [](Vars in) { return std::vector<Var>{exp(in[0]), cumsum(sin(in[0]), 1)}; };
  Plan plan = compile(f, {{Dtype::f32, {1000, 2}}});
  BOOST_TEST(ranges_of(plan) == 1);
}

// Sums over the rows of each of a stack, of networks that see one batch, say.
BOOST_AUTO_TEST_CASE(stacks_are_summed_over_rows) {
  const auto f = [](Vars in) {
    const Var x = in[0], y = tanh(matmul(x, in[1])), z = sin(matmul(x, in[2]));
    return std::vector<Var>{matmul(y, z, {.transpose_a = true}), sum(y, 1)};
  };
  for (const Dtype dtype : {Dtype::f32, Dtype::f64})
    for (const Index rows : {300, 1000})
      for (const Index width : {3, 40}) {
        const Arrays inputs{random_array(dtype, {rows, 4}, 1), random_array(dtype, {3, 4, width}, 2),
                            random_array(dtype, {3, 4, width}, 3)};
        Plan plan = compile(f, types_of(inputs), {}, dtype);
        const auto steps = plan.steps();
        BOOST_TEST(std::any_of(steps.begin(), steps.end(), [](const Plan::StepInfo& step) {
          return step.kernel.find("product over rows") != std::string::npos;
        }));
        const Arrays wanted = eagerly(f, inputs, dtype);
        for (const int threads : {1, 2, 3, 4}) {
          const Threads team(threads);
          const plan::Force every(plan::Way::shared_steps);
          const Arrays got = run(plan, inputs);
          for (std::size_t i = 0; i < wanted.size(); ++i)
            BOOST_TEST(same_bits(got[i], wanted[i]), rows << " rows, output " << i << ", " << threads << " threads");
        }
      }
}
