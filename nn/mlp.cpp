#include "nn/mlp.hpp"

#include <fmt/format.h>

#include "autodiff/tape.hpp"

namespace wengert::nn {

Mlp::Mlp(const MlpOptions& options, Rng& rng) : activation_(options.activation) {
  if (activation_ == nullptr) throw Error("[Mlp] needs an activation");
  std::vector<Index> widths{options.in};
  widths.insert(widths.end(), options.hidden.begin(), options.hidden.end());
  widths.push_back(options.out);
  for (std::size_t i = 0; i < widths.size(); ++i)
    if (widths[i] < 1)
      throw Error(fmt::format("[Mlp] needs positive widths, got {} for {}", widths[i],
                              i == 0                   ? "in"
                              : i + 1 == widths.size() ? "out"
                                                       : fmt::format("hidden[{}]", i - 1)));
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    layers_.emplace_back(widths[i], widths[i + 1], rng, options.dtype);
    names_.push_back(options.numbering == Numbering::layers ? fmt::format("layers.{}", i) : fmt::format("{}", 2 * i));
  }
  if (options.zero_output)
    for (Parameter* p : {&layers_.back().weight, &layers_.back().bias}) p->set(Array(p->dtype(), p->shape()));
  name_parameters();
}

Var Mlp::operator()(Operand x) const {
  const InModule scope(*this, x);
  if (layers_.empty()) throw Error(fmt::format("[Mlp] this network was moved from  ({})", place_of(x)));
  Var h = x.var();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const InModule layer(layers_[i], x);
    h = layers_[i](h);
    if (i + 1 < layers_.size()) h = activation_(h);
  }
  return h;
}

void Mlp::children(Visitor& visit) {
  for (std::size_t i = 0; i < layers_.size(); ++i) visit(names_[i], layers_[i]);
}

}  // namespace wengert::nn
