// Control of the steps along a grid, and along a Tolerance: there the control of SciPy's RK45, which follows Hairer,
// Norsett and Wanner, "Solving ordinary differential equations I", section II.4. Beside SciPy's the number of steps is
// limited, no step is shorter than times of the state's dtype resolve, and a first step may be longer than the
// interval. Both work on the host, in f64.
#pragma once
#include <cmath>
#include <limits>

#include "sde/grid.hpp"
#include "sde/tolerance.hpp"

namespace wengert::sde {

// The size h0 of the Euler step that shows how fast the slope changes, and from what it showed the size of the first
// step. Norms of y, of its slope f, and of the change of f over h0 are root mean squares over atol + rtol |y|.
double first_euler_step(double length, double norm_y, double norm_f);
double first_step(double h0, double norm_f, double norm_change, double error_order);

class StepControl {
 public:
  // Control by a tolerance that was checked.
  StepControl(const Tolerance& tolerance, double error_order, Dtype dtype = Dtype::f64);

  void start(double step) { size_ = step; }
  // The next step to try, signed, which ends at most at `to`; 0 where the resolution of times leaves none.
  double propose();
  // Takes the norm of the step's error and accepts the step where it is below 1.
  bool accept(double error_norm);

  double t() const { return t_; }
  double next() const { return next_; }  // where the proposed step ends
  bool done() const { return t_ == to_; }
  bool is_last() const { return next_ == to_; }
  double direction() const { return to_ > t_ ? 1 : -1; }
  Index max_steps() const { return max_steps_; }
  static constexpr bool retries = true;  // a rejected step is tried again, shorter

 private:
  double t_, to_, next_ = 0, size_ = 0, max_step_, exponent_;
  Controller factors_;
  Index max_steps_;
  bool single_;  // whether times are f32
  bool rejected_ = false;
};

// Control by a grid, each of whose steps is accepted unless its error is not a number.
class GridControl {
 public:
  explicit GridControl(const Grid& grid) : grid_(grid) {}

  double propose() const { return failed_ ? 0 : grid_[k_ + 1] - grid_[k_]; }
  bool accept(double error_norm) {
    failed_ = !std::isfinite(error_norm);
    if (!failed_) ++k_;
    return !failed_;
  }

  double t() const { return grid_[k_]; }
  double next() const { return grid_[k_ + 1]; }
  bool done() const { return k_ == grid_.steps(); }
  bool is_last() const { return k_ + 1 == grid_.steps(); }
  static constexpr Index max_steps() { return std::numeric_limits<Index>::max(); }
  static constexpr bool retries = false;

 private:
  const Grid& grid_;
  Index k_ = 0;
  bool failed_ = false;
};

}  // namespace wengert::sde
