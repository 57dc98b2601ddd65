// Modules: names, initial values, deep copies, gathering into one store, updates and the tapes that read them.
#define BOOST_TEST_MODULE module
#include <algorithm>
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstring>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"

using namespace wengert;

namespace {

nn::Mlp make(std::uint64_t seed = 1, Dtype dtype = Dtype::f32) {
  Rng rng(seed);
  return nn::Mlp({.in = 3, .hidden = {20, 8}, .out = 2, .activation = tanh, .dtype = dtype}, rng);
}

Array evaluate(const nn::Mlp& net, Dtype dtype = Dtype::f32) {
  Tape tape(dtype);
  return net(tape.full(Shape{4, 3}, 0.5)).value();
}

bool same_bits(const Array& a, const Array& b) {
  return a.type() == b.type() && std::memcmp(a.raw(), b.raw(), a.type().bytes()) == 0;
}

auto says(const std::string& part) {
  return [part](const Error& e) { return std::string(e.what()).find(part) != std::string::npos; };
}

}  // namespace

BOOST_AUTO_TEST_CASE(parameters_have_pytorch_names_and_shapes) {
  const nn::Mlp net = make();
  std::string names;
  for (const auto& [name, parameter] : net.parameters()) names += name + to_string(parameter->shape()) + " ";
  BOOST_TEST(names ==
             "layers.0.weight[20, 3] layers.0.bias[20] layers.1.weight[8, 20] layers.1.bias[8] layers.2.weight[2, 8] "
             "layers.2.bias[2] ");
  BOOST_TEST(net.parameters()[2].second->name() == "layers.1.weight");
}

BOOST_AUTO_TEST_CASE(linear_starts_from_pytorchs_uniform_law) {
  Rng rng(3);
  const nn::Linear linear(400, 300, rng, Dtype::f64);
  const double bound = 1 / std::sqrt(400.0);
  for (const Array& values : {linear.weight.value(), linear.bias.value()}) {
    double sum = 0, squares = 0, largest = 0;
    for (Index i = 0; i < values.size(); ++i) {
      sum += values.at(i);
      squares += values.at(i) * values.at(i);
      largest = std::max(largest, std::abs(values.at(i)));
    }
    const double n = static_cast<double>(values.size());
    BOOST_TEST(largest < bound);
    BOOST_TEST(largest > 0.95 * bound);
    BOOST_TEST(std::abs(sum / n) < 4 * bound / std::sqrt(3 * n));
    BOOST_TEST(squares / n == bound * bound / 3, boost::test_tools::tolerance(4 / std::sqrt(n)));
  }
}

BOOST_AUTO_TEST_CASE(linear_multiplies_by_the_weight_as_files_hold_it) {
  Rng rng(3);
  nn::Linear linear(2, 3, rng, Dtype::f64);
  linear.weight.set(Array::of<double>({3, 2}, {1, 2, 3, 4, 5, 6}));
  linear.bias.set(Array::of<double>({3}, {10, 20, 30}));
  Tape tape(Dtype::f64);
  const Array y = linear(tape.input(Array::of<double>({1, 2}, {1, -1}))).value();
  BOOST_TEST(y.at(0) == 9);
  BOOST_TEST(y.at(1) == 19);
  BOOST_TEST(y.at(2) == 29);
}

BOOST_AUTO_TEST_CASE(a_copy_is_deep_also_after_gathering) {
  nn::Mlp net = make();
  const Array before = evaluate(net);
  const nn::Mlp early = net;
  nn::Adam adam(net);
  const nn::Mlp late = net;
  Tape tape;
  adam.step(mean(square(net(tape.full(Shape{4, 3}, 0.5)))));
  BOOST_TEST(!same_bits(evaluate(net), before));
  BOOST_TEST(same_bits(evaluate(early), before));
  BOOST_TEST(same_bits(evaluate(late), before));
  BOOST_TEST(late.parameters()[0].second->name() == "layers.0.weight");
}

