// Optimizer: moves the trained parameters of a module by the gradient of a loss, in one pass over their store. What all
// optimizers share is here: clipping, moving averages of the parameters, and the division of the store among threads.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
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

// The options that every optimizer has besides its own, as their `common`.
struct OptimizerOptions {
  Clip clip{};
  double ema_decay = 0;  // of exponential moving averages of the parameters, in [0, 1); 0: none are kept
};

// The outcome of a step. Where the loss or an entry of its gradient was a NaN or infinite nothing was updated: neither
// parameters, nor moments, averages and the number of updates.
enum class StepOutcome { updated, loss_not_finite, gradient_not_finite };
const char* name_of(StepOutcome outcome);  // "updated", "the loss is not finite", "the gradient is not finite"

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update by the gradient of a loss of one element, recorded with the module's parameters on a tape. Returns the
  // loss; outcome() says whether there was an update. Parameters that the loss does not read have the gradient 0;
  // throws Error when it reads none.
  double step(Operand loss);

  // The outcome of the last step.
  StepOutcome outcome() const { return outcome_; }
  // The Euclidean norm of its whole gradient, before clipping, to 1e-6 in f32; NaN where the loss was not finite.
  double gradient_norm() const { return norm_; }

  // The update in parts, for what has gradients of its own: prepare() reads the options, `share` being what each
  // gradient is multiplied by first; update() runs once on each of the threads of a region, with the loss and the
  // gradients of the parameters(); finish() counts the update, where there was one, and returns the outcome. Results do
  // not depend on the number of threads. examine() in the place of update() finds the outcome and the norm alone, on
  // every thread the same: whether both are finite.
  const std::vector<Slot>& parameters() const { return slots_; }
  void prepare(double share = 1);
  void update(double loss, std::span<const Array> gradients, int thread, int threads, Barrier& barrier);
  bool examine(double loss, std::span<const Array> gradients, int thread, int threads, Barrier& barrier);
  StepOutcome finish();

  // The gradients of the parameters() as nodes of the loss' tape. Throws Error, in the name of `owner`, unless the loss
  // is one float that depends on one of them at least.
  std::vector<Var> gradients_of(Operand loss, std::string_view owner) const;

  std::int64_t updates() const { return updates_; }

  // Exchanges the parameters and their moving averages. Throws Error where no averages are kept. Until they are
  // exchanged again, prepare() throws.
  void exchange_averages();

 protected:
  // Checks the options, then gathers the module's trained parameters into one store; the module may go, the store
  // stays. `moments` arrays of its size are kept, zeros at first.
  Optimizer(Module& module, int moments, const OptimizerOptions& common);

  // Reads and checks the options, for update number 1, 2, ...
  virtual OptimizerOptions read(std::int64_t update) = 0;
  // Elements [begin, begin + size) of the store: w and the moments move by `gradient`, which is clipped already.
  virtual void update_piece(Index begin, Index size, const void* gradient) = 0;

  template <class T>
  T* weights() {
    return store_->mutable_values<T>().data();
  }
  template <class T>
  T* moment(std::size_t which) {
    return static_cast<T*>(moments_[which].raw());
  }
  Dtype dtype() const { return store_->dtype(); }

 private:
  // The elements of each parameter's gradient: in arrays, or wherever they lie.
  class Gradients {
   public:
    Gradients(std::span<const Array> arrays) : arrays_(arrays) {}
    Gradients(std::span<const void* const> places) : places_(places) {}
    const void* operator[](std::size_t i) const { return arrays_.empty() ? places_[i] : arrays_[i].raw(); }

   private:
    std::span<const Array> arrays_;
    std::span<const void* const> places_;
  };
  template <class F>
  void for_pieces(const Gradients& gradients, int thread, int threads, F&& f) const;
  template <class T>
  double measure(const Gradients& gradients, int thread, int threads, Barrier& barrier);
  template <class T>
  double scaled_norm(const Gradients& gradients) const;
  // The norm where all is finite: that of the gradient as it was given.
  std::optional<double> judge(double loss, const Gradients& gradients, int thread, int threads, Barrier& barrier);
  template <class T>
  void apply(double norm, const Gradients& gradients, int thread, int threads);
  void move(double loss, const Gradients& gradients, int thread, int threads, Barrier& barrier);
  bool clips_twice() const;

  std::vector<Slot> slots_;
  std::shared_ptr<Store> store_;
  std::vector<Array> moments_;  // at the store's offsets
  Array averages_;
  std::vector<double> squares_, clipped_squares_;  // of the gradient, for each block
  std::vector<const void*> places_;                // of the gradients of step()
  OptimizerOptions common_;
  double share_ = 1, norm_ = 0;
  StepOutcome outcome_ = StepOutcome::updated;
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
