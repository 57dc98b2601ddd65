// Passes that take a value from what its derivative needs: sigmoids and exponentials.
#define BOOST_TEST_MODULE sharing_passes
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

#include "autodiff/autodiff.hpp"
#include "autodiff/plan/passes.hpp"
#include "autodiff/plan/stages.hpp"
#include "tests/autodiff/plans.hpp"

using namespace wengert;
using namespace wengert::testing;
using namespace wengert::plan;

namespace {

const Type batch{Dtype::f32, {200, 3}};

}  // namespace

BOOST_AUTO_TEST_CASE(a_silu_takes_the_sigmoid_that_its_derivative_needs) {
  const auto alone = [](Vars in) { return std::vector<Var>{silu(in[0])}; };
  BOOST_TEST(count(share_sigmoids(graph_of(alone, {batch})), "silu") == 1);
  const auto both = [](Vars in) { return std::vector<Var>{grad(sum(silu(in[0])), in[0]), silu(in[0])}; };
  const Graph graph = eliminate_common_subexpressions(share_sigmoids(graph_of(both, {batch})));
  BOOST_TEST(count(graph, "silu") == 0);
  BOOST_TEST(count(graph, "sigmoid") == 1);
}

BOOST_AUTO_TEST_CASE(logsumexp_shares_the_exponentials_of_its_derivative) {
  const std::vector<Type> x{{Dtype::f64, {5, 7}}};
  const auto shared = [&](const PlanFunction& f) { return rewritten(graph_of(f, x, Dtype::f64), {}, Keeps::bits); };
  for (const AxisList& axes : {AxisList{-1}, AxisList{-2}, AxisList{-2, -1}})
    for (bool keepdims : {false, true}) {
      const auto value = [=](Var z) { return logsumexp(z, axes, {.keepdims = keepdims}); };
      const PlanFunction both = [=](Vars in) { return std::vector{value(in[0]), grad(sum(value(in[0])), in[0])}; };
      BOOST_TEST(count(shared(both), "logsumexp") == 0);
      BOOST_TEST(count(shared(both), "exp") == 1);
      BOOST_TEST(count(shared(both), "max") == 1);
    }
  // Alone, over other axes, and beside exponentials that are others: as it was.
  BOOST_TEST(count(shared([](Vars in) { return std::vector{logsumexp(in[0], 1)}; }), "logsumexp") == 1);
  const PlanFunction others = [](Vars in) {
    const Var z = in[0], largest = max(z, 1, {.keepdims = true});
    return std::vector{logsumexp(z, 1), grad(sum(logsumexp(z, 0)), z), exp(z - largest),
                       exp(z - where(equal(largest, 0), 0, largest))};
  };
  BOOST_TEST(count(shared(others), "logsumexp") == 1);
  // Over axes apart, where the op takes logarithms in between: neither, by the bits of both.
  const PlanFunction apart = [](Vars in) {
    const auto value = [](Var z) { return sum(logsumexp(z, {0, 2})); };
    return std::vector{value(in[0]), grad(value(in[0]), in[0])};
  };
  const Array cube = random_array(Dtype::f64, {3, 5, 7}, 1);
  BOOST_TEST(count(rewritten(graph_of(apart, {cube.type()}, Dtype::f64), {}, Keeps::bits), "logsumexp") == 1);
  // What infinities and NaN come to.
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const Array rows =
      Array::of<double>(Shape{5, 2}, {1000, 1000.5, -infinity, -infinity, infinity, 1, nan, 1, -infinity, 3});
  const PlanFunction by_rows = [](Vars in) {
    const Var y = logsumexp(in[0], 1);
    return std::vector{y, grad(sum(y), in[0])};
  };
  Plan plan = compile(by_rows, {rows.type()}, {}, Dtype::f64);
  const Arrays got = run(plan, {rows}), wanted = eagerly(by_rows, {rows}, Dtype::f64);
  for (std::size_t i = 0; i < 2; ++i)
    for (Index e = 0; e < got[i].size(); ++e) {
      const double a = got[i].at(e), b = wanted[i].at(e);
      BOOST_TEST((a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) < 1e-12 * std::abs(b)), e);
    }
}
