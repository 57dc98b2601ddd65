// Checks of the options and operands of layers and optimizers: each throws Error that names the layer, the option,
// what was wanted and what came, and returns what it checked.
#pragma once
#include <string_view>

#include "autodiff/var.hpp"

namespace wengert::nn {

Index positive(std::string_view owner, std::string_view option, Index value);

// Numbers that stay finite where they are used, in `dtype`.
double finite(std::string_view owner, std::string_view option, double value, Dtype dtype);
double above_0(std::string_view owner, std::string_view option, double value, Dtype dtype);
double at_least_0(std::string_view owner, std::string_view option, double value, Dtype dtype);
// In [0, 1).
double fraction(std::string_view owner, std::string_view option, double value);

// x [B, dimension] and t [B,1] or [1,1], with any leading axes: what merely broadcasts is refused.
void check_points_and_times(std::string_view network, const Operand& x, const Operand& t, Index dimension);
// t [..., 1], which is broadcast over features.
void check_times(std::string_view layer, const Operand& t);
// The output of a part of a network.
void check_shape(std::string_view network, std::string_view part, Var value, const Shape& wanted, const Operand& at);

}  // namespace wengert::nn
