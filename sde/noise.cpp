#include "sde/noise.hpp"

#include <fmt/format.h>

#include <cstring>

#include "autodiff/tape.hpp"

namespace wengert::sde {

Noise Noise::drawn(std::uint64_t seed, Index first_row) {
  Noise noise;
  noise.seed_ = seed;
  noise.first_row_ = first_row;
  return noise;
}

Noise Noise::given(Array values) {
  Noise noise;
  noise.drawn_ = false;
  noise.values_ = std::move(values);
  return noise;
}

Var Noise::at(Tape& tape, Index step, const Shape& shape) const {
  if (drawn_) return Draw(tape, seed_, static_cast<std::uint32_t>(step), first_row_).normal(shape);
  const Shape& all = values_.shape();
  if (all.rank() < 1 || all.trailing(all.rank() - 1) != shape || step >= all[0] || values_.dtype() != tape.dtype())
    throw Error(fmt::format("[noise] step {} of a state {} {} was given noise {}", step, name_of(tape.dtype()),
                            to_string(shape), to_string(values_.type())));
  Array row(tape.dtype(), shape);
  std::memcpy(row.raw(),
              static_cast<const std::byte*>(values_.raw()) + static_cast<std::size_t>(step) * row.type().bytes(),
              row.type().bytes());
  return tape.input(row, "noise");
}

}  // namespace wengert::sde
