// TimeMlp: an Mlp on a point and features of time, the smallest network that a score needs.
#pragma once
#include <optional>
#include <vector>

#include "nn/features.hpp"
#include "nn/mlp.hpp"

namespace wengert::nn {

struct TimeMlpOptions {
  Index dimension = 1;          // of the points
  std::vector<Index> hidden{};  // widths; the activation follows each
  Activation activation{};
  Index features = 0;           // sinusoidal features of time; 0: time itself
  double max_frequency = 1000;  // of these
  bool zero_output = false;     // start from the score 0
  Dtype dtype = Dtype::f32;
};

// x [B,d], t [B,1] or [1,1] -> [B,d]; time_emb.freqs (with features), net.0.weight, net.0.bias, net.2.weight, ...
class TimeMlp final : public Module {
 public:
  // Throws Error as Mlp and SinusoidalFeatures do.
  TimeMlp(const TimeMlpOptions& options, Rng& rng);

  Var operator()(Operand x, Operand t) const;
  void children(Visitor& visit) override;

 private:
  std::optional<SinusoidalFeatures> features_;
  Mlp net_;
  Index dimension_;
};

}  // namespace wengert::nn
