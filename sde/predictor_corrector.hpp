// The predictor-corrector sampler (Song et al., "Score-based generative modeling through stochastic differential
// equations", ICLR 2021): a reverse Euler-Maruyama step, then Langevin steps. These take the score at the time that the
// step started from, where Song et al. take the time that it reached.
#pragma once
#include "sde/euler_maruyama.hpp"

namespace wengert::sde {

struct PredictorCorrector {
  static constexpr const char* name = "predictor_corrector";

  // The size e of a Langevin step x + e score + sqrt(2 e) z.
  enum class Size {
    fixed,      // (snr g)^2
    norm_ratio  // 2 (snr |z| / |score|)^2 with the batch's mean norms (Song et al., algorithm 4): mixes rows
  };
  double snr = 0.15;      // positive
  Index corrections = 1;  // at least 0
  Size size = Size::fixed;

  Index evaluations() const { return 1 + corrections; }  // a step
  Index draws() const { return 1 + corrections; }

  // Throws Error naming an option that cannot be.
  void check() const {
    check_option(is_positive(snr), name, "snr", "positive and finite", snr);
    check_option(corrections >= 0 && corrections <= 1'000'000, name, "corrections", "in [0, 1000000]",
                 static_cast<double>(corrections));
  }
  State step(const ReverseSde& equation, const State& y, MethodStep& step) const {
    State now = EulerMaruyama{}.step(equation, y, step);
    for (Index i = 0; i < corrections; ++i) {
      const Var score = equation.score(now, step.t), z = step.normal();
      const Var e = size == Size::fixed ? square(snr * equation.diffusion(now, step.t))
                                        : 2 * square(snr * mean_norm(z) / mean_norm(score));
      now = now.with({now[0] + e * score + step.noise_scale * sqrt(2 * e) * z});
    }
    return now;
  }

 private:
  static Var mean_norm(Var rows) {
    const Index count = rows.extent(0);
    return mean(sqrt(sum(square(reshape(rows, {count, rows.size() / count})), {1})));
  }
};

}  // namespace wengert::sde
