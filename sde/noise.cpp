#include "sde/noise.hpp"

#include <fmt/format.h>

#include "autodiff/error.hpp"
#include "autodiff/random.hpp"

namespace wengert::sde {

Noise Noise::drawn(std::uint64_t seed, Index first_row, Index first_step) {
  for (Index first : {first_row, first_step})
    if (first < 0 || first >= Index{1} << 32)
      throw Error(fmt::format("[noise] rows and steps count from 0 to 2^32 - 1, got {}", first));
  Noise noise;
  noise.kind_ = Kind::drawn;
  noise.seed_ = seed;
  noise.first_row_ = first_row;
  noise.first_step_ = first_step;
  return noise;
}

Noise Noise::given(Array values) {
  Noise noise;
  noise.kind_ = Kind::given;
  noise.values_ = std::move(values);
  return noise;
}

Array Noise::state(Index step) const {
  return draw_state(seed_, static_cast<std::uint32_t>(first_step_ + step), first_row_);
}

std::int32_t Noise::step(Index step) const {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(first_step_ + step));
}

void Noise::check(const Type& each, Index count, std::string_view solver) const {
  const Shape& all = values_.shape();
  const int rank = each.shape.rank();
  if (all.rank() <= rank || all.trailing(rank) != each.shape || values_.dtype() != each.dtype ||
      values_.size() < count * each.shape.size())
    throw Error(fmt::format("[{}] needs noise of {} arrays {}, was given {}", solver, count, to_string(each),
                            to_string(values_.type())));
}

const void* Noise::values(Index i, const Type& each) const {
  return static_cast<const std::byte*>(values_.raw()) + static_cast<std::size_t>(i) * each.bytes();
}

}  // namespace wengert::sde
