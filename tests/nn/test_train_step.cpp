// A compiled training step does what the eager one does, to the bit, on any number of threads.
#define BOOST_TEST_MODULE train_step
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/nn/training.hpp"

using namespace wengert;
using namespace wengert::testing;
using namespace wengert::testing::training;

namespace {

constexpr int steps = 20;

Result eagerly(Dtype dtype, Index width, Index batch) {
  nn::Mlp score = network(dtype, width);
  nn::Adam adam(score);
  Tape tape(dtype);
  const Tape::Mark mark = tape.mark();
  Result result;
  for (std::uint32_t i = 0; i < steps; ++i) {
    tape.rewind(mark);
    Draw draw(tape, seed, i);
    result.losses.push_back(adam.step(loss_of(score, draw, batch)));
  }
  keep_parameters(score, result);
  return result;
}

Result planned(Dtype dtype, Index width, Index batch, const CompileOptions& options) {
  nn::Mlp score = network(dtype, width);
  nn::Adam adam(score);
  nn::TrainStep step(
      adam, seed, [&](Draw& draw) { return loss_of(score, draw, batch); }, options);
  Result result;
  for (int i = 0; i < steps; ++i) result.losses.push_back(step.run());
  keep_parameters(score, result);
  return result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(twenty_steps_have_the_bits_of_an_eager_tape_on_any_number_of_threads) {
  using Sizes = std::vector<Index>;
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index width : SANITIZED ? Sizes{37} : Sizes{37, 101, 131})
      for (Index batch : SANITIZED             ? Sizes{9, 127}
                         : dtype == Dtype::f64 ? Sizes{1, 9, 31, 33, 127, 500}
                                               : Sizes{1, 9, 31, 33, 127, 500, 5000}) {
        const Result wanted = eagerly(dtype, width, batch);
        for (int count : {1, 2, 3, 5, 7, 8}) {
          const Threads guard(count);
          for (bool split : {true, false})
            BOOST_TEST((planned(dtype, width, batch, {.split_rows = split}) == wanted),
                       name_of(dtype) << ", width " << width << ", batch " << batch << ", " << count
                                      << " threads, rows " << split);
        }
      }
}

BOOST_AUTO_TEST_CASE(a_loss_that_is_not_finite_updates_nothing) {
  nn::Mlp score = network(Dtype::f32, 16);
  nn::Adam adam(score);
  const Type type{Dtype::f32, {8, 3}};
  nn::TrainStep step(adam, seed, {type}, [&](Draw&, std::span<const Var> in) { return mean(score(in[0])); });
  const Array good = random_array(Dtype::f32, {8, 3}, 1);
  Array bad = good;
  bad.set(5, INFINITY);
  BOOST_TEST(std::isfinite(step.run({good})));
  Result before, after;
  keep_parameters(score, before);
  BOOST_TEST((step.outcome() == nn::StepOutcome::updated));
  BOOST_TEST(nn::explain_nonfinite(step) == "");
  BOOST_TEST(!std::isfinite(step.run({bad})));
  BOOST_TEST((step.outcome() == nn::StepOutcome::loss_not_finite));
  BOOST_TEST(std::isnan(step.gradient_norm()));
  BOOST_TEST(contains(nn::explain_nonfinite(step), "the loss is not finite, with the draws of step 1: "));
  keep_parameters(score, after);
  BOOST_TEST((before == after));
  BOOST_TEST(adam.updates() == 1);
  BOOST_TEST(step.number() == 2U);
  BOOST_TEST(std::isfinite(step.run({good})));
  BOOST_TEST(adam.updates() == 2);
}

BOOST_AUTO_TEST_CASE(options_are_read_at_every_run) {
  nn::Mlp score = network(Dtype::f32, 16);
  nn::Adam adam(score);
  nn::TrainStep step(adam, seed, [&](Draw& draw) { return loss_of(score, draw, 64); });
  step.run();
  Result before, after;
  keep_parameters(score, before);
  adam.options.lr = 0;
  step.run();
  keep_parameters(score, after);
  BOOST_TEST((before == after));
  adam.options.lr = -1;
  BOOST_TEST(contains(error_of([&] { step.run(); }), "[Adam] needs lr >= 0"));
}

BOOST_AUTO_TEST_CASE(parameters_that_a_plan_reads_stay_where_they_are) {
  nn::Mlp score = network(Dtype::f32, 16);
  const Plan plan =
      compile([&](std::span<const Var> in) { return std::vector<Var>{score(in[0])}; }, {{Dtype::f32, {4, 3}}});
  BOOST_TEST(contains(error_of([&] { nn::Adam adam(score); }), "make the optimizer before compiling"));
}

BOOST_AUTO_TEST_CASE(a_loss_that_is_none_is_refused_at_the_users_line) {
  nn::Mlp score = network(Dtype::f32, 16);
  nn::Adam adam(score);
  Tape other;
  const Var foreign = mean(score(other.full(Shape{1, 3}, 1)));
  const std::pair<std::function<Var(Draw&)>, std::string> losses[] = {
      {[&](Draw& draw) { return draw.normal({3}); },
       "[grad] needs a float of one element to differentiate, got f32 [3]"},
      {[&](Draw& draw) { return draw.index({}, 3); },
       "[grad] needs a float of one element to differentiate, got i32 []"},
      {[&](Draw&) { return Var{}; }, "[train_step] this Var belongs to no tape"},
      {[&](Draw&) { return foreign; }, "[train_step] this Var belongs to another tape"},
      {{}, "[train_step] needs a loss, got none"},
  };
  for (const auto& [loss, said] : losses) {
    const int line = __LINE__ + 1;
    const std::string error = error_of([&, &given = loss] { nn::TrainStep(adam, seed, given); });
    BOOST_TEST(contains(error, said), error);
    BOOST_TEST(contains(error, "(test_train_step.cpp:" + std::to_string(line) + ")"), error);
  }
  BOOST_TEST(contains(error_of([&] { nn::TrainStep(adam, seed, {}, nn::LossFunction{}); }),
                      "[train_step] needs a loss, got none  (test_train_step.cpp:"));
}

BOOST_AUTO_TEST_CASE(inputs_are_counted_as_they_were_declared) {
  nn::Mlp score = network(Dtype::f32, 16);
  nn::Adam adam(score);
  const Type type{Dtype::f32, {4, 3}};
  nn::TrainStep step(adam, seed, {type}, [&](Draw&, std::span<const Var> in) { return mean(score(in[0])); });
  const Array fits(type), wide(Dtype::f32, {4, 5});
  const auto refused = [&](const std::function<void()>& f, const std::string& text) {
    const std::string said = error_of(f);
    BOOST_TEST(contains(said, "[train_step] " + text + "  (test_train_step.cpp:"), said);
  };
  refused([&] { step.run(); }, "the loss reads 1 input, got 0");
  refused([&] { step.run({fits, fits}); }, "the loss reads 1 input, got 2");
  refused([&] { step.accumulate({wide}); }, "input 0 is f32 [4, 3], got f32 [4, 5]");
  refused([&] { step.profile(std::vector<PlanInput>{wide}); }, "input 0 is f32 [4, 3], got f32 [4, 5]");
  BOOST_TEST(step.number() == 0u);
  BOOST_TEST(std::isfinite(step.run({fits})));
}

BOOST_AUTO_TEST_CASE(a_gradient_that_is_not_finite_is_explained_with_op_and_line) {
  nn::Mlp score = network(Dtype::f32, 16);
  nn::Adam adam(score, {.common = {.clip = {.norm = 1}}});
  int line = 0;
  nn::TrainStep step(adam, seed, [&](Draw& draw) {
    const Var x = draw.normal({4, 3}), y = score(x);
    line = __LINE__ + 1;
    return mean(sqrt(square(y - y)));
  });
  Result before, after;
  keep_parameters(score, before);
  for (int i = 0; i < 2; ++i) {
    BOOST_TEST(step.run() == 0);
    BOOST_TEST((step.outcome() == nn::StepOutcome::gradient_not_finite));
    BOOST_TEST(!std::isfinite(step.gradient_norm()));
  }
  keep_parameters(score, after);
  BOOST_TEST((before == after));
  BOOST_TEST(adam.updates() == 0);
  const std::string said = nn::explain_nonfinite(step);
  BOOST_TEST(contains(said, "the gradient by layers.0.weight is not finite, with the draws of step 1: ["), said);
  BOOST_TEST(contains(said, "in the derivative of [sqrt]"), said);
  BOOST_TEST(contains(said, "(test_train_step.cpp:" + std::to_string(line) + ")"), said);
}

namespace {

// sum(log(x w)) of rows that are chosen: not finite where a chosen x is 0, an Error where there is no such row.
struct ChosenRows {
  static constexpr Index rows = 4;
  nn::Linear layer = [] {
    Rng rng(1);
    nn::Linear made(1, 1, rng);
    made.weight.set(Array::of<float>({1, 1}, {2}));
    made.bias.set(Array::of<float>({1}, {0}));
    return made;
  }();
  nn::Sgd sgd{layer, {.lr = 1}};
  nn::TrainStep step =
      nn::TrainStep(sgd, seed, {{Dtype::f32, {rows, 1}}, {Dtype::i32, {2}}},
                    [this](Draw&, std::span<const Var> in) { return sum(log(layer(index_select(in[0], 0, in[1])))); });
  const Array x = Array::of<float>({rows, 1}, {1, 2, 0, 4});

