// FusedKernel: elementwise ops of one shape that go through memory together, a block of elements at a time, so that
// what is between them never leaves the L1 cache.
#pragma once
#include <memory>
#include <vector>

#include "autodiff/kernels/strided.hpp"
#include "autodiff/plan/fused_phases.hpp"

namespace wengert::plan {

class FusedKernel {
 public:
  static constexpr Index block = 512;  // elements

  // Every instruction but the first reads another, or the product before them: of the operands of m instructions with a
  // operands each, at most m a - (m - 1) are external, and the product.
  static constexpr std::size_t most_operands = most_members * (most_arity - 1) + 2, most_outputs = most_members;
  static constexpr std::size_t most_values = most_operands + most_members;

  using Instruction = FusedInstruction;

  // `from` are the shapes of the values from outside; what has fewer elements than `shape` is broadcast.
  FusedKernel(Dtype dtype, const Shape& shape, const std::vector<Shape>& from, std::vector<Instruction> instructions);

  // Elements [begin, end), in C order; `begin` is a multiple of the block or of the last axis. `scratch` holds
  // scratch_bytes().
  void run(const void* const* from, void* const* outputs, Index begin, Index end, std::byte* scratch) const;
  // Rows [top, bottom) of the last axis, and of these the columns [left, right).
  void run_block(const void* const* from, void* const* outputs, Index top, Index bottom, Index left, Index right,
                 std::byte* scratch) const;

  std::size_t scratch_bytes() const { return buffer_bytes() + code_bytes_; }
  Index size() const { return size_; }
  Index columns() const { return columns_; }
  std::size_t instructions() const { return instructions_.size(); }
  std::string text() const;  // "7 ops, 6 in code"

 private:
  // The way in which a block of an external value is made contiguous.
  enum class Reach {
    number,    // one number that code alone reads: where it lies
    single,    // one number: laid out once
    row,       // one row for all rows, of which a block holds several whole ones: laid out once
    whole,     // all elements, in order: read in place
    in_place,  // repeating along the leading axes: read in place
    column,    // one number a row
    walk       // anything else
  };
  struct Source {
    Reach reach;
    Index period;         // elements, or rows of a column, after which it begins anew
    Index row_length;     // of its own rows: columns_ or 1
    Walk walk, row_walk;  // to broadcast it over the whole shape, and its rows over all rows
  };
  static Source source_of(const Shape& own, const Shape& shape);
  static bool is_number(Reach reach) { return reach == Reach::number || reach == Reach::single; }
  void find_numbers_in_code();
  template <class T>
  void run_at_once(const void* const* from, void* const* outputs, T* buffers) const;
  template <class T>
  void lay_out(const void* const* from, Index begin, Index n, T* buffers) const;
  template <class T>
  const T* block_of(const Source& source, const T* data, Index at, Index n, T* buffer) const;
  template <class T>
  void repeat_rows(const Source& source, const T* data, Index at, Index n, T* buffer) const;
  // The operands are followed by the results of instructions.
  template <class T>
  void compute(const void* const* from, const void** operands, void* const* outputs, Index at, Index n,
               T* buffers) const;
  template <class T>
  void run_code(const FusedPhase& phase, const void* const* from, const void** operands, Index n, T* buffers) const;
  void share_registers();
  std::size_t buffer_bytes() const { return (sources_.size() + registers_) * block * size_of(dtype_); }

  Dtype dtype_;
  Index size_, columns_;
  std::vector<Source> sources_;
  std::vector<Reach> reaches_;  // of the sources, side by side
  Index longest_ = block;       // elements that are computed together: all of them where nothing goes through buffers
  bool at_once_ = true;         // one block holds all elements, and no source begins anew in it
  std::vector<Instruction> instructions_;
  std::vector<FusedPhase> phases_;
  std::vector<int> register_of_;  // of an instruction's result; -1: it lies in an output
  std::size_t registers_ = 0, code_bytes_ = 0;
};

}  // namespace wengert::plan
