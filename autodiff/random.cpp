#include "autodiff/random.hpp"

#include <bit>

#include <limits>
#include <string>

#include "autodiff/kernels/philox.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/draws.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

constexpr std::uint32_t host_step = std::numeric_limits<std::uint32_t>::max();

}  // namespace

Array draw_state(std::uint64_t seed, std::uint32_t step, Index first_row) {
  if (first_row < 0 || first_row > static_cast<Index>(UINT32_MAX))
    throw Error("[draw] needs a first row between 0 and 2^32 - 1, got " + std::to_string(first_row));
  const auto word = [](std::uint64_t bits) { return std::bit_cast<std::int32_t>(static_cast<std::uint32_t>(bits)); };
  return Array::of<std::int32_t>(
      {4}, {word(seed), word(seed >> 32), word(step), word(static_cast<std::uint64_t>(first_row))});
}

Draw::Draw(Tape& tape, std::uint64_t seed, std::uint32_t step, Index first_row, Where where)
    : state_(tape.input(draw_state(seed, step, first_row), "draw", where)) {}

template <class Settings>
Var Draw::drawn(const Op& op, Dtype dtype, const Shape& shape, const Settings& settings, Where where) {
  return record(op, {Operand(state_in_loops(state_, where), where)},
                to_attributes(DrawArguments<Settings>{stream_++, 0, dtype, shape, settings}));
}

Var Draw::uniform(const Shape& shape, double low, double high, Where where) {
  return drawn(draw_uniform_op(), tape().dtype(), shape, UniformSettings{low, high}, where);
}

Var Draw::normal(const Shape& shape, Where where) {
  return drawn(draw_normal_op(), tape().dtype(), shape, NormalSettings{}, where);
}

Var Draw::rademacher(const Shape& shape, Where where) {
  const Var coin = index(shape, 2, where);
  return sub(2 * Operand(cast({coin, where}, tape().dtype()), where), 1);
}

Var Draw::gamma(const Shape& shape, double a, double rate, Where where) {
  return drawn(draw_gamma_op(), tape().dtype(), shape, GammaSettings{a, rate}, where);
}

Var Draw::index(const Shape& shape, Integer count, Where where) {
  return drawn(draw_index_op(), Dtype::i32, shape, IndexSettings{static_cast<double>(count)}, where);
}

template <class F>
Array Rng::draw(Dtype dtype, F&& f) {
  Tape tape(dtype);
  Draw source(tape, derive_seed(seed_, calls_++), host_step);
  return f(source).value();
}

Array Rng::uniform(const Type& type, double low, double high) {
  return draw(type.dtype, [&](Draw& source) { return source.uniform(type.shape, low, high); });
}

Array Rng::normal(const Type& type) {
  return draw(type.dtype, [&](Draw& source) { return source.normal(type.shape); });
}

std::uint64_t derive_seed(std::uint64_t seed, std::uint64_t n) {
  // A counter that no draw uses: step and stream at their largest.
  const Stream stream{seed, host_step, host_step};
  const Block words = stream.block(static_cast<Index>(n & 0xffffffff), static_cast<Index>(n >> 32));
  return wide(words[0], words[1]);
}

}  // namespace wengert
