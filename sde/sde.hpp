// Processes, grids, solvers.
#pragma once
#include "sde/euler_maruyama.hpp"
#include "sde/ou.hpp"
#include "sde/score_matching.hpp"
#include "sde/ve.hpp"
#include "sde/vp.hpp"
