// Memory packing: a value has memory from the step that writes it to the last that reads it, and shares it with others
// before and after.
#pragma once
#include <cstddef>
#include <vector>

namespace wengert::plan {

struct Span {
  std::size_t bytes = 0;
  std::size_t first = 0, last = 0;  // steps, both included
  std::size_t offset = 0;           // what pack() finds
};

// Offsets, aligned to cache lines, such that no two spans that live at one step overlap. Returns the bytes of it all:
// within 1 % of the most that lives at one step for up to 4096 spans, some % more for longer lists, in n log n time.
std::size_t pack(std::vector<Span>& spans);

}  // namespace wengert::plan
