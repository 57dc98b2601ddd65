// The noise of a stochastic solver: drawn, or given.
#pragma once
#include <cstdint>

#include "autodiff/array.hpp"
#include "sde/checks.hpp"

namespace wengert::sde {

// Throw Error in an owner's name unless these rows or steps ("rows", "steps") lie in [0, 2^32), the counters of draws,
// which would repeat beyond.
void check_counters(const Owner& owner, const char* what, Index first, Index count);

class Noise {
 public:
  Noise() = default;  // none

  // Step k draws with counter k under this seed. Rows count from `first_row`: a part of the samples meets the noise
  // that it would have met in the whole. Steps count from `first_step`: a run that goes on where another ended meets
  // new noise. Throws Error unless both lie in [0, 2^32).
  static Noise drawn(std::uint64_t seed, Index first_row = 0, Index first_step = 0);
  // Noise of [n, B, d], or with more leading axes: a step that needs m numbers for each entry of the state takes the
  // next m arrays [B, d]; of [k, m, B, d], the k-th step those of k.
  static Noise given(Array values);

  bool is_none() const { return kind_ == Kind::none; }
  bool is_drawn() const { return kind_ == Kind::drawn; }
  Array state(Index step) const;        // of a Draw at this step
  std::int32_t step(Index step) const;  // the word of it that is the step
  // Throws Error, in the name of a solver at its caller's line, unless this serves `steps` steps of `draws` arrays of
  // this type each: enough arrays were given, or no counter of rows and steps is passed.
  void check(const Type& each, Index draws, Index steps, const Owner& solver) const;
  const void* values(Index i, const Type& each) const;  // array i of those that were given

 private:
  enum class Kind { none, drawn, given };
  Kind kind_ = Kind::none;
  std::uint64_t seed_ = 0;
  Index first_row_ = 0, first_step_ = 0;
  Array values_;
};

}  // namespace wengert::sde
