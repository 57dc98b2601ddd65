// Variance-exploding processes: no drift, x_t = x_0 + std(t) z (Song et al., "Score-based generative modeling through
// stochastic differential equations", ICLR 2021).
#pragma once
#include "autodiff/var.hpp"

namespace wengert::sde {

// dx = sigma dW with sigma > 0: Brownian motion. Times are [B,1] or [1,1], and so are the results; x is [B,d].
struct VeConstant {
  static constexpr const char* name = "ve_constant";
  double sigma = 1;

  Var drift(Operand x, Operand t) const;
  Var diffusion(Operand t) const;
  Var mean_scale(Operand t) const;  // 1
  Var std(Operand t) const;         // sigma sqrt(t)
  double prior_std() const;         // of x_1 - x_0: sigma
  void check() const;               // throws Error naming an option that cannot be; so does every function above
};

// dx = kappa^t dW with kappa > 1.
struct VeExponential {
  static constexpr const char* name = "ve_exponential";
  double kappa = 25;

  Var drift(Operand x, Operand t) const;
  Var diffusion(Operand t) const;
  Var mean_scale(Operand t) const;  // 1
  Var std(Operand t) const;         // sqrt((kappa^(2t) - 1) / (2 ln kappa)), accurate near t = 0
  double prior_std() const;         // of x_1 - x_0
  void check() const;               // as above
};

}  // namespace wengert::sde
