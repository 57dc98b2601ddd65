#include "nn/prelu.hpp"

#include <fmt/format.h>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "nn/checks.hpp"

namespace wengert::nn {

PRelu::PRelu(Index count, double initial, Dtype dtype)
    : weight(constant(positive("PRelu", "count", count), finite("PRelu", "initial", initial, dtype), dtype)) {
  name_parameters();
}

Var PRelu::operator()(Operand x) const {
  const InModule scope(*this, x);
  const Var slope = weight.on(x.tape());
  const Index count = weight.size();
  if (count > 1 && (x.rank() == 0 || x.extent(-1) != count))
    throw Error(fmt::format("[PRelu] needs [..., {}], got {}  ({})", count, to_string(x.shape()), location_of(x)));
  return x * where(x > 0, 1, slope);
}

void PRelu::children(Visitor& visit) { visit("weight", weight); }

}  // namespace wengert::nn
