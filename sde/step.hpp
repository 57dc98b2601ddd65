// Step: what a method may use besides the equation and the state.
#pragma once
#include <optional>
#include <vector>

#include "autodiff/random.hpp"

namespace wengert::sde {

class Step {
 public:
  // The noise is drawn, or given as arrays for one step.
  struct Numbers {
    Var t, end, h, noise_scale;
  };
  Step(const Numbers& n, Draw draw, const Shape& shape, Index most)
      : t(n.t), end(n.end), h(n.h), noise_scale(n.noise_scale), draw_(draw), shape_(shape), most_(most) {}
  Step(const Numbers& n, std::vector<Var> given)
      : t(n.t),
        end(n.end),
        h(n.h),
        noise_scale(n.noise_scale),
        given_(std::move(given)),
        most_(static_cast<Index>(given_.size())) {}

  Var t, end, h;    // [1,1]: the step goes from t to the grid's next time `end`, h = end - t before rounding
  Var noise_scale;  // [1,1]: 1, or 0 in a last step that is to give its mean

  // The next numbers for every entry of the state's first array, of mean 0 and variance 1: normal, or -1 and 1. Throws
  // Error where a method takes more of them than it has declared.
  Var normal() { return next(&Draw::normal); }
  Var rademacher() { return next(&Draw::rademacher); }

 private:
  Var next(Var (Draw::*draw)(const Shape&, Where)) {
    if (taken_ == most_) throw Error("[step] this method takes more noise than it declares");
    const Index number = taken_++;
    return draw_ ? (*draw_.*draw)(shape_, Where::current()) : given_[static_cast<std::size_t>(number)];
  }

  std::optional<Draw> draw_{};
  Shape shape_{};
  std::vector<Var> given_{};
  Index most_ = 0, taken_ = 0;
};

}  // namespace wengert::sde
