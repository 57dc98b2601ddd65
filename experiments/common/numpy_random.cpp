#include "experiments/common/numpy_random.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "autodiff/error.hpp"

namespace wengert::experiments::numpy {
namespace {

__extension__ typedef unsigned __int128 Wide;

// The hash that SeedSequence (O'Neill's seed_seq_fe) draws its pool from, and its state from the pool.
class Hash {
 public:
  Hash(std::uint32_t constant, std::uint32_t multiplier) : constant_(constant), multiplier_(multiplier) {}
  std::uint32_t operator()(std::uint32_t word) {
    word ^= constant_;
    constant_ *= multiplier_;
    word *= constant_;
    return word ^ (word >> 16);
  }

 private:
  std::uint32_t constant_, multiplier_;
};

std::uint32_t mix(std::uint32_t a, std::uint32_t b) {
  const std::uint32_t mixed = 0xca01f9ddU * a - 0x4973f715U * b;
  return mixed ^ (mixed >> 16);
}

// SeedSequence(seed).generate_state(4, uint64).
std::array<std::uint64_t, 4> seed_state(std::uint64_t seed) {
  std::array<std::uint32_t, 4> pool{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  Hash in(0x43b0d7e5U, 0x931e8875U);
  for (std::uint32_t& word : pool) word = in(word);
  for (std::size_t from = 0; from < pool.size(); ++from)
    for (std::size_t to = 0; to < pool.size(); ++to)
      if (from != to) pool[to] = mix(pool[to], in(pool[from]));
  std::array<std::uint64_t, 4> state{};
  Hash out(0x8b51f9ddU, 0x58f38dedU);
  for (std::size_t i = 0; i < 8; ++i) state[i / 2] |= std::uint64_t{out(pool[i % 4])} << (32 * (i % 2));
  return state;
}

constexpr Wide wide(std::uint64_t high, std::uint64_t low) { return (Wide{high} << 64) | low; }
constexpr Wide multiplier = wide(0x2360ed051fc65da4ULL, 0x4385df649fccf645ULL);

void check_probabilities(std::span<const double> p, Index size) {
  double total = 0;
  Index positive = 0;
  for (double each : p) {
    if (!std::isfinite(each) || each < 0) throw Error(fmt::format("choice: {} is no probability", each));
    total += each;
    positive += each > 0;
  }
  if (std::abs(total - 1) > 1.5e-8) throw Error(fmt::format("choice: probabilities add up to {}, not to 1", total));
  if (size < 0 || positive < size)
    throw Error(fmt::format("choice: {} different indices wanted of {} that have a probability", size, positive));
}

}  // namespace

double sum(std::span<const double> values) {
  constexpr std::size_t block = 128, lanes = 8;
  const std::size_t n = values.size();
  if (n < lanes) return std::accumulate(values.begin(), values.end(), 0.0);
  if (n > block) {
    const std::size_t half = n / 2 - n / 2 % lanes;
    return sum(values.first(half)) + sum(values.subspan(half));
  }
  std::array<double, lanes> s{};
  std::copy_n(values.begin(), lanes, s.begin());
  std::size_t i = lanes;
  for (; i + lanes <= n; i += lanes)
    for (std::size_t j = 0; j < lanes; ++j) s[j] += values[i + j];
  double total = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
  for (; i < n; ++i) total += values[i];
  return total;
}

Generator::Generator(std::uint64_t seed) {
  const std::array<std::uint64_t, 4> words = seed_state(seed);
  increment_ = (wide(words[2], words[3]) << 1) | 1;
  state_ = (increment_ + wide(words[0], words[1])) * multiplier + increment_;
}

std::uint64_t Generator::bits() {
  state_ = state_ * multiplier + increment_;
  const auto high = static_cast<std::uint64_t>(state_ >> 64), low = static_cast<std::uint64_t>(state_);
  return std::rotr(high ^ low, static_cast<int>(high >> 58));
}

double Generator::random() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

// Draws, as many as are missing; of those that fall on one index, the first counts. What was drawn is then left out.
std::vector<Index> Generator::choice(std::span<const double> p, Index size) {
  check_probabilities(p, size);
  std::vector<double> left(p.begin(), p.end()), cumulated(p.size()), drawn;
  std::vector<Index> found;
  while (found.size() < static_cast<std::size_t>(size)) {
    drawn.resize(static_cast<std::size_t>(size) - found.size());
    for (double& each : drawn) each = random();
    std::partial_sum(left.begin(), left.end(), cumulated.begin());
    const double total = cumulated.back();
    for (double& each : cumulated) each /= total;
    for (double each : drawn) {
      const auto at =
          static_cast<std::size_t>(std::upper_bound(cumulated.begin(), cumulated.end(), each) - cumulated.begin());
      if (left[at] > 0) found.push_back(static_cast<Index>(at));
      left[at] = 0;
    }
  }
  return found;
}

Index RandomState::below(Index n) {
  const auto most = static_cast<std::uint32_t>(n - 1);
  if (most == 0) return 0;
  const std::uint32_t mask = ~std::uint32_t{0} >> std::countl_zero(most);
  std::uint32_t value = bits() & mask;
  while (value > most) value = bits() & mask;
  return static_cast<Index>(value);
}

std::vector<Index> RandomState::permutation(Index n) {
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  for (Index i = n - 1; i > 0; --i)
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(below(i + 1))]);
  return order;
}

}  // namespace wengert::experiments::numpy
