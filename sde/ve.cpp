#include "sde/ve.hpp"

#include <cmath>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "sde/checks.hpp"

namespace wengert::sde {

Var VeConstant::drift(Operand x, Operand t) const {
  check();
  const Scope scope(x);
  return 0 * t * x;
}

Var VeConstant::diffusion(Operand t) const {
  check();
  const Scope scope(t);
  return sigma + 0 * t;
}

Var VeConstant::mean_scale(Operand t) const {
  check();
  const Scope scope(t);
  return 1 + 0 * t;
}

Var VeConstant::std(Operand t) const {
  check();
  const Scope scope(t);
  return sigma * sqrt(t);
}

double VeConstant::prior_std() const {
  check();
  return sigma;
}

Var VeExponential::drift(Operand x, Operand t) const {
  check();
  const Scope scope(x);
  return 0 * t * x;
}

Var VeExponential::diffusion(Operand t) const {
  check();
  const Scope scope(t);
  return exp(std::log(kappa) * t);
}

Var VeExponential::mean_scale(Operand t) const {
  check();
  const Scope scope(t);
  return 1 + 0 * t;
}

Var VeExponential::std(Operand t) const {
  check();
  const Scope scope(t);
  const double rate = 2 * std::log(kappa);
  return sqrt(expm1(rate * t) / rate);
}

double VeExponential::prior_std() const {
  check();
  const double rate = 2 * std::log(kappa);
  return std::sqrt(std::expm1(rate) / rate);
}

void VeConstant::check() const { check_option(is_positive(sigma), name, "sigma", "positive and finite", sigma); }

void VeExponential::check() const {
  check_option(kappa > 1 && std::isfinite(kappa), name, "kappa", "above 1 and finite", kappa);
}

}  // namespace wengert::sde
