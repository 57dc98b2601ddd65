// Arrays in NumPy's .npy files, version 1.0, C order.
#pragma once
#include <filesystem>

#include "autodiff/array.hpp"

namespace wengert {

// Replaces the file as a whole. Throws Error naming the path and the reason.
void save_npy(const std::filesystem::path& path, const Array& array);

// f32, f64 and i32 elements of any shape. Throws Error naming the path on other types, Fortran order, a header that
// NumPy would not write, and on a file longer or shorter than its header says.
Array load_npy(const std::filesystem::path& path);

}  // namespace wengert
