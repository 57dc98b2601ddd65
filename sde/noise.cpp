#include "sde/noise.hpp"

#include <fmt/format.h>

#include "autodiff/error.hpp"
#include "autodiff/random.hpp"

namespace wengert::sde {
namespace {

constexpr Index counters = Index{1} << 32;  // as the draws count (autodiff/random.hpp)

}  // namespace

void check_counters(const Owner& owner, const char* what, Index first, Index count) {
  if (first < 0 || first >= counters) owner.refuse(fmt::format("{} count from 0 to 2^32 - 1, got {}", what, first));
  if (first > counters - count)
    owner.refuse(fmt::format("draws for {} {} to {}, which count to 2^32 - 1 and then would repeat", what, first,
                             first + count - 1));
}

Noise Noise::drawn(std::uint64_t seed, Index first_row, Index first_step) {
  check_counters("noise", "rows", first_row, 1);
  check_counters("noise", "steps", first_step, 1);
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

void Noise::check(const Type& each, Index draws, Index steps, const Owner& solver) const {
  if (is_none()) solver.refuse("draws, but was given no noise");
  if (is_drawn()) {
    check_counters(solver, "rows", first_row_, each.shape[0]);
    check_counters(solver, "steps", first_step_, steps);
    return;
  }
  const Shape& all = values_.shape();
  const int rank = each.shape.rank();
  const int leading = all.rank() - rank;
  const bool fits = leading > 0 && all.trailing(rank) == each.shape && values_.dtype() == each.dtype &&
                    (leading == 1 || all[leading - 1] == draws);
  if (!fits || values_.size() < draws * steps * each.shape.size())
    solver.refuse(fmt::format("needs noise of {} arrays {}, {} for each step, was given {}", draws * steps,
                              to_string(each), draws, to_string(values_.type())));
}

const void* Noise::values(Index i, const Type& each) const {
  return static_cast<const std::byte*>(values_.raw()) + static_cast<std::size_t>(i) * each.bytes();
}

}  // namespace wengert::sde
