#include "autodiff/plan/memory.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "autodiff/array.hpp"

namespace wengert::plan {
namespace {

constexpr std::size_t most_by_size = 4096;  // spans; by size takes quadratic time

std::size_t padded(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

std::vector<std::size_t> order_of(const std::vector<Span>& spans, auto&& key) {
  std::vector<std::size_t> order(spans.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return key(spans[a]) < key(spans[b]); });
  return order;
}

// The largest first, each at the lowest address that is free while it lives: small ones fill the gaps.
std::size_t pack_by_size(std::vector<Span>& spans) {
  std::vector<std::size_t> placed;  // by offset
  std::size_t total = 0;
  for (std::size_t which : order_of(spans, [](const Span& span) { return ~span.bytes; })) {
    Span& span = spans[which];
    std::size_t at = 0;
    for (std::size_t other : placed) {
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

// Memory that is free at one moment: gaps, of which neighbours are one, below an end that grows.
class FreeList {
 public:
  // The smallest gap that fits, else the end.
  std::size_t take(std::size_t bytes) {
    const auto fit = by_bytes_.lower_bound({bytes, 0});
    if (fit == by_bytes_.end()) return take_from_end(bytes);
    const auto [had, at] = *fit;
    remove(by_offset_.find(at));
    if (had > bytes) give(at + bytes, had - bytes);
    return at;
  }
  void give(std::size_t at, std::size_t bytes) {
    auto after = by_offset_.lower_bound(at);
    if (after != by_offset_.end() && after->first == at + bytes) {
      bytes += after->second;
      after = remove(after);
    }
    if (after != by_offset_.begin()) {
      const auto before = std::prev(after);
      if (before->first + before->second == at) {
        at = before->first;
        bytes += before->second;
        remove(before);
      }
    }
    by_offset_.emplace(at, bytes);
    by_bytes_.emplace(bytes, at);
  }
  std::size_t end() const { return end_; }

 private:
  using Gaps = std::map<std::size_t, std::size_t>;  // offset -> bytes

  std::size_t take_from_end(std::size_t bytes) {
    std::size_t at = end_;
    if (!by_offset_.empty()) {
      const auto last = std::prev(by_offset_.end());
      if (last->first + last->second == end_) {
        at = last->first;
        remove(last);
      }
    }
    end_ = at + bytes;
    return at;
  }
  Gaps::iterator remove(Gaps::iterator gap) {
    by_bytes_.erase({gap->second, gap->first});
    return by_offset_.erase(gap);
  }

  Gaps by_offset_;
  std::set<std::pair<std::size_t, std::size_t>> by_bytes_;  // bytes, offset
  std::size_t end_ = 0;
};

// Packs as an allocator would, step by step.
std::size_t pack_by_time(std::vector<Span>& spans) {
  const auto starts = order_of(spans, [](const Span& span) { return std::pair(span.first, ~span.bytes); });
  const auto ends = order_of(spans, [](const Span& span) { return span.last; });
  FreeList memory;
  auto ended = ends.begin();
  for (std::size_t which : starts) {
    Span& span = spans[which];
    for (; spans[*ended].last < span.first; ++ended)  // ends at the latest with this span, which has not begun
      if (spans[*ended].bytes > 0) memory.give(spans[*ended].offset, padded(spans[*ended].bytes));
    span.offset = span.bytes > 0 ? memory.take(padded(span.bytes)) : 0;
  }
  return memory.end();
}

}  // namespace

std::size_t pack(std::vector<Span>& spans) {
  return spans.size() <= most_by_size ? pack_by_size(spans) : pack_by_time(spans);
}

}  // namespace wengert::plan
