// The nano network as the library builds it against PyTorch: ten Adam steps, a sampled trajectory. (Its derivatives are
// in test_networks.cpp.)
#define BOOST_TEST_MODULE nano_parity
#include <boost/test/unit_test.hpp>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using parity::check_close;

namespace {

constexpr Index batch = 32;

struct Case {
  explicit Case(Dtype dtype)
      : reference(std::string("nano_") + name_of(dtype)),
        tolerance(dtype == Dtype::f64 ? 1e-9 : 2e-5),
        score({.in = 3, .hidden = {16, 16, 16, 16, 16}, .out = 2, .activation = relu, .dtype = dtype}, rng) {
    nn::load(score, reference.below("w/"), "nano");
  }

  // mean (s net(x_t, t) + z)^2 over one batch, given as x0 and z [32,2], t [32]
  Var loss(Tape& tape, const Array& x0, const Array& t, const Array& z) const {
    const Var time = reshape(tape.input(t), {batch, 1}), noise = tape.input(z);
    const Var xt = sde::perturb(vp, tape.input(x0), time, noise);
    return mean(square(vp.std(time) * score(concat({xt, time}, 1)) + noise));
  }

  Rng rng{1};
  parity::Reference reference;
  double tolerance;
  nn::Mlp score;
  sde::Vp vp{.beta_min = 0.1, .beta_max = 20};
};

void check_parameters(const Case& c, const std::string& prefix) {
  BOOST_TEST(c.reference.below(prefix).size() == 12U);
  for (const auto& [name, wanted] : c.reference.below(prefix))
    for (const auto& [own, parameter] : c.score.parameters())
      if (own == name) check_close(parameter->value(), wanted, c.tolerance, prefix + name);
}

void check_adam(Dtype dtype, const std::string& name, double weight_decay) {
  Case c(dtype);
  nn::Adam adam(c.score, {.lr = 1e-3, .weight_decay = weight_decay});
  Array losses(Dtype::f64, {10});
  Tape tape(dtype);
  const Tape::Mark start = tape.mark();
  for (Index i = 0; i < 10; ++i) {
    using parity::row;
    const Var loss = c.loss(tape, row(c.reference["opt/x0"], i, {batch, 2}), row(c.reference["opt/t"], i, {batch}),
                            row(c.reference["opt/z"], i, {batch, 2}));
    losses.set(i, adam.step(loss));
    tape.rewind(start);
    if (i == 0) check_parameters(c, "opt/" + name + "/step1/");
  }
  check_close(losses, c.reference["opt/" + name + "/losses"], c.tolerance, "opt/" + name + "/losses");
  check_parameters(c, "opt/" + name + "/step10/");
}

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

BOOST_AUTO_TEST_CASE(adam_f64) { check_adam(Dtype::f64, "adam", 0); }
BOOST_AUTO_TEST_CASE(adam_f32) { check_adam(Dtype::f32, "adam", 0); }
BOOST_AUTO_TEST_CASE(adamw_f64) { check_adam(Dtype::f64, "adamw", 0.01); }
BOOST_AUTO_TEST_CASE(adamw_f32) { check_adam(Dtype::f32, "adamw", 0.01); }
BOOST_AUTO_TEST_CASE(trajectory_f64) { check_trajectory(Dtype::f64); }
BOOST_AUTO_TEST_CASE(trajectory_f32) { check_trajectory(Dtype::f32); }
