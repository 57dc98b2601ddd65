#include "nn/networks/scaled_score_net.hpp"

#include <fmt/format.h>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "nn/checks.hpp"

namespace wengert::nn {
namespace {

const ScaledScoreNetOptions& checked(const ScaledScoreNetOptions& o) {
  if (!o.standard_deviation) throw Error("[ScaledScoreNet] needs the standard deviation of the transition");
  if (o.layers < 2) throw Error(fmt::format("[ScaledScoreNet] needs at least 2 layers, got {}", o.layers));
  positive("ScaledScoreNet", "dimension", o.dimension);
  positive("ScaledScoreNet", "width", o.width);
  return o;
}

}  // namespace

ScaledScoreNet::ScaledScoreNet(const ScaledScoreNetOptions& o, Rng& rng)
    : features_({.width = checked(o).features, .scale = o.scale, .dtype = o.dtype}, rng),
      first_(o.features, o.features, rng, o.dtype),
      second_(o.features, o.features, rng, o.dtype),
      project_(o.dimension + o.features, o.width, rng, o.dtype),
      norm_name_(fmt::format("hidden.{}", 2 * (o.layers - 1) - 1)),
      norm_(o.width, 1e-5, o.dtype),
      output_(o.width, o.dimension, rng, o.dtype),
      standard_deviation_(o.standard_deviation),
      dimension_(o.dimension) {
  for (Index i = 0; i + 1 < o.layers; ++i) {
    hidden_.emplace_back(o.width, o.width, rng, o.dtype);
    names_.push_back(fmt::format("hidden.{}", 2 * i));
  }
  name_parameters();
}

Var ScaledScoreNet::operator()(Operand x, Operand t) const {
  const InModule scope(*this, x);
  check_points_and_times("ScaledScoreNet", x, t, dimension_);
  const Var deviation = standard_deviation_(t.var());
  check_shape("ScaledScoreNet", "standard_deviation", deviation, t.shape(), t);
  const Var time = silu(second_(silu(first_(features_(t)))));
  Var h = project_(concat({x, time}, -1));
  for (std::size_t i = 0; i < hidden_.size(); ++i) {
    h = hidden_[i](h);
    if (i + 1 == hidden_.size()) h = norm_(h);
    h = silu(h);
  }
  return output_(h) / deviation;
}

void ScaledScoreNet::children(Visitor& visit) {
  visit("time_embed.0", features_);
  visit("time_embed.1", first_);
  visit("time_embed.3", second_);
  visit("input_proj", project_);
  for (std::size_t i = 0; i < hidden_.size(); ++i) visit(names_[i], hidden_[i]);
  visit(norm_name_, norm_);
  visit("output", output_);
}

}  // namespace wengert::nn
