// Stochastic gradient descent, in PyTorch's form: with momentum (Polyak, 1964), Nesterov's (Sutskever et al., "On the
// importance of initialization and momentum in deep learning", ICML 2013), and weight decay as part of the gradient.
#pragma once
#include "nn/optimizer.hpp"

namespace wengert::nn {

struct SgdOptions {
  double lr = 1e-2, momentum = 0;
  bool nesterov = false;    // needs momentum > 0
  double weight_decay = 0;  // g + weight_decay w is the gradient
  OptimizerOptions common{};
};

// m <- momentum m + g,  w <- w - lr m, or w - lr (g + momentum m) with nesterov
class Sgd final : public Optimizer {
 public:
  // Throws Error naming an option that is not finite or out of its range.
  explicit Sgd(Module& module, const SgdOptions& options = {});

  SgdOptions options;  // read at every step

 private:
  static const SgdOptions& checked(const SgdOptions& options, Dtype dtype);
  OptimizerOptions read(std::int64_t update) override;
  void update_piece(Index begin, Index size, const void* gradient) override;
};

}  // namespace wengert::nn
