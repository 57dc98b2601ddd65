// Random numbers that are a function of where they stand: a counter goes through Philox4x32-10 (Salmon et al.,
// "Parallel random numbers: as easy as 1, 2, 3", SC 2011; Random123), so that draws depend neither on threads nor on
// how a batch was split.
//
//   Draw draw(tape, seed, step);
//   Var z = draw.normal({5000, 2}), t = draw.uniform({5000, 1});     // nodes of the tape, of its dtype
//
// The layout is a promise, kept by a golden file. key = seed (low word, high word); counter = (row, block, step,
// stream). A row is an index of the first axis, n its number of elements, and stream the ordinal of the draw within its
// Draw. A block has words w0..w3; f32 and f64 are drawn separately.
//   uniform  f32: element e from word e % 4 of block e / 4, ((w >> 9) + 1/2) / 2^23.
//            f64: from words 2 (e % 2) (low) and the next (high) of block e / 2, ((w >> 12) + 1/2) / 2^52: in (0, 1).
//   normal   elements 2p and 2p + 1 are sqrt(-2 ln u) cos(2 pi v) and sin (Box and Muller).
//            f32: u = (w + 1/2) / 2^32 and v = (w' + 1/2) / 2^32 of words 2 (p % 2) and the next of block p / 2.
//            f64: the two uniforms of block p.
//   gamma    Marsaglia and Tsang, "A simple method for generating gamma variables", TOMS 26 (2000); attempt a at e:
//            f32: block a n + e: a normal (cos) of w0 and w1, u of w2 and, for shape < 1, a power of the uniform of w3.
//            f64: blocks 2 (a n + e) and the next: uniforms for the normal, then u and the power's.
//   index    element e: floor(w m / 2^64) with the 64-bit word of a uniform in f64; the bias is below m / 2^64.
#pragma once
#include <cstdint>

#include "autodiff/arguments.hpp"
#include "autodiff/array.hpp"
#include "autodiff/var.hpp"

namespace wengert {

class Op;

class Draw {
 public:
  // Rows of these draws count from `first_row`: a part of a batch draws what the whole would have drawn.
  Draw(Tape& tape, std::uint64_t seed, std::uint32_t step = 0, Index first_row = 0, Where where = Where::current());

  // From a state that is a node of the tape, i32 [4] as draw_state() makes it: of a plan, whose runs differ by it.
  explicit Draw(Var state) : state_(state) {}

  Tape& tape() const { return state_.tape(); }

  // Independent draws of the given shape, in the tape's dtype; no derivative. Each call is a stream of its own. At most
  // 2^32 rows of 2^25 elements, and settings whose values are in the range of the dtype: Error otherwise.
  // In [low, high]; rounding reaches the ends only where few numbers lie between them, never those of (0, 1).
  Var uniform(const Shape& shape, double low = 0, double high = 1, Where where = Where::current());
  Var normal(const Shape& shape, Where where = Where::current());
  Var rademacher(const Shape& shape, Where where = Where::current());  // -1 or 1: an index below 2
  // Density ~ x^(a-1) e^(-rate x), in [0, infinity); a up to 2e5 in f32, 1e14 in f64.
  Var gamma(const Shape& shape, double a, double rate = 1, Where where = Where::current());
  Var index(const Shape& shape, Integer count, Where where = Where::current());  // i32 in [0, count), count <= 2^31

 private:
  template <class Settings>
  Var drawn(const Op& op, Dtype dtype, const Shape& shape, const Settings& settings, Where where);

  Var state_;  // the only run-time input of a draw
  std::uint32_t stream_ = 0;
};

// The state that a Draw of this seed and step starts from, i32 [4]: seed (low word, high word), step, first row.
Array draw_state(std::uint64_t seed, std::uint32_t step, Index first_row = 0);

// The state of step `step` (i32 []) of a loop: of the seed derive_seed(seed, 2^63 + step).
Var draw_state_at(Operand state, Operand step);

// Draws for the host: initial weights, starting points. Call number i draws with derive_seed(seed, i) and the last step
// number, so that it meets no Draw of a training loop.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : seed_(seed) {}

  std::uint64_t seed() const { return seed_; }
  Array uniform(const Type& type, double low = 0, double high = 1);
  Array normal(const Type& type);

 private:
  template <class F>
  Array draw(Dtype dtype, F&& f);
  std::uint64_t seed_;
  std::uint64_t calls_ = 0;
};

// A seed for part `n` of a program (training, sampling, ...), independent of the seed itself and of the other parts'.
std::uint64_t derive_seed(std::uint64_t seed, std::uint64_t n);

}  // namespace wengert
