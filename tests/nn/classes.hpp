// The classes that nn's headers define: what a table of layers or optimizers has to hold.
#pragma once
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace wengert::testing {

// Those that derive from `base`.
inline std::set<std::string> classes_of(const std::string& base) {
  std::set<std::string> found;
  const std::string derives = " final : public " + base + " ";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(PARITY_FOLDER "/../../nn")) {
    if (entry.path().extension() != ".hpp") continue;
    std::ifstream file(entry.path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    for (std::size_t at = 0; (at = text.find(derives, at)) != std::string::npos; ++at) {
      const std::size_t name = text.rfind(' ', at - 1) + 1;
      found.insert(text.substr(name, at - name));
    }
  }
  return found;
}

}  // namespace wengert::testing
