#include "nn/networks/additive_time_net.hpp"

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "nn/checks.hpp"

namespace wengert::nn {
namespace {

const AdditiveTimeNetOptions& checked(const AdditiveTimeNetOptions& o) {
  positive("AdditiveTimeNet", "dimension", o.dimension);
  positive("AdditiveTimeNet", "width", o.width);
  return o;
}

}  // namespace

AdditiveTimeNet::AdditiveTimeNet(const AdditiveTimeNetOptions& o, Rng& rng)
    : features_({.width = checked(o).features,
                 .scale = o.scale,
                 .first = FourierOptions::First::sine,
                 .name = "W",
                 .dtype = o.dtype},
                rng),
      time_(o.features, o.width, rng, o.dtype),
      encoder_(o.dimension, o.width, rng, o.dtype),
      decoder_(o.width, o.dimension, rng, o.dtype),
      dimension_(o.dimension) {
  name_parameters();
}

Var AdditiveTimeNet::operator()(Operand x, Operand t) const {
  const InModule scope(*this, x);
  check_points_and_times("AdditiveTimeNet", x, t, dimension_);
  return decoder_(silu(encoder_(x) + silu(time_(features_(t)))));
}

void AdditiveTimeNet::children(Visitor& visit) {
  visit("time_embedder.0", features_);
  visit("time_embedder.1", time_);
  visit("encoder.0", encoder_);
  visit("decoder.1", decoder_);
}

}  // namespace wengert::nn
