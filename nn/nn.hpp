// Layers, optimizers, files of weights.
#pragma once
#include "nn/adam.hpp"
#include "nn/mlp.hpp"
#include "nn/safetensors.hpp"
#include "nn/train_step.hpp"
