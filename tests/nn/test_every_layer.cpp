// Layers and networks: names in files, derivatives by finite differences, what is fixed or frozen, refusals. (Values
// are compared with PyTorch's in tests/parity.)
#define BOOST_TEST_MODULE every_layer
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <limits>
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

BOOST_AUTO_TEST_CASE(parametric_relu) {
  nn::PRelu one(1, 0.25, f64), each(3, -0.5, f64);
  BOOST_TEST(names_of(one) == "weight[1] ");
  BOOST_TEST(names_of(each) == "weight[3] ");
  BOOST_TEST(nn::PRelu().weight.value().at(0) == 0.25f);
  each.weight.set(Array::of<double>({3}, {0.5, 0, -2}));
  const auto call = [](const nn::PRelu& layer) { return [&](std::span<const Var> in) { return layer(in[0]); }; };
  check_layer(one, call(one), {random_array(f64, {4, 3}, 6)});
  check_layer(each, call(each), {random_array(f64, {2, 4, 3}, 7)});
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  Tape tape(f64);
  const Var x = tape.input(Array::of<double>({2, 3}, {-2, -1, 3, 0, inf, -inf})), y = each(x);
  BOOST_TEST(numbers(y) == (std::vector<double>{-1, -0.0, 3, 0, inf, inf}));
  BOOST_TEST(numbers(grad(sum(y), x)) == (std::vector<double>{0.5, 0, 1, 0.5, 1, -2}));  // at 0 the weight
  BOOST_TEST(numbers(grad(sum(y), each.weight.on(tape))) == (std::vector<double>{-2, -1, -inf}));
  BOOST_TEST(std::isnan(one(tape.full(Shape{}, nan)).item()));
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

BOOST_AUTO_TEST_CASE(activations_are_whatever_can_be_called) {
  const double slope = 0.1;
  const std::function<Var(Var)> kept = [](Var x) { return tanh(x); };
  struct Shifted {
    double by;
    Var operator()(Operand x) const { return tanh(x + by); }
  };
  using Named = Var (*)(Operand);
  const Named pointer = silu, none = nullptr;
  const auto twice = [](Var x) { return x + x; };
  const std::vector<std::pair<nn::Activation, std::function<Var(Var)>>> activations{
      {relu, [](Var x) { return relu(x); }},  // by name, also where C has a function of the name
      {tanh, [](Var x) { return tanh(x); }},
      {exp, [](Var x) { return exp(x); }},
      {pointer, [](Var x) { return silu(x); }},
      {twice, twice},
      {[slope](Var x) { return maximum(x, slope * x); }, [=](Var x) { return maximum(x, slope * x); }},
      {kept, kept},
      {Shifted{0.5}, [](Var x) { return tanh(x + 0.5); }},
      {nn::PRelu(1, slope, f64), [=](Var x) { return maximum(x, slope * x); }},
  };
  for (const auto& [activation, wanted] : activations) {
    Rng rng(1);
    const nn::Mlp net({.in = 2, .hidden = {3}, .out = 1, .activation = activation, .dtype = f64}, rng);
    const auto p = net.parameters();
    Tape tape(f64);
    const Var x = tape.input(random_array(f64, {5, 2}, 3));
    const auto layer = [&](Var h, std::size_t i) {
      return matmul(h, p[i].second->on(tape)) + p[i + 1].second->on(tape);
    };
    BOOST_TEST(same_bits(net(x).value(), layer(wanted(layer(x, 0)), 2).value()));
  }
  for (const nn::Activation& nothing :
       {nn::Activation(), nn::Activation(nullptr), nn::Activation(none), nn::Activation(std::function<Var(Var)>())}) {
    Rng rng(1);
    BOOST_TEST(!nothing);
    BOOST_TEST(contains(error_of([&] { nn::Mlp({.activation = nothing}, rng); }), "[Mlp] needs an activation"));
    Tape tape;
    BOOST_TEST(contains(error_of([&] { nothing(tape.full(Shape{}, 1)); }), "[activation] there is none"));
  }
}

BOOST_AUTO_TEST_CASE(activations_with_parameters_are_part_of_the_network) {
  Rng rng(1);
  nn::MlpOptions options{.in = 2, .hidden = {3, 4}, .out = 1, .activation = nn::PRelu(1, 0.3, f64), .dtype = f64};
  nn::Mlp listed(options, rng);
  BOOST_TEST(names_of(listed) ==
             "layers.0.weight[3, 2] layers.0.bias[3] layers.1.weight[4, 3] layers.1.bias[4] layers.2.weight[1, 4] "
             "layers.2.bias[1] activations.0.weight[1] activations.1.weight[1] ");
  options.numbering = nn::Numbering::with_activations;
  nn::Mlp net(options, rng);
  BOOST_TEST(names_of(net) ==
             "0.weight[3, 2] 0.bias[3] 1.weight[1] 2.weight[4, 3] 2.bias[4] 3.weight[1] 4.weight[1, 4] 4.bias[1] ");
  BOOST_TEST(net.trained().size() == 8U);
  check_layer(net, [&](std::span<const Var> in) { return net(in[0]); }, {random_array(f64, {4, 2}, 3)});
  nn::TimeMlp timed({.dimension = 2, .hidden = {5}, .activation = nn::PRelu(5, 0.1, f64), .dtype = f64}, rng);
  BOOST_TEST(names_of(timed) == "net.0.weight[5, 3] net.0.bias[5] net.1.weight[5] net.2.weight[2, 5] net.2.bias[2] ");
  check_layer(
      timed, [&](std::span<const Var> in) { return timed(in[0], in[1]); }, points_and_times);
  // Errors name the place.
  const nn::Mlp wide({.in = 2, .hidden = {3}, .out = 1, .activation = nn::PRelu(4)}, rng);
  Tape tape;
  const std::string error = error_of([&] { wide(tape.full(Shape{5, 2}, 1)); });
  BOOST_TEST(contains(error, "[PRelu] needs [..., 4], got [5, 3]  (test_every_layer.cpp:"), error);
  BOOST_TEST(contains(error, ", in activations.0)"), error);
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

namespace {

using Make = std::function<void(double option)>;
const double not_a_number = std::numeric_limits<double>::quiet_NaN(),
             infinity = std::numeric_limits<double>::infinity();
const std::vector<double> no_width{0, -1, -5}, no_size{not_a_number, infinity, -infinity, 1e39, -1, 0},
    no_eps{not_a_number, infinity, -infinity, 1e39, -1};
Index width_of(double option) { return static_cast<Index>(option); }

// Every option of every layer that is a number.
struct Option {
  std::string said;
  Make make;
  std::vector<double> refused;
};

std::vector<Option> options(Rng& rng) {
  const auto mlp = [&](const auto& set) {
    nn::MlpOptions o;
    set(o);
    o.activation = tanh;
    nn::Mlp(o, rng);
  };
  const auto time_mlp = [&](const auto& set) {
    nn::TimeMlpOptions o;
    set(o);
    o.activation = tanh;
    nn::TimeMlp(o, rng);
  };
  const auto score_net = [&](const auto& set) {
    nn::ScoreNetOptions o;
    set(o);
    o.standard_deviation = standard_deviation;
    nn::ScoreNet(o, rng);
  };
  return {
      {"[Linear] needs a positive in", [&](double x) { nn::Linear(width_of(x), 2, rng); }, no_width},
      {"[Linear] needs a positive out", [&](double x) { nn::Linear(2, width_of(x), rng); }, no_width},
      {"[LayerNorm] needs a positive width", [](double x) { nn::LayerNorm norm(width_of(x)); }, no_width},
      {"[LayerNorm] needs eps ", [](double x) { nn::LayerNorm(2, x); }, no_eps},
      {"[PRelu] needs a positive count", [](double x) { nn::PRelu layer(width_of(x)); }, no_width},
      {"[PRelu] needs initial finite in f32",
       [](double x) { nn::PRelu layer(1, x); },
       {not_a_number, infinity, -infinity, 1e39}},
      {"[Mlp] needs positive widths", [=](double x) { mlp([=](auto& o) { o.in = width_of(x); }); }, no_width},
      {"[Mlp] needs positive widths", [=](double x) { mlp([=](auto& o) {
                                                        o.hidden = {3, width_of(x)};
                                                      }); }, no_width},
      {"[Mlp] needs positive widths", [=](double x) { mlp([=](auto& o) { o.out = width_of(x); }); }, no_width},
      {"[SinusoidalFeatures] needs an even width", [](double x) { nn::SinusoidalFeatures f(width_of(x)); }, {0, -2, 3}},
      {"[SinusoidalFeatures] needs max_frequency ", [](double x) { nn::SinusoidalFeatures(4, x); }, no_size},
      {"[FourierFeatures] needs an even width",
       [&](double x) { nn::FourierFeatures({.width = width_of(x)}, rng); },
       {0, -2, 3}},
      {"[FourierFeatures] needs scale ", [&](double x) { nn::FourierFeatures({.scale = x}, rng); }, no_size},
      {"[TimeMlp] needs a positive dimension", [=](double x) { time_mlp([=](auto& o) { o.dimension = width_of(x); }); },
       no_width},
      {"[Mlp] needs positive widths", [=](double x) { time_mlp([=](auto& o) { o.hidden = {width_of(x)}; }); },
       no_width},
      {"[SinusoidalFeatures] needs an even width",
       [=](double x) { time_mlp([=](auto& o) { o.features = width_of(x); }); },
       {-2, 3}},
      {"[SinusoidalFeatures] needs max_frequency ",
       [=](double x) {
         time_mlp([=](auto& o) {
           o.features = 2;
           o.max_frequency = x;
         });
       },
       no_size},
      {"[ScoreNet] needs a positive dimension",
       [=](double x) { score_net([=](auto& o) { o.dimension = width_of(x); }); }, no_width},
      {"[ScoreNet] needs at least 2 layers",
       [=](double x) { score_net([=](auto& o) { o.layers = width_of(x); }); },
       {1, 0, -1}},
      {"[ScoreNet] needs a positive width", [=](double x) { score_net([=](auto& o) { o.width = width_of(x); }); },
       no_width},
      {"[FourierFeatures] needs an even width",
       [=](double x) { score_net([=](auto& o) { o.features = width_of(x); }); },
       {0, -2, 3}},
      {"[FourierFeatures] needs scale ", [=](double x) { score_net([=](auto& o) { o.scale = x; }); }, no_size},
      {"[TimeEmbeddedNet] needs a positive dimension",
       [&](double x) { nn::TimeEmbeddedNet({.dimension = width_of(x)}, rng); }, no_width},
      {"[TimeEmbeddedNet] needs a positive width", [&](double x) { nn::TimeEmbeddedNet({.width = width_of(x)}, rng); },
       no_width},
      {"[FourierFeatures] needs an even width",
       [&](double x) { nn::TimeEmbeddedNet({.features = width_of(x)}, rng); },
       {0, -2, 3}},
      {"[FourierFeatures] needs scale ", [&](double x) { nn::TimeEmbeddedNet({.scale = x}, rng); }, no_size},
  };
}

// A call of a layer with operands of given shapes.
struct LayerCall {
  std::string name;
  std::function<Var(std::span<const Var>)> call;
  std::vector<Shape> good;
  std::vector<std::vector<Shape>> refused;
};

void check_call(const LayerCall& layer) {
  Tape tape(f64);
  const auto with = [&](const std::vector<Shape>& shapes) {
    std::vector<Var> given;
    for (const Shape& shape : shapes) given.push_back(tape.full(shape, 0.5));
    return layer.call(given);
  };
  BOOST_TEST(error_of([&] { with(layer.good); }) == "nothing was thrown", layer.name);
  for (const std::vector<Shape>& shapes : layer.refused) {
    const std::string error = error_of([&] { with(shapes); });
    BOOST_TEST(contains(error, "test_every_layer.cpp:"), layer.name << to_string(shapes[0]) << ": " << error);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(no_option_is_a_number_that_none_should_have) {
  Rng rng(1);
  for (const Option& option : options(rng))
    for (double value : option.refused) {
      const std::string error = error_of([&] { option.make(value); });
      BOOST_TEST(contains(error, option.said), option.said << ", " << value << ": " << error);
    }
}

BOOST_AUTO_TEST_CASE(what_merely_broadcasts_to_a_width_is_refused) {
  Rng rng(1);
  const nn::Linear linear(3, 2, rng, f64), thin(1, 2, rng, f64);
  const nn::LayerNorm norm(3, 1e-5, f64), one(1, 1e-5, f64);
  const nn::PRelu slopes(3, 0.25, f64);
  const nn::Mlp mlp({.in = 3, .hidden = {4}, .out = 2, .activation = tanh, .dtype = f64}, rng);
  const nn::SinusoidalFeatures sines(6, 10, f64);
  const nn::FourierFeatures fourier({.width = 6, .dtype = f64}, rng);
  const nn::TimeMlp raw({.dimension = 3, .hidden = {4}, .activation = tanh, .dtype = f64}, rng),
      timed({.dimension = 3, .hidden = {4}, .activation = tanh, .features = 4, .dtype = f64}, rng);
  const nn::ScoreNet score(
      {.dimension = 3, .width = 4, .features = 4, .standard_deviation = standard_deviation, .dtype = f64}, rng),
      wrong({.dimension = 3,
             .width = 4,
             .features = 4,
             .standard_deviation =
                 [](Var t) {
                   return concat({t, t, t}, 1);
                 },
             .dtype = f64},
            rng);
  const nn::TimeEmbeddedNet embedded({.dimension = 3, .width = 4, .features = 4, .dtype = f64}, rng);
  const nn::Frozen base(timed);
  const nn::ResidualScore residual(base, {.dimension = 3, .hidden = {4}, .dtype = f64}, rng);
  const std::vector<std::vector<Shape>> no_rows{{{5, 1}}, {{5, 2}}, {{5, 4}}, {{5, 0}}};
  for (const LayerCall& call : std::vector<LayerCall>{
           {"Linear", [&](std::span<const Var> in) { return linear(in[0]); }, {{5, 3}}, no_rows},
           {"thin Linear", [&](std::span<const Var> in) { return thin(in[0]); }, {{5, 1}}, {{{5, 3}}, {{5, 0}}}},
           {"LayerNorm", [&](std::span<const Var> in) { return norm(in[0]); }, {{5, 3}}, no_rows},
           {"thin LayerNorm", [&](std::span<const Var> in) { return one(in[0]); }, {{5, 1}}, {{{5, 3}}, {{5, 0}}}},
           {"PRelu", [&](std::span<const Var> in) { return slopes(in[0]); }, {{5, 3}}, no_rows},
           {"Mlp", [&](std::span<const Var> in) { return mlp(in[0]); }, {{5, 3}}, no_rows},
           {"SinusoidalFeatures",
            [&](std::span<const Var> in) { return sines(in[0]); },
            {{5, 1}},
            {{{5, 3}}, {{3}}, {{}}, {{5, 0}}}},
           {"FourierFeatures",
            [&](std::span<const Var> in) { return fourier(in[0]); },
            {{5, 1}},
            {{{5, 3}}, {{3}}, {{}}, {{5, 0}}}},
       })
    check_call(call);
  const std::vector<std::vector<Shape>> no_points{
      {{5, 2}, {5, 1}}, {{5, 1}, {5, 1}}, {{5, 4}, {5, 1}}, {{5, 2}, {5, 2}}, {{5, 4}, {5, 0}},
      {{1, 3}, {5, 1}}, {{5, 3}, {5}},    {{3}, {5, 1}},    {{5, 3}, {4, 1}}, {{5, 3}, {1, 3}}};
  const auto check = [&](const char* name, const auto& net) {
    const auto call = [&](std::span<const Var> in) { return net(in[0], in[1]); };
    check_call({name, call, {{5, 3}, {5, 1}}, no_points});
    check_call({name, call, {{5, 3}, {1, 1}}, {}});
  };
  check("TimeMlp of time", raw);
  check("TimeMlp of features", timed);
  check("ScoreNet", score);
  check("TimeEmbeddedNet", embedded);
  check("ResidualScore", residual);
  Tape tape(f64);
  const Var x = tape.full(Shape{5, 3}, 1), t = tape.full(Shape{5, 1}, 0.5);
  BOOST_TEST(contains(error_of([&] { wrong(x, t); }),
                      "[ScoreNet] needs standard_deviation of shape [5, 1], got [5, 3]  (test_every_layer.cpp:"));
}

BOOST_AUTO_TEST_CASE(layer_normalisation_adds_its_eps) {
  for (double eps : {1e-5, 0.5, 3.0}) {
    const nn::LayerNorm norm(2, eps, f64);
    Tape tape(f64);
    const std::vector<double> y = numbers(norm(tape.input(Array::of<double>({1, 2}, {-1, 3}))));
    BOOST_CHECK_CLOSE_FRACTION(y[1], 2 / std::sqrt(4 + eps), 1e-14);
    BOOST_CHECK_CLOSE_FRACTION(y[0], -2 / std::sqrt(4 + eps), 1e-14);
  }
}

namespace {

// Modules of a user, without a scope of their own.
class Residual : public nn::Module {
 public:
  Residual(Index width, Rng& rng) : inner_(width, width, rng) { name_parameters(); }
  Var operator()(Operand x) const { return x.var() + inner_(x); }
  void children(nn::Visitor& visit) override { visit("inner", inner_); }

 private:
  nn::Linear inner_;
};

class Film final : public nn::Module {
 public:
  explicit Film(Rng& rng) : norm_(3), head_({.in = 3, .hidden = {3}, .out = 2, .activation = tanh}, rng) {
    for (int i = 0; i < 2; ++i) blocks_.emplace_back(3, rng);
    name_parameters();
  }
  Var operator()(Operand x, int wrong) const {
    const auto cut = [&](Var h, int place) { return place == wrong ? concat({h, h}, -1) : h; };
    Var h = x.var();
    for (int i = 0; i < 2; ++i) h = blocks_[static_cast<std::size_t>(i)](cut(h, i));
    return head_(cut(norm_(cut(h, 2)), 3));
  }
  void children(nn::Visitor& visit) override {
    for (std::size_t i = 0; i < blocks_.size(); ++i) visit("blocks." + std::to_string(i), blocks_[i]);
    visit("norm", norm_);
    visit("head", head_);
  }

 private:
  std::vector<Residual> blocks_;
  nn::LayerNorm norm_;
  nn::Mlp head_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(errors_name_the_child_of_a_users_module) {
  Rng rng(1);
  const Film film(rng);
  Tape tape;
  const Var x = tape.full(Shape{4, 3}, 1);
  BOOST_TEST(film(x, -1).size() == 8);
  const std::string paths[] = {"blocks.0.inner", "blocks.1.inner", "norm", "head.layers.0"};
  for (int wrong = 0; wrong < 4; ++wrong) {
    const std::string error = error_of([&] { film(x, wrong); });
    BOOST_TEST(contains(error, ", in " + paths[wrong] + ")"), error);
    BOOST_TEST(contains(error, "(test_every_layer.cpp:"), error);
    const Scope scope(x, "film_net");
    BOOST_TEST(contains(error_of([&] { film(x, wrong); }), ", in film_net." + paths[wrong] + ")"));
  }
  // A base keeps its own names below the one it has here.
  const nn::ResidualScore score(nn::Frozen(nn::TimeMlp({.dimension = 2, .hidden = {3}, .activation = log}, rng)),
                                {.dimension = 2, .hidden = {3}}, rng);
  Tape tracking;
  tracking.track_nonfinite(true);
  const Var both = tracking.input(Array::of<float>({2, 2}, {-100, -100, 100, 100}));  // one row is negative before log
  const std::string error = error_of([&] { score(both, slice(both, 1, 0, 1)); });
  BOOST_TEST(contains(error, "in base.net.0)"), error);
}
