// The base of steps that sum over rows.
#pragma once
#include <algorithm>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/plan/step.hpp"

namespace wengert::plan {

// A step of `rows` rows that sums over them: the partial sums, of `count` over all rows of the batch, that a frame
// holds.
class PartialSumsStep : public Step {
 public:
  PartialSumsStep(Index count, Index extent, Index rows) : count_(count), extent_(extent), rows_(rows) {
    held_ = std::max<Index>(1, (count * rows + extent / 2) / std::max<Index>(extent, 1));
  }

 protected:
  struct Range {
    Index which, begin, end;  // rows counted from the frame's first one
  };
  Index held() const { return held_; }
  Range range(const Frame& frame, Index number) const {
    const Index which = (frame.begin * count_ + extent_ - 1) / std::max<Index>(extent_, 1) + number;
    return {which, group_begin(which, count_, extent_) - frame.begin,
            group_begin(which + 1, count_, extent_) - frame.begin};
  }
  Index count_, extent_, rows_;

 private:
  Index held_;
};

}  // namespace wengert::plan
