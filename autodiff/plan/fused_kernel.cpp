#include "autodiff/plan/fused_kernel.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace wengert::plan {

FusedKernel::FusedKernel(Dtype dtype, const Shape& shape, const std::vector<Shape>& from,
                         std::vector<Instruction> instructions)
    : dtype_(dtype),
      size_(shape.size()),
      columns_(shape.rank() == 0 ? 1 : shape[-1]),
      instructions_(std::move(instructions)) {
  for (const Shape& own : from) sources_.push_back(source_of(own, shape));
  std::vector<bool> numbers;
  for (const Source& source : sources_) numbers.push_back(source.reach == Reach::single);
  phases_ = fused_phases(dtype, numbers, instructions_);
  find_numbers_in_code();
  for (const Source& source : sources_) reaches_.push_back(source.reach);
  at_once_ = size_ <= block &&
             std::none_of(sources_.begin(), sources_.end(), [](const Source& s) { return s.reach == Reach::in_place; });
  const bool in_place = std::all_of(reaches_.begin(), reaches_.end(),
                                    [](Reach reach) { return reach == Reach::whole || reach == Reach::number; });
  if (phases_.size() == 1 && phases_[0].code != nullptr && in_place) longest_ = std::max(block, size_);
  for (const FusedPhase& phase : phases_)
    if (phase.code != nullptr) code_bytes_ = std::max(code_bytes_, phase.code->frame_bytes());
  share_registers();
}

std::string FusedKernel::text() const {
  std::size_t in_code = instructions_.size();
  for (const FusedPhase& phase : phases_) in_code -= phase.call >= 0 ? 1 : 0;
  return fmt::format("{} ops{}", instructions_.size(), in_code > 0 ? fmt::format(", {} in code", in_code) : "");
}

// A value that repeats after fewer elements would cut blocks too short.
constexpr Index shortest_run = 128;

FusedKernel::Source FusedKernel::source_of(const Shape& own, const Shape& shape) {
  const Index columns = shape.rank() == 0 ? 1 : shape[-1], row_length = own.rank() == 0 ? 1 : own[-1];
  const Shape rows = own.rank() == 0 ? Shape{} : own.leading(own.rank() - 1);
  const Shape all_rows = shape.rank() == 0 ? Shape{} : shape.leading(shape.rank() - 1);
  Walk row_walk = broadcast_walk(rows, all_rows);
  for (Index& stride : row_walk.strides) stride *= row_length;
  // Its rows are the last ones of all: they begin anew along the axes before these.
  int matching = 0;
  while (matching < rows.rank() && rows[-1 - matching] == all_rows[-1 - matching]) ++matching;
  const bool trailing = all_rows.trailing(matching).size() == rows.size();
  Reach reach = Reach::walk;
  if (own.size() == 1 && shape.size() != 1)
    reach = Reach::single;
  else if (own.size() == row_length && row_length == columns && shape.size() != own.size() && block % columns == 0)
    reach = Reach::row;
  else if (own.size() == shape.size())
    reach = Reach::whole;
  else if (trailing && row_length == columns && own.size() >= shortest_run)
    reach = Reach::in_place;
  else if (trailing && row_length == 1)
    reach = Reach::column;
  return {reach, reach == Reach::column ? rows.size() : own.size(), row_length, broadcast_walk(own, shape), row_walk};
}

// Code reads a number where it lies; calls are given a block of it.
void FusedKernel::find_numbers_in_code() {
  std::vector<bool> called(sources_.size(), false);
  for (const FusedPhase& phase : phases_) {
    if (phase.call < 0) continue;
    for (int operand : instructions_[static_cast<std::size_t>(phase.call)].operands)
      if (operand >= 0) called[static_cast<std::size_t>(operand)] = true;
  }
  for (std::size_t s = 0; s < sources_.size(); ++s)
    if (sources_[s].reach == Reach::single && !called[s]) sources_[s].reach = Reach::number;
}

// A register is free again after the last phase that reads it. (Ops and code may write over what they read.)
void FusedKernel::share_registers() {
  const std::size_t count = instructions_.size();
  std::vector<std::size_t> last(count, 0);
  const auto reads = [&](std::size_t phase, int value) {
    if (value < 0) last[static_cast<std::size_t>(~value)] = phase;
  };
  for (std::size_t p = 0; p < phases_.size(); ++p) {
    for (int value : phases_[p].reads) reads(p, value);
    if (phases_[p].call >= 0)
      for (int value : instructions_[static_cast<std::size_t>(phases_[p].call)].operands) reads(p, value);
  }
  register_of_.assign(count, -1);
  std::vector<int> free;
  for (std::size_t p = 0; p < phases_.size(); ++p) {
    for (std::size_t j = 0; j < count; ++j)
      if (last[j] == p && register_of_[j] >= 0) free.push_back(register_of_[j]);
    for (int i : phases_[p].writes) {
      if (instructions_[static_cast<std::size_t>(i)].output >= 0) continue;
      if (free.empty()) free.push_back(static_cast<int>(registers_++));
      register_of_[static_cast<std::size_t>(i)] = free.back();
      free.pop_back();
    }
  }
}

