// Batches: the points of a data set in turn, in an order that is shuffled for each epoch.
#pragma once
#include <cstdint>
#include <vector>

#include "autodiff/array.hpp"

namespace wengert::experiments {

class Batches {
 public:
  // Points [n,d]; an epoch has n / batch batches, and what is left over waits for another one. `once` keeps the order
  // of the first epoch. Throws Error unless there are points and 1 <= batch <= n.
  Batches(const Array& points, Index batch, std::uint64_t seed, bool once = false);

  // Number i = 0, 1, ..., [batch,d]: it depends on the seed and on i alone.
  Array operator()(std::int64_t i);

 private:
  Array points_;
  Index batch_;
  std::uint64_t seed_;
  bool once_;
  std::int64_t epoch_ = -1;  // whose order this is
  std::vector<Index> order_;
};

}  // namespace wengert::experiments
