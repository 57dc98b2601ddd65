// Source ops of random numbers. Their operand is the state, i32 [4]; see random.hpp for what they draw.
#pragma once
#include <cstdint>

#include "autodiff/op.hpp"

namespace wengert {

// The arguments of a draw, besides the settings of its distribution.
template <class Settings>
struct DrawArguments {
  Index stream = 0;
  Index first_row = 0;  // of the rows that are drawn here, among those of the state
  Dtype dtype = Dtype::f32;
  Shape shape = {};
  Settings settings = {};
  template <class Visit>
  void fields(Visit&& visit) {
    visit("stream", stream), visit("first_row", first_row), visit("dtype", dtype), visit("shape", shape);
    settings.fields(visit);
  }
};

// The state that a draw starts from where it is recorded: in the step of a loop, a state that does not change from step
// to step is the draw_state_at() of this step.
Var state_in_loops(Var state, Where where);

const Op& draw_uniform_op();
struct UniformSettings {
  double low = 0, high = 1;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("low", low), visit("high", high);
  }
};

const Op& draw_normal_op();
struct NormalSettings {
  template <class Visit>
  void fields(Visit&&) {}
};

const Op& draw_gamma_op();
struct GammaSettings {
  double shape = 1, rate = 1;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("a", shape), visit("rate", rate);
  }
};

const Op& draw_index_op();
struct IndexSettings {
  double count = 1;  // whole
  template <class Visit>
  void fields(Visit&& visit) {
    visit("count", count);
  }
};

}  // namespace wengert
