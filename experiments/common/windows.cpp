#include "experiments/common/windows.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "autodiff/error.hpp"
#include "autodiff/io/files.hpp"

namespace wengert::experiments {

Windows Windows::of(const std::string& study) {
  const std::filesystem::path path = std::filesystem::path(EXPERIMENTS_FOLDER) / "windows" / (study + ".json");
  if (!std::filesystem::exists(path)) return {};
  try {
    const auto json = nlohmann::json::parse(read_file(path));
    Windows windows{json.at("source").get<std::string>(), {}};
    for (const auto& [name, entry] : json.at("quantities").items()) {
      const auto& ends = entry.at("window");
      windows.references[name] = {entry.at("mean").get<double>(),
                                  entry.at("sd").get<double>(),
                                  entry.at("seeds").get<int>(),
                                  {ends.at(0).get<double>(), ends.at(1).get<double>()}};
    }
    return windows;
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("'{}' holds no windows: {}", path.string(), error.what()));
  }
}

}  // namespace wengert::experiments
