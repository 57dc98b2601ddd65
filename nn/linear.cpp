#include "nn/linear.hpp"

#include <cmath>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "nn/checks.hpp"

namespace wengert::nn {
namespace {

Array initial(const Shape& shape, Index in, Rng& rng, Dtype dtype) {
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  return rng.uniform({dtype, shape}, -bound, bound);
}

}  // namespace

Linear::Linear(Index in, Index out, Rng& rng, Dtype dtype)
    : weight(initial({positive("Linear", "out", out), positive("Linear", "in", in)}, in, rng, dtype),
             Layout::transposed),
      bias(initial({out}, in, rng, dtype)) {
  name_parameters();
}

Var Linear::operator()(Operand x) const {
  const InModule scope(*this, x);
  return matmul(x, weight.on(x.tape())) + bias.on(x.tape());
}

void Linear::children(Visitor& visit) {
  visit("weight", weight);
  visit("bias", bias);
}

}  // namespace wengert::nn