BOOST_AUTO_TEST_CASE(gathering_makes_one_aligned_store) {
  nn::Mlp net = make();
  const Array before = evaluate(net);
  const auto store = nn::gather(net);
  for (const auto& [name, parameter] : net.parameters()) {
    BOOST_TEST((parameter->slot().store == store));
    BOOST_TEST(parameter->slot().offset % nn::store_alignment == 0);
  }
  BOOST_TEST((nn::gather(net) == store));
  BOOST_TEST(same_bits(evaluate(net), before));
}

BOOST_AUTO_TEST_CASE(adam_follows_its_formula) {
  // One weight, gradient 2 w of w^2: compared with the recurrence in plain doubles.
  Rng rng(1);
  nn::Linear linear(1, 1, rng, Dtype::f64);
  linear.weight.set(Array::of<double>({1, 1}, {0.7}));
  linear.bias.set(Array::of<double>({1}, {0.0}));
  nn::Adam adam(linear, {.lr = 0.1, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-3});
  double w = 0.7, m = 0, v = 0;
  for (int k = 1; k <= 5; ++k) {
    Tape tape(Dtype::f64);
    adam.step(sum(square(linear.weight.on(tape))));
    const double g = 2 * w;
    m = 0.8 * m + 0.2 * g;
    v = 0.9 * v + 0.1 * g * g;
    w -= 0.1 / (1 - std::pow(0.8, k)) * m / (std::sqrt(v / (1 - std::pow(0.9, k))) + 1e-3);
    BOOST_TEST(linear.weight.value().at(0) == w, boost::test_tools::tolerance(1e-13));
    BOOST_TEST(linear.bias.value().at(0) == 0);
  }
  BOOST_TEST(adam.updates() == 5);
}

BOOST_AUTO_TEST_CASE(a_loss_that_is_not_finite_updates_nothing) {
  nn::Mlp net = make();
  nn::Adam adam(net);
  const Array before = evaluate(net);
  Tape tape;
  BOOST_TEST(std::isnan(adam.step(mean(net(tape.full(Shape{4, 3}, NAN))))));
  BOOST_TEST(adam.updates() == 0);
  BOOST_TEST(same_bits(evaluate(net), before));
}

BOOST_AUTO_TEST_CASE(a_tape_reads_a_parameter_once_and_notices_changes) {
  nn::Mlp net = make();
  nn::Adam adam(net);
  Tape tape;
  const nn::Parameter& weight = *net.parameters()[0].second;
  const Var before = weight.on(tape);
  BOOST_TEST((weight.on(tape) == before));
  BOOST_TEST((before.shape() == Shape{3, 20}));
  adam.step(mean(square(net(tape.full(Shape{4, 3}, 0.5)))));
  BOOST_CHECK_EXCEPTION(square(before), Error, says("[square] layers.0.weight was changed after this tape read it"));
  BOOST_TEST((weight.on(tape) != before));
  BOOST_TEST(square(weight.on(tape)).size() == 60);
}

// An optimizer moves parameters into its store: a leaf on their old place would never see a change.
BOOST_AUTO_TEST_CASE(a_leaf_from_before_the_optimizer_is_out_of_date) {
  nn::Mlp net = make();
  Tape tape;
  const Var before = net.parameters()[0].second->on(tape);
  nn::Adam adam(net);
  BOOST_CHECK_EXCEPTION(square(before), Error, says("was changed after this tape read it"));
  BOOST_TEST(square(net.parameters()[0].second->on(tape)).size() == 60);
}

