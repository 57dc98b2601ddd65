#include "nn/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "autodiff/error.hpp"
#include "autodiff/files.hpp"

namespace wengert::nn {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t length_bytes = 8;
constexpr std::size_t largest_header = 100'000'000;  // the format's own limit

const char* format_name(Dtype dtype) { return dtype == Dtype::f32 ? "F32" : dtype == Dtype::f64 ? "F64" : "I32"; }

Dtype dtype_named(const std::string& name) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::i32})
    if (name == format_name(dtype)) return dtype;
  throw Error(fmt::format("type {} is not supported (F32, F64 and I32 are)", name));
}

// One entry of the header, checked against the bytes of data that the file has.
Array read_tensor(const Json& entry, std::string_view data) {
  Type type{dtype_named(entry.at("dtype").get<std::string>()), {}};
  std::size_t bytes = size_of(type.dtype);
  for (const Json& extent : entry.at("shape")) {
    const auto value = extent.get<std::uint64_t>();
    if (!extent.is_number_unsigned() ||
        (value != 0 && bytes > std::numeric_limits<std::uint32_t>::max() * std::size_t{1024} / value))
      throw Error("its shape is too large");
    bytes *= value;
    type.shape.append(static_cast<Index>(value));
  }
  const auto begin = entry.at("data_offsets").at(0).get<std::uint64_t>(),
             end = entry.at("data_offsets").at(1).get<std::uint64_t>();
  if (begin > end || end > data.size() || end - begin != bytes)
    throw Error(fmt::format("its {} bytes do not fit offsets {} to {} of {} bytes", bytes, begin, end, data.size()));
  Array array(type);
  std::memcpy(array.raw(), data.data() + begin, bytes);
  return array;
}

NamedArrays parse(std::string_view file) {
  if (file.size() < length_bytes) throw Error("the file is shorter than a header");
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length |= std::uint64_t{static_cast<unsigned char>(file[i])} << (8 * i);
  if (length > largest_header || length > file.size() - length_bytes)
    throw Error(fmt::format("the header claims {} bytes, the file has {}", length, file.size() - length_bytes));
  const std::string_view data = file.substr(length_bytes + length);
  const Json header = Json::parse(file.substr(length_bytes, length));
  if (!header.is_object()) throw Error("the header is no JSON object");
  NamedArrays arrays;
  std::map<std::uint64_t, std::uint64_t> taken;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    try {
      arrays.emplace_back(name, read_tensor(entry, data));
    } catch (const std::exception& error) {
      throw Error(fmt::format("tensor {}: {}", name, error.what()));
    }
    if (arrays.back().second.size() > 0)
      if (!taken.emplace(entry["data_offsets"][0], entry["data_offsets"][1]).second)
        throw Error(fmt::format("tensor {} overlaps another", name));
  }
  std::uint64_t covered = 0;
  for (const auto& [begin, end] : taken) {
    if (begin != covered)
      throw Error(fmt::format("tensors overlap or leave a gap at byte {}", std::min(begin, covered)));
    covered = end;
  }
  if (covered != data.size()) throw Error(fmt::format("{} bytes of data belong to no tensor", data.size() - covered));
  return arrays;
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

}  // namespace

void write_safetensors(const std::filesystem::path& path, const NamedArrays& arrays) {
  Json header = Json::object();
  std::size_t offset = 0;
  for (const auto& [name, array] : arrays) {
    const std::size_t end = offset + array.type().bytes();
    header[name] = {{"dtype", format_name(array.dtype())},
                    {"shape", std::vector<Index>(array.shape().extents().begin(), array.shape().extents().end())},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((alignment - (length_bytes + text.size()) % alignment) % alignment, ' ');  // data start on a cache line
  std::string file;
  for (std::size_t i = 0; i < length_bytes; ++i) file.push_back(static_cast<char>(text.size() >> (8 * i) & 0xff));
  file += text;
  for (const auto& [name, array] : arrays) file.append(static_cast<const char*>(array.raw()), array.type().bytes());
  replace_file(path, file);
}

NamedArrays read_safetensors(const std::filesystem::path& path) {
  const std::string file = read_file(path);
  try {
    return parse(file);
  } catch (const std::exception& error) {
    throw Error(fmt::format("{}: not a usable safetensors file: {}", path.string(), error.what()));
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
  for (const auto& [name, array] : arrays) given[name] = &array;
  const auto parameters = module.parameters();
  for (const auto& [name, parameter] : parameters) {
    const auto found = given.find(name);
    if (found == given.end()) throw Error(fmt::format("{}: {} is missing", source, name));
    const std::string problem = objection(*parameter, *found->second);
    if (!problem.empty()) throw Error(fmt::format("{}: {} {}", source, name, problem));
  }
  if (given.size() != parameters.size()) {
    std::map<std::string, const Array*> unexpected = given;
    for (const auto& [name, parameter] : parameters) unexpected.erase(name);
    throw Error(fmt::format("{}: {} is not a parameter of the module", source, unexpected.begin()->first));
  }
  for (const auto& [name, parameter] : parameters) parameter->set(*given[name]);
}

}  // namespace wengert::nn
