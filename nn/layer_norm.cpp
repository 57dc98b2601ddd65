#include "nn/layer_norm.hpp"

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "nn/checks.hpp"

namespace wengert::nn {
LayerNorm::LayerNorm(Index width, double eps, Dtype dtype)
    : weight(constant(positive("LayerNorm", "width", width), 1, dtype)),
      bias(constant(width, 0, dtype)),
      eps_(at_least_0("LayerNorm", "eps", eps, dtype)) {
  name_parameters();
}

Var LayerNorm::operator()(Operand x) const {
  const InModule scope(*this, x);
  return layer_norm(x, weight.on(x.tape()), bias.on(x.tape()), {.eps = eps_});
}

void LayerNorm::children(Visitor& visit) {
  visit("weight", weight);
  visit("bias", bias);
}

}  // namespace wengert::nn
