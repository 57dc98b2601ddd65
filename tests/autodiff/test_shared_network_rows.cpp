// Networks in plans, of which all rows share the time: values and derivatives stay those of an eager tape but for
// rounding, and a row has the same bits in a batch of any size.
#define BOOST_TEST_MODULE shared_network_rows
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <random>

#include "autodiff/autodiff.hpp"
#include "autodiff/plan/rows.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/shared_rows.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

Var spread(Var t) { return sqrt(1 - exp(-2 * t)); }

nn::ScaledScoreNet circle(Dtype dtype, std::uint64_t seed = 1) {
  Rng rng(seed);
  return nn::ScaledScoreNet({.standard_deviation = spread, .dtype = dtype}, rng);
}

// Networks on x [B,2] and one t [1,1].
struct Network {
  std::string name;
  std::function<Var(Var x, Var t)> score;
};
std::vector<Network> networks(Dtype dtype, std::uint64_t seed = 1) {
  Rng rng(seed);
  const nn::TimeMlp plain({.dimension = 2, .hidden = {24, 24}, .activation = silu, .dtype = dtype}, rng);
  const nn::TimeMlp wide({.dimension = 2, .hidden = {40, 40}, .activation = relu, .features = 64, .dtype = dtype}, rng);
  const nn::AdditiveTimeNet embedded({.dimension = 2, .dtype = dtype}, rng);
  const nn::SinusoidalFeatures features(16, 1000, dtype);
  const nn::Mlp mlp({.in = 18, .hidden = {33, 33}, .out = 2, .activation = tanh, .dtype = dtype}, rng);
  return {{"ScaledScoreNet", circle(dtype, seed)},
          {"TimeMlp", plain},
          {"TimeMlp with features", wide},
          {"AdditiveTimeNet", embedded},
          {"Mlp with features on both sides of x", [=](Var x, Var t) {
             const Var e = features(t);
             return mlp(concat({slice(e, 1, 0, 5), x, slice(e, 1, 5, 16)}, -1));
           }}};
}

// The score, its divergence, and what a cotangent of the score leads to at x.
PlanFunction with_derivatives(const Network& network) {
  return [score = network.score](Vars in) {
    const auto [value, divergence] = value_and_divergence([&](Var x) { return score(x, in[1]); }, in[0]);
    const Var again = score(in[0], in[1]);
    return std::vector<Var>{value, divergence, vjp(again, sin(again), std::vector<Var>{in[0]})[0]};
  };
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_circle_network_needs_two_large_products_for_its_rows) {
  const nn::ScaledScoreNet net = circle(Dtype::f32);
  const auto f = [&](Vars in) { return std::vector<Var>{net(in[0], in[1])}; };
  Plan plan = compile(f, {{Dtype::f32, {90, 2}}, {Dtype::f32, {1, 1}}}, {.rows = {0}});
  const std::string text = plan.explain();
  std::vector<Product> of_rows;
  for (const Product& of : products(text))
    if (of[0] == 90) of_rows.push_back(of);
  std::sort(of_rows.begin(), of_rows.end());
  const std::vector<Product> wanted{{90, 2, 128}, {90, 128, 2}, {90, 128, 128}, {90, 128, 128}};
  BOOST_TEST((of_rows == wanted), text);
}

BOOST_AUTO_TEST_CASE(networks_and_their_derivatives) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (std::uint64_t seed = 1; seed <= (SANITIZED ? 1 : 12); ++seed)
      for (const Network& network : networks(dtype, seed)) {
        const Arrays inputs{random_array(dtype, {100, 2}, seed), random_array(dtype, {1, 1}, seed, 0.2, 0.9)};
        const PlanFunction f = with_derivatives(network);
        const Arrays wanted = eagerly(f, inputs, dtype);
        for (const Numbers& rows : {Numbers{}, Numbers{0}}) {
          Plan plan = compile(f, types_of(inputs), {.rows = rows}, dtype);
          check_close(run(plan, inputs), wanted, dtype, network.name + ", seed " + std::to_string(seed));
        }
      }
}

