// Random programs: expression graphs of smooth ops drawn from a seed, that can be recorded, shrunk and printed as C++.
#pragma once
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "autodiff/array.hpp"
#include "autodiff/tape.hpp"

namespace wengert::testing {

using Random = std::mt19937_64;
inline Index draw_index(Random& random, Index low, Index high) {  // in [low, high]
  return std::uniform_int_distribution<Index>(low, high)(random);
}

// An operation that programs are written in.
struct Word {
  std::string text;  // as C++: $0, $1 stand for operands, #0, #1 for numbers, ## for all numbers
  int arity = 1;
  // Draws the numbers for operands of these shapes; false where the operation has no use for them.
  std::function<bool(Random&, const std::vector<Shape>&, std::vector<Index>&)> choose;
  std::function<Var(std::span<const Var>, const std::vector<Index>&)> record;
};
const std::vector<Word>& vocabulary();

// A list of values, each an input or a word applied to earlier ones.
struct Value {
  const Word* word = nullptr;  // null: an input
  std::vector<std::size_t> operands{};
  std::vector<Index> numbers{};
  Array input{};
};
using Program = std::vector<Value>;

// Up to `steps` operations on one to four inputs; every value stays finite and below a bound, so that differences tell
// something. The same program for the same seed.
Program draw_program(std::uint64_t seed, int steps, const std::vector<Word>& words = vocabulary());

// What a program computes: the sum of the sines of all values that no other one uses.
struct Recording {
  std::vector<Var> inputs, values;
  Var loss;
};
Recording record(const Program& program, std::span<const Var> inputs);  // of inputs already on a tape
Recording record(const Program& program, Tape& tape);

std::vector<Array> inputs_of(const Program& program);
Program with_inputs(const Program& program, const std::vector<Array>& inputs);

// The smallest program found that still fails: values no longer needed are dropped, others become inputs, operands take
// the place of what is computed from them, and numbers are rounded.
Program shrink(Program program, const std::function<bool(const Program&)>& fails);

std::string to_cpp(const Program& program);

}  // namespace wengert::testing
