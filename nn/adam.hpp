// Adam (Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015), in PyTorch's form; with weight_decay,
// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019).
#pragma once
#include <cstdint>
#include <memory>

#include "nn/module.hpp"

namespace wengert::nn {

struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0;  // decoupled: no part of the gradient
};

class Adam {
 public:
  // Gathers the module's parameters into one store; the module may go, the store stays.
  explicit Adam(Module& module, const AdamOptions& options = {});

  // One update by the gradient of a loss of one element, recorded with the module's parameters on a tape. Returns the
  // loss; when it is not finite nothing is updated. At update k = 1, 2, ...
  //   m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,
  //   w <- (1 - lr weight_decay) w - lr / (1 - beta1^k) m / (sqrt(v / (1 - beta2^k)) + eps)
  double step(Operand loss);

  // The same update in parts, for what has gradients of its own: prepare() reads the options, update() changes the part
  // of the store that is thread number `thread`'s by the gradients of the parameters() (on any threads, each once),
  // finish() counts the update.
  const std::vector<Slot>& parameters() const { return slots_; }
  void prepare();
  void update(std::span<const Array> gradients, int thread, int threads);
  void finish();

  std::int64_t updates() const { return updates_; }

  AdamOptions options;  // read at every step

 private:
  // What an update multiplies by.
  struct Factors {
    double beta1 = 0, beta2 = 0, rate = 0, root = 0, eps = 0, keep = 1;
  };
  std::vector<Slot> slots_;
  Factors factors_;
  std::shared_ptr<Store> store_;
  Array first_, second_;  // moments, at the store's offsets
  std::int64_t updates_ = 0;
};

}  // namespace wengert::nn
