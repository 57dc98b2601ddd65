// The noise of a stochastic solver: drawn, or given.
#pragma once
#include <cstdint>

#include "autodiff/random.hpp"

namespace wengert::sde {

class Noise {
 public:
  // Step k draws with counter k under this seed. Rows count from `first_row`: a part of the samples meets the noise
  // that it would have met in the whole.
  static Noise drawn(std::uint64_t seed, Index first_row = 0);
  // Step k takes values[k] of [steps, B, d].
  static Noise given(Array values);

  // Standard normal numbers [B,d] for step k, on the tape. Throws Error where given values do not fit.
  Var at(Tape& tape, Index step, const Shape& shape) const;

 private:
  Array values_;
  bool drawn_ = true;
  std::uint64_t seed_ = 0;
  Index first_row_ = 0;
};

}  // namespace wengert::sde
