// The networks of the studies as the library builds them, at the sizes of the reference arrays.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "nn/nn.hpp"
#include "sde/sde.hpp"

namespace wengert::parity {

struct Study {
  std::shared_ptr<nn::Module> module;
  std::function<Var(Var x, Var t)> score;  // which keeps the module alive
  std::variant<sde::Ou, sde::VeConstant, sde::VeExponential, sde::Vp> process;
  bool normalised_loss = false;

  // f(process)
  template <class F>
  decltype(auto) with_process(F&& f) const {
    return std::visit(f, process);
  }
  sde::Ode flow() const {
    return with_process([&](const auto& p) { return sde::probability_flow(p, score); });
  }
  sde::ReverseSde reverse() const {
    return with_process([&](const auto& p) { return sde::reverse(p, score); });
  }
  Var loss(Var x0, Var t, Var z) const {
    return with_process([&](const auto& p) {
      return normalised_loss ? sde::normalised_denoising_loss(p, score, x0, t, z)
                             : sde::denoising_loss(p, score, x0, t, z);
    });
  }
};

namespace detail {

template <class Net>
std::shared_ptr<Net> loaded(Net net, const std::string& name, const NamedArrays& weights) {
  auto module = std::make_shared<Net>(std::move(net));
  nn::load(*module, weights, name);
  return module;
}

inline Study rings(const std::string& name, Dtype dtype, const NamedArrays& weights) {
  Rng rng(1);
  nn::TimeMlpOptions options{.dimension = 2, .hidden = {24, 24}, .activation = relu, .features = 2, .dtype = dtype};
  if (name == "ou4") {
    options.dimension = 4;
    options.hidden = {16, 16, 16, 16};
    options.features = 8;
  }
  const auto net = loaded(nn::TimeMlp(options, rng), name, weights);
  return {net, [net](Var x, Var t) { return (*net)(x, t); }, sde::Ou{.theta = name == "ou4" ? 0.3 : 0.5, .sigma = 0.5},
          true};
}
inline Study circle(const std::string& name, Dtype dtype, const NamedArrays& weights, Index width, Index features) {
  Rng rng(1);
  const sde::VeConstant process{.sigma = 1};
  const auto net = loaded(nn::ScaledScoreNet({.width = width,
                                              .features = features,
                                              .standard_deviation = [=](Var t) { return process.std(t); },
                                              .dtype = dtype},
                                             rng),
                          name, weights);
  return {net, [net](Var x, Var t) { return (*net)(x, t); }, process};
}
template <class Net>
Study heat_kernel(Net module, const std::string& name, const NamedArrays& weights) {
  const sde::VeExponential process{.kappa = 1.1};
  const auto net = loaded(std::move(module), name, weights);
  return {net, [net, process](Var x, Var t) -> Var { return (*net)(x, t) / process.std(t); }, process};
}
inline Study nano(const std::string& name, Dtype dtype, const NamedArrays& weights) {
  Rng rng(1);
  const auto net =
      loaded(nn::Mlp({.in = 3, .hidden = {16, 16, 16, 16, 16}, .out = 2, .activation = relu, .dtype = dtype}, rng),
             name, weights);
  return {net, [net](Var x, Var t) { return (*net)(concat({x, t}, 1)); }, sde::Vp{.beta_min = 0.1, .beta_max = 20}};
}

}  // namespace detail

// By the name of its reference arrays, with their weights.
inline Study study(const std::string& name, Dtype dtype, const NamedArrays& weights) {
  Rng rng(1);
  if (name == "ou2" || name == "ou4") return detail::rings(name, dtype, weights);
  if (name == "circle") return detail::circle(name, dtype, weights, 16, 8);
  if (name == "trained_circle") return detail::circle(name, dtype, weights, 128, 128);
  if (name == "heat_plain")
    return detail::heat_kernel(
        nn::TimeMlp({.dimension = 1, .hidden = {8, 8, 8}, .activation = silu, .dtype = dtype}, rng), name, weights);
  if (name == "heat_embed")
    return detail::heat_kernel(nn::AdditiveTimeNet({.features = 16, .dtype = dtype}, rng), name, weights);
  if (name == "nano") return detail::nano(name, dtype, weights);
  throw Error("no study " + name);
}

}  // namespace wengert::parity
