// What tests of shared rows have in common: bounds on rounding, graphs with what is shared taken out, products of a
// plan.
#pragma once
#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "autodiff/plan/passes.hpp"
#include "tests/autodiff/plans.hpp"

namespace wengert::testing {

using Numbers = std::vector<std::size_t>;

// Derivatives magnify the rounding of f32, on an eager tape as well: both are equally far from those in f64.
inline double tolerance(Dtype dtype, bool derivative) { return dtype == Dtype::f64 ? 1e-12 : derivative ? 1e-5 : 2e-6; }

// The first outputs are values, the others derivatives.
inline void check_close(const Arrays& got, const Arrays& wanted, Dtype dtype, const std::string& what,
                        std::size_t values = 1) {
  BOOST_REQUIRE((types_of(got) == types_of(wanted)));
  for (std::size_t i = 0; i < got.size(); ++i)
    BOOST_TEST(distance(got[i], wanted[i]) <= tolerance(dtype, i >= values),
               "output " << i << " is off by " << distance(got[i], wanted[i]) << ", " << what);
}

inline plan::Graph simplified(const plan::Graph& graph) { return plan::eliminate_dead_code(plan::simplify(graph)); }

inline plan::Graph apart(const PlanFunction& f, const std::vector<Type>& inputs, Numbers rows) {
  plan::Graph graph = simplified(graph_of(f, inputs));
  graph.rows = std::move(rows);
  return plan::eliminate_common_subexpressions(plan::eliminate_dead_code(plan::hoist_batch_invariants(graph)));
}

// The products in what a plan says of itself, by rows, columns and inner terms.
using Product = std::array<Index, 3>;
inline std::vector<Product> products(const std::string& explanation) {
  std::vector<Product> found;
  for (std::size_t at = 0; (at = explanation.find("product ", at)) != std::string::npos; ++at) {
    Product of{};
    if (std::sscanf(&explanation[at], "product %tdx%tdx%td", &of[0], &of[1], &of[2]) == 3) found.push_back(of);
  }
  return found;
}

}  // namespace wengert::testing
