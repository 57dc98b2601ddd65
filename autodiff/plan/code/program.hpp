// Program: instructions on elements, which assemble() turns into machine code: on single numbers and, where the
// processor has AVX-512, on packs of them. It is a graph of small values, of which broadcasting, slices and the like
// are gone or a permutation, since an element may be any number or any lane of a pack; or a loop over arrays of any
// size.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "autodiff/plan/graph.hpp"

namespace wengert::plan::code {

// What instructions compute with: a single number, or a pack of as many as a vector register holds. It is the place of
// its definition in Program::definitions.
using Number = std::int32_t;
inline constexpr Number none = -1;

// The bytes of a pack; 0 where there are none.
#if defined(__x86_64__) && defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
inline constexpr std::size_t pack_bytes = 64;
#else
inline constexpr std::size_t pack_bytes = 0;
#endif
inline constexpr std::size_t lanes_of(Dtype dtype) { return is_float(dtype) ? pack_bytes / size_of(dtype) : 0; }

enum class Code : std::uint8_t {
  add,
  sub,
  mul,
  div,
  sqrt,
  neg,
  abs,
  fma,  // a b + c, rounded once
  // Masks: every bit of the number (of a lane) where it holds, no bit elsewhere. `unordered`: a or b is NaN.
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  unordered,
  mask_and,
  mask_or,
  mask_xor,
  mask_not,
  indicator,  // 1 where mask a holds, 0 elsewhere
  choose,     // b where mask a holds, c elsewhere
  // Between packs and numbers: lane `at` of pack a; a pack whose every lane is number a; a pack of lanes of a and b
  // (which may be numbers: then lane 0 is what counts), of which lane i is lane c[i] of a, or c[i] - lanes of b.
  lane,
  spread,
  permute,
  // Conversions, and a copy of a loop's variable.
  f32_to_f64,
  i32_to_f64,
  copy,
  // Loops: [loop, repeat] is run until mask a of the `leave` in it holds. A variable is what a loop changes: it is set
  // before and in it.
  set,
  loop,
  leave,
  repeat,
  // Calls of an op: its arguments and results go through memory, `at` bytes into that of calls.
  argument,
  call,
  result,
  // a becomes byte `at` of the array `to`.
  write
};

struct Instruction {
  Code code;
  Dtype dtype = Dtype::f64;  // of a, or of what it gives where it has no operand
  Number to = none, a = none, b = none, c = none;
  std::uint32_t at = 0;    // bytes; of a call the number of its site; of `lane` which one
  std::uint8_t lanes = 1;  // of `write`: how many are written
};

struct Definition {
  enum class Kind : std::uint8_t { computed, read, constant } kind;
  Dtype dtype;
  std::uint8_t lanes = 1;   // 1: a single number; else a pack, of whose lanes as many are read or mean something
  std::uint32_t array = 0;  // read: a number in Program::reads
  std::uint64_t bits = 0;   // read: bytes into it; constant: its bits, of a pack its place in Program::lines

  bool is_pack() const { return lanes > 1; }
};
// The bits of a constant pack.
using Line = std::array<std::uint64_t, 8>;

// An array that elements are read from: a value from outside, or memory of a store.
struct Read {
  Id id = 0;
  const void* fixed = nullptr;  // null: the value `id`
};

// A value that is written, to its own place or to that of an output of the graph.
struct Write {
  Id id = 0;
  std::optional<std::size_t> output{};
};

// What an error names.
struct Origin {
  std::string name, location;
};

// A call of an op: of block() on `count` elements each, or of run() where count is 0. Operands and result lie side by
// side in the memory of calls, with room for pointers to the operands.
struct CallSite {
  const Op* op;
  Attributes attributes;
  Type type;                            // of the output
  std::vector<Type> types;              // of the operands
  std::vector<std::uint32_t> operands;  // bytes
  std::uint32_t output = 0, scratch = 0, pointers = 0;
  Index count = 0;
  std::vector<Origin> origins;  // of the op, then of the loops around it, from the inside
};

struct Program {
  std::vector<Definition> definitions;
  std::vector<Line> lines;
  std::vector<Instruction> instructions;
  std::vector<Read> reads;
  std::vector<Write> writes;
  std::vector<CallSite> sites;
  std::size_t call_bytes = 0;                      // of the memory of calls
  std::vector<std::shared_ptr<const void>> owned;  // ops and memory of stores
  // The instructions are those of one round of a loop over arrays: packs that are read or written move on with each
  // round, a number that is read is the same in all. There are no calls and no other loops in it.
  bool over_arrays = false;

  bool has_packs() const;
  std::size_t loops() const;
  // Instructions that compute something, and the results of them all.
  std::size_t operations() const;
  std::size_t results() const;
};

// The members of a graph as one program that writes these values. Nothing where it would be slower than steps: a value
// is large, or there are too many of them; or where it cannot be said: there is a scan.
std::optional<Program> scalarize(const Graph& graph, std::span<const Id> members, std::span<const Write> writes);

}  // namespace wengert::plan::code
