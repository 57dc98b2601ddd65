// What tests of running plans share: functions of rows of three numbers.
#pragma once
#include <span>
#include <vector>

#include "autodiff/array.hpp"
#include "autodiff/var.hpp"
#include "tests/autodiff/helpers.hpp"

namespace wengert::testing {

using Vars = std::span<const Var>;
using Outputs = std::vector<Var>;
using Arrays = std::vector<Array>;

const Type row_of_3{Dtype::f32, {3}}, batch_of_3{Dtype::f32, {200, 3}};
inline Array row(float a, float b, float c) { return Array::of<float>({3}, {a, b, c}); }

}  // namespace wengert::testing
