// Ops that other parts of the engine know by their address, and the arguments that they freeze (see attributes.hpp).
//
//   if (node.op == &slice_op()) { const auto [axis, start, stop, step] = arguments_of<SliceArguments>(node.attributes);
//   }
//
// Each is defined in its op's source.
#pragma once
#include "autodiff/attributes.hpp"
#include "autodiff/op.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/reduction.hpp"

namespace wengert {

const Op& identity_op();
const Op& stop_gradient_op();

// On elements, in an instruction of the processor or a few.
const Op& add_op();
const Op& sub_op();
const Op& mul_op();
const Op& div_op();
const Op& neg_op();
const Op& abs_op();
const Op& sign_op();
const Op& square_op();
const Op& sqrt_op();
const Op& rsqrt_op();
const Op& reciprocal_op();
const Op& maximum_op();
const Op& minimum_op();
const Op& relu_op();
const Op& relu_backward_op();
const Op& equal_op();
const Op& not_equal_op();
const Op& less_op();
const Op& less_equal_op();
const Op& greater_op();
const Op& greater_equal_op();
const Op& logical_and_op();
const Op& logical_or_op();
const Op& logical_xor_op();
const Op& logical_not_op();
const Op& where_op();

const Op& exp_op();
const Op& log_op();
const Op& sigmoid_op();
const Op& silu_op();
const Op& matmul_op();  // MatmulOptions
const Op& sum_op();
const Op& max_op();
const Op& logsumexp_op();  // ReductionArguments, all three
const Op& softmax_op();
const Op& log_softmax_op();  // AxisArgument, both

const Op& cumsum_op();
struct CumsumArguments {
  Axis axis = -1;
  bool reverse = false;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("axis", axis), visit("reverse", reverse);
  }
};

const Op& cast_op();
struct CastArguments {
  Dtype dtype = Dtype::f32;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("dtype", dtype);
  }
};

// x[..., trailing axes] -> x[..., shape]
const Op& reshape_op();
struct ReshapeArguments {
  Index replaced = 0;  // how many trailing axes
  Shape shape = {};    // what they become
  template <class Visit>
  void fields(Visit&& visit) {
    visit("replaced", replaced), visit("shape", shape);
  }
};

const Op& broadcast_to_op();
struct BroadcastToArguments {
  Shape shape = {};  // leading axes of the operand beyond these stay
  template <class Visit>
  void fields(Visit&& visit) {
    visit("shape", shape);
  }
};

const Op& transpose_op();
struct TransposeArguments {
  AxisList axes = {};  // the last axes of the result are these of the operand; further leading ones stay
  template <class Visit>
  void fields(Visit&& visit) {
    visit("axes", axes);
  }
};

const Op& concat_op();
using ConcatArguments = AxisArgument;

const Op& slice_op();
struct SliceArguments {
  Axis axis = -1;
  Index start = 0, stop = 0, step = 1;  // 0 <= start <= stop <= the extent, 1 <= step
  template <class Visit>
  void fields(Visit&& visit) {
    visit("axis", axis), visit("start", start), visit("stop", stop), visit("step", step);
  }
};

const Op& slice_backward_op();
struct SliceBackwardArguments {
  Axis axis = -1;
  Index extent = 0, start = 0, step = 1;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("axis", axis), visit("extent", extent), visit("start", start), visit("step", step);
  }
};

}  // namespace wengert
