// Ops without operands: what enters a tape from outside, and constants.
#pragma once
#include "autodiff/op.hpp"

namespace wengert {

const Op& input_op();      // a value that was copied in, or declared
const Op& parameter_op();  // a value in somebody else's memory
const Op& full_op();       // an array filled with one number
struct FullArguments {
  Dtype dtype = Dtype::f32;
  Shape shape = {};
  double value = 0;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("dtype", dtype), visit("shape", shape), visit("value", value);
  }
};

}  // namespace wengert
