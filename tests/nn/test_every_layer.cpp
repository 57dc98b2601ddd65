// Layers and networks: names in files, derivatives by finite differences, what is fixed or frozen, refusals. (Values
// are compared with PyTorch's in tests/parity.)
#define BOOST_TEST_MODULE every_layer
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numbers>

#include "autodiff/autodiff.hpp"
#include "autodiff/check.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

constexpr Dtype f64 = Dtype::f64;

std::string names_of(const nn::Module& module) {
  std::string names;
  for (const auto& [name, parameter] : module.parameters()) names += name + to_string(parameter->shape()) + " ";
  return names;
}

// First and second derivatives of f by its argument and by the module's trained parameters.
template <class F>
void check_layer(nn::Module& module, const F& f, const std::vector<Array>& at) {
  const auto failures = check_grads([&](std::span<const Var> in) { return f(in); }, at, {.order = 2}).failures;
  BOOST_TEST(failures.empty(), (failures.empty() ? "" : failures[0]));
  for (const auto& entry : module.trained()) {
    nn::Parameter* const parameter = entry.second;
    const Array value = parameter->value();
    const double step = 1e-5;
    const auto total = [&](double by) {
      Array moved = value;
      moved.set(0, value.at(0) + by);
      parameter->set(moved);
      Tape tape(f64);
      std::vector<Var> vars;
      for (const Array& x : at) vars.push_back(tape.input(x));
      return sum(square(f(vars))).item();
    };
    const double numeric = (total(step) - total(-step)) / (2 * step);
    parameter->set(value);
    Tape tape(f64);
    std::vector<Var> vars;
    for (const Array& x : at) vars.push_back(tape.input(x));
    const double analytic = grad(sum(square(f(vars))), parameter->on(tape)).value().at(0);
    BOOST_TEST(std::abs(analytic - numeric) < 1e-6 * (1 + std::abs(numeric)), entry.first);
  }
}

const std::vector<Array> points_and_times{random_array(f64, {3, 2}, 1), random_array(f64, {3, 1}, 2, 0.2, 0.9)};

const auto standard_deviation = [](Var t) { return sqrt(t); };

}  // namespace

BOOST_AUTO_TEST_CASE(layer_normalisation) {
  nn::LayerNorm norm(4, 1e-5, f64);
  norm.weight.set(random_array(f64, {4}, 3, 0.5, 1.5));
  norm.bias.set(random_array(f64, {4}, 4));
  BOOST_TEST(names_of(norm) == "weight[4] bias[4] ");
  check_layer(norm, [&](std::span<const Var> in) { return norm(in[0]); }, {random_array(f64, {3, 4}, 5)});
  BOOST_TEST(contains(error_of([] { nn::LayerNorm(0); }), "[LayerNorm] needs a positive width, got 0"));
}

BOOST_AUTO_TEST_CASE(sinusoidal_features) {
  const nn::SinusoidalFeatures features(6, 100, f64);
  BOOST_TEST(names_of(features) == "freqs[3] ");
  Tape tape(f64);
  const Array t = Array::of<double>({2, 1}, {0.25, 0.5});
  const Array y = features(tape.input(t)).value();
  for (Index i = 0; i < 2; ++i)
    for (Index k = 0; k < 3; ++k) {
      const double angle = t.at(i) * std::pow(10.0, static_cast<double>(k));
      BOOST_TEST(std::abs(y.at(6 * i + k) - std::sin(angle)) < 1e-12);
      BOOST_TEST(std::abs(y.at(6 * i + 3 + k) - std::cos(angle)) < 1e-12);
    }
  BOOST_TEST(contains(error_of([] { nn::SinusoidalFeatures(5); }), "needs an even width of at least 2, got 5"));
  BOOST_TEST(contains(error_of([] { nn::SinusoidalFeatures(4, -1); }), "needs max_frequency > 0, got -1"));
}

BOOST_AUTO_TEST_CASE(fourier_features) {
  Rng rng(1);
  const nn::FourierFeatures cosine_first({.width = 2000, .scale = 3, .dtype = f64}, rng);
  const nn::FourierFeatures sine_first({.width = 4, .first = nn::FourierOptions::First::sine, .name = "W"}, rng);
  BOOST_TEST(names_of(cosine_first) == "freqs[1000] ");
  BOOST_TEST(names_of(sine_first) == "W[2] ");
  const Array w = cosine_first.parameters()[0].second->value();
  double squares = 0;
  for (Index i = 0; i < 1000; ++i) squares += w.at(i) * w.at(i) / 1000;
  BOOST_TEST(std::abs(squares / 9 - 1) < 0.25);
  Tape tape(f64);
  const Array y = cosine_first(tape.full(Shape{1, 1}, 0.5)).value();
  BOOST_TEST(std::abs(y.at(7) - std::cos(std::numbers::pi * w.at(7))) < 1e-9);
  BOOST_TEST(std::abs(y.at(1007) - std::sin(std::numbers::pi * w.at(7))) < 1e-9);
  BOOST_TEST(contains(error_of([&] { nn::FourierFeatures({.width = 3}, rng); }), "[FourierFeatures] needs an even"));
}

