// The Ornstein-Uhlenbeck process (Uhlenbeck and Ornstein, "On the theory of the Brownian motion", 1930).
#pragma once
#include "autodiff/var.hpp"

namespace wengert::sde {

// dx = -theta x dt + sigma dW with theta and sigma > 0. Times are [B,1] or [1,1], and so are the results; x is [B,d].
struct Ou {
  static constexpr const char* name = "ou";
  double theta = 0.5, sigma = 0.5;

  Var drift(Operand x, Operand t) const;
  Var diffusion(Operand t) const;
  Var mean_scale(Operand t) const;  // exp(-theta t)
  Var std(Operand t) const;         // sigma sqrt((1 - exp(-2 theta t)) / (2 theta)), accurate near t = 0
  double prior_std() const;         // of the stationary distribution, sigma / sqrt(2 theta)
  void check() const;               // throws Error naming an option that cannot be; so does every function above
};

}  // namespace wengert::sde
