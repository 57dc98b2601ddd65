// Processes: linear stochastic differential equations dx = a(t) x dt + g(t) dW with a known transition.
#pragma once
#include <concepts>

#include "autodiff/ops.hpp"
#include "sde/checks.hpp"

namespace wengert::sde {

// The functions of a process. Times are [B,1], or [1,1] for one time shared by all rows, and so are the results; x is
// [B,d]. The transition from 0 to t is x_t = mean_scale(t) x_0 + std(t) z with z from N(0, I); prior_std is that of the
// normal distribution which x_T is taken to have.
template <class P>
concept Process = requires(const P& process, Operand x, Operand t) {
  { process.drift(x, t) } -> std::same_as<Var>;   // a(t) x
  { process.diffusion(t) } -> std::same_as<Var>;  // g(t)
  { process.mean_scale(t) } -> std::same_as<Var>;
  { process.std(t) } -> std::same_as<Var>;
  { process.prior_std() } -> std::same_as<double>;
};

// Throws Error unless the process has a prior, of a standard deviation that is positive and finite; the processes here
// name the option that spoils it. An equation of a process, and a loss, begin with it.
template <Process P>
void check_process(const P& process) {
  const double std = process.prior_std();
  check_option(is_positive(std), "process", "prior_std", "positive and finite", std);
}

// A point of the transition: mean_scale(t) x_0 + std(t) z.
template <Process P>
Var perturb(const P& process, Operand x0, Operand t, Operand z) {
  return process.mean_scale(t) * x0 + process.std(t) * z;
}

// A point of the transition from a time s to a later t, given x_s [B,d]: r x_s + sqrt(std(t)^2 - r^2 std(s)^2) z with
// r = mean_scale(t) / mean_scale(s). perturb() is that from 0.
template <Process P>
Var transition(const P& process, Operand x, Operand s, Operand t, Operand z) {
  const Var ratio = process.mean_scale(t) / process.mean_scale(s);
  const Var variance = square(process.std(t)) - square(ratio * process.std(s));
  return ratio * x + sqrt(maximum(variance, 0)) * z;
}

}  // namespace wengert::sde
