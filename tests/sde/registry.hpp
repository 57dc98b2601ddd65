// Walks the lists of processes and methods that sde/sde.hpp has.
#pragma once
#include <tuple>

#include "sde/sde.hpp"

namespace wengert::testing {

// f(each) for a default instance of every type in a std::tuple.
template <class Types, class F>
void for_every(F&& f) {
  std::apply([&](const auto&... each) { (f(each), ...); }, Types{});
}

template <class M>
constexpr bool integrates_odes = sde::Method<M, sde::Ode>;
template <class M>
constexpr bool integrates_sdes = sde::Method<M, sde::Sde>;
template <class M>
constexpr bool samples = sde::Method<M, sde::ReverseSde>;
template <class M>
constexpr bool finds_densities = sde::Method<M, sde::FlowWithDivergence> && !integrates_odes<M>;

// An equation that a method integrates, with its state and its grid. `score` keeps rows apart.
template <class Equation>
struct Problem {
  Equation equation;
  std::vector<Array> start;
  sde::Grid grid;
};
template <class M>
auto problem_of(const M&, const Array& points, const sde::Field& score, Index steps = 5) {
  const sde::Ou ou{.theta = 0.5, .sigma = 0.5};
  const sde::Grid down = sde::Grid::uniform(1, 0.1, steps);
  if constexpr (integrates_odes<M>) {
    return Problem<sde::Ode>{sde::probability_flow(ou, score), {points}, down};
  } else if constexpr (samples<M>) {
    return Problem<sde::ReverseSde>{sde::reverse(ou, score), {points}, down};
  } else if constexpr (finds_densities<M>) {
    const auto flow = sde::with_divergence(sde::probability_flow(ou, score), {.probes = 2});
    return Problem<sde::FlowWithDivergence>{flow, flow.start(points), down};
  } else {
    static_assert(sde::Method<M, sde::Ou>, "enter an equation that this method integrates here");
    return Problem<sde::Ou>{ou, {points}, down.reversed()};
  }
}

// The random numbers that a step takes for each entry of the state.
template <class M, class Equation>
Index draws_of(const M& method, const Equation& equation) {
  return sde::Stepper(method, equation).draws;
}

}  // namespace wengert::testing
