// Linear: x W' + b, with PyTorch's initialisation and file layout.
#pragma once
#include "autodiff/random.hpp"
#include "nn/module.hpp"

namespace wengert::nn {

// [..., in] -> [..., out]
class Linear final : public Module {
 public:
  // Weight and bias from U(-1/sqrt(in), 1/sqrt(in)), torch.nn.Linear's default. Throws Error unless both widths are
  // positive.
  Linear(Index in, Index out, Rng& rng, Dtype dtype = Dtype::f32);

  Var operator()(Operand x) const;
  void children(Visitor& visit) override;

  Parameter weight;  // [out, in] in files
  Parameter bias;    // [out]
};

}  // namespace wengert::nn
