// LayerNorm: rows at mean 0 and variance 1, then a gain and a bias (Ba, Kiros, Hinton, "Layer normalization", 2016).
#pragma once
#include "nn/module.hpp"

namespace wengert::nn {

// [..., width] -> [..., width]; gain 1 and bias 0 at first.
class LayerNorm final : public Module {
 public:
  // Throws Error unless the width is positive and eps finite and >= 0.
  explicit LayerNorm(Index width, double eps = 1e-5, Dtype dtype = Dtype::f32);

  Var operator()(Operand x) const;
  void children(Visitor& visit) override;

  Parameter weight;  // [width], the gain
  Parameter bias;    // [width]

 private:
  double eps_;
};

}  // namespace wengert::nn
