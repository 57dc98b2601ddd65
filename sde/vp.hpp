// The variance-preserving process with linear beta (Song et al., "Score-based generative modeling through stochastic
// differential equations", ICLR 2021).
#pragma once
#include "autodiff/var.hpp"

namespace wengert::sde {

// dx = -beta(t)/2 x dt + sqrt(beta(t)) dW with beta(t) = beta_min + (beta_max - beta_min) t on [0, 1],
// 0 <= beta_min <= beta_max and beta_max > 0.
// Every function takes t as [B,1] or [1,1] and returns that shape; drift takes x as [B,d] and returns [B,d].
struct Vp {
  static constexpr const char* name = "vp";
  double beta_min = 0.1, beta_max = 20;

  Var beta(Operand t) const;
  Var integral(Operand t) const;  // of beta over [0, t]
  Var drift(Operand x, Operand t) const;
  Var diffusion(Operand t) const;
  Var mean_scale(Operand t) const;  // exp(-integral / 2)
  Var std(Operand t) const;         // sqrt(1 - mean^2), accurate near t = 0
  double prior_std() const;
  void check() const;  // throws Error naming an option that cannot be; so does every function above
};

}  // namespace wengert::sde