BOOST_AUTO_TEST_CASE(time_mlp) {
  Rng rng(1);
  nn::TimeMlp raw({.dimension = 2, .hidden = {5}, .activation = silu, .dtype = f64}, rng);
  nn::TimeMlp net({.dimension = 2, .hidden = {5}, .activation = silu, .features = 4, .max_frequency = 3, .dtype = f64},
                  rng);
  BOOST_TEST(names_of(raw) == "net.0.weight[5, 3] net.0.bias[5] net.2.weight[2, 5] net.2.bias[2] ");
  BOOST_TEST(names_of(net) == "time_emb.freqs[2] net.0.weight[5, 6] net.0.bias[5] net.2.weight[2, 5] net.2.bias[2] ");
  BOOST_TEST(net.trained().size() == 4U);
  check_layer(
      net, [&](std::span<const Var> in) { return net(in[0], in[1]); }, points_and_times);
  nn::TimeMlp zero({.dimension = 2, .hidden = {5}, .activation = silu, .zero_output = true, .dtype = f64}, rng);
  Tape tape(f64);
  const Var y = zero(tape.input(points_and_times[0]), tape.input(points_and_times[1]));
  BOOST_TEST(numbers(y) == std::vector<double>(6, 0.0));
}

BOOST_AUTO_TEST_CASE(score_net) {
  Rng rng(1);
  nn::ScoreNet net(
      {.layers = 3, .width = 5, .features = 4, .scale = 0.3, .standard_deviation = standard_deviation, .dtype = f64},
      rng);
  BOOST_TEST(names_of(net) ==
             "time_embed.0.freqs[2] time_embed.1.weight[4, 4] time_embed.1.bias[4] time_embed.3.weight[4, 4] "
             "time_embed.3.bias[4] input_proj.weight[5, 6] input_proj.bias[5] hidden.0.weight[5, 5] hidden.0.bias[5] "
             "hidden.2.weight[5, 5] hidden.2.bias[5] hidden.3.weight[5] hidden.3.bias[5] output.weight[2, 5] "
             "output.bias[2] ");
  check_layer(
      net, [&](std::span<const Var> in) { return net(in[0], in[1]); }, points_and_times);
  BOOST_TEST(contains(error_of([&] { nn::ScoreNet({}, rng); }), "[ScoreNet] needs the standard deviation"));
  BOOST_TEST(contains(error_of([&] { nn::ScoreNet({.layers = 1, .standard_deviation = standard_deviation}, rng); }),
                      "[ScoreNet] needs at least 2 layers, got 1"));
}

BOOST_AUTO_TEST_CASE(time_embedded_net) {
  Rng rng(1);
  nn::TimeEmbeddedNet net({.dimension = 2, .width = 3, .features = 4, .scale = 0.3, .dtype = f64}, rng);
  BOOST_TEST(names_of(net) ==
             "time_embedder.0.W[2] time_embedder.1.weight[3, 4] time_embedder.1.bias[3] encoder.0.weight[3, 2] "
             "encoder.0.bias[3] decoder.1.weight[2, 3] decoder.1.bias[2] ");
  check_layer(
      net, [&](std::span<const Var> in) { return net(in[0], in[1]); }, points_and_times);
}

BOOST_AUTO_TEST_CASE(one_time_for_all_rows_gives_what_a_column_of_it_gives) {
  Rng rng(1);
  const nn::ScoreNet net({.width = 6, .features = 4, .standard_deviation = standard_deviation, .dtype = f64}, rng);
  Tape tape(f64);
  const Var x = tape.input(points_and_times[0]);
  BOOST_TEST(same_bits(net(x, tape.full(Shape{1, 1}, 0.3)).value(), net(x, tape.full(Shape{3, 1}, 0.3)).value()));
}

BOOST_AUTO_TEST_CASE(copies_share_what_is_frozen) {
  Rng rng(1);
  const nn::Frozen base(nn::TimeMlp({.dimension = 2, .hidden = {4}, .activation = relu, .dtype = f64}, rng));
  nn::ResidualScore teacher(base, {.dimension = 2, .hidden = {3}, .dtype = f64}, rng), student = teacher;
  BOOST_TEST(names_of(student) ==
             "base.net.0.weight[4, 3] base.net.0.bias[4] base.net.2.weight[2, 4] base.net.2.bias[2] "
             "delta.0.weight[3, 3] delta.0.bias[3] delta.2.weight[2, 3] delta.2.bias[2] ");
  BOOST_TEST(student.trained().size() == 4U);
  BOOST_TEST(student.parameters()[0].second == teacher.parameters()[0].second);
  BOOST_TEST(student.parameters()[4].second != teacher.parameters()[4].second);
  nn::Sgd sgd(student, {.lr = 1});
  const Array before = base.module().parameters()[0].second->value();
  const auto both = [&](std::span<const Var> in) {
    return std::vector<Var>{student(in[0], in[1]) - teacher(in[0], in[1])};
  };
  const Plan plan = compile(both, {{f64, {30, 2}}, {f64, {30, 1}}}, {}, f64);
  std::string text = plan.explain();  // the base's two products once, each correction's two
  int products = 0;
  for (std::size_t at = text.find("product "); at != std::string::npos; at = text.find("product ", at + 1)) ++products;
  BOOST_TEST(products == 6);
  Tape tape(f64);
  const Var x = tape.input(points_and_times[0]), t = tape.input(points_and_times[1]);
  sgd.step(mean(square(student(x, t))));
  BOOST_TEST(same_bits(base.module().parameters()[0].second->value(), before));
}