BOOST_AUTO_TEST_CASE(gradients_by_parameters_and_by_the_shared_time) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    Rng rng(9);
    nn::TimeMlp net({.dimension = 2, .hidden = {24, 24}, .activation = silu, .features = 32, .dtype = dtype}, rng);
    const nn::Adam adam(net);
    const auto f = [&](Vars in) {
      std::vector<Var> by{in[1]};
      for (const nn::Slot& slot : adam.parameters()) by.push_back(slot.on(in[0].tape()));
      const Var loss = mean(square(net(in[0], in[1]) - 1));
      std::vector<Var> out{loss};
      for (Var g : grad(loss, by)) out.push_back(g);
      return out;
    };
    const Arrays inputs{random_array(dtype, {300, 2}, 1), random_array(dtype, {1, 1}, 2, 0.2, 0.9)};
    Plan plan = compile(f, types_of(inputs), {.rows = {0}}, dtype);
    check_close(run(plan, inputs), eagerly(f, inputs, dtype), dtype, plan.explain());
  }
}

BOOST_AUTO_TEST_CASE(a_row_has_the_same_bits_in_a_batch_of_any_size) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Array points = random_array(dtype, {100, 2}, 1), time = random_array(dtype, {1, 1}, 2, 0.2, 0.9);
    for (const Network& network : networks(dtype)) {
      const auto of = [&](Index batch) {
        Array first(dtype, {batch, 2});
        for (Index i = 0; i < first.size(); ++i) first.set(i, points.at(i));
        Plan plan = compile(with_derivatives(network), {first.type(), time.type()}, {.rows = {0}}, dtype);
        return run(plan, {first, time});
      };
      const Arrays all = of(100);
      for (Index batch : {1, 2, 7}) {
        const Arrays some = of(batch);
        for (std::size_t i = 0; i < some.size(); ++i)
          BOOST_TEST(std::memcmp(some[i].raw(), all[i].raw(), some[i].type().bytes()) == 0,
                     network.name << ", " << batch << " rows, output " << i);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(rows_of_parameters_are_read_as_they_are_at_each_run) {
  Rng rng(4);
  nn::Mlp net({.in = 3, .hidden = {20}, .out = 2, .activation = tanh}, rng);
  const auto f = [&](Vars in) { return std::vector<Var>{net(concat({in[0], in[1]}, -1))}; };
  const Arrays inputs{random_array(Dtype::f32, {30, 2}, 1), random_array(Dtype::f32, {1, 1}, 2)};
  Plan plan = compile(f, types_of(inputs));
  BOOST_TEST(!contains(plan.explain(), "slice"), plan.explain());
  const Arrays before = run(plan, inputs);
  for (const auto& [name, p] : net.parameters()) p->set(random_array(Dtype::f32, p->shape(), 7));
  const Arrays after = run(plan, inputs);
  BOOST_TEST(distance(before[0], after[0]) > 0.1);
  check_close(after, eagerly(f, inputs, Dtype::f32), Dtype::f32, plan.explain());
}

BOOST_AUTO_TEST_CASE(rows_are_those_of_the_inputs_that_are_said_to_bring_them) {
  const auto f = [](Vars in) { return std::vector<Var>{matmul(in[0], in[1])}; };
  plan::Graph graph = graph_of(f, {{Dtype::f32, {5, 30}}, {Dtype::f32, {30, 30}}});
  BOOST_TEST(plan::batch_of(graph) == 30);  // a guess, and a wrong one
  graph.rows = {0};
  BOOST_TEST(plan::batch_of(graph) == 5);
  BOOST_TEST((plan::find_rows(graph).part[graph.outputs[0]] == plan::Part::rows));
  const auto compiled = [&](Numbers rows) {
    return error_of([&] { compile(f, {{Dtype::f32, {5, 30}}, {Dtype::f32, {30, 30}}}, {.rows = std::move(rows)}); });
  };
  BOOST_TEST(contains(compiled({2}), "there is no input 2, only 2 inputs"), compiled({2}));
  BOOST_TEST(contains(compiled({0, 1}), "inputs 0 and 1 differ in their number: [5, 30] and [30, 30]"),
             compiled({0, 1}));
  const auto scalar = [](Vars in) { return std::vector<Var>{exp(in[0])}; };
  BOOST_TEST(contains(error_of([&] { compile(scalar, {{Dtype::f32, {}}}, {.rows = {0}}); }), "input 0 has no axis"));
}

BOOST_AUTO_TEST_CASE(a_training_step_counts_its_own_inputs) {
  Rng rng(6);
  nn::TimeMlp net({.dimension = 2, .hidden = {8}, .activation = tanh}, rng);
  nn::Adam adam(net);
  const auto loss = [&](Draw&, Vars in) { return mean(square(net(in[0], in[1]))); };
  nn::TrainStep step(adam, 1, {{Dtype::f32, {200, 2}}, {Dtype::f32, {200, 1}}}, loss, {.rows = {0, 1}});
  BOOST_TEST(contains(step.explain(), "rows of the batch: 200"), step.explain());
}
