// Features of time: sines and cosines of it, which a network reads instead of the bare number.
#pragma once
#include "autodiff/random.hpp"
#include "nn/module.hpp"

namespace wengert::nn {

// [..., 1] -> [..., width]: sin(t w), then cos(t w), with width/2 frequencies w in geometric progression from 1 to
// max_frequency (Vaswani et al., "Attention is all you need", 2017). `freqs` in files.
class SinusoidalFeatures final : public Module {
 public:
  // Throws Error unless the width is even and positive and max_frequency finite and > 0.
  explicit SinusoidalFeatures(Index width, double max_frequency = 1000, Dtype dtype = Dtype::f32);

  Var operator()(Operand t) const;
  void children(Visitor& visit) override;

 private:
  Parameter frequencies_;
};

// [..., 1] -> [..., width]: cos(2 pi t w) and sin(2 pi t w) with width/2 fixed frequencies w from N(0, scale^2) (Tancik
// et al., "Fourier features let networks learn high frequency functions in low dimensional domains", 2020).
struct FourierOptions {
  Index width = 128;
  double scale = 16;
  enum class First { cosine, sine } first = First::cosine;
  std::string name = "freqs";  // of the frequencies in files
  Dtype dtype = Dtype::f32;
};
class FourierFeatures final : public Module {
 public:
  // Throws Error unless the width is even and positive and the scale finite and > 0.
  FourierFeatures(const FourierOptions& options, Rng& rng);

  Var operator()(Operand t) const;
  void children(Visitor& visit) override;

 private:
  FourierOptions::First first_;
  std::string name_;
  Parameter frequencies_;
};

}  // namespace wengert::nn
