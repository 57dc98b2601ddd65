// Fine-tuning for entropy against normal distributions, for which a round has a closed form.
#define BOOST_TEST_MODULE maximum_entropy
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

constexpr sde::Ou ou{.theta = 0.3, .sigma = 0.5};
constexpr double data_sd = 0.5, near = 0.1;

// The score of N(0, data_sd^2 I) after the process.
Var normal_score(Var x, Var t) { return -x / (square(ou.mean_scale(t) * data_sd) + square(ou.std(t))); }

// That score and a linear change of it, which starts at 0.
class Student final : public nn::Module {
 public:
  Student() : weight_(Array(Dtype::f32, {2, 2})) { name_parameters(); }
  Var operator()(Var x, Var t) const { return normal_score(x, t) + matmul(x, weight_.on(x.tape())); }
  void children(nn::Visitor& visit) override { visit("weight", weight_); }

 private:
  nn::Parameter weight_;
};

// The rms of Delta - factor s over the rms of factor s, for points of the process at times up to `near`.
double relative_error(const Student& student, double factor) {
  Tape tape;
  Draw draw(tape, 11);
  const Var t = draw.uniform({4096, 1}, 1e-5, near);
  const Var x = sde::perturb(ou, data_sd * draw.normal({4096, 2}), t, draw.normal({4096, 2}));
  const Var s = normal_score(x, t), change = student(x, t) - s;
  return std::sqrt((mean(square(change - factor * s)) / mean(square(factor * s))).item());
}

// Regresses on the reward's gradient times `sign` with beta / (2 lambda) = .5; the number of steps until the error
// against factor s is below 3 %, 2000 if it never is.
int steps_to(double factor, double sign) {
  Student student;
  nn::Adam adam(student, {.lr = 1e-2});
  const sde::RewardGradient gradient = [sign](Var x, Var t) { return -sign * normal_score(x, t); };
  nn::TrainStep step(adam, 3, [&](Draw& draw) {
    const Var t = draw.uniform({256, 1}, 1e-5, near);
    const Var x = sde::perturb(ou, data_sd * draw.normal({256, 2}), t, draw.normal({256, 2}));
    return sde::proximal_loss(student, normal_score, gradient, x, t, {.beta = 1, .lambda = 1, .near = near}).loss;
  });
  int steps = 0;
  while (steps < 2000 && relative_error(student, factor) > 0.03)
    for (int i = 0; i < 50; ++i, ++steps) step.run();
  BOOST_TEST(relative_error(student, -factor) > 1.9);
  return steps;
}

// A distribution N(0, variance), as a model that gives its score.
struct Normal {
  double variance = 1;
  Var operator()(Operand x, Operand) const { return x.var() / -variance; }
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_round_reaches_its_closed_form) {
  BOOST_TEST(steps_to(-0.5, 1) < 2000);
  BOOST_TEST(steps_to(0.5, -1) < 2000);  // the direction reversed
}

// p_k ~ p_{k-1}^(1 - 1/alpha): each round divides the variance by 1 - 1/alpha.
BOOST_AUTO_TEST_CASE(rounds_with_an_exact_solver_widen_a_normal_law) {
  for (double alpha : {1.5, 4.0, 50.0}) {
    Normal model{.variance = 0.3}, previous{.variance = 7};
    const Index rounds = sde::maximise_entropy(model, previous, 3, [&](Index k, const sde::RewardGradient& gradient) {
      BOOST_TEST(previous.variance == model.variance);
      Tape tape(Dtype::f64);
      const Var x = tape.full(Shape{1, 1}, 1), t = tape.full(Shape{1, 1}, 0);
      model.variance = 1 / -(previous(x, t) + gradient(x, t) / alpha).item();
      BOOST_TEST(gradient(x, t).item() == 1 / previous.variance, boost::test_tools::tolerance(1e-14));
      BOOST_TEST(model.variance == 0.3 / std::pow(1 - 1 / alpha, k), boost::test_tools::tolerance(1e-12));
      return true;
    });
    BOOST_TEST(rounds == 3);
  }
}

BOOST_AUTO_TEST_CASE(a_solver_may_end_the_rounds) {
  Normal model, previous;
  Index calls = 0;
  const auto until_two = [&](Index round, const sde::RewardGradient&) { return ++calls, round < 2; };
  BOOST_TEST(sde::maximise_entropy(model, previous, 5, until_two) == 2);
  BOOST_TEST(calls == 2);
  BOOST_TEST(sde::maximise_entropy(model, previous, 0, until_two) == 0);
  BOOST_TEST(calls == 2);
  BOOST_TEST(error_of([&] { sde::maximise_entropy(model, previous, -1, until_two); }) ==
             "[maximise_entropy] rounds must be at least 0, got -1");
}

