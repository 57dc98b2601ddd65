#include "sde/vp.hpp"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "sde/checks.hpp"

namespace wengert::sde {

Var Vp::beta(Operand t) const {
  check();
  const Scope scope(t);
  return beta_min + (beta_max - beta_min) * t;
}

Var Vp::integral(Operand t) const {
  check();
  const Scope scope(t);
  return beta_min * t + (0.5 * (beta_max - beta_min)) * square(t);
}

Var Vp::drift(Operand x, Operand t) const {
  check();
  const Scope scope(x);
  return -0.5 * beta(t) * x;
}

Var Vp::diffusion(Operand t) const {
  check();
  const Scope scope(t);
  return sqrt(beta(t));
}

Var Vp::mean_scale(Operand t) const {
  check();
  const Scope scope(t);
  return exp(-0.5 * integral(t));
}

Var Vp::std(Operand t) const {
  check();
  const Scope scope(t);
  return sqrt(-expm1(-integral(t)));
}

double Vp::prior_std() const {
  check();
  return 1;
}

void Vp::check() const {
  check_option(beta_min >= 0 && std::isfinite(beta_min), name, "beta_min", "at least 0 and finite", beta_min);
  check_option(is_positive(beta_max), name, "beta_max", "positive and finite", beta_max);
  check_option(beta_max >= beta_min, name, "beta_max", fmt::format("at least beta_min, {}", beta_min), beta_max);
}

}  // namespace wengert::sde
