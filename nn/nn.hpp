// Layers, optimizers, files of weights.
#pragma once
#include "nn/adam.hpp"
#include "nn/layer_norm.hpp"
#include "nn/losses.hpp"
#include "nn/mlp.hpp"
#include "nn/networks/additive_time_net.hpp"
#include "nn/networks/residual_score.hpp"
#include "nn/networks/scaled_score_net.hpp"
#include "nn/networks/time_mlp.hpp"
#include "nn/prelu.hpp"
#include "nn/sgd.hpp"
#include "nn/train_step.hpp"
#include "nn/weights.hpp"
