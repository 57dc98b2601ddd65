// Blocks of Philox4x32-10, and the numbers made of them. random.hpp states the layout.
#pragma once
#include <Random123/philox.h>

#include <array>
#include <cstdint>

#include "autodiff/dtype.hpp"

namespace wengert {

using Block = std::array<std::uint32_t, 4>;

// The part of a counter that all blocks of a draw share: all but row and number.
struct Stream {
  std::uint64_t seed;
  std::uint32_t step, stream;

  Block block(Index row, Index number) const {
    const philox4x32_ctr_t counter{{static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(number), step, stream}};
    const philox4x32_key_t key{{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}};
    const philox4x32_ctr_t words = philox4x32(counter, key);
    return {words.v[0], words.v[1], words.v[2], words.v[3]};
  }
};

inline std::uint64_t wide(std::uint32_t low, std::uint32_t high) { return std::uint64_t{high} << 32 | low; }

// In the open interval (0, 1): half a step away from both ends, exactly representable.
inline float open_uniform(std::uint32_t word) { return (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f; }
inline double open_uniform(std::uint64_t word) { return (static_cast<double>(word >> 12) + 0.5) * 0x1p-52; }

// All 32 bits of the word, for Box and Muller's tails; may round to 1, never to 0.
inline float fine_uniform(std::uint32_t word) { return (static_cast<float>(word) + 0.5f) * 0x1p-32f; }

}  // namespace wengert