template <class T>
void FusedKernel::compute(const void* const* from, const void** operands, void* const* outputs, Index at, Index n,
                          T* buffers) const {
  std::array<const void*, most_arity> in;
  T* registers = buffers + static_cast<Index>(sources_.size()) * block;
  const void** results = operands + sources_.size();
  for (const FusedPhase& phase : phases_) {
    for (int i : phase.writes) {
      const int output = instructions_[static_cast<std::size_t>(i)].output;
      results[i] = output >= 0 ? static_cast<T*>(outputs[output]) + at
                               : registers + register_of_[static_cast<std::size_t>(i)] * block;
    }
    if (phase.call < 0) {
      run_code(phase, from, operands, n, buffers);
      continue;
    }
    const Instruction& each = instructions_[static_cast<std::size_t>(phase.call)];
    for (std::size_t k = 0; k < each.operands.size(); ++k) {
      const int operand = each.operands[k];
      in[k] = operand >= 0 ? operands[operand] : results[~operand];
    }
    each.op->block(n, in.data(), const_cast<void*>(results[phase.call]), dtype_, *each.attributes);
  }
}

template <class T>
void FusedKernel::run_code(const FusedPhase& phase, const void* const* from, const void** operands, Index n,
                           T* buffers) const {
  std::array<const void*, most_values> arrays;
  const void** results = operands + sources_.size();
  std::size_t count = 0;
  for (int value : phase.reads) {
    const bool number = value >= 0 && is_number(reaches_[static_cast<std::size_t>(value)]);
    arrays[count++] = number ? from[value] : value >= 0 ? operands[value] : results[~value];
  }
  for (int i : phase.writes) arrays[count++] = results[i];
  phase.code->run(arrays.data(), reinterpret_cast<std::byte*>(buffers) + buffer_bytes(),
                  static_cast<std::size_t>(n) * sizeof(T));
}

// Fills the buffers that are the same in every block; blocks begin with a row where that matters.
template <class T>
void FusedKernel::lay_out(const void* const* from, Index begin, Index n, T* buffers) const {
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    const T* data = static_cast<const T*>(from[s]);
    T* buffer = buffers + static_cast<Index>(s) * block;
    if (sources_[s].reach == Reach::single)
      std::fill_n(buffer, n, *data);
    else if (sources_[s].reach == Reach::row)
      gather(sources_[s].walk, data, begin, n, buffer);
  }
}

// Elements [at, at + n) of a value with one number a row.
template <class T>
void FusedKernel::repeat_rows(const Source& source, const T* data, Index at, Index n, T* buffer) const {
  Index row = at / columns_ % source.period, passed = at % columns_;
  while (n > 0) {
    const bool whole = passed == 0 && n >= columns_;
    const Index rows = whole ? std::min(n / columns_, source.period - row) : 1;
    const Index count = whole ? rows * columns_ : std::min(n, columns_ - passed);
    whole ? repeat_each(data + row, rows, columns_, buffer) : void(std::fill_n(buffer, count, data[row]));
    buffer += count, n -= count;
    row = (row + rows) % source.period, passed = 0;
  }
}

// Elements [at, at + n) of a value, in its buffer or where they lie.
template <class T>
const T* FusedKernel::block_of(const Source& source, const T* data, Index at, Index n, T* buffer) const {
  if (source.reach == Reach::whole) return data + at;
  if (source.reach == Reach::in_place) return data + at % source.period;
  if (source.reach == Reach::column) {
    repeat_rows(source, data, at, n, buffer);
  } else if (source.reach == Reach::walk) {
    gather(source.walk, data, at, n, buffer);
  }
  return buffer;
}

// Small values, of which a plan may run very many: nothing is asked that their shapes have decided.
template <class T>
void FusedKernel::run_at_once(const void* const* from, void* const* outputs, T* buffers) const {
  std::array<const void*, most_values> operands;
  for (std::size_t s = 0; s < reaches_.size(); ++s) {
    const T* data = static_cast<const T*>(from[s]);
    T* buffer = buffers + static_cast<Index>(s) * block;
    operands[s] = reaches_[s] == Reach::whole ? data : buffer;
    if (reaches_[s] == Reach::single)
      std::fill_n(buffer, size_, *data);
    else if (reaches_[s] != Reach::whole && reaches_[s] != Reach::number)
      gather(sources_[s].walk, data, 0, size_, buffer);
  }
  compute<T>(from, operands.data(), outputs, 0, size_, buffers);
}

void FusedKernel::run(const void* const* from, void* const* outputs, Index begin, Index end, std::byte* scratch) const {
  dispatch_float(dtype_, [&]<class T>() {
    T* buffers = reinterpret_cast<T*>(scratch);
    if (at_once_ && end - begin == size_) return run_at_once<T>(from, outputs, buffers);
    lay_out(from, begin, std::min(block, end - begin), buffers);
    std::array<const void*, most_values> operands;
    for (Index at = begin; at < end;) {
      Index n = std::min(longest_, end - at);
      for (const Source& source : sources_)  // what is read in place is cut where it begins anew
        if (source.reach == Reach::in_place) n = std::min(n, source.period - at % source.period);
      for (std::size_t s = 0; s < sources_.size(); ++s)
        operands[s] =
            block_of(sources_[s], static_cast<const T*>(from[s]), at, n, buffers + static_cast<Index>(s) * block);
      compute<T>(from, operands.data(), outputs, at, n, buffers);
      at += n;
    }
  });
}

void FusedKernel::run_block(const void* const* from, void* const* outputs, Index top, Index bottom, Index left,
                            Index right, std::byte* scratch) const {
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
          const bool stretched = source.row_length == 1;
          operands[s] = stretched ? buffer : data + column;
          if (stretched && source.reach != Reach::number) std::fill_n(buffer, n, *data);
        }
        compute<T>(from, operands.data(), outputs, row * columns_ + column, n, buffers);
      }
  });
}

}  // namespace wengert::plan
