// Steps: what a plan runs. A step was prepared for one number of rows; where its values lie it is told by places, which
// a frame turns into addresses.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "autodiff/plan/chain.hpp"
#include "autodiff/plan/graph.hpp"

namespace wengert::plan {

// Where a value lies: in a table of addresses (inputs, parameters, constants, outputs), in the memory of all threads,
// or in that of one range of rows.
struct Place {
  enum class Memory { table, shared, local } memory = Memory::table;
  std::size_t at = 0;         // an entry of the table, or an offset in bytes
  std::size_t row_bytes = 0;  // what it moves on for each row before the range; 0 where it is read whole
};

// A range of rows, and the memory that goes with it.
struct Frame {
  const void* const* table;
  std::byte *shared, *local, *scratch;
  Index begin = 0;  // the first row

  std::byte* address(const Place& place) const {
    const std::size_t rows = place.row_bytes * static_cast<std::size_t>(begin);
    if (place.memory == Place::Memory::table)
      return const_cast<std::byte*>(static_cast<const std::byte*>(table[place.at])) + rows;
    return (place.memory == Place::Memory::shared ? shared : local) + place.at + rows;
  }
};

class Step {
 public:
  virtual ~Step() = default;
  // Tasks share nothing and may go to different threads, in any order.
  virtual Index tasks() const = 0;
  virtual void run(const Frame& frame, Index task) const = 0;
  virtual void run_whole(const Frame& frame) const {  // all tasks, as one where that is possible
    for (Index task = 0, count = tasks(); task < count; ++task) run(frame, task);
  }
  virtual std::size_t scratch_bytes() const { return 0; }  // of one thread
  virtual std::string kernel() const = 0;                  // for explain(): "product 32x256x256, then 2 ops"

  std::vector<Id> nodes{};  // what it computes
  double flops = 0;
  double microseconds = 0;  // about, on one thread: what decides whether threads share it
};

// What steps reach, for such estimates: operations on single elements, multiply-adds of products, bytes of a weight.
inline constexpr double element_flops_per_us = 2e3, product_flops_per_us = 1e5, weight_bytes_per_us = 3e4;
using Steps = std::vector<std::unique_ptr<Step>>;

// A value that a step reads or writes: its place, and its type with as many rows as the step has.
struct Operand {
  Place place{};
  Type type{};
  int axis = 0;  // of its rows, counted from the end; 0 where it has none
};
std::vector<Shape> shapes_of(const std::vector<Operand>& operands);

// The addresses of a chain's operands and outputs; fusion keeps within these numbers.
inline constexpr std::size_t most_operands = 48, most_outputs = 24;
struct Addresses {
  std::array<const void*, most_operands> from;
  std::array<void*, most_outputs> to;
  Addresses(const Frame& frame, const std::vector<Operand>& operands, const std::vector<Operand>& outputs);
};

// Any op, by its own kernel; in tasks by rows where these come first in all that has rows.
std::unique_ptr<Step> op_step(const Node& node, std::vector<Operand> operands, Operand output);
// Elementwise ops of one type: instructions' operands and outputs count these.
std::unique_ptr<Step> chain_step(std::vector<Operand> operands, std::vector<Operand> outputs,
                                 std::vector<Chain::Instruction> instructions);
// [..., m, k] x [k, n], b given as [n, k] when `transposed`; then the chain, in which the product is the operand after
// the given ones. One task where it is not to be shared among threads.
struct Product {
  Operand a, b, output;
  bool transposed = false, shared = true;
};
std::unique_ptr<Step> product_step(const Product& product, std::vector<Operand> operands, std::vector<Operand> outputs,
                                   std::vector<Chain::Instruction> instructions);
// The sum over rows and what follows them, of those groups of rows (of `groups` over `extent` rows) that the frame
// holds: [groups, ...] partial sums.
std::unique_ptr<Step> sum_step(const Node& node, Operand from, Operand partials, Index groups, Index extent);
// The same of a' b over rows: [groups, ..., m, n].
std::unique_ptr<Step> outer_step(Operand a, Operand b, Operand partials, Index groups, Index extent);
// The partial sums added in the tree of combine().
std::unique_ptr<Step> combine_step(Operand partials, Operand output, Index groups);

}  // namespace wengert::plan
