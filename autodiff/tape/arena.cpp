#include "autodiff/tape/arena.hpp"

#include <algorithm>

namespace wengert {

void Arena::next_piece(std::size_t bytes) {
  constexpr std::size_t first = std::size_t{1} << 16, largest = std::size_t{1} << 26;
  std::size_t piece = pieces_.empty() ? 0 : top_.piece + 1;
  while (piece < pieces_.size() && bytes > pieces_[piece].size) ++piece;
  if (piece == pieces_.size()) {
    const std::size_t doubled = pieces_.empty() ? first : std::min(largest, 2 * pieces_.back().size);
    const std::size_t size = std::max(doubled, bytes);
    pieces_.push_back({std::unique_ptr<std::byte, Free>(static_cast<std::byte*>(take_memory(size))), size});
  }
  enter(piece);
  top_.piece = piece;
  top_.offset = 0;
}

}  // namespace wengert
