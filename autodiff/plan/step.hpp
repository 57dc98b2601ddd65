// Step: what a plan runs. A step was made for one number of rows; where its values lie it is told by addresses, which a
// frame turns into pointers. Each kind of step is a class in a file of steps/, which lowering.cpp lists.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "autodiff/plan/graph.hpp"

namespace wengert {
class Barrier;
}

namespace wengert::plan {

// The place of a value: in a table of pointers (inputs, parameters, constants, outputs), in the memory of all threads,
// or in that of one range of rows.
struct Address {
  enum class Memory { table, shared, local } memory = Memory::table;
  std::size_t at = 0;         // an entry of the table, or an offset in bytes
  std::size_t row_bytes = 0;  // what it moves on for each row before the range; 0 where it is read whole
  std::size_t offset = 0;     // of a view, in bytes
};

// A range of rows, and the memory that goes with it.
struct Frame {
  const void* const* table;
  std::byte *shared, *local, *scratch;
  Index begin = 0;  // the first row

  std::byte* at(const Address& address) const {
    const std::size_t rows = address.row_bytes * static_cast<std::size_t>(begin) + address.offset;
    if (address.memory == Address::Memory::table)
      return const_cast<std::byte*>(static_cast<const std::byte*>(table[address.at])) + rows;
    return (address.memory == Address::Memory::shared ? shared : local) + address.at + rows;
  }
};

// A value that a step reads or writes: its address, and its type with as many rows as the step has.
struct Operand {
  Address address{};
  Type type{};
  int axis = 0;  // of its rows, counted from the end; 0 where it has none

  template <class T>
  T* in(const Frame& frame) const {
    return reinterpret_cast<T*>(frame.at(address));
  }
};

class Step {
 public:
  virtual ~Step() = default;
  // Tasks are independent; neighbours go to one thread, which runs tasks [begin, end) as one where that is possible.
  virtual Index tasks() const = 0;
  virtual void run(const Frame& frame, Index begin, Index end) const = 0;
  void run(const Frame& frame) const { run(frame, 0, tasks()); }
  // All of it on this thread, loops too as an eager tape would run them: after an error.
  virtual void run_whole(const Frame& frame) const { run(frame); }
  // True if its kernel may spread its work by parallel_for(): threads take part in it where tasks leave some idle.
  virtual bool spreads() const { return false; }
  // A loop: one task, which all threads of a team may run together instead, meeting at the barrier.
  virtual bool is_loop() const { return false; }
  virtual bool gains_from(int /*threads*/) const { return false; }
  virtual void run_together(const Frame&, int /*thread*/, int /*threads*/, Barrier&) const {}
  virtual std::size_t bytes() const { return 0; }          // of memory of its own
  virtual std::string inside() const { return ""; }        // more lines for explain(): the steps of a loop's body
  virtual std::size_t scratch_bytes() const { return 0; }  // of one thread
  virtual std::string kernel() const = 0;                  // for explain(): "product 32x256x256, then 2 ops"

  std::vector<Id> nodes{};                      // what it computes
  std::vector<const std::uint64_t*> sources{};  // of a lasting step (lasting.hpp): versions of stores
  bool due = true;                              // false while what it left is up to date
  double flops = 0;
  double microseconds = 0;  // about, on one thread: what decides whether threads share it
};
using Steps = std::vector<std::unique_ptr<Step>>;

// Throughput assumed by these estimates: operations on single elements, multiply-adds of products, bytes of a weight.
inline constexpr double element_flops_per_us = 2e3, product_flops_per_us = 1e5, weight_bytes_per_us = 3e4;

}  // namespace wengert::plan
