// The parts that check_op() and its siblings share.
#pragma once
#include <random>
#include <string>

#include "autodiff/testing/check.hpp"

namespace wengert {

// Values of a sample: those that it states, or drawn ones.
Array draw(const Sample& sample, Dtype dtype, std::mt19937_64& random);

// "[0, 2]": where element i lies, in C order.
std::string place_in(const Shape& shape, Index i);

// check_plans() of a call, to second derivatives in f64 and first ones in f32: as it stands, with 200 rows where its
// rows() let the first axis of operands be those of a batch (the other operands are parameters), and under vmap over
// 200 slices.
CheckReport check_example_in_plans(const Op& op, const Example& example, Dtype dtype);

// The checks of an edge case as it stands.
CheckReport check_edge_case_in_plans(const Op& op, const EdgeCase& edge_case, Dtype dtype);

}  // namespace wengert
