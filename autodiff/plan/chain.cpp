#include "autodiff/plan/chain.hpp"

#include <algorithm>

namespace wengert::plan {

Chain::Chain(Dtype dtype, const Shape& shape, const std::vector<Shape>& from, std::vector<Instruction> instructions)
    : dtype_(dtype),
      size_(shape.size()),
      columns_(shape.rank() == 0 ? 1 : shape[-1]),
      instructions_(std::move(instructions)) {
  for (const Shape& own : from) {
    const bool direct = own.size() == size_;
    const Shape rows = own.rank() == 0 ? Shape{} : own.leading(own.rank() - 1);
    const Shape all_rows = shape.rank() == 0 ? Shape{} : shape.leading(shape.rank() - 1);
    const Index columns = own.rank() == 0 ? 1 : own[-1];
    Walk row_walk = broadcast_walk(rows, all_rows);
    for (Index& stride : row_walk.strides) stride *= columns;
    const bool single = !direct && own.size() == 1;
    const bool repeats = !direct && !single && own.size() == columns && columns == columns_ && block % columns == 0;
    sources_.push_back({broadcast_walk(own, shape), direct, single, repeats, row_walk, columns == 1});
  }
  share_registers();
}

// A register is free again after its last reader.
void Chain::share_registers() {
  const std::size_t count = instructions_.size();
  std::vector<std::size_t> last(count, 0);
  for (std::size_t i = 0; i < count; ++i)
    for (int operand : instructions_[i].operands)
      if (operand < 0) last[static_cast<std::size_t>(~operand)] = i;
  register_of_.assign(count, -1);
  std::vector<int> free;
  for (std::size_t i = 0; i < count; ++i) {
    // Elementwise ops may write over what they read.
    for (std::size_t j = 0; j < i; ++j)
      if (last[j] == i && register_of_[j] >= 0) free.push_back(register_of_[j]);
    if (instructions_[i].output >= 0) continue;
    if (free.empty()) {
      register_of_[i] = static_cast<int>(registers_++);
    } else {
      register_of_[i] = free.back();
      free.pop_back();
    }
  }
}

template <class T>
void Chain::compute(const void** operands, void* const* outputs, Index at, Index n, T* registers) const {
  std::array<const void*, 8> in;
  const void** results = operands + sources_.size();
  for (std::size_t i = 0; i < instructions_.size(); ++i) {
    const Instruction& each = instructions_[i];
    for (std::size_t k = 0; k < each.operands.size(); ++k) {
      const int operand = each.operands[k];
      in[k] = operand >= 0 ? operands[operand] : results[~operand];
    }
    T* to = each.output >= 0 ? static_cast<T*>(outputs[each.output]) + at : registers + register_of_[i] * block;
    each.op->block(n, in.data(), to, dtype_, *each.attributes);
    results[i] = to;
  }
}

namespace {
constexpr std::size_t most_values = 96;  // of a chain, from outside and within; fusion stops before
}

template <class T>
void Chain::run_piece(const void* const* from, void* const* outputs, Index at, Index n, std::byte* scratch) const {
  T* buffers = reinterpret_cast<T*>(scratch);
  std::array<const void*, most_values> operands;
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    const Source& source = sources_[s];
    const T* data = static_cast<const T*>(from[s]);
    T* buffer = buffers + static_cast<Index>(s) * block;
    operands[s] = source.direct ? data + at : buffer;
    if (source.direct || source.single || source.repeats) continue;
    gather(source.walk, data, at, n, buffer);
  }
  compute<T>(operands.data(), outputs, at, n, buffers + static_cast<Index>(sources_.size()) * block);
}

void Chain::run(const void* const* from, void* const* outputs, Index begin, Index end, std::byte* scratch) const {
  dispatch_float(dtype_, [&]<class T>() {
    // What is the same in every block is laid out once; blocks begin with a row where that matters.
    const Index most = std::min(block, end - begin);
    for (std::size_t s = 0; s < sources_.size(); ++s) {
      const T* data = static_cast<const T*>(from[s]);
      T* buffer = reinterpret_cast<T*>(scratch) + static_cast<Index>(s) * block;
      if (sources_[s].single)
        std::fill_n(buffer, most, *data);
      else if (sources_[s].repeats)
        gather(sources_[s].walk, data, begin, most, buffer);
    }
    for (Index at = begin; at < end; at += block) run_piece<T>(from, outputs, at, std::min(block, end - at), scratch);
  });
}

void Chain::run_block(const void* const* from, void* const* outputs, Index top, Index bottom, Index left, Index right,
                      std::byte* scratch) const {
  dispatch_float(dtype_, [&]<class T>() {
    T* buffers = reinterpret_cast<T*>(scratch);
    std::array<const void*, most_values> operands;
    for (Index row = top; row < bottom; ++row)
      for (Index column = left; column < right; column += block) {
        const Index n = std::min(block, right - column);
        for (std::size_t s = 0; s < sources_.size(); ++s) {
          const Source& source = sources_[s];
          const T* data = static_cast<const T*>(from[s]) + position_of(source.row_walk, row);
          T* buffer = buffers + static_cast<Index>(s) * block;
          operands[s] = source.stretched_row ? buffer : data + column;
          if (source.stretched_row) std::fill_n(buffer, n, *data);
        }
        compute<T>(operands.data(), outputs, row * columns_ + column, n,
                   buffers + static_cast<Index>(sources_.size()) * block);
      }
  });
}

}  // namespace wengert::plan
