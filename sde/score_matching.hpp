// Losses that make a network a score: denoising score matching (Vincent, "A connection between score matching and
// denoising autoencoders", 2011). x0 and z, from N(0, I), are [B,d], t [B,1] or [1,1]; a score maps (x [B,d], t) to
// [B,d]. Throw Error on other shapes, which might be broadcast to those in silence, and on an empty score.
#pragma once
#include "sde/process.hpp"

namespace wengert::sde {

// Shared by the losses: checks of their arguments, and the score at x, of x's type.
template <Process P, class Score>
void check_arguments(const char* loss, const P& process, const Score& score, Operand x0, Operand t, Operand z) {
  check_process(process);
  check_function(is_empty(score), loss, "the score");
  check_like(loss, "z", z.var(), x0.var());
  check_times(loss, t.var(), x0.var());
}
template <class Score>
Var score_at(const char* loss, const Score& score, Var x, Operand t) {
  const Var value = score(x, t.var());
  check_like(loss, "the score", value, x);
  return value;
}

// The mean of (std(t) score(x_t, t) + z)^2: every time weighted by its variance.
template <Process P, class Score>
Var denoising_loss(const P& process, const Score& score, Operand x0, Operand t, Operand z) {
  check_arguments("denoising_loss", process, score, x0, t, z);
  const Var xt = perturb(process, x0, t, z);
  return mean(square(process.std(t) * score_at("denoising_loss", score, xt, t) + z));
}

// The mean of w (score(x_t, t) + (x_t - mean_scale x_0) / (std^2 + 1e-9))^2 with w = max(std^2, 1e-6), divided by its
// mean over the batch + 1e-6: weights that make losses of different batches comparable, of any unit of time.
template <Process P, class Score>
Var normalised_denoising_loss(const P& process, const Score& score, Operand x0, Operand t, Operand z) {
  check_arguments("normalised_denoising_loss", process, score, x0, t, z);
  const Var centre = process.mean_scale(t) * x0, xt = centre + process.std(t) * z, variance = square(process.std(t));
  const Var target = -(xt - centre) / (variance + 1e-9);
  const Var weight = maximum(variance, 1e-6);
  return mean(weight / (mean(weight) + 1e-6) * square(target - score_at("normalised_denoising_loss", score, xt, t)));
}

}  // namespace wengert::sde
