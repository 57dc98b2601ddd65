#include "nn/time_mlp.hpp"

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert::nn {

TimeMlp::TimeMlp(const TimeMlpOptions& o, Rng& rng)
    : features_(o.features == 0
                    ? std::nullopt
                    : std::optional<SinusoidalFeatures>(std::in_place, o.features, o.max_frequency, o.dtype)),
      net_({.in = o.dimension + (o.features == 0 ? 1 : o.features),
            .hidden = o.hidden,
            .out = o.dimension,
            .activation = o.activation,
            .numbering = Numbering::with_activations,
            .zero_output = o.zero_output,
            .dtype = o.dtype},
           rng) {
  name_parameters();
}

Var TimeMlp::operator()(Operand x, Operand t) const {
  const Scope scope(x);
  return net_(concat({x, features_ ? (*features_)(t) : t.var()}, -1));
}

void TimeMlp::children(Visitor& visit) {
  if (features_) visit("time_emb", *features_);
  visit("net", net_);
}

}  // namespace wengert::nn
