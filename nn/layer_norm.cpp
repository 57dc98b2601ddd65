#include "nn/layer_norm.hpp"

#include <fmt/format.h>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert::nn {
namespace {

Array constant(Index width, double value, Dtype dtype) {
  if (width < 1) throw Error(fmt::format("[LayerNorm] needs a positive width, got {}", width));
  Array result(dtype, {width});
  for (Index i = 0; i < width; ++i) result.set(i, value);
  return result;
}

}  // namespace

LayerNorm::LayerNorm(Index width, double eps, Dtype dtype)
    : weight(constant(width, 1, dtype)), bias(constant(width, 0, dtype)), eps_(eps) {
  name_parameters();
}

Var LayerNorm::operator()(Operand x) const {
  const Scope scope(x);
  return layer_norm(x, weight.on(x.tape()), bias.on(x.tape()), {.eps = eps_});
}

void LayerNorm::children(Visitor& visit) {
  visit("weight", weight);
  visit("bias", bias);
}

}  // namespace wengert::nn
