// The origin of a NaN or an infinity.
//
//   if (!std::isfinite(loss.item())) fmt::print("{}\n", nonfinite_origin(loss));
//   // [log] made -inf at [3, 0] of f32 [32, 1]; operand 0, %12, lies in [0, 1.7]  (ring.cpp:41, in score.layers.0)
//
// An eager tape holds every value, so the question can be asked after the fact and costs nothing before. To stop at the
// op itself, tape.track_nonfinite(true): recording then throws Error with the same text.
#pragma once
#include <string>

#include "autodiff/var.hpp"

namespace wengert {

// Names the first op, in recording order, that made a NaN or an infinity out of finite operands, among those from which
// it reached `x`; in a derivative also the forward op whose rule it belongs to. An input that came in so is named as
// such; an infinite constant only where nothing else is to blame: a fault begins with the op that computes with it, not
// with one that arranges or chooses. Empty when x is finite. Throws Error on a symbolic tape, which has no values.
std::string nonfinite_origin(Var x, Where where = Where::current());

// True if a node holds a NaN or an infinity that is more than a constant, arranged or chosen.
bool is_nonfinite(const Tape& tape, std::uint32_t index);

// The sentence for one node, whatever its operands; empty when its value is finite.
std::string describe_nonfinite(const Tape& tape, std::uint32_t index);

}  // namespace wengert
