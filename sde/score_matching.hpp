// Losses that make a network a score: denoising score matching (Vincent, "A connection between score matching and
// denoising autoencoders", 2011). x0 and z, from N(0, I), are [B,d], t [B,1]; a score maps (x [B,d], t [B,1]) to [B,d].
#pragma once
#include "sde/process.hpp"

namespace wengert::sde {

// The mean of (std(t) score(x_t, t) + z)^2: every time weighted by its variance.
template <Process P, class Score>
Var denoising_loss(const P& process, const Score& score, Operand x0, Operand t, Operand z) {
  const Var xt = perturb(process, x0, t, z);
  return mean(square(process.std(t) * score(xt, t.var()) + z));
}

// The mean of w (score(x_t, t) + (x_t - mean x_0) / (std^2 + 1e-9))^2 with w = max(std^2, 1e-6), divided by its mean
// over the batch + 1e-6: weights that make losses of different batches comparable, of any unit of time.
template <Process P, class Score>
Var normalised_denoising_loss(const P& process, const Score& score, Operand x0, Operand t, Operand z) {
  const Var centre = process.mean(t) * x0, xt = centre + process.std(t) * z, variance = square(process.std(t));
  const Var target = -(xt - centre) / (variance + 1e-9);
  const Var weight = maximum(variance, 1e-6);
  return mean(weight / (mean(weight) + 1e-6) * square(target - score(xt, t.var())));
}

}  // namespace wengert::sde
