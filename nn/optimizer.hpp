// Optimizer: moves the trained parameters of a module by the gradient of a loss, in one pass over their store. What all
// optimizers share is here: clipping, moving averages of the parameters, and the division of the store among threads.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "nn/module.hpp"

namespace wengert {
class Barrier;
}

namespace wengert::nn {

// Applied to the gradient before anything else: elements to [-value, value], then the whole to a Euclidean norm of at
// most `norm`, by the factor norm / (its norm + 1e-6) where that is below 1.
struct Clip {
  double value = std::numeric_limits<double>::infinity();
  double norm = std::numeric_limits<double>::infinity();
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update by the gradient of a loss of one element, recorded with the module's parameters on a tape. Returns the
  // loss; when it is not finite nothing is updated.
  double step(Operand loss);

  // The same update in parts, for what has gradients of its own: prepare() reads the options, `share` being what each
  // gradient is multiplied by first; update() runs once on each of the threads of a region, with the gradients of the
  // parameters(); finish() counts the update. Results do not depend on the number of threads.
  const std::vector<Slot>& parameters() const { return slots_; }
  void prepare(double share = 1);
  void update(std::span<const Array> gradients, int thread, int threads, Barrier& barrier);
  void finish();

  std::int64_t updates() const { return updates_; }

  // Exchanges the parameters and their moving averages. Throws Error where no averages are kept. Until they are
  // exchanged again, prepare() throws.
  void exchange_averages();

 protected:
  // Gathers the module's trained parameters into one store; the module may go, the store stays. `moments` arrays of its
  // size are kept, zeros at first.
  Optimizer(Module& module, int moments);

  // What update number 1, 2, ... has in common with all optimizers.
  struct Settings {
    Clip clip{};
    double average = 0;  // decay of the moving averages; 0: none are kept
  };
  // Reads and checks the options.
  virtual Settings read(std::int64_t update) = 0;
  // Elements [begin, begin + size) of the store: w and the moments move by `gradient`, which is clipped already.
  virtual void update_piece(Index begin, Index size, const void* gradient) = 0;

  template <class T>
  T* weights() {
    return store_->mutable_values<T>().data();
  }
  template <class T>
  T* moment(std::size_t which) {
    return moments_[which].template data<T>().data();
  }
  Dtype dtype() const { return store_->dtype(); }

 private:
  template <class F>
  void for_pieces(std::span<const Array> gradients, int thread, int threads, F&& f) const;
  template <class T>
  void update_as(std::span<const Array> gradients, int thread, int threads, Barrier& barrier);

  std::vector<Slot> slots_;
  std::shared_ptr<Store> store_;
  std::vector<Array> moments_;  // at the store's offsets
  Array averages_;
  std::vector<double> squares_;  // of the gradient, for each block
  Settings settings_;
  double share_ = 1;
  bool exchanged_ = false;
  std::int64_t updates_ = 0;
};

// Until the end of the scope the module computes with the averages of its parameters.
class WithAverages {
 public:
  explicit WithAverages(Optimizer& optimizer) : optimizer_(optimizer) { optimizer_.exchange_averages(); }
  ~WithAverages() { optimizer_.exchange_averages(); }
  WithAverages(const WithAverages&) = delete;
  WithAverages& operator=(const WithAverages&) = delete;

 private:
  Optimizer& optimizer_;
};

}  // namespace wengert::nn
