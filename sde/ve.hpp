// Variance-exploding processes: no drift, x_t = x_0 + std(t) z (Song et al., "Score-based generative modeling through
// stochastic differential equations", ICLR 2021).
#pragma once
#include "autodiff/var.hpp"

namespace wengert::sde {

// dx = sigma dW: Brownian motion. Times are [B,1] or [1,1], and so are the results; x is [B,d].
struct VeConstant {
  double sigma = 1;

  Var drift(Operand x, Operand t) const;
  Var diffusion(Operand t) const;
  Var mean(Operand t) const;                  // 1
  Var std(Operand t) const;                   // sigma sqrt(t)
  double prior_std() const { return sigma; }  // of x_1 - x_0
};

// dx = kappa^t dW with kappa > 1.
struct VeExponential {
  double kappa = 25;

  Var drift(Operand x, Operand t) const;
  Var diffusion(Operand t) const;
  Var mean(Operand t) const;  // 1
  Var std(Operand t) const;   // sqrt((kappa^(2t) - 1) / (2 ln kappa)), accurate near t = 0
  double prior_std() const;   // of x_1 - x_0
};

}  // namespace wengert::sde
