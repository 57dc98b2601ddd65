#include "experiments/common/data.hpp"

#include <filesystem>

#include "autodiff/io/npy.hpp"

namespace wengert::experiments {

Array study_data(const std::string& name) {
  return load_npy(std::filesystem::path(EXPERIMENTS_FOLDER) / "data" / (name + ".npy"));
}

}  // namespace wengert::experiments
