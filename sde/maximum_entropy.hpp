// Fine-tuning of a score model towards the largest entropy that the support of its distribution allows (De Santi et
// al., "Provable maximum entropy manifold exploration via diffusion models", ICML 2025). The first variation of the
// entropy at a distribution p is -log p, whose gradient is minus the score: no density is needed. A round of mirror
// descent from p_{k-1} maximises the linear reward with that gradient,
//
//   p_k = argmax <-log p_{k-1}, p> - alpha KL(p | p_{k-1}),   which is   p_k ~ p_{k-1}^(1 - 1/alpha),
//
// by any solver for linear rewards: a regression on samples as below, or adjoint matching.
//
//   sde::maximise_entropy(student, teacher, 5, [&](Index round, const sde::RewardGradient& gradient) { ...; return
//   true; });
#pragma once
#include <functional>
#include <utility>

#include "autodiff/ops.hpp"
#include "sde/checks.hpp"

namespace wengert::sde {

// The gradient of a linear reward at points x [B,d] near time t [B,1] or [1,1], of x's type; constant to derivatives.
using RewardGradient = std::function<Var(Var x, Var t)>;

// Rounds k = 1, 2, ...: `previous` becomes a copy of `model`, and solve(k, gradient) is to move `model` to the round's
// maximum from there, by the gradient of the reward under `previous`. It returns whether to go on. Both models are
// scores, called as (x, t); they are assigned in place, so that plans which read them stay valid. Returns the rounds
// done. Throws Error for a negative number of rounds.
template <class Model, class Solver>
Index maximise_entropy(Model& model, Model& previous, Index rounds, Solver&& solve) {
  check_option(rounds >= 0, "maximise_entropy", "rounds", "at least 0", static_cast<double>(rounds));
  const RewardGradient gradient = [&previous](Var x, Var t) { return -stop_gradient(previous(x, t)); };
  for (Index round = 1; round <= rounds; ++round) {
    previous = std::as_const(model);
    if (!solve(round, gradient)) return round;
  }
  return rounds;
}

// The proximal regression of a round: with the change of the score Delta = student - teacher,
//
//   loss = lambda mean |Delta|^2 - mean beta 1[t <= near] <gradient, Delta>
//
// over the batch. Its minimum at each point with t <= near is Delta = beta / (2 lambda) gradient, so that beta / (2
// lambda) is the round's 1/alpha; elsewhere Delta = 0.
struct ProximalOptions {
  double beta = 5, lambda = 1e-3;  // positive
  double near = 0.1;               // the times that count as the data's
};
struct ProximalLoss {
  Var loss, proximity, direction;  // of one element each; loss = proximity - direction
};

// x [B,d], t [B,1] or [1,1]. No derivative passes through the teacher and the gradient. Throws Error on other shapes,
// and naming an option that cannot be.
template <class Student, class Teacher>
ProximalLoss proximal_loss(const Student& student, const Teacher& teacher, const RewardGradient& gradient, Operand x,
                           Operand t, const ProximalOptions& options = {}) {
  constexpr const char* name = "proximal_loss";
  check_option(is_positive(options.beta), name, "beta", "positive and finite", options.beta);
  check_option(is_positive(options.lambda), name, "lambda", "positive and finite", options.lambda);
  check_function(is_empty(gradient), name, "the gradient");
  check_times(name, t.var(), x.var());
  const Var before = stop_gradient(teacher(x.var(), t.var())), after = student(x.var(), t.var());
  const Var ascent = stop_gradient(gradient(x.var(), t.var()));
  check_like(name, "the teacher", before, x.var());
  check_like(name, "the student", after, x.var());
  check_like(name, "the gradient", ascent, x.var());
  const Var change = after - before;
  const Var proximity = options.lambda * mean(sum(square(change), 1));
  const Var along = sum(ascent * change, 1, {.keepdims = true});
  const Var direction = mean(options.beta * along * (t.var() <= options.near));
  return {proximity - direction, proximity, direction};
}

}  // namespace wengert::sde
