// Empirical: the exact distribution of a process that starts from finitely many points, a mixture of transitions, one
// from each point. Its score is that of a network which has memorized the points.
#pragma once
#include <cmath>
#include <memory>
#include <numbers>

#include "autodiff/array.hpp"
#include "autodiff/tape.hpp"
#include "sde/process.hpp"

namespace wengert::sde {

// p_t(x) = 1/n sum_i N(x; mean_scale(t) x_i, std(t)^2 I). Callable as a score.
template <Process P>
class Empirical {
 public:
  // Points [n,d]. Throws Error unless there is one at least.
  Empirical(const P& process, const Array& points) : process_(process), points_(std::make_shared<Array>(points)) {
    if (points.shape().rank() != 2 || points.size() == 0)
      throw Error("[empirical] needs points [n,d], got " + to_string(points.shape()));
  }

  // x [B,d], t [B,1] or [1,1] -> log p_t(x) [B,1].
  Var log_density(Operand x, Operand t) const {
    const Scope scope(x);
    const double n = static_cast<double>(points_->shape()[0]), d = static_cast<double>(points_->shape()[1]);
    const Var s = process_.std(t);
    return logsumexp(exponents(x, t), {1}, {.keepdims = true}) -
           (std::log(n) + 0.5 * d * std::log(2 * std::numbers::pi)) - d * log(s);
  }

  // grad log p_t(x) = (mean_scale(t) sum_i w_i x_i - x) / std(t)^2, w the softmax of the exponents: [B,d].
  Var operator()(Operand x, Operand t) const {
    const Scope scope(x);
    const Var centre = matmul(softmax(exponents(x, t), 1), points_beside(x));
    return (process_.mean_scale(t) * centre - x) / square(process_.std(t));
  }

 private:
  Var points_beside(const Operand& x) const {  // in x's dtype
    const Var points = x.tape().input(*points_);
    return points.dtype() == x.var().dtype() ? points : cast(points, x.var().dtype());
  }

  // -|x - mean_scale(t) x_i|^2 / (2 std(t)^2), [B,n]: coordinate by coordinate, so that nothing cancels.
  Var exponents(Operand x, Operand t) const {
    const Var points = transpose(points_beside(x)), m = process_.mean_scale(t);
    Var distance;  // squared
    for (Index j = 0; j < points.extent(0); ++j) {
      const Var part = square(slice(x, 1, j, j + 1) - m * slice(points, 0, j, j + 1));
      distance = j == 0 ? part : distance + part;
    }
    return distance / (-2 * square(process_.std(t)));
  }

  P process_;
  std::shared_ptr<const Array> points_;
};

}  // namespace wengert::sde
