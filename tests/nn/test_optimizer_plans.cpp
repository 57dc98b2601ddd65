// Optimizers in plans: every one, by the table in optimizers.hpp, eager and planned on any number of threads;
// micro-batches.
#define BOOST_TEST_MODULE optimizer_plans
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/nn/optimizers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

constexpr std::uint64_t seed = 5;
constexpr int steps = 5;

nn::Mlp network() {
  Rng rng(1);
  return nn::Mlp({.in = 2, .hidden = {70, 50}, .out = 2, .activation = tanh}, rng);
}
Var loss_of(const nn::Mlp& net, Draw& draw) {
  const Var x = draw.normal({60, 2});
  return mean(square(net(x) - sin(x)));
}

std::vector<Array> state(nn::Mlp& net, nn::Optimizer& optimizer) {
  std::vector<Array> all;
  for (const auto& [name, parameter] : net.parameters()) all.push_back(parameter->value());
  const nn::WithAverages averages(optimizer);
  for (const auto& [name, parameter] : net.parameters()) all.push_back(parameter->value());
  return all;
}

std::vector<Array> eagerly(const OptimizerKind::Make& make) {
  nn::Mlp net = network();
  const auto optimizer = make(net);
  for (std::uint32_t i = 0; i < steps; ++i) {
    Tape tape;
    Draw draw(tape, seed, i);
    optimizer->step(loss_of(net, draw));
  }
  return state(net, *optimizer);
}

std::vector<Array> planned(const OptimizerKind::Make& make) {
  nn::Mlp net = network();
  const auto optimizer = make(net);
  nn::TrainStep step(*optimizer, seed, [&](Draw& draw) { return loss_of(net, draw); });
  for (int i = 0; i < steps; ++i) step.run();
  return state(net, *optimizer);
}

}  // namespace

BOOST_AUTO_TEST_CASE(plans_and_threads_change_no_bit) {
  for (const OptimizerKind& kind : every_optimizer())
    for (const OptimizerKind::Make& make : kind.make) {
      const std::vector<Array> wanted = eagerly(make);
      for (int count : {1, 2, 3, 7}) {
        const Threads guard(count);
        BOOST_TEST(same_bits(eagerly(make), wanted), kind.name);
        BOOST_TEST(same_bits(planned(make), wanted), kind.name);
      }
    }
}

BOOST_AUTO_TEST_CASE(micro_batches_make_the_mean_gradient) {
  const Array x = random_array(Dtype::f64, {60, 2}, 1), y = random_array(Dtype::f64, {60, 2}, 2);
  const auto part = [](const Array& all, Index which) {
    Array rows(Dtype::f64, {20, 2});
    for (Index i = 0; i < 40; ++i) rows.set(i, all.at(40 * which + i));
    return rows;
  };
  const auto make = [&](Index rows, nn::Mlp& net, nn::Adam& adam) {
    const Type type{Dtype::f64, {rows, 2}};
    return nn::TrainStep(adam, seed, {type, type},
                         [&](Draw&, std::span<const Var> in) { return mean(square(net(in[0]) - in[1])); });
  };
  Rng rng(1);
  nn::Mlp one({.in = 2, .hidden = {30}, .out = 2, .activation = tanh, .dtype = Dtype::f64}, rng), many = one;
  nn::Adam whole(one), in_parts(many);
  auto at_once = make(60, one, whole), piecewise = make(20, many, in_parts);
  for (int i = 0; i < 3; ++i) {
    const double wanted = at_once.run({x, y});
    piecewise.accumulate({part(x, 0), part(y, 0)});
    piecewise.accumulate({part(x, 1), part(y, 1)});
    BOOST_CHECK_CLOSE_FRACTION(piecewise.run({part(x, 2), part(y, 2)}), wanted, 1e-12);
  }
  BOOST_TEST(in_parts.updates() == 3);
  BOOST_TEST(piecewise.number() == 9U);
  for (std::size_t i = 0; i < one.parameters().size(); ++i) {
    const Array a = one.parameters()[i].second->value(), b = many.parameters()[i].second->value();
    for (Index e = 0; e < a.size(); ++e) BOOST_TEST(std::abs(a.at(e) - b.at(e)) < 1e-9);
  }
}
