// Functions compiled for the types that they are called with, in the dtype of their inputs.
#define BOOST_TEST_MODULE jit
#include <boost/test/unit_test.hpp>
#include <initializer_list>
#include <optional>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/small_plans.hpp"

using namespace wengert;
using namespace wengert::testing;

BOOST_AUTO_TEST_CASE(constants_take_the_dtype_of_the_inputs) {
  const auto third = [](Vars in) { return Outputs{in[0].tape().full({1}, 1.0) / 3}; };
  const auto constant = [&](std::initializer_list<Type> inputs, std::optional<Dtype> stated = {}) {
    Plan plan = compile(third, inputs, {}, stated);
    return plan.outputs()[0].dtype();
  };
  const Type f32{Dtype::f32, {2}}, f64{Dtype::f64, {2}}, i32{Dtype::i32, {2}};
  const auto of = [](Jit f, const Type& type) { return f({Array(type)})[0]; };
  BOOST_TEST((constant({f64}) == Dtype::f64));
  BOOST_TEST((constant({i32, f64, f32}) == Dtype::f64));
  BOOST_TEST((constant({f32, f64}) == Dtype::f32));
  BOOST_TEST((constant({i32}) == Dtype::f32));
  BOOST_TEST((constant({f64}, Dtype::f32) == Dtype::f32));
  BOOST_TEST((of(jit(third), f64).dtype() == Dtype::f64));
  BOOST_TEST((of(jit(third, {}, Dtype::f64), f32).dtype() == Dtype::f64));
}

BOOST_AUTO_TEST_CASE(jit_compiles_once_for_each_type) {
  int compiled = 0;
  Jit f = jit([&](Vars in) {
    ++compiled;
    return Outputs{in[0] * 2};
  });
  const Array five = random_array(Dtype::f32, {5, 2}, 1), two = random_array(Dtype::f32, {2, 2}, 2);
  for (int i = 0; i < 3; ++i) {
    BOOST_TEST(f({five})[0].at(3) == 2 * five.at(3));
    BOOST_TEST((f({two})[0].shape() == Shape{2, 2}));
  }
  BOOST_TEST(compiled == 2);
  BOOST_TEST(f.plans() == 2U);
}

BOOST_AUTO_TEST_CASE(a_plan_of_a_jit_stays_where_it_is) {
  Jit f = jit([](Vars in) { return Outputs{in[0] * 2}; });
  const Array first = random_array(Dtype::f32, {1}, 1);
  const PlanInput input(first);
  Plan& plan = f.plan_for({&input, 1});
  for (Index n = 2; n < 40; ++n) f({Array(Dtype::f32, {n})});
  BOOST_TEST(plan.run({first})[0].at(0) == 2 * first.at(0));
  Jit moved = std::move(f);
  BOOST_TEST(&moved.plan_for({&input, 1}) == &plan);
  BOOST_TEST(plan.run({first})[0].at(0) == 2 * first.at(0));
}
