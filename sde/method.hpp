// Methods: the rules by which a solver takes a step. A method is a class with a name, the number of evaluations of a
// step, and the step itself, recorded in ops:
//
//   struct Euler {
//     static constexpr const char* name = "euler";
//     static constexpr Index evaluations() { return 1; }
//     State step(const Ode& f, const State& y, MethodStep& step) const { return y + step.h * f(y, step.t); }
//   };
//
// Further members are optional:
//
//   Index draws() const;                                    random numbers of a step for each entry of the state
//   double error_order;                                     the order of the estimate Stepped::error
//   void check() const;                                     throws Error naming an option that cannot be
//   Memory start(f, y, t) const;                            the memory of the first step;
//   Stepped step(f, y, memory, step) const;                 the step that reads it and returns the next
//   Index start_evaluations() const;                        evaluations of start(), the first of them at (y, t)
//
// draws(equation) may depend on the equation. A method whose memory only saves evaluations may have both forms of
// step(): along a grid the one without memory is taken.
#pragma once
#include <concepts>
#include <optional>
#include <string>
#include <vector>

#include "autodiff/random.hpp"
#include "sde/state.hpp"

namespace wengert::sde {

// The times and the noise of a step.
class MethodStep {
 public:
  struct Numbers {
    Var t, end, h, noise_scale{};
  };
  // For a method that draws nothing, or with given noise, or with drawn noise: at most `most` arrays of this shape.
  explicit MethodStep(const Numbers& n, std::vector<Var> given = {})
      : t(n.t),
        end(n.end),
        h(n.h),
        noise_scale(n.noise_scale),
        given_(std::move(given)),
        most_(static_cast<Index>(given_.size())) {}
  MethodStep(const Numbers& n, Draw draw, const Shape& shape, Index most)
      : t(n.t), end(n.end), h(n.h), noise_scale(n.noise_scale), draw_(draw), shape_(shape), most_(most) {}

  Var t, end, h;    // [1,1]: the step goes from t to `end`, h = end - t before rounding
  Var noise_scale;  // [1,1]: 1, or 0 in a last step without noise

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

// Values that a method keeps from step to step: the last slope, previous points, lengths of steps. Their number and
// types are the same at every step; values of the rows of a state are [B,...].
using Memory = std::vector<State>;

struct Stepped {
  State y;                          // at the step's end
  Memory memory{};                  // for the next step
  std::optional<State> error{};     // of y, estimated: what a Tolerance goes by
  std::vector<State> polynomial{};  // dense output: y + p[0] theta + p[1] theta^2 + ... at t + theta h, 0 <= theta <= 1
};

// The direction in which time may run, stated by an equation or a method as `static constexpr Direction direction`.
enum class Direction { either, increasing, decreasing };
template <class T>
constexpr Direction direction_of = [] {
  if constexpr (requires { T::direction; })
    return T::direction;
  else
    return Direction::either;
}();

template <class M, class Equation>
concept OneStepMethod = requires(const M& method, const Equation& f, const State& y, MethodStep& step) {
  requires std::same_as<decltype(method.step(f, y, step)), State> ||
      std::same_as<decltype(method.step(f, y, step)), Stepped>;
};
template <class M, class Equation>
concept MethodWithMemory = requires(const M& method, const Equation& f, const State& y, Var t, const Memory& memory,
                                    MethodStep& step) {
  { method.start(f, y, t) } -> std::same_as<Memory>;
  { method.step(f, y, memory, step) } -> std::same_as<Stepped>;
};
template <class M, class Equation>
concept Method = (OneStepMethod<M, Equation> || MethodWithMemory<M, Equation>)&&requires(const M& method) {
  { method.name } -> std::convertible_to<std::string>;
  { method.evaluations() } -> std::convertible_to<Index>;
};

}  // namespace wengert::sde
