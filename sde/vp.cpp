#include "sde/vp.hpp"

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert::sde {

Var Vp::beta(Operand t) const {
  const Scope scope(t);
  return beta_min + (beta_max - beta_min) * t;
}

Var Vp::integral(Operand t) const {
  const Scope scope(t);
  return beta_min * t + (0.5 * (beta_max - beta_min)) * square(t);
}

Var Vp::drift(Operand x, Operand t) const {
  const Scope scope(x);
  return -0.5 * beta(t) * x;
}

Var Vp::diffusion(Operand t) const {
  const Scope scope(t);
  return sqrt(beta(t));
}

Var Vp::mean(Operand t) const {
  const Scope scope(t);
  return exp(-0.5 * integral(t));
}

Var Vp::std(Operand t) const {
  const Scope scope(t);
  return sqrt(-expm1(-integral(t)));
}

}  // namespace wengert::sde
