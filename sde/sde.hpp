// Processes, grids, solvers.
#pragma once
#include "sde/euler_maruyama.hpp"
#include "sde/vp.hpp"
