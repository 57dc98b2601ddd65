// Memory that grows in large pieces, is handed out in order, and is taken back by rewinding to a mark.
#pragma once
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
  void* allocate(std::size_t bytes);
  Mark mark() const { return top_; }
  void rewind(const Mark& mark) { top_ = mark; }
  std::size_t used() const { return top_.used; }  // bytes handed out since the start, with their padding

 private:
  struct Free {
    void operator()(std::byte* data) const { ::operator delete (data, std::align_val_t{alignment}); }
  };
  struct Piece {
    std::unique_ptr<std::byte, Free> data;
    std::size_t size;
  };
  std::vector<Piece> pieces_;
  Mark top_;
};

}  // namespace wengert
