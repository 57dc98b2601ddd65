// Training steps of the studies' networks: the bits of losses, parameters and averages after some steps are those of an
// eager tape, by rows or by columns, on any number of threads.
#define BOOST_TEST_MODULE study_steps
#include <boost/test/unit_test.hpp>
#include <numbers>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

constexpr std::uint64_t seed = 3;
constexpr std::uint32_t steps = SANITIZED ? 4 : 20;

struct Result {
  std::vector<double> losses{};
  std::vector<Array> arrays{};  // parameters, then their averages, which lag behind by what every update was
};

template <class Net>
Result finished(Net& net, nn::Adam& adam, std::vector<double> losses) {
  Result result{std::move(losses)};
  for (const auto& [name, parameter] : net.trained()) result.arrays.push_back(parameter->value());
  const nn::WithAverages averages(adam);
  for (const auto& [name, parameter] : net.trained()) result.arrays.push_back(parameter->value());
  return result;
}

constexpr nn::AdamOptions settings{.lr = 1e-2, .weight_decay = 0.01, .common = {.ema_decay = 0.9}};

template <class Net, class Loss>
Result eagerly(Net net, const Loss& loss) {
  nn::Adam adam(net, settings);
  Tape tape;
  const Tape::Mark mark = tape.mark();
  std::vector<double> losses;
  for (std::uint32_t i = 0; i < steps; ++i) {
    tape.rewind(mark);
    Draw draw(tape, seed, i);
    losses.push_back(adam.step(loss(net, draw)));
  }
  return finished(net, adam, losses);
}

template <class Net, class Loss>
Result planned(Net net, const Loss& loss, const CompileOptions& options) {
  nn::Adam adam(net, settings);
  nn::TrainStep step(
      adam, seed, [&](Draw& draw) { return loss(net, draw); }, options);
  std::vector<double> losses;
  for (std::uint32_t i = 0; i < steps; ++i) losses.push_back(step.run());
  return finished(net, adam, losses);
}

// A copy of the network trains each time.
template <class Net, class Loss>
void check_steps(const Net& net, const Loss& loss) {
  const Result wanted = eagerly(net, loss);
  for (double value : wanted.losses) BOOST_TEST(std::isfinite(value));
  for (int count : {1, 2, 3, 5, 7, 8}) {
    const Threads guard(count);
    for (bool split : {true, false}) {
      const Result got = planned(net, loss, {.split_rows = split});
      BOOST_TEST((got.losses == wanted.losses), count << " threads, rows " << split);
      BOOST_TEST(same_bits(got.arrays, wanted.arrays), count << " threads, rows " << split);
    }
  }
}

Array on_circle(Index count) {
  Array points(Dtype::f32, {count, 2});
  for (Index i = 0; i < count; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(count);
    points.set(2 * i, std::cos(angle));
    points.set(2 * i + 1, std::sin(angle));
  }
  return points;
}

const auto normalised = [](Index dimension, const sde::Ou& process) {
  return [=](const nn::TimeMlp& net, Draw& draw) {
    return sde::normalised_denoising_loss(process, net, draw.normal({32, dimension}), draw.uniform({32, 1}, 1e-5, 1),
                                          draw.normal({32, dimension}));
  };
};

void check_circle(Index batch) {
  Rng rng(1);
  const sde::VeConstant process{.sigma = 1};
  const nn::ScaledScoreNet net({.standard_deviation = [=](Var t) { return process.std(t); }}, rng);
  const Array points = on_circle(batch);
  check_steps(net, [=](const nn::ScaledScoreNet& score, Draw& draw) {
    const Var x0 = draw.tape().input(points);
    return sde::denoising_loss(process, score, x0, draw.uniform({batch, 1}, 1e-5, 1), draw.normal({batch, 2}));
  });
}

template <class Net>
void check_heat(const Net& net) {
  const sde::VeExponential process{.kappa = 1.1};
  check_steps(net, [=](const Net& score, Draw& draw) {
    const auto scaled = [&](Var x, Var t) { return score(x, t) / process.std(t); };
    return sde::denoising_loss(process, scaled, draw.tape().full(Shape{1024, 1}, 0), draw.uniform({1024, 1}, 1e-5, 1),
                               draw.normal({1024, 1}));
  });
}

}  // namespace

BOOST_AUTO_TEST_CASE(triangles) {
  Rng rng(1);
  check_steps(nn::TimeMlp({.dimension = 4, .hidden = {256, 256, 256, 256}, .activation = relu, .features = 64}, rng),
              normalised(4, {.theta = 0.3, .sigma = 0.5}));
}

BOOST_AUTO_TEST_CASE(rings) {
  Rng rng(1);
  check_steps(nn::TimeMlp({.dimension = 2, .hidden = {512, 512}, .activation = relu, .features = 2}, rng),
              normalised(2, {.theta = 0.5, .sigma = 0.5}));
}

BOOST_AUTO_TEST_CASE(circle_of_nine) { check_circle(9); }
BOOST_AUTO_TEST_CASE(circle_of_500) { check_circle(500); }

BOOST_AUTO_TEST_CASE(nano_ring) {
  Rng rng(1);
  const nn::TimeMlp net({.dimension = 2, .hidden = {64, 64, 64, 64, 64}, .activation = relu}, rng);
  const Index batch = SANITIZED ? 500 : 5000;
  check_steps(net, [=](const nn::TimeMlp& score, Draw& draw) {
    const Var p = draw.uniform({batch, 2}, -1, 1);
    const Var x0 = p / norm(p, 1, {.keepdims = true}) * draw.gamma({batch, 1}, 200, 200);
    return sde::denoising_loss(sde::Vp{}, score, x0, draw.uniform({batch, 1}), draw.normal({batch, 2}));
  });
}

BOOST_AUTO_TEST_CASE(heat_kernel) {
  Rng rng(1);
  check_heat(nn::TimeMlp({.dimension = 1, .hidden = {8, 8, 8}, .activation = silu}, rng));
}
BOOST_AUTO_TEST_CASE(heat_kernel_embedded) {
  Rng rng(1);
  check_heat(nn::AdditiveTimeNet({}, rng));
}

BOOST_AUTO_TEST_CASE(fine_tuning) {
  Rng rng(1);
  using Score = nn::ResidualScore<nn::TimeMlp>;
  const nn::Frozen base(nn::TimeMlp({.dimension = 4, .hidden = {256, 256}, .activation = relu, .features = 64}, rng));
  const Score teacher(base, {.dimension = 4, .hidden = {64, 64}}, rng),
      student(base, {.dimension = 4, .hidden = {64}}, rng);
  check_steps(student, [&](const Score& score, Draw& draw) {
    const Var x = draw.normal({32, 4}), t = draw.uniform({32, 1}, 1e-5, 1);
    const Var from = stop_gradient(teacher(x, t)), change = score(x, t) - from;
    return 1e-3 * mean(sum(square(change), 1)) - mean(5.0 * sum(-from * change, 1, {.keepdims = true}) * (t <= 0.1));
  });
}
