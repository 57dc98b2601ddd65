// Optimizers: updates against their equations, clipping, averages, micro-batches; eager and planned, on any number of
// threads.
#define BOOST_TEST_MODULE optimizers
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <memory>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

// One parameter w [n], and a loss whose gradient is given.
class Vector final : public nn::Module {
 public:
  explicit Vector(const Array& start) : w(start) { name_parameters(); }
  void children(nn::Visitor& visit) override { visit("w", w); }
  nn::Parameter w;
};

using Row = std::vector<double>;

Row step(nn::Optimizer& optimizer, Vector& at, const Row& gradient) {
  Tape tape(Dtype::f64);
  Array slope(Dtype::f64, {static_cast<Index>(gradient.size())});
  for (std::size_t i = 0; i < gradient.size(); ++i) slope.set(static_cast<Index>(i), gradient[i]);
  optimizer.step(sum(at.w.on(tape) * tape.input(slope)));
  return numbers(at.w.value());
}

void check_row(const Row& got, const Row& wanted) {
  BOOST_REQUIRE(got.size() == wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) BOOST_CHECK_CLOSE_FRACTION(got[i], wanted[i], 1e-12);
}

Vector vector(double a, double b) { return Vector(Array::of<double>({2}, {a, b})); }

}  // namespace

BOOST_AUTO_TEST_CASE(plain_descent_with_weight_decay) {
  Vector at = vector(1, -2);
  nn::Sgd sgd(at, {.lr = 0.1, .weight_decay = 0.5});
  check_row(step(sgd, at, {3, 4}), {1 - 0.1 * (3 + 0.5), -2 - 0.1 * (4 - 1)});
}

BOOST_AUTO_TEST_CASE(momentum_and_nesterov) {
  Vector heavy = vector(0, 0), ahead = vector(0, 0);
  nn::Sgd momentum(heavy, {.lr = 0.1, .momentum = 0.9});
  nn::Sgd nesterov(ahead, {.lr = 0.1, .momentum = 0.9, .nesterov = true});
  step(momentum, heavy, {1, 2});
  step(nesterov, ahead, {1, 2});
  check_row(numbers(heavy.w.value()), {-0.1, -0.2});
  check_row(numbers(ahead.w.value()), {-0.19, -0.38});
  // m = 0.9 g1 + g2 = (3.9, 5.8)
  check_row(step(momentum, heavy, {3, 4}), {-0.1 - 0.39, -0.2 - 0.58});
  check_row(step(nesterov, ahead, {3, 4}), {-0.19 - 0.1 * (3 + 0.9 * 3.9), -0.38 - 0.1 * (4 + 0.9 * 5.8)});
}

BOOST_AUTO_TEST_CASE(clipping_by_value_then_by_norm) {
  Vector by_value = vector(0, 0), by_norm = vector(0, 0), by_both = vector(0, 0), loose = vector(0, 0);
  nn::Sgd value(by_value, {.lr = 1, .clip = {.value = 2}}), norm(by_norm, {.lr = 1, .clip = {.norm = 1}}),
      both(by_both, {.lr = 1, .clip = {.value = 3, .norm = 1}}), wide(loose, {.lr = 1, .clip = {.norm = 100}});
  check_row(step(value, by_value, {-3, 1}), {2, -1});
  check_row(step(norm, by_norm, {3, -4}), {-3 / (5 + 1e-6), 4 / (5 + 1e-6)});
  check_row(step(both, by_both, {3, -4}), {-3 / (std::sqrt(18) + 1e-6), 3 / (std::sqrt(18) + 1e-6)});
  check_row(step(wide, loose, {3, -4}), {-3, 4});
}

BOOST_AUTO_TEST_CASE(averages_follow_the_parameters) {
  Vector at = vector(1, 0);
  nn::Sgd sgd(at, {.lr = 1, .average = 0.75});
  BOOST_TEST(contains(error_of([&] { sgd.exchange_averages(); }), "[average] no averages are kept"));
  at.w.set(Array::of<double>({2}, {0, 8}));  // averages start from what is there at the first step
  step(sgd, at, {-4, 0});
  step(sgd, at, {-4, 4});
  check_row(numbers(at.w.value()), {8, 4});
  {
    const nn::WithAverages averages(sgd);
    check_row(numbers(at.w.value()), {0.75 * (0.25 * 4) + 0.25 * 8, 0.75 * 8 + 0.25 * 4});
    BOOST_TEST(contains(error_of([&] { step(sgd, at, {1, 1}); }), "[step] the parameters are exchanged"));
  }
  check_row(numbers(at.w.value()), {8, 4});
}

BOOST_AUTO_TEST_CASE(options_that_make_no_sense_are_refused) {
  Vector at = vector(1, 0);
  BOOST_TEST(contains(error_of([&] { nn::Sgd(at, {.lr = -1}); }), "[Sgd] needs lr >= 0"));
  BOOST_TEST(contains(error_of([&] { nn::Sgd(at, {.nesterov = true}); }), "nesterov needs momentum > 0"));
  nn::Adam adam(at);
  adam.options.clip.norm = 0;
  BOOST_TEST(contains(error_of([&] { step(adam, at, {1, 1}); }), "[clip] needs a value and a norm above 0"));
  adam.options = {.average = 1};
  BOOST_TEST(contains(error_of([&] { step(adam, at, {1, 1}); }), "[average] needs a decay in [0, 1)"));
}

namespace {

constexpr std::uint64_t seed = 5;
constexpr int steps = 5;

using MakeOptimizer = std::function<std::unique_ptr<nn::Optimizer>(nn::Module&)>;

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

std::vector<Array> eagerly(const MakeOptimizer& make) {
  nn::Mlp net = network();
  const auto optimizer = make(net);
  for (std::uint32_t i = 0; i < steps; ++i) {
    Tape tape;
    Draw draw(tape, seed, i);
    optimizer->step(loss_of(net, draw));
  }
  return state(net, *optimizer);
}

std::vector<Array> planned(const MakeOptimizer& make) {
  nn::Mlp net = network();
  const auto optimizer = make(net);
  auto step = compile(nn::train_step(*optimizer, seed, [&](Draw& draw) { return loss_of(net, draw); }));
  for (int i = 0; i < steps; ++i) step.run();
  return state(net, *optimizer);
}

}  // namespace

BOOST_AUTO_TEST_CASE(plans_and_threads_change_no_bit) {
  const MakeOptimizer makers[] = {
      [](nn::Module& m) {
        return std::make_unique<nn::Adam>(
            m, nn::AdamOptions{.weight_decay = 0.01, .clip = {.value = 0.02, .norm = 0.1}, .average = 0.9});
      },
      [](nn::Module& m) {
        return std::make_unique<nn::Sgd>(
            m, nn::SgdOptions{.momentum = 0.9, .nesterov = true, .clip = {.norm = 0.1}, .average = 0.5});
      },
      [](nn::Module& m) {
        return std::make_unique<nn::Sgd>(m, nn::SgdOptions{.clip = {.value = 0.01}, .average = 0.5});
      },
  };
  for (const MakeOptimizer& make : makers) {
    const std::vector<Array> wanted = eagerly(make);
    for (int count : {1, 2, 3, 7}) {
      const Threads guard(count);
      BOOST_TEST(same_bits(eagerly(make), wanted));
      BOOST_TEST(same_bits(planned(make), wanted));
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
    return compile(nn::train_step(adam, seed, {type, type},
                                  [&](Draw&, std::span<const Var> in) { return mean(square(net(in[0]) - in[1])); }));
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
