// The classes that nn's headers define: what a table of layers or optimizers has to hold.
#pragma once
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

namespace wengert::testing {

// Those that derive from `base`.
inline std::set<std::string> classes_of(const std::string& base) {
  std::set<std::string> found;
  const std::regex derived("class ([A-Za-z0-9]+) final : public " + base + " ");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(PARITY_FOLDER "/../../nn")) {
    if (entry.path().extension() != ".hpp") continue;
    std::ifstream file(entry.path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    for (std::sregex_iterator at(text.begin(), text.end(), derived), end; at != end; ++at) found.insert((*at)[1]);
  }
  return found;
}

}  // namespace wengert::testing
