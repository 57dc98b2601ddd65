// The header of a safetensors file: JSON that says of each tensor its name, type and place in the data behind it.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "autodiff/array.hpp"

namespace wengert {

inline constexpr std::size_t largest_header = 100'000'000;  // bytes, the format's own limit

struct TensorEntry {
  std::string name;
  Type type;
  std::size_t begin = 0, end = 0;  // bytes within the data
};

// The entries of a header, in its order: names that differ, types that Wengert has, and places that are as large as
// their types and cover the `data` bytes without overlap or gap. Throws Error on any other header. Takes time and
// memory in proportion to the text, however it is nested.
std::vector<TensorEntry> parse_header(std::string_view text, std::size_t data);

// The header of arrays that lie one behind the other. Throws Error on what no reader would take: a name twice or not in
// UTF-8, "__metadata__", and more than the largest header.
std::string format_header(std::span<const std::pair<std::string, Array>> arrays);

}  // namespace wengert
