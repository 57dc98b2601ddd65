// Samplers against PyTorch: trajectories of the nano network.
#define BOOST_TEST_MODULE sampling_parity
#include <boost/test/unit_test.hpp>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using parity::check_close;

namespace {

struct Case {
  explicit Case(Dtype dtype)
      : reference(std::string("nano_") + name_of(dtype)),
        tolerance(dtype == Dtype::f64 ? 1e-9 : 2e-5),
        score({.in = 3, .hidden = {16, 16, 16, 16, 16}, .out = 2, .activation = relu, .dtype = dtype}, rng) {
    nn::load(score, reference.below("w/"), "nano");
  }

  Rng rng{1};
  parity::Reference reference;
  double tolerance;
  nn::Mlp score;
  sde::Vp vp{.beta_min = 0.1, .beta_max = 20};
};

void check_trajectory(Dtype dtype) {
  const Case c(dtype);
  constexpr Index steps = 50;
  const Array& all = c.reference["samp/noise"];  // the first 50 rows are this sampler's
  const Array noise = Array(parity::row(all, 0, {steps, 8, 2}));
  const auto score = [&](Var x, Var t) { return c.score(concat({x, t}, 1)); };
  const Array& wanted = c.reference["samp/em/traj"];
  const auto observe = [&](Index step, double, const Array& x) {
    check_close(x, parity::row(wanted, step, {8, 2}), c.tolerance, "samp/em/traj " + std::to_string(step));
  };
  sde::reverse_euler_maruyama(c.vp, score, c.reference["samp/init"], sde::Grid::uniform(1, 0, steps),
                              sde::Noise::given(noise), observe);
}

}  // namespace

BOOST_AUTO_TEST_CASE(trajectory_f64) { check_trajectory(Dtype::f64); }
BOOST_AUTO_TEST_CASE(trajectory_f32) { check_trajectory(Dtype::f32); }
