// The states of draws in the steps of a loop.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "autodiff/kernels/philox.hpp"
#include "autodiff/op.hpp"
#include "autodiff/ops/draws.hpp"
#include "autodiff/random.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

std::array<std::int32_t, 4> state_at(const std::int32_t* state, std::int32_t step) {
  const auto word = [&](int i) { return static_cast<std::uint32_t>(state[i]); };
  const std::uint64_t seed = wide(word(0), word(1));
  // Parts of a program are counted from 0 (derive_seed), steps of a loop from the middle.
  const std::uint64_t derived = derive_seed(seed, std::uint64_t{1} << 63 | static_cast<std::uint32_t>(step));
  return {static_cast<std::int32_t>(static_cast<std::uint32_t>(derived)),
          static_cast<std::int32_t>(static_cast<std::uint32_t>(derived >> 32)), state[2], state[3]};
}

// i32 [4], i32 [] -> i32 [4]
struct DrawStateAt final : Op {
  DrawStateAt() : Op({.name = "state_at_step", .arity = 2, .linearity = Linearity::none}) {}
  bool supports(Dtype) const override { return false; }  // examples fix their dtypes
  Type infer(const Signature& s) const override {
    if (s.dtype(0) != Dtype::i32 || s.shape(0) != Shape{4} || s.dtype(1) != Dtype::i32 || s.shape(1).rank() != 0)
      reject(fmt::format("needs a state of i32 [4] and a step of i32 [], got {} and {}", to_string(*s.in[0]),
                         to_string(*s.in[1])));
    return *s.in[0];
  }
  void run(const Kernel& k) const override {
    const auto state = state_at(k.in<std::int32_t>(0), *k.in<std::int32_t>(1));
    std::copy(state.begin(), state.end(), k.out<std::int32_t>());
  }
  std::vector<Example> examples() const override {
    const auto example = [](double step) {
      return Example{{Sample{.shape = {4}, .values = {12345, -7, 3, 2}, .dtype = Dtype::i32},
                      Sample{.shape = {}, .values = {step}, .dtype = Dtype::i32}}};
    };
    return {example(0), example(1), example(2147483647)};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::i32, {3}}, {Dtype::i32, {}}}, {}, "needs a state of i32 [4] and a step of i32 [], got i32 [3]"},
            {{{Dtype::i32, {4}}, {Dtype::i32, {1}}}, {}, "and i32 [1]"}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    const auto word = [&](Index i) { return static_cast<std::uint32_t>(static_cast<std::int32_t>(in[0].at(i))); };
    const Stream stream{wide(word(0), word(1)), ~std::uint32_t{0}, ~std::uint32_t{0}};
    const Block words = stream.block(static_cast<Index>(in[1].at(0)), Index{1} << 31);
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < 2; ++i) result.set(i, static_cast<std::int32_t>(words[static_cast<std::size_t>(i)]));
    for (Index i = 2; i < 4; ++i) result.set(i, in[0].at(i));
    return result;
  }
};

[[gnu::init_priority(library_ops)]] const DrawStateAt draw_state_at_instance;

}  // namespace

Var draw_state_at(Operand state, Operand step) { return record(draw_state_at_instance, {state, step}); }

// A state that all steps of a loop share is another one in each of them.
Var state_in_loops(Var state, Where where) {
  const Tape& tape = state.tape(where);
  const std::uint32_t index = tape.index_of(state, where);
  Var result = state;
  for (const Tape::Loop& loop : tape.loops()) {
    const std::vector<bool> needed = tape.needed_by(index, loop.first);
    bool differs = false;  // from step to step, by itself
    for (std::uint32_t i = loop.first; i < loop.last && i - loop.first < needed.size(); ++i)
      differs = differs || needed[i - loop.first];
    if (!differs) result = draw_state_at({result, where}, {loop.number, where});
  }
  return result;
}

}  // namespace wengert
