// ResidualScore: a frozen score and a trained correction of it.
//
//   const nn::Frozen base(pretrained);                               // shared by copies
//   nn::ResidualScore teacher(base, {.dimension = 4, .hidden = {64, 64}}, rng), student = teacher;
//   nn::Adam adam(student);                                          // moves student.delta alone
#pragma once
#include <vector>

#include "autodiff/ops.hpp"
#include "nn/checks.hpp"
#include "nn/frozen.hpp"
#include "nn/mlp.hpp"

namespace wengert::nn {

struct ResidualScoreOptions {
  Index dimension = 1;          // of the points
  std::vector<Index> hidden{};  // of the correction
  Activation activation = silu;
  Dtype dtype = Dtype::f32;
};

// x [B,d], t [B,1] or [1,1] -> [B,d]: base(x, t) + delta([x, t]); base.*, delta.0.weight, delta.0.bias, delta.2.weight,
// ...
template <class Base>
class ResidualScore final : public Module {
 public:
  // Throws Error as Mlp does.
  ResidualScore(Frozen<Base> base, const ResidualScoreOptions& o, Rng& rng)
      : base_(std::move(base)),
        delta_({.in = positive("ResidualScore", "dimension", o.dimension) + 1,
                .hidden = o.hidden,
                .out = o.dimension,
                .activation = o.activation,
                .numbering = Numbering::with_activations,
                .dtype = o.dtype},
               rng),
        dimension_(o.dimension) {
    name_parameters();
  }

  Var operator()(Operand x, Operand t) const {
    const InModule scope(*this, x);
    check_points_and_times("ResidualScore", x, t, dimension_);
    const Var from = base(x, t);
    check_shape("ResidualScore", "base", from, x.shape(), x);
    return from + delta_(concat({x, t}, -1));
  }
  void children(Visitor& visit) override {
    visit.frozen("base", base_.module());
    visit("delta", delta_);
  }

 private:
  Var base(const Operand& x, const Operand& t) const {
    const Scope scope(x, "base");
    return base_(x, t);
  }

  Frozen<Base> base_;
  Mlp delta_;
  Index dimension_;
};

}  // namespace wengert::nn
