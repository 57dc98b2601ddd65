#include "sde/dormand_prince.hpp"

#include <array>
#include <span>
#include <vector>

namespace wengert::sde {
namespace {

// The Butcher tableau: nodes, weights of the stages, of the result, and what the fourth order differs by.
constexpr std::array<double, 6> c{0, 1 / 5.0, 3 / 10.0, 4 / 5.0, 8 / 9.0, 1};
constexpr std::array<std::array<double, 5>, 6> a{
    {{},
     {1 / 5.0},
     {3 / 40.0, 9 / 40.0},
     {44 / 45.0, -56 / 15.0, 32 / 9.0},
     {19372 / 6561.0, -25360 / 2187.0, 64448 / 6561.0, -212 / 729.0},
     {9017 / 3168.0, -355 / 33.0, 46732 / 5247.0, 49 / 176.0, -5103 / 18656.0}}};
constexpr std::array<double, 6> b{35 / 384.0, 0, 500 / 1113.0, 125 / 192.0, -2187 / 6784.0, 11 / 84.0};
constexpr std::array<double, 7> e{-71 / 57600.0,    0,           71 / 16695.0, -71 / 1920.0,
                                  17253 / 339200.0, -22 / 525.0, 1 / 40.0};
// Dense output: what the polynomial of degree 4 takes of the slopes beside their values at both ends.
constexpr std::array<double, 7> d{-12715105075 / 11282082432.0,  0,
                                  87487479700 / 32700410799.0,   -10690763975 / 1880347072.0,
                                  701980252875 / 199316789632.0, -1453857185 / 822651844.0,
                                  69997945 / 29380423.0};

// The sum of weights times slopes, without those of weight 0.
State combined(std::span<const double> weights, std::span<const State> slopes) {
  State sum = weights[0] * slopes[0];
  for (std::size_t i = 1; i < slopes.size(); ++i)
    if (weights[i] != 0) sum = sum + weights[i] * slopes[i];
  return sum;
}

// The six slopes k1 ... k6.
std::vector<State> stages(const Ode& f, const State& y, const State& slope, Var t, Var end, Var h) {
  std::vector<State> k{slope};
  for (std::size_t s = 1; s < c.size(); ++s) k.push_back(f(y + h * combined(a[s], k), c[s] == 1 ? end : t + c[s] * h));
  return k;
}

}  // namespace

Stepped DormandPrince::step(const Ode& f, const State& y, const Memory& memory, const MethodStep& step) const {
  const Var h = step.h;
  std::vector<State> k = stages(f, y, memory[0], step.t, step.end, h);
  const State next = y + h * combined(b, k), last = f(next, step.end);
  k.push_back(last);
  // The cubic through both values and slopes, and a quartic that vanishes with its slope at both ends.
  const State rise = next + -1.0 * y, left = h * k[0] + -1.0 * rise, right = rise + -1.0 * (h * last + left);
  const State bump = h * combined(d, k);
  return {.y = next,
          .memory = {last},
          .error = h * combined(e, k),
          .polynomial = {h * k[0], right + bump + -1.0 * left, -1.0 * (right + 2 * bump), bump}};
}

State DormandPrince::step(const Ode& f, const State& y, const MethodStep& step) const {
  return y + step.h * combined(b, stages(f, y, f(y, step.t), step.t, step.end, step.h));
}

}  // namespace wengert::sde
