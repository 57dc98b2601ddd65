// Weights of modules in safetensors files, with PyTorch's names and layouts, so that both sides read each other's.
#pragma once
#include <filesystem>
#include <string>

#include "autodiff/io/safetensors.hpp"
#include "nn/module.hpp"

namespace wengert::nn {

// Replaces the file atomically. Throws Error where it cannot be written.
void save(const Module& module, const std::filesystem::path& path);
// Loads exactly the module's parameters: missing, unexpected or misshapen tensors, numbers that are not finite, and f64
// weights for an f32 module (which would lose digits) are refused with Error, and then nothing has changed. So are two
// values for one parameter that the module has under two names.
void load(Module& module, const std::filesystem::path& path);
void load(Module& module, const NamedArrays& arrays, const std::string& source);

}  // namespace wengert::nn
