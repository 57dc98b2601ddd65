// Tolerance: steps chosen so that the estimated error of each stays within a bound.
#pragma once
#include <limits>

#include "autodiff/dtype.hpp"
#include "sde/checks.hpp"

namespace wengert::sde {

// The next step is the last one times safety error^(-1/(order + 1)), within these factors; the error is the root mean
// square over the state of its estimate over atol + rtol |y|. The defaults are those of SciPy's RK45.
struct Controller {
  double safety = 0.9, least_factor = 0.2, most_factor = 10;
};

struct Tolerance {
  double from = 0, to = 0;  // times, in either order; to be given

  // rtol is at least 100 times the precision of f64. With atol = 0 an entry that is and stays 0 has no error.
  double rtol = 1e-5, atol = 1e-5;
  double first_step = 0;  // 0: chosen from the slope of an ODE
  double max_step = std::numeric_limits<double>::infinity();
  Index max_steps = 100000;  // accepted and rejected
  Controller controller{};
};

// Throws Error in a solver's name unless both times are finite and differ, and naming an option that cannot be.
void check_tolerance(const Owner& solver, const Tolerance& tolerance);

}  // namespace wengert::sde
