#include "nn/mlp.hpp"

#include <fmt/format.h>

#include "autodiff/tape.hpp"

namespace wengert::nn {

Mlp::Mlp(const MlpOptions& options, Rng& rng) : numbering_(options.numbering) {
  if (!options.activation) throw Error("[Mlp] needs an activation");
  std::vector<Index> widths{options.in};
  widths.insert(widths.end(), options.hidden.begin(), options.hidden.end());
  widths.push_back(options.out);
  for (std::size_t i = 0; i < widths.size(); ++i)
    if (widths[i] < 1)
      throw Error(fmt::format("[Mlp] needs positive widths, got {} for {}", widths[i],
                              i == 0                   ? "in"
                              : i + 1 == widths.size() ? "out"
                                                       : fmt::format("hidden[{}]", i - 1)));
  for (std::size_t i = 0; i + 1 < widths.size(); ++i)
    layers_.emplace_back(widths[i], widths[i + 1], rng, options.dtype);
  activations_.assign(options.hidden.size(), options.activation);
  if (options.zero_output)
    for (Parameter* p : {&layers_.back().weight, &layers_.back().bias}) p->set(Array(p->dtype(), p->shape()));
  name_parameters();
}

Var Mlp::operator()(Operand x) const {
  const InModule scope(*this, x);
  if (layers_.empty()) throw Error(fmt::format("[Mlp] this network was moved from  ({})", location_of(x)));
  Var h = x.var();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    h = layers_[i](h);
    if (i == activations_.size()) break;
    const Module* module = activations_[i].module();
    const InModule place(module != nullptr ? *module : layers_[i], x);  // a function belongs to the layer before it
    h = activations_[i](h);
  }
  return h;
}

void Mlp::children(Visitor& visit) {
  const auto activation = [&](std::size_t i, const std::string& name) {
    if (Module* module = i < activations_.size() ? activations_[i].module() : nullptr) visit(name, *module);
  };
  if (numbering_ == Numbering::layers) {
    for (std::size_t i = 0; i < layers_.size(); ++i) visit(fmt::format("layers.{}", i), layers_[i]);
    for (std::size_t i = 0; i < activations_.size(); ++i) activation(i, fmt::format("activations.{}", i));
    return;
  }
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    visit(fmt::format("{}", 2 * i), layers_[i]);
    activation(i, fmt::format("{}", 2 * i + 1));
  }
}

}  // namespace wengert::nn
