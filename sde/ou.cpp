#include "sde/ou.hpp"

#include <cmath>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "sde/checks.hpp"

namespace wengert::sde {

Var Ou::drift(Operand x, Operand t) const {
  check();
  const Scope scope(x);
  return (-theta + 0 * t) * x;
}

Var Ou::diffusion(Operand t) const {
  check();
  const Scope scope(t);
  return sigma + 0 * t;
}

Var Ou::mean_scale(Operand t) const {
  check();
  const Scope scope(t);
  return exp(-theta * t);
}

Var Ou::std(Operand t) const {
  check();
  const Scope scope(t);
  return sigma * sqrt(expm1(-2 * theta * t) * (-0.5 / theta));
}

double Ou::prior_std() const {
  check();
  return sigma / std::sqrt(2 * theta);
}

void Ou::check() const {
  check_option(is_positive(theta), name, "theta", "positive and finite", theta);
  check_option(is_positive(sigma), name, "sigma", "positive and finite", sigma);
}

}  // namespace wengert::sde
