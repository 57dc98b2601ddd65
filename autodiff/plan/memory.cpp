#include "autodiff/plan/memory.hpp"

#include <algorithm>
#include <numeric>

#include "autodiff/array.hpp"

namespace wengert::plan {

std::size_t pack(std::vector<Span>& spans) {
  const auto padded = [](std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; };
  std::vector<std::size_t> order(spans.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // The largest first: small ones fill the gaps.
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return spans[a].bytes != spans[b].bytes ? spans[a].bytes > spans[b].bytes : a < b;
  });
  std::vector<std::size_t> placed;
  std::size_t total = 0;
  for (std::size_t which : order) {
    Span& span = spans[which];
    std::size_t at = 0;
    for (std::size_t other : placed) {  // by offset
      const Span& o = spans[other];
      if (o.last < span.first || span.last < o.first) continue;
      if (at + padded(span.bytes) <= o.offset) break;
      at = std::max(at, o.offset + padded(o.bytes));
    }
    span.offset = at;
    total = std::max(total, at + padded(span.bytes));
    const auto behind =
        std::find_if(placed.begin(), placed.end(), [&](std::size_t other) { return spans[other].offset > at; });
    placed.insert(behind, which);
  }
  return total;
}

}  // namespace wengert::plan
