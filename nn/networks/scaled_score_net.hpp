// ScaledScoreNet: the network of time-dependent score matching on small point sets: Fourier features of time through
// two layers, hidden layers with one LayerNorm, and an output over the standard deviation of the transition.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "nn/features.hpp"
#include "nn/layer_norm.hpp"
#include "nn/linear.hpp"

namespace wengert::nn {

struct ScaledScoreNetOptions {
  Index dimension = 2;                           // of the points
  Index layers = 4;                              // the projection of [x, time] and layers - 1 hidden ones; at least 2
  Index width = 128;                             // of these
  Index features = 128;                          // of time
  double scale = 16;                             // standard deviation of the frequencies
  std::function<Var(Var t)> standard_deviation;  // of the transition at t [B,1] or [1,1]: a process' std
  Dtype dtype = Dtype::f32;
};

// x [B,d], t [B,1] or [1,1] -> [B,d]:
//   e = silu(linear(silu(linear(features(t))))),  h = linear([x, e]),  h = silu(linear(h)) for every hidden layer, the
//   last one with a LayerNorm before silu,  score = linear(h) / standard_deviation(t)
// time_embed.0.freqs, time_embed.1.*, time_embed.3.*, input_proj.*, hidden.0.*, hidden.2.*, ..., output.*
class ScaledScoreNet final : public Module {
 public:
  // Throws Error when a width is not positive, there are fewer than 2 layers, or there is no standard deviation.
  ScaledScoreNet(const ScaledScoreNetOptions& options, Rng& rng);

  Var operator()(Operand x, Operand t) const;
  void children(Visitor& visit) override;

 private:
  FourierFeatures features_;
  Linear first_, second_, project_;
  std::vector<Linear> hidden_;
  std::vector<std::string> names_;  // "hidden.0", "hidden.2", ...
  std::string norm_name_;
  LayerNorm norm_;
  Linear output_;
  std::function<Var(Var)> standard_deviation_;
  Index dimension_;
};

}  // namespace wengert::nn
