// The predictor-corrector sampler: a reverse Euler-Maruyama step, then Langevin steps at the time it started from
// (Song et al., "Score-based generative modeling through stochastic differential equations", ICLR 2021).
#pragma once
#include "sde/euler_maruyama.hpp"

namespace wengert::sde {

struct PredictorCorrector {
  static constexpr const char* name = "predictor_corrector";

  // The size e of a Langevin step x + e score + sqrt(2 e) z.
  enum class Size {
    fixed,      // (snr g)^2
    norm_ratio  // 2 (snr |z| / |score|)^2 with the batch's mean norms (Song et al., algorithms 4 and 5): mixes rows
  };
  double snr = 0.15;
  Index corrections = 1;
  Size size = Size::fixed;
  Index evaluations = 1 + corrections, draws = 1 + corrections;  // a step

  State advance(const ReverseSde& equation, const State& y, Step& step) const {
    Var x = EulerMaruyama{}.advance(equation, y, step)[0];
    for (Index i = 0; i < corrections; ++i) {
      const Var score = equation.score(x, step.t), z = step.normal();
      const Var e = size == Size::fixed ? square(snr * equation.diffusion(x, step.t))
                                        : 2 * square(snr * mean_norm(z) / mean_norm(score));
      x = x + e * score + step.noise_scale * sqrt(2 * e) * z;
    }
    return x;
  }

 private:
  static Var mean_norm(Var rows) { return mean(sqrt(sum(square(rows), {1}))); }
};

}  // namespace wengert::sde
