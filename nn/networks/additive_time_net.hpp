// AdditiveTimeNet: one hidden layer to which Fourier features of time are added.
#pragma once
#include "nn/features.hpp"
#include "nn/linear.hpp"

namespace wengert::nn {

struct AdditiveTimeNetOptions {
  Index dimension = 1;   // of the points
  Index width = 8;       // of the hidden layer
  Index features = 256;  // of time
  double scale = 30;     // standard deviation of the frequencies
  Dtype dtype = Dtype::f32;
};

// x [B,d], t [B,1] or [1,1] -> [B,d]: linear(silu(linear(x) + silu(linear(features(t)))));
// time_embedder.0.W, time_embedder.1.*, encoder.0.*, decoder.1.*
class AdditiveTimeNet final : public Module {
 public:
  // Throws Error when a width is not positive, or as FourierFeatures does.
  AdditiveTimeNet(const AdditiveTimeNetOptions& options, Rng& rng);

  Var operator()(Operand x, Operand t) const;
  void children(Visitor& visit) override;

 private:
  FourierFeatures features_;
  Linear time_, encoder_, decoder_;
  Index dimension_;
};

}  // namespace wengert::nn
