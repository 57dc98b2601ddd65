#include "nn/networks/time_mlp.hpp"

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "nn/checks.hpp"

namespace wengert::nn {

TimeMlp::TimeMlp(const TimeMlpOptions& o, Rng& rng)
    : features_(o.features == 0
                    ? std::nullopt
                    : std::optional<SinusoidalFeatures>(std::in_place, o.features, o.max_frequency, o.dtype)),
      net_({.in = positive("TimeMlp", "dimension", o.dimension) + (o.features == 0 ? 1 : o.features),
            .hidden = o.hidden,
            .out = o.dimension,
            .activation = o.activation,
            .numbering = Numbering::with_activations,
            .zero_output = o.zero_output,
            .dtype = o.dtype},
           rng),
      dimension_(o.dimension) {
  name_parameters();
}

Var TimeMlp::operator()(Operand x, Operand t) const {
  const InModule scope(*this, x);
  check_points_and_times("TimeMlp", x, t, dimension_);
  return net_(concat({x, features_ ? (*features_)(t) : t.var()}, -1));
}

void TimeMlp::children(Visitor& visit) {
  if (features_) visit("time_emb", *features_);
  visit("net", net_);
}

}  // namespace wengert::nn
