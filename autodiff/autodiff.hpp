// The engine: arrays, tapes, ops, derivatives, draws, plans.
#pragma once
#include "autodiff/derivatives.hpp"
#include "autodiff/jit.hpp"
#include "autodiff/linalg.hpp"
#include "autodiff/loops.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/plan.hpp"
#include "autodiff/random.hpp"
#include "autodiff/tape.hpp"
#include "autodiff/tape/provenance.hpp"
#include "autodiff/transforms.hpp"