  PlanInput choose(Index a, Index b) {
    chosen.set(0, static_cast<double>(a));
    chosen.set(1, static_cast<double>(b));
    return chosen;
  }
  double weight() const { return layer.weight.value().at(0); }
  Array chosen{Dtype::i32, {2}};
};

}  // namespace

BOOST_AUTO_TEST_CASE(the_micro_batch_that_was_not_finite_is_the_one_explained) {
  for (int bad : {0, 1, 2}) {
    ChosenRows all;
    const double before = all.weight();
    for (int part = 0; part < 3; ++part) {
      const PlanInput chosen = part == bad ? all.choose(1, 2) : all.choose(0, 3);
      part < 2 ? all.step.accumulate({all.x, chosen}) : static_cast<void>(all.step.run({all.x, chosen}));
    }
    BOOST_TEST((all.step.outcome() == nn::StepOutcome::loss_not_finite));
    BOOST_TEST(all.weight() == before);
    const std::string said = nn::explain_nonfinite(all.step);
    BOOST_TEST(contains(said, "with the draws of step " + std::to_string(bad) + ": [log] made -inf at [1, 0]"), said);
    // The next step starts afresh.
    BOOST_TEST(std::isfinite(all.step.run({all.x, all.choose(0, 1)})));
    BOOST_TEST((all.step.outcome() == nn::StepOutcome::updated));
    BOOST_TEST(nn::explain_nonfinite(all.step) == "");
    BOOST_TEST(all.weight() == before - 1);  // d/dw of 2 log w at 2
  }
}

BOOST_AUTO_TEST_CASE(a_run_that_throws_leaves_waiting_gradients_whole) {
  ChosenRows wanted;
  wanted.step.accumulate({wanted.x, wanted.choose(0, 1)});
  const double loss = wanted.step.run({wanted.x, wanted.choose(1, 3)});
  for (bool at_first : {false, true})
    for (bool by_run : {false, true}) {
      ChosenRows all;
      const auto fail = [&] {
        const PlanInput chosen = all.choose(1, 9);
        BOOST_TEST(
            contains(error_of([&] {
                       by_run ? static_cast<void>(all.step.run({all.x, chosen})) : all.step.accumulate({all.x, chosen});
                     }),
                     "test_train_step.cpp:"));
      };
      if (at_first) fail();
      all.step.accumulate({all.x, all.choose(0, 1)});
      if (!at_first) fail();
      BOOST_TEST(all.step.number() == 1U);
      BOOST_TEST(all.step.run({all.x, all.choose(1, 3)}) == loss);
      BOOST_TEST(all.weight() == wanted.weight());
    }
}

BOOST_AUTO_TEST_CASE(a_profile_spoils_no_waiting_gradient) {
  std::vector<double> weights;
  for (bool look : {false, true}) {
    ChosenRows all;
    all.step.accumulate({all.x, all.choose(0, 1)});
    if (look) {
      const std::vector<PlanInput> given{all.x, all.choose(3, 3)};
      BOOST_TEST(contains(all.step.profile(given, 2), "ms a run"));
      BOOST_TEST(contains(error_of([&] {
                            const std::vector<PlanInput> bad{all.x, all.choose(3, 9)};
                            all.step.profile(bad, 1);
                          }),
                          "test_train_step.cpp:"));
    }
    all.step.run({all.x, all.choose(1, 3)});
    weights.push_back(all.weight());
  }
  BOOST_TEST(weights[0] == weights[1]);
}

// dy/dt = a y by n steps of length h is y P(a h)^n with P the Taylor polynomial of exp.
BOOST_AUTO_TEST_CASE(the_gradient_through_a_solver_is_that_of_its_steps) {
  Rng rng(1);
  nn::Linear rate(1, 1, rng, Dtype::f64);
  rate.bias.set(Array::of<double>({1}, {0}));
  for (double a : {-1.3, 0.4, 2.0}) {
    rate.weight.set(Array::of<double>({1, 1}, {a}));
    constexpr int n = 5;
    const double step_length = 0.2, z = a * step_length;
    Tape tape(Dtype::f64);
    const Var x = tape.full(Shape{1, 1}, 1.5), h = tape.full(Shape{1, 1}, step_length);
    const sde::Ode ode([&](Var y, Var) { return rate(y); });
    Var y = x;
    for (int i = 0; i < n; ++i) {
      sde::MethodStep step({.t = i * h, .end = (i + 1) * h, .h = h});
      y = sde::Rk4{}.step(ode, y, step)[0];
    }
    const double p = 1 + z + z * z / 2 + z * z * z / 6 + z * z * z * z / 24, slope = 1 + z + z * z / 2 + z * z * z / 6;
    const double by_x = std::pow(p, n), by_a = 1.5 * n * std::pow(p, n - 1) * slope * step_length;
    const std::vector<Var> g = grad(sum(y), std::vector<Var>{x, rate.weight.on(tape)});
    BOOST_CHECK_CLOSE_FRACTION(g[0].item(), by_x, 1e-13);
    BOOST_CHECK_CLOSE_FRACTION(g[1].item(), by_a, 1e-13);
  }
}

// The flow of README, towards a quarter turn.
BOOST_AUTO_TEST_CASE(a_flow_is_trained_through_its_solver) {
  constexpr int steps_taken = SANITIZED ? 60 : 200;
  std::vector<double> eager, planned;
  for (std::vector<double>* losses : {&eager, &planned}) {
    Rng rng(1);
    nn::Mlp net({.in = 2, .hidden = {16}, .out = 2, .activation = tanh}, rng);
    nn::Adam adam(net, {.lr = 1e-2});
    const auto end_of = [&](Var x) {
      const sde::Ode ode([&](Var y, Var) { return net(y); });
      const Var h = x.tape().full(Shape{1, 1}, 0.125);
      for (int i = 0; i < 8; ++i) {
        sde::MethodStep step({.t = i * h, .end = (i + 1) * h, .h = h});
        x = sde::Rk4{}.step(ode, x, step)[0];
      }
      return x;
    };
    const auto target = [](Var x) { return concat({-slice(x, 1, 1, 2), slice(x, 1, 0, 1)}, 1); };
    const auto loss = [&](Draw& draw) {
      const Var x = draw.normal({50, 2});
      return mean(square(end_of(x) - target(x)));
    };
    if (losses == &planned) {
      nn::TrainStep step(adam, seed, loss);
      for (int i = 0; i < steps_taken; ++i) losses->push_back(step.run());
    } else {
      for (std::uint32_t i = 0; i < 3; ++i) {
        Tape tape;
        Draw draw(tape, seed, i);
        losses->push_back(adam.step(loss(draw)));
      }
    }
  }
  for (std::size_t i = 0; i < eager.size(); ++i) BOOST_CHECK_CLOSE_FRACTION(planned[i], eager[i], 1e-5);
  BOOST_TEST(planned.back() < 0.3 * planned.front());
}
