// How an adaptive method chooses its steps: the control of scipy's RK45, which follows Hairer, Norsett and Wanner,
// "Solving ordinary differential equations I", section II.4. It works on the host, in f64. Beside scipy's: the number
// of steps is limited, times in f32 have steps that f32 can tell, a first step may be longer than the way.
#pragma once
#include <limits>

#include "autodiff/dtype.hpp"
#include "sde/checks.hpp"

namespace wengert::sde {

struct AdaptiveOptions {
  // An error may be atol + rtol |y|, in the root mean square over the state; rtol is at least 100 times the precision
  // of f64. With atol = 0 an entry that is and stays 0 has no error.
  double rtol = 1e-5, atol = 1e-5;
  double first_step = 0;  // 0: chosen
  double max_step = std::numeric_limits<double>::infinity();
  Index max_steps = 100000;  // accepted and rejected
};

// Throw Error in a solver's name: on an option that is of no use, and unless both times are finite and differ.
void check_options(const Owner& solver, const AdaptiveOptions& options);
void check_times(const Owner& solver, double from, double to);

// The size h0 of the Euler step that shows how fast the slope changes, and from what it showed the size of the first
// step. Norms of y, of its slope f, and of the change of f over h0 are root mean squares over atol + rtol |y|.
double first_euler_step(double length, double norm_y, double norm_f);
double first_step(double h0, double norm_f, double norm_change, double error_order);

class StepControl {
 public:
  // Of times and options that were checked.
  StepControl(double from, double to, const AdaptiveOptions& options, double error_order, Dtype dtype = Dtype::f64);

  void start(double step) { size_ = step; }
  // The next step to try, signed, which ends at most at `to`; 0 where the time could not tell it from none.
  double propose();
  // What came of it: accepted where the norm of the error is below 1.
  bool accept(double error_norm);

  double t() const { return t_; }
  bool done() const { return t_ == to_; }
  double direction() const { return to_ > t_ ? 1 : -1; }

 private:
  double t_, to_, next_ = 0, size_ = 0, max_step_, exponent_;
  bool single_;  // whether times are f32
  bool rejected_ = false;
};

}  // namespace wengert::sde
