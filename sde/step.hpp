// Step: what a method may use besides the equation and the state.
#pragma once
#include <optional>
#include <vector>

#include "autodiff/random.hpp"

namespace wengert::sde {

class Step {
 public:
  // The noise is drawn, or given as arrays for one step.
  Step(Var time, Var size, Var scale, Draw draw, const Shape& shape)
      : t(time), h(size), noise_scale(scale), draw_(draw), shape_(shape) {}
  Step(Var time, Var size, Var scale, std::vector<Var> given)
      : t(time), h(size), noise_scale(scale), given_(std::move(given)) {}

  Var t, h;         // [1,1]; h is negative where time falls
  Var noise_scale;  // [1,1]: 1, or 0 in a last step that is to give its mean

  // The next numbers for every entry of the state's first array, of mean 0 and variance 1: normal, or -1 and 1. Throws
  // Error where a method takes more of them than it has declared.
  Var normal() { return next(&Draw::normal); }
  Var rademacher() { return next(&Draw::rademacher); }

 private:
  Var next(Var (Draw::*draw)(const Shape&, Where)) {
    if (draw_) return (*draw_.*draw)(shape_, Where::current());
    if (taken_ == given_.size()) throw Error("[step] this method takes more noise than it declares");
    return given_[taken_++];
  }

  std::optional<Draw> draw_{};
  Shape shape_{};
  std::vector<Var> given_{};
  std::size_t taken_ = 0;
};

}  // namespace wengert::sde
