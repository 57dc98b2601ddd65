// Cotangents of parts of an array, as slices of it pull them back.
#pragma once
#include <map>
#include <vector>

#include "autodiff/var.hpp"

namespace wengert {

// T slices of an array of T rows would cost T arrays if each cotangent were spread over the array and added to the
// others. Here they wait until all are there: parts that do not overlap are put side by side along their axis, zeros
// between them, as one array. What is summed is the same, and its order is that of the calls alone: parts of one place
// are added as they come, and parts that overlap otherwise, or lie along another axis, make an array of their own, the
// arrays are added in the order of their first parts. (A zero keeps its sign, which -0 + 0 would lose.)
class Parts {
 public:
  // Along `axis`, counted from the end, from `start` on; `reader` is the node it comes from. Returns the sum at its
  // place.
  Var add(int axis, Index start, Var part, std::uint32_t reader);

  // total + all of them, for an array of this shape; total may be null. Null where there are no parts either.
  Var added_to(Var total, const Shape& shape) const;

  std::uint32_t reader() const { return reader_; }  // the last one

 private:
  // Parts that do not overlap, by where they begin.
  struct Layer {
    int axis;
    std::map<Index, Var> parts{};

    bool has_room(Index start, Index end) const;
    Var whole(const Shape& shape) const;
  };
  std::vector<Layer> layers_;
  std::uint32_t reader_ = 0;
};

}  // namespace wengert
