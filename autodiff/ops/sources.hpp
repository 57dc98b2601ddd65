// Ops without operands: what enters a tape from outside, and constants.
#pragma once
#include "autodiff/op.hpp"

namespace wengert {

const Op& input_op();      // a value that was copied in, or declared
const Op& parameter_op();  // a value in somebody else's memory
const Op& full_op();       // an array filled with one number
Attributes full_attributes(const Type& type, double value);

// The type that attributes state as integers (dtype, extents...); `extra` integers in front are skipped.
Type stated_type(const Attributes& attributes, std::size_t extra = 0);
void state_type(Attributes& attributes, const Type& type);

}  // namespace wengert
