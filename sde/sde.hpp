// Processes, grids, solvers.
#pragma once
#include "sde/euler_maruyama.hpp"
#include "sde/ou.hpp"
#include "sde/ve.hpp"
#include "sde/vp.hpp"
