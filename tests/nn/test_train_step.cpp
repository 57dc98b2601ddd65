// A compiled training step does what the eager one does, to the bit, on any number of threads.
#define BOOST_TEST_MODULE train_step
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

constexpr std::uint64_t seed = 7;
const sde::Vp vp;

nn::Mlp network(Dtype dtype, Index width) {
  Rng rng(1);
  return nn::Mlp({.in = 3, .hidden = {width, width}, .out = 2, .activation = relu, .dtype = dtype}, rng);
}

// Denoising score matching of a normal distribution.
Var loss_of(const nn::Mlp& score, Draw& draw, Index batch) {
  const Var x0 = draw.gamma({batch, 2}, 3, 3), t = draw.uniform({batch, 1}), z = draw.normal({batch, 2});
  const Var xt = sde::perturb(vp, x0, t, z);
  return mean(square(vp.std(t) * score(concat({xt, t}, 1)) + z));
}

struct Result {
  std::vector<double> losses{};
  std::vector<Array> parameters{};
  friend bool operator==(const Result& a, const Result& b) {
    return a.losses == b.losses && same_bits(a.parameters, b.parameters);
  }
};

void keep_parameters(const nn::Mlp& score, Result& result) {
  for (const auto& [name, parameter] : score.parameters()) result.parameters.push_back(parameter->value());
}

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
  auto step = compile(nn::train_step(adam, seed, [&](Draw& draw) { return loss_of(score, draw, batch); }), options);
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
  auto step =
      compile(nn::train_step(adam, seed, {type}, [&](Draw&, std::span<const Var> in) { return mean(score(in[0])); }));
  const Array good = random_array(Dtype::f32, {8, 3}, 1);
  Array bad = good;
  bad.set(5, INFINITY);
  BOOST_TEST(std::isfinite(step.run({good})));
  Result before, after;
  keep_parameters(score, before);
  BOOST_TEST(!std::isfinite(step.run({bad})));
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
  auto step = compile(nn::train_step(adam, seed, [&](Draw& draw) { return loss_of(score, draw, 64); }));
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

BOOST_AUTO_TEST_CASE(a_loss_of_many_elements_is_refused) {
  nn::Mlp score = network(Dtype::f32, 16);
  nn::Adam adam(score);
  const auto many = [&](Draw& draw) { return draw.normal({3}); };
  BOOST_TEST(
      contains(error_of([&] { compile(nn::train_step(adam, seed, many)); }), "[grad] needs a float of one element"));
}
