// The committed reference arrays and how closely they are met.
#pragma once
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <string>

#include "autodiff/io/safetensors.hpp"

namespace wengert::parity {

// A file of tests/parity by name ("sampling_nano_f64").
class Reference {
 public:
  explicit Reference(const std::string& name) {
    for (auto& [key, array] : read_safetensors(std::string(PARITY_FOLDER) + "/" + name + ".safetensors"))
      arrays_.emplace(key, array);
  }
  const Array& operator[](const std::string& key) const {
    const auto found = arrays_.find(key);
    if (found == arrays_.end()) throw Error("no reference array " + key);
    return found->second;
  }
  bool has(const std::string& key) const { return arrays_.count(key) != 0; }
  // Arrays below a prefix, without it.
  NamedArrays below(const std::string& prefix) const {
    NamedArrays found;
    for (const auto& [key, array] : arrays_)
      if (key.rfind(prefix, 0) == 0) found.emplace_back(key.substr(prefix.size()), array);
    return found;
  }

 private:
  std::map<std::string, Array> arrays_;
};

// Every entry within `tolerance` of the largest entry of what is wanted; shapes may differ by axes of one.
inline void check_close(const Array& got, const Array& wanted, double tolerance, const std::string& what) {
  BOOST_REQUIRE_MESSAGE(got.size() == wanted.size(),
                        what << ": " << to_string(got.shape()) << " against " << to_string(wanted.shape()));
  double largest = 0, error = 0;
  for (Index i = 0; i < wanted.size(); ++i) {
    largest = std::max(largest, std::abs(wanted.at(i)));
    error = std::max(error, std::abs(got.at(i) - wanted.at(i)));
    if (std::isnan(got.at(i))) error = INFINITY;
  }
  BOOST_CHECK_MESSAGE(error <= tolerance * largest, what << ": off by " << error << ", largest entry " << largest);
}

inline NamedArrays cast(NamedArrays arrays, Dtype dtype) {
  for (auto& [name, array] : arrays) array = array.cast(dtype);
  return arrays;
}

// Row `i` of an array whose first axis counts batches.
inline Array row(const Array& array, Index i, const Shape& shape) {
  Array result(array.dtype(), shape);
  for (Index j = 0; j < result.size(); ++j) result.set(j, array.at(i * result.size() + j));
  return result;
}

}  // namespace wengert::parity
