// Adam (Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015), in PyTorch's form; with weight_decay,
// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019).
#pragma once
#include "nn/optimizer.hpp"

namespace wengert::nn {

struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0;  // decoupled: no part of the gradient
  OptimizerOptions common{};
};

// Update k = 1, 2, ...:
//   m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,
//   w <- (1 - lr weight_decay) w - lr / (1 - beta1^k) m / (sqrt(v / (1 - beta2^k)) + eps)
class Adam final : public Optimizer {
 public:
  // Throws Error naming an option that is not finite or out of its range.
  explicit Adam(Module& module, const AdamOptions& options = {});

  AdamOptions options;  // read at every step

 private:
  static const AdamOptions& checked(const AdamOptions& options, Dtype dtype);
  OptimizerOptions read(std::int64_t update) override;
  void update_piece(Index begin, Index size, const void* gradient) override;

  // The factors of an update.
  struct Factors {
    double beta1 = 0, beta2 = 0, rate = 0, root = 0, eps = 0, keep = 1;
  } factors_;
};

}  // namespace wengert::nn
