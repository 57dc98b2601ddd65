#include "autodiff/io/safetensors.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <new>

#include "autodiff/error.hpp"
#include "autodiff/io/files.hpp"
#include "autodiff/io/safetensors_header.hpp"

namespace wengert {
namespace {

constexpr std::size_t length_bytes = 8;

NamedArrays parse(const InputFile& file) {
  if (file.size() < length_bytes) throw Error("the file is shorter than a header");
  const std::string start = file.text(0, length_bytes);
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length |= std::uint64_t{static_cast<unsigned char>(start[i])} << (8 * i);
  if (length > largest_header || length > file.size() - length_bytes)
    throw Error(fmt::format("the header claims {} bytes, the file has {} and a header at most {}", length,
                            file.size() - length_bytes, largest_header));
  const std::size_t data = length_bytes + length;
  const std::vector<TensorEntry> entries = parse_header(file.text(length_bytes, length), file.size() - data);
  NamedArrays arrays;
  arrays.reserve(entries.size());
  for (const TensorEntry& entry : entries) {
    arrays.emplace_back(entry.name, Array(entry.type));
    file.read(data + entry.begin, arrays.back().second.raw(), entry.end - entry.begin);
  }
  return arrays;
}

std::string header_for(const NamedArrays& arrays, const std::filesystem::path& path) {
  try {
    return format_header(arrays);
  } catch (const Error& error) {
    throw Error(fmt::format("cannot write '{}': {}", path.string(), error.what()));
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const NamedArrays& arrays) {
  std::string text = header_for(arrays, path);
  text.append((alignment - (length_bytes + text.size()) % alignment) % alignment, ' ');  // data start on a cache line
  std::string file;
  for (std::size_t i = 0; i < length_bytes; ++i) file.push_back(static_cast<char>(text.size() >> (8 * i) & 0xff));
  file += text;
  for (const auto& [name, array] : arrays) file.append(static_cast<const char*>(array.raw()), array.type().bytes());
  replace_file(path, file);
}

NamedArrays read_safetensors(const std::filesystem::path& path) {
  const InputFile file(path);
  try {
    return parse(file);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: not a usable safetensors file: {}", path.string(), error.what()));
  } catch (const std::bad_alloc&) {
    throw Error(fmt::format("{}: there is no memory for its {} bytes", path.string(), file.size()));
  }
}

}  // namespace wengert
