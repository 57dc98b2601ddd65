// Data that lie beside the programs, in experiments/data: found by way of the build, from any working directory.
#pragma once
#include <string>

#include "autodiff/array.hpp"

namespace wengert::experiments {

// experiments/data/NAME.npy. Throws Error naming the file where it is missing or broken.
Array study_data(const std::string& name);

}  // namespace wengert::experiments
