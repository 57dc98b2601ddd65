// A small training: a network, its loss, and what came of some steps.
#pragma once
#include <vector>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"

namespace wengert::testing::training {

inline constexpr std::uint64_t seed = 7;
inline const sde::Vp vp;

inline nn::Mlp network(Dtype dtype, Index width) {
  Rng rng(1);
  return nn::Mlp({.in = 3, .hidden = {width, width}, .out = 2, .activation = relu, .dtype = dtype}, rng);
}

// Denoising score matching of a normal distribution.
inline Var loss_of(const nn::Mlp& score, Draw& draw, Index batch) {
  const Var x0 = draw.gamma({batch, 2}, 3, 3), t = draw.uniform({batch, 1}), z = draw.normal({batch, 2});
  const Var xt = sde::perturb(vp, x0, t, z);
  return mean(square(vp.std(t) * score(concat({xt, t}, 1)) + z));
}

struct Result {
  std::vector<double> losses{};
  std::vector<Array> parameters{};
  friend bool operator==(const Result& a, const Result& b) {
    return a.losses == b.losses && same_bits(a.parameters, b.parameters);
  }
};

inline void keep_parameters(const nn::Mlp& score, Result& result) {
  for (const auto& [name, parameter] : score.parameters()) result.parameters.push_back(parameter->value());
}

}  // namespace wengert::testing::training
