#include "nn/linear.hpp"

#include <cmath>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert::nn {
namespace {

Array initial(const Shape& shape, Index in, Rng& rng, Dtype dtype) {
  const double bound = in > 0 ? 1 / std::sqrt(static_cast<double>(in)) : 1;
  return rng.uniform({dtype, shape}, -bound, bound);
}

}  // namespace

Linear::Linear(Index in, Index out, Rng& rng, Dtype dtype)
    : weight(initial({out, in}, in, rng, dtype), Layout::transposed), bias(initial({out}, in, rng, dtype)) {
  name_parameters();
}

Var Linear::operator()(Operand x) const {
  const Scope scope(x);
  return matmul(x, weight.on(x.tape())) + bias.on(x.tape());
}

void Linear::children(Visitor& visit) {
  visit("weight", weight);
  visit("bias", bias);
}

}  // namespace wengert::nn
