// Grid: the times that a fixed-step solver visits.
#pragma once
#include <vector>

#include "autodiff/dtype.hpp"

namespace wengert::sde {

// Strictly monotone times, in either direction.
class Grid {
 public:
  // `steps` equal steps from one time to another. Throws Error unless steps >= 1 and the times are finite and differ.
  static Grid uniform(double from, double to, Index steps);
  // The grid without its last step: `steps` times from `from` on, of which the last lies one step short of `to`, as
  // NumPy's arange has them. Throws Error unless steps >= 2.
  static Grid half_open(double from, double to, Index steps);
  // Throws Error unless there are at least two times, finite and strictly monotone.
  explicit Grid(std::vector<double> times);

  Index steps() const { return static_cast<Index>(times_.size()) - 1; }
  Grid reversed() const;  // the same times in the other direction
  double operator[](Index i) const { return times_[static_cast<std::size_t>(i)]; }  // i in [0, steps()]

 private:
  std::vector<double> times_;
};

}  // namespace wengert::sde
