// Processes, equations, methods, likelihoods; and the lists of processes and methods, which tests walk.
#pragma once
#include <tuple>

#include "sde/dormand_prince.hpp"
#include "sde/empirical.hpp"
#include "sde/euler.hpp"
#include "sde/euler_maruyama.hpp"
#include "sde/exact_transition.hpp"
#include "sde/heun.hpp"
#include "sde/integrator.hpp"
#include "sde/likelihood.hpp"
#include "sde/maximum_entropy.hpp"
#include "sde/ou.hpp"
#include "sde/predictor_corrector.hpp"
#include "sde/rk4.hpp"
#include "sde/score_matching.hpp"
#include "sde/stochastic_heun.hpp"
#include "sde/uniform_circle.hpp"
#include "sde/ve.hpp"
#include "sde/vp.hpp"

namespace wengert::sde {

using Processes = std::tuple<Ou, VeConstant, VeExponential, Vp>;
using Methods = std::tuple<Euler, Heun, Rk4, DormandPrince, EulerMaruyama, StochasticHeun, PredictorCorrector,
                           ExactTransition, HeunLeftEnd>;

}  // namespace wengert::sde
