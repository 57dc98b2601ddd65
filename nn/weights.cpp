#include "nn/weights.hpp"

#include <fmt/format.h>

#include <cmath>
#include <map>

namespace wengert::nn {
namespace {

// The reason why an array cannot become the value of a parameter; empty when there is none.
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