// A plan keeps what it computes of parameters alone: whatever changes these, its next run computes with them.
BOOST_AUTO_TEST_CASE(a_plan_notices_changes) {
  Rng rng(1);
  nn::Linear net(40, 40, rng, Dtype::f64), other(40, 40, rng, Dtype::f64);
  nn::Adam adam(net, {.lr = 0.1, .common = {.ema_decay = 0.5}});
  const PlanFunction f = [&](std::span<const Var> in) -> std::vector<Var> {
    const Var w = net.weight.on(in[0].tape());
    return {matmul(in[0], matmul(w, w))};
  };
  Plan plan = compile(f, {{Dtype::f64, {4, 40}}});
  BOOST_TEST((plan.steps()[0].part == Plan::StepInfo::Part::lasting));
  const Array x = rng.normal({Dtype::f64, {4, 40}});
  Array last(x.type());
  const auto check = [&](const char* change) {
    Tape tape(Dtype::f64);
    const Array now = plan.run({x})[0];
    BOOST_TEST(same_bits(now, f(std::vector{tape.input(x)})[0].value()), change);
    BOOST_TEST(!same_bits(now, last), change);
    last = now;
  };
  check("no change");
  nn::TrainStep step(adam, 1, [&](Draw& draw) { return mean(square(net(draw.normal({4, 40})))); });
  step.run();
  check("a planned step");
  Tape tape(Dtype::f64);
  adam.step(mean(square(net(tape.input(x)))));
  check("an eager step");
  {
    const nn::WithAverages averages(adam);
    check("averages");
  }
  check("averages put back");
  net.weight.set(other.weight.value());
  check("set()");
  other.weight.set(rng.normal({Dtype::f64, {40, 40}}));
  net.weight = other.weight;
  check("assignment of a parameter");
  other.weight.set(rng.normal({Dtype::f64, {40, 40}}));
  net = other;
  check("assignment of a module");
  nn::load(net, {{"weight", rng.normal({Dtype::f64, {40, 40}})}, {"bias", net.bias.value()}}, "a test");
  check("load()");
}

BOOST_AUTO_TEST_CASE(training_gives_the_same_bits_on_any_number_of_threads) {
  const int outside = threads();
  std::vector<Array> results;
  for (int count : {1, 2, 3, 7}) {
    set_threads(count);
    nn::Mlp net = make(4);
    nn::Adam adam(net, {.lr = 1e-2});
    Tape tape;
    const Tape::Mark start = tape.mark();
    for (std::uint32_t step = 0; step < 5; ++step) {
      Draw draw(tape, 6, step);
      adam.step(mean(square(net(draw.normal({700, 3})) - draw.gamma({700, 2}, 2))));
      tape.rewind(start);
    }
    results.push_back(evaluate(net));
  }
  set_threads(outside);
  for (const Array& result : results) BOOST_TEST(same_bits(result, results[0]));
}

BOOST_AUTO_TEST_CASE(bad_input_is_refused) {
  Rng rng(1);
  BOOST_CHECK_EXCEPTION(nn::Mlp({.in = 0, .hidden = {4}, .out = 1, .activation = relu}, rng), Error,
                        says("[Mlp] needs positive widths, got 0"));
  BOOST_CHECK_EXCEPTION(nn::Mlp({.in = 2, .hidden = {4}, .out = 1, .activation = nullptr}, rng), Error,
                        says("[Mlp] needs an activation"));
  nn::Mlp net = make();
  BOOST_CHECK_EXCEPTION(nn::Adam(net, {.lr = -1}), Error, says("[Adam] needs lr >= 0"));
  BOOST_CHECK_EXCEPTION(net.parameters()[0].second->set(Array(Dtype::f32, {3, 20})), Error,
                        says("layers.0.weight has shape [20, 3], got [3, 20]"));
  Tape tape;
  const Var x = tape.full(Shape{4, 5}, 1);
  const int line = __LINE__ + 1;
  const auto call = [&] { net(x); };
  BOOST_CHECK_EXCEPTION(call(), Error,
                        says("[matmul] inner extents differ: [4, 5] x [3, 20]  (test_module.cpp:" +
                             std::to_string(line) + ", in layers.0)"));
}
