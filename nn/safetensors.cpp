#include "nn/safetensors.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <new>

#include "autodiff/error.hpp"
#include "autodiff/files.hpp"
#include "nn/safetensors_header.hpp"

namespace wengert::nn {
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

// What keeps an array from becoming the value of a parameter; empty when nothing does.
std::string objection(const Parameter& parameter, const Array& array) {
  if (array.shape() != parameter.shape())
    return fmt::format("has shape {}, the module wants {}", to_string(array.shape()), to_string(parameter.shape()));
  if (!is_float(array.dtype()) || size_of(array.dtype()) > size_of(parameter.dtype()))
    return fmt::format("is {}, the module {}", name_of(array.dtype()), name_of(parameter.dtype()));
  for (Index i = 0; i < array.size(); ++i)
    if (!std::isfinite(array.at(i))) return fmt::format("holds {} at element {}", array.at(i), i);
  return "";
}

bool same_numbers(const Array& a, const Array& b) {  // of one shape
  for (Index i = 0; i < a.size(); ++i)
    if (a.at(i) != b.at(i)) return false;
  return true;
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

void save(const Module& module, const std::filesystem::path& path) {
  NamedArrays arrays;
  for (const auto& [name, parameter] : module.parameters()) arrays.emplace_back(name, parameter->value());
  write_safetensors(path, arrays);
}

void load(Module& module, const std::filesystem::path& path) { load(module, read_safetensors(path), path.string()); }

void load(Module& module, const NamedArrays& arrays, const std::string& source) {
  std::map<std::string, const Array*> given;
  for (const auto& [name, array] : arrays)
    if (!given.emplace(name, &array).second) throw Error(fmt::format("{}: two arrays are named {}", source, name));
  const auto parameters = module.parameters();
  std::map<const Parameter*, decltype(given)::const_iterator> met;
  for (const auto& [name, parameter] : parameters) {
    const auto found = given.find(name);
    if (found == given.end()) throw Error(fmt::format("{}: {} is missing", source, name));
    const std::string problem = objection(*parameter, *found->second);
    if (!problem.empty()) throw Error(fmt::format("{}: {} {}", source, name, problem));
    const auto [first, met_now] = met.emplace(parameter, found);
    if (!met_now && !same_numbers(*first->second->second, *found->second))
      throw Error(
          fmt::format("{}: {} and {} are one parameter of the module, and differ", source, first->second->first, name));
  }
  if (given.size() != parameters.size()) {
    std::map<std::string, const Array*> unexpected = given;
    for (const auto& [name, parameter] : parameters) unexpected.erase(name);
    if (!unexpected.empty())
      throw Error(fmt::format("{}: {} is not a parameter of the module", source, unexpected.begin()->first));
  }
  for (const auto& [name, parameter] : parameters) parameter->set(*given[name]);
}

}  // namespace wengert::nn
