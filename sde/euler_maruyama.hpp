// Reverse Euler-Maruyama: the reverse-time equation of a process (Anderson, "Reverse-time diffusion equation models",
// 1982), dx = (f(x,t) - g(t)^2 score(x,t)) dt + g(t) dW with t falling. Strong order 1/2, weak order 1.
#pragma once
#include <cmath>
#include <functional>

#include "autodiff/tape.hpp"
#include "sde/grid.hpp"
#include "sde/noise.hpp"
#include "sde/process.hpp"

namespace wengert::sde {

// One step from t to t - h: x [B,d], t [B,1] or [1,1], z [B,d] from N(0, I); score is callable on (x, t).
template <Process P, class Score>
Var reverse_euler_maruyama_step(const P& process, const Score& score, Operand x, Operand t, double h, Operand z) {
  const Var g = process.diffusion(t);
  const Var drift = square(g) * score(x.var(), t.var()) - process.drift(x, t);
  return x + h * drift + std::sqrt(h) * (g * z);
}

// Called with the number of steps done, the time reached and the state.
using Observer = std::function<void(Index step, double t, const Array& x)>;

// The state [B,d] at the grid's last time from `x` at its first; the grid falls. The state's dtype is that of all
// computing. The same bits on any number of threads and, where the score keeps rows apart, for any split of the rows.
// Throws Error when the grid rises or given noise does not fit.
template <Process P, class Score>
Array reverse_euler_maruyama(const P& process, const Score& score, Array x, const Grid& grid, const Noise& noise,
                             const Observer& observe = {}) {
  if (grid[1] > grid[0]) throw Error("[reverse_euler_maruyama] needs a grid of falling times");
  Tape tape(x.dtype());
  const Tape::Mark start = tape.mark();
  for (Index step = 0; step < grid.steps(); ++step) {
    const Var state = tape.input(x, "x"), t = tape.full(Shape{1, 1}, grid[step]);
    const Var z = noise.at(tape, step, x.shape());
    x = reverse_euler_maruyama_step(process, score, state, t, grid[step] - grid[step + 1], z).value();
    tape.rewind(start);
    if (observe) observe(step + 1, grid[step + 1], x);
  }
  return x;
}

}  // namespace wengert::sde
