// Weights in files of the safetensors format (https://github.com/huggingface/safetensors), with PyTorch's names and
// layouts, so that both sides read each other's.
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "nn/module.hpp"

namespace wengert::nn {

using NamedArrays = std::vector<std::pair<std::string, Array>>;

// Replaces the file atomically. Tensors lie in the given order. Throws Error when it cannot be written, and on names
// that no reader would take (one twice, "__metadata__", no UTF-8); the old file then stays.
void write_safetensors(const std::filesystem::path& path, const NamedArrays& arrays);
// f32, f64 and i32 tensors in the order of the file's header. Throws Error, naming the file and what is wrong, on
// whatever the format's own reader refuses, and on tensors of other types. A file may be hostile: time and memory grow
// with its size alone.
NamedArrays read_safetensors(const std::filesystem::path& path);

void save(const Module& module, const std::filesystem::path& path);
// Loads exactly the module's parameters: missing, unexpected or misshapen tensors, numbers that are not finite, and f64
// weights for an f32 module (which would lose digits) are refused with Error, and then nothing has changed. So are two
// values for one parameter that the module has under two names.
void load(Module& module, const std::filesystem::path& path);
void load(Module& module, const NamedArrays& arrays, const std::string& source);

}  // namespace wengert::nn
