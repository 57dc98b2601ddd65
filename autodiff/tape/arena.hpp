// Memory that grows in large pieces, is handed out in order, and is taken back by rewinding to a mark.
#pragma once
#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "autodiff/array.hpp"

namespace wengert {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  struct Mark {
    std::size_t piece = 0, offset = 0, used = 0;
  };

  // Aligned to a cache line, not initialised. The pieces are kept when they are rewound.
  void* allocate(std::size_t bytes) {
    bytes = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
    if (bytes > size_ - top_.offset) next_piece(bytes);
    std::byte* data = data_ + top_.offset;
    top_.offset += bytes;
    top_.used += bytes;
    return data;
  }
  Mark mark() const { return top_; }
  void rewind(const Mark& mark) {
    if (mark.piece != top_.piece) enter(mark.piece);
    top_ = mark;
  }
  std::size_t used() const { return top_.used; }  // bytes handed out since the start, with their padding

 private:
  struct Free {
    void operator()(std::byte* data) const { give_back_memory(data); }
  };
  struct Piece {
    std::unique_ptr<std::byte, Free> data;
    std::size_t size;
  };
  // Moves the top to a piece with room for as many bytes, a new one where none has.
  void next_piece(std::size_t bytes);
  void enter(std::size_t piece) {
    data_ = pieces_[piece].data.get();
    size_ = pieces_[piece].size;
  }
  std::vector<Piece> pieces_;
  Mark top_;
  std::byte* data_ = nullptr;  // of the piece at the top
  std::size_t size_ = 0;
};

}  // namespace wengert
