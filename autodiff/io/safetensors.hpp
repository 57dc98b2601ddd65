// Named arrays in files of the safetensors format (https://github.com/huggingface/safetensors), which PyTorch's side
// reads and writes as well.
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "autodiff/array.hpp"

namespace wengert {

using NamedArrays = std::vector<std::pair<std::string, Array>>;

// Replaces the file atomically. Tensors lie in the given order. Throws Error when it cannot be written, and on names
// that no reader would take (one twice, "__metadata__", no UTF-8); the old file then stays.
void write_safetensors(const std::filesystem::path& path, const NamedArrays& arrays);
// f32, f64 and i32 tensors in the order of the file's header. Throws Error, naming the file and what is wrong, on
// whatever the format's own reader refuses, and on tensors of other types. A file may be hostile: time and memory grow
// with its size alone.
NamedArrays read_safetensors(const std::filesystem::path& path);

}  // namespace wengert
