// Processes, equations, solvers, likelihoods.
#pragma once
#include "sde/adaptive_integrator.hpp"
#include "sde/euler.hpp"
#include "sde/euler_maruyama.hpp"
#include "sde/heun.hpp"
#include "sde/integrator.hpp"
#include "sde/likelihood.hpp"
#include "sde/ou.hpp"
#include "sde/predictor_corrector.hpp"
#include "sde/rk4.hpp"
#include "sde/score_matching.hpp"
#include "sde/ve.hpp"
#include "sde/vp.hpp"
