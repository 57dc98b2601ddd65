// Sampling and other ways along a grid that take long enough to be watched.
#pragma once
#include <string>

#include "autodiff/array.hpp"
#include "experiments/common/interrupt.hpp"
#include "sde/grid.hpp"
#include "sde/integrator.hpp"

namespace wengert::experiments {

// The end that integrator.run(x, grid, options) reaches, with a Progress of this part on stderr. Throws Interrupted
// after the step in which a signal came, and Error where the end is not reached.
Array sample(const std::string& part, sde::Integrator& integrator, const Array& x, const sde::Grid& grid,
             sde::RunOptions options = {});

}  // namespace wengert::experiments
