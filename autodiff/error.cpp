#include "autodiff/error.hpp"

#include <string_view>

namespace wengert {

std::string to_string(const Where& where) {
  const std::string_view file = where.file;
  if (file.empty()) return "unknown line";
  return std::string(file.substr(file.find_last_of('/') + 1)) + ":" + std::to_string(where.line);
}

}  // namespace wengert
