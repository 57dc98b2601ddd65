// Source ops of random numbers. Their operand is the state, i32 [4]; see random.hpp for what they draw.
#pragma once
#include <cstdint>

#include "autodiff/op.hpp"

namespace wengert {

const Op& draw_uniform_op();  // reals: low, high
const Op& draw_normal_op();
const Op& draw_gamma_op();  // reals: shape, rate
const Op& draw_index_op();  // reals: count

// integers: stream, the first of the rows drawn here among those of the state, type
Attributes draw_attributes(std::uint32_t stream, const Type& type);

}  // namespace wengert
