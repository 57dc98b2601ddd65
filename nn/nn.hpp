// Layers, optimizers, files of weights.
#pragma once
#include "nn/adam.hpp"
#include "nn/layer_norm.hpp"
#include "nn/losses.hpp"
#include "nn/mlp.hpp"
#include "nn/prelu.hpp"
#include "nn/residual_score.hpp"
#include "nn/weights.hpp"
#include "nn/score_net.hpp"
#include "nn/sgd.hpp"
#include "nn/time_embedded_net.hpp"
#include "nn/time_mlp.hpp"
#include "nn/train_step.hpp"
