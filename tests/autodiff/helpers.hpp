// What the tests of the engine share: random arrays, comparison by bits, the text of an error.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "autodiff/array.hpp"
#include "autodiff/error.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/var.hpp"

// Whether a sanitizer watches: it has an allocator of its own, and an order of magnitude less speed.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

namespace wengert::testing {

// Uniform in [low, high); integers are rounded towards zero.
inline Array random_array(Dtype dtype, const Shape& shape, std::uint64_t seed, double low = -1, double high = 1) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  Array array(dtype, shape);
  for (Index i = 0; i < array.size(); ++i) array.set(i, uniform(random));
  return array;
}

inline bool same_bits(const Array& a, const Array& b) {
  return a.type() == b.type() && std::memcmp(a.raw(), b.raw(), a.type().bytes()) == 0;
}

inline bool same_bits(const std::vector<Array>& a, const std::vector<Array>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Array& x, const Array& y) { return same_bits(x, y); });
}

// The elements, converted.
inline std::vector<double> numbers(const Array& array) {
  std::vector<double> all;
  for (Index i = 0; i < array.size(); ++i) all.push_back(array.at(i));
  return all;
}
inline std::vector<double> numbers(Var var) { return numbers(var.value()); }

// What f's Error says; "nothing was thrown" when it throws none. Any other exception passes through.
template <class F>
std::string error_of(F&& f) {
  try {
    std::forward<F>(f)();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Sets the number of threads until the end of the scope.
class Threads {
 public:
  explicit Threads(int count) : before_(threads()) { set_threads(count); }
  ~Threads() { set_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

}  // namespace wengert::testing
