// UniformCircle: the exact distribution of a process that starts from points spread evenly over a circle around the
// origin of the plane. It is the limit of Empirical for ever more points of the circle, and the energy -log p of a
// dense associative memory that stores all of them.
#pragma once
#include <cmath>
#include <numbers>

#include "autodiff/tape.hpp"
#include "sde/process.hpp"

namespace wengert::sde {

// With the circle's radius m = mean_scale(t) radius, v = std(t)^2 and r = |x|,
//   p_t(x) = exp(-(r^2 + m^2) / (2 v)) I_0(m r / v) / (2 pi v).
// With VeConstant at beta = 1 / (2 v), -log p / beta is the energy r^2 + 1 - log I_0(2 beta r) / beta and a
// constant. By scaled Bessel functions, which do not overflow. Callable as a score.
template <Process P>
class UniformCircle {
 public:
  // Throws Error unless the radius is positive and finite.
  explicit UniformCircle(const P& process, double radius = 1) : process_(process), radius_(radius) {
    check_option(is_positive(radius), "uniform_circle", "radius", "positive and finite", radius);
  }

  // x [B,2], t [B,1] or [1,1] -> log p_t(x) [B,1].
  Var log_density(Operand x, Operand t) const {
    const Scope scope(x);
    const Var m = radius_ * process_.mean_scale(t), v = square(process_.std(t)), r = norm(x, {1}, {.keepdims = true});
    return log(i0e(m * r / v)) - square(r - m) / (2 * v) - log(v) - std::log(2 * std::numbers::pi);
  }

  // grad log p_t(x) = (m I_1(z) / I_0(z) - r) / v along x / r with z = m r / v: [B,2]. I_1(z) / z is 1/2 at 0.
  Var operator()(Operand x, Operand t) const {
    const Scope scope(x);
    const Var m = radius_ * process_.mean_scale(t), v = square(process_.std(t)), r = norm(x, {1}, {.keepdims = true});
    const Var z = maximum(m * r / v, 1e-12);
    return (square(m) / v * (i1e(z) / (z * i0e(z))) - 1) / v * x;
  }

 private:
  P process_;
  double radius_;
};

}  // namespace wengert::sde
