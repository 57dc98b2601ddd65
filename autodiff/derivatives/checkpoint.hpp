// The nodes of a checkpoint (transforms.hpp), as plans know them.
#pragma once
#include "autodiff/op.hpp"

namespace wengert {

// On a symbolic tape its value is its last operand, the recorded computation, whose nodes serve values and tangents.
bool is_checkpoint(const Op& op);

// x -> x. What a derivative computes again is recorded on barriers, so that no plan merges it with the first
// computation before all else is done.
bool is_rematerialisation_barrier(const Op& op);

}  // namespace wengert
