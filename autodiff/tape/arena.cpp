#include "autodiff/tape/arena.hpp"

#include <algorithm>
#include <new>

namespace wengert {

void* Arena::allocate(std::size_t bytes) {
  constexpr std::size_t first = std::size_t{1} << 16, largest = std::size_t{1} << 26;
  bytes = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  while (top_.piece < pieces_.size() && top_.offset + bytes > pieces_[top_.piece].size) {
    ++top_.piece;
    top_.offset = 0;
  }
  if (top_.piece == pieces_.size()) {
    const std::size_t doubled = pieces_.empty() ? first : std::min(largest, 2 * pieces_.back().size);
    const std::size_t size = std::max(doubled, bytes);
    pieces_.push_back(
        {std::unique_ptr<std::byte, Free>(static_cast<std::byte*>(::operator new (size, std::align_val_t{alignment}))),
         size});
  }
  std::byte* data = pieces_[top_.piece].data.get() + top_.offset;
  top_.offset += bytes;
  top_.used += bytes;
  return data;
}

}  // namespace wengert