// A plan that read both models before the rounds sees them as they are assigned.
BOOST_AUTO_TEST_CASE(models_are_assigned_in_place) {
  Rng rng(1);
  const nn::Frozen base(nn::TimeMlp({.dimension = 2, .hidden = {4}, .activation = tanh}, rng));
  nn::ResidualScore teacher(base, {.dimension = 2, .hidden = {5}}, rng);
  nn::ResidualScore student(base, {.dimension = 2, .hidden = {5}}, rng);
  Plan difference =
      compile([&](std::span<const Var> in) { return std::vector<Var>{student(in[0], in[1]) - teacher(in[0], in[1])}; },
              {{Dtype::f32, {3, 2}}, {Dtype::f32, {3, 1}}});
  const Array x = random_array(Dtype::f32, {3, 2}, 1), t = random_array(Dtype::f32, {3, 1}, 2);
  const auto largest = [&] {
    double value = 0;
    const Array& now = difference.run({x, t})[0];
    for (Index i = 0; i < now.size(); ++i) value = std::max(value, std::abs(now.at(i)));
    return value;
  };
  BOOST_TEST(largest() > 0);
  sde::maximise_entropy(student, teacher, 1, [&](Index, const sde::RewardGradient&) {
    BOOST_TEST(largest() == 0);
    return true;
  });
}

// The loss and its parts by hand: one dimension, two points of which one is near the data.
BOOST_AUTO_TEST_CASE(the_loss_by_hand) {
  Tape tape(Dtype::f64);
  const Var x = tape.input(Array::of<double>({2, 1}, {1, 2})), t = tape.input(Array::of<double>({2, 1}, {0.1, 0.2}));
  const Var w = tape.input(Array::of<double>({1, 1}, {3}));
  const auto student = [&](Var y, Var) { return w * y; };
  const auto teacher = [&](Var y, Var) { return -w * y; };
  const auto gradient = [&](Var y, Var) { return 10 * w * y; };  // 30, 60
  const sde::ProximalLoss loss = sde::proximal_loss(student, teacher, gradient, x, t, {.beta = 2, .lambda = 0.5});
  BOOST_TEST(loss.proximity.item() == 0.5 * (36 + 144) / 2);  // changes 6 and 12
  BOOST_TEST(loss.direction.item() == 2.0 * 30 * 6 / 2);
  BOOST_TEST(loss.loss.item() == 45.0 - 180.0);
  // Through the student alone: lambda mean 2 change x - beta mean 1[near] gradient x.
  BOOST_TEST(grad(loss.loss, w).item() == 0.5 * (2 * 6 * 1 + 2 * 12 * 2) / 2 - 2.0 * 30 * 1 / 2);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_is_refused) {
  Tape tape;
  const Var x = tape.full(Shape{3, 2}, 1), t = tape.full(Shape{3, 1}, 0.5);
  const auto thin = [](Var y, Var) { return slice(y, 1, 0, 1); };
  const auto says = [&](auto student, auto teacher, const sde::RewardGradient& gradient, Var times,
                        const sde::ProximalOptions& options = {}) {
    return error_of([&] { sde::proximal_loss(student, teacher, gradient, x, times, options); });
  };
  const auto starts = [](const std::string& said, const std::string& text) {
    BOOST_TEST(said.substr(0, text.size()) == text);
  };
  starts(says(thin, normal_score, normal_score, t), "[proximal_loss] the student must be f32 [3, 2], got f32 [3, 1]");
  starts(says(normal_score, thin, normal_score, t), "[proximal_loss] the teacher must be f32 [3, 2], got f32 [3, 1]");
  starts(says(normal_score, normal_score, thin, t), "[proximal_loss] the gradient must be f32 [3, 2], got f32 [3, 1]");
  starts(says(normal_score, normal_score, {}, t), "[proximal_loss] the gradient is an empty function");
  starts(says(normal_score, normal_score, normal_score, x), "[proximal_loss] t must be f32 [3,1] or [1,1], got f32");
  for (double bad : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    starts(says(normal_score, normal_score, normal_score, t, {.beta = bad}),
           "[proximal_loss] beta must be positive and finite, got ");
    starts(says(normal_score, normal_score, normal_score, t, {.lambda = bad}),
           "[proximal_loss] lambda must be positive and finite, got ");
  }
}
