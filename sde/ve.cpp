#include "sde/ve.hpp"

#include <cmath>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert::sde {

Var VeConstant::drift(Operand x, Operand t) const {
  const Scope scope(x);
  return 0 * t * x;
}

Var VeConstant::diffusion(Operand t) const {
  const Scope scope(t);
  return sigma + 0 * t;
}

Var VeConstant::mean(Operand t) const {
  const Scope scope(t);
  return 1 + 0 * t;
}

Var VeConstant::std(Operand t) const {
  const Scope scope(t);
  return sigma * sqrt(t);
}

Var VeExponential::drift(Operand x, Operand t) const {
  const Scope scope(x);
  return 0 * t * x;
}

Var VeExponential::diffusion(Operand t) const {
  const Scope scope(t);
  return exp(std::log(kappa) * t);
}

Var VeExponential::mean(Operand t) const {
  const Scope scope(t);
  return 1 + 0 * t;
}

Var VeExponential::std(Operand t) const {
  const Scope scope(t);
  const double rate = 2 * std::log(kappa);
  return sqrt(expm1(rate * t) / rate);
}

double VeExponential::prior_std() const {
  const double rate = 2 * std::log(kappa);
  return std::sqrt(std::expm1(rate) / rate);
}

}  // namespace wengert::sde
