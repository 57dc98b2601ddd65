// PRelu: relu with a slope below 0 that is learned (He et al., "Delving deep into rectifiers", ICCV 2015).
#pragma once
#include "nn/module.hpp"

namespace wengert::nn {

// x where x > 0, weight x elsewhere, of x's shape; the derivative at 0 is the weight, as PyTorch's. One weight for all
// elements [...], or one for each of the last axis [..., count] (of [B, count] PyTorch's channels).
class PRelu final : public Module {
 public:
  // Throws Error unless the count is positive and the initial weight finite.
  explicit PRelu(Index count = 1, double initial = 0.25, Dtype dtype = Dtype::f32);

  Var operator()(Operand x) const;
  void children(Visitor& visit) override;

  Parameter weight;  // [count]
};

}  // namespace wengert::nn
