// An op's statements about itself for its tests: points to differentiate at, values to meet, calls to refuse.
#pragma once
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "autodiff/array.hpp"
#include "autodiff/attributes.hpp"

namespace wengert {

namespace special_values {
inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();
}  // namespace special_values

// One operand of an example: values drawn uniformly from [low, high], at least `gap` away from each kink, or given.
struct Sample {
  Shape shape;
  double low = -2, high = 2;
  std::vector<double> kinks = {};
  std::vector<double> values = {};
  std::optional<Dtype> dtype = {};  // fixed, where the op wants indices; otherwise every float type is tried
  static constexpr double gap = 0.05;
};

// A smooth point: values are compared with the reference, derivatives with finite differences.
struct Example {
  std::vector<Sample> inputs;
  Attributes attributes = {};
};

// An edge case: ties, kinks, 0, infinities, nothing, rank 0; a point where a formula is patched, such as
// sin(x) / x at 0. Where value and stated gradient are finite, the function is taken to be smooth and derivatives of
// all orders are compared with differences there, unless `kink` says that it bends.
struct EdgeCase {
  std::vector<Sample> inputs;
  Attributes attributes = {};
  std::vector<double> value;                       // of the output, in C order
  std::vector<std::vector<double>> gradient = {};  // of the output's sum, per operand; empty: not stated
  bool kink = false;
};

// A call that throws, and a part of what the Error says.
struct InvalidInput {
  std::vector<Type> inputs;
  Attributes attributes = {};
  std::string text;
};

}  // namespace wengert
