// The values of a function of points and a time.
#pragma once
#include <span>
#include <vector>

#include "autodiff/array.hpp"
#include "autodiff/plan.hpp"

namespace wengert::experiments {

// f(x, t) for points x [n,d] in their dtype and one time t [1,1], row by row: without holding all that f computes.
template <class F>
Array evaluated(const F& f, const Array& points, double t) {
  Plan plan = compile([&](std::span<const Var> in) { return std::vector<Var>{f(in[0], in[1])}; },
                      {points.type(), Type{points.dtype(), {1, 1}}}, {.rows = {0}});
  Array time(points.dtype(), {1, 1});
  time.set(0, t);
  return plan.run({points, time})[0];
}

}  // namespace wengert::experiments
