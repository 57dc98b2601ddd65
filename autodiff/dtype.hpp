// The element types of arrays, and the step from a run-time Dtype to a compile-time type.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "autodiff/compiler.hpp"

namespace wengert {

using Index = std::ptrdiff_t;

enum class Dtype : std::uint8_t { f32, f64, i32 };

template <class T>
constexpr Dtype find_dtype() {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, std::int32_t>,
                "elements are float, double or std::int32_t");
  return std::is_same_v<T, float> ? Dtype::f32 : std::is_same_v<T, double> ? Dtype::f64 : Dtype::i32;
}
template <class T>
inline constexpr Dtype dtype_of = find_dtype<T>();

// x as an element: to i32 towards zero, kept within its range, NaN as 0.
template <class To, class From>
constexpr To converted(From x) {
  if constexpr (std::is_same_v<To, std::int32_t> && !std::is_same_v<From, std::int32_t>) {
    constexpr double low = -2147483648.0, high = 2147483647.0;
    const double wide = static_cast<double>(x);
    return wide >= high ? INT32_MAX : wide <= low ? INT32_MIN : wide == wide ? static_cast<To>(wide) : 0;
  } else {
    return static_cast<To>(x);
  }
}

constexpr std::size_t size_of(Dtype dtype) { return dtype == Dtype::f64 ? 8 : 4; }
constexpr bool is_float(Dtype dtype) { return dtype != Dtype::i32; }
constexpr const char* name_of(Dtype dtype) { return dtype == Dtype::f32 ? "f32" : dtype == Dtype::f64 ? "f64" : "i32"; }

// Calls f.operator()<T>() with the element type of `dtype`.
template <class F>
decltype(auto) dispatch(Dtype dtype, F&& f) {
  if (dtype == Dtype::f32) return std::forward<F>(f).template operator()<float>();
  if (dtype == Dtype::f64) return std::forward<F>(f).template operator()<double>();
  return std::forward<F>(f).template operator()<std::int32_t>();
}

// dispatch() over f32 and f64 alone; the caller has checked is_float.
template <class F>
decltype(auto) dispatch_float(Dtype dtype, F&& f) {
  if (dtype == Dtype::f32) return std::forward<F>(f).template operator()<float>();
  return std::forward<F>(f).template operator()<double>();
}

}  // namespace wengert
