// Every layer and network of nn, one entry or more each: what the tests of layers walk. A new one is tested by being
// entered here, and test_every_layer.cpp fails until it is.
#pragma once
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"

namespace wengert::testing {

// An option that is a number: how it is given, what it refuses, what the Error says.
struct RefusedOption {
  std::string said;
  std::function<void(double)> make;
  std::vector<double> refused;
};

struct Layer {
  std::string name;  // of the class
  std::shared_ptr<nn::Module> module;
  std::function<Var(std::span<const Var>)> call;
  std::function<Layer()> copy;
  std::string parameters;                   // names and shapes in files
  std::vector<Shape> operands;              // of a call that is right, with 5 rows
  std::vector<std::vector<Shape>> refused;  // operands of calls that are not
  std::vector<RefusedOption> options{};
};

template <class Net>
Layer layer(const std::string& name, Net net, const std::string& parameters, const std::vector<Shape>& operands,
            const std::vector<std::vector<Shape>>& refused, const std::vector<RefusedOption>& options = {}) {
  const auto kept = std::make_shared<Net>(std::move(net));
  const auto call = [kept](std::span<const Var> in) {
    if constexpr (std::is_invocable_v<const Net&, Var, Var>)
      return (*kept)(in[0], in[1]);
    else
      return (*kept)(in[0]);
  };
  const auto copy = [=] { return layer(name, Net(*kept), parameters, operands, refused); };
  return {name, kept, call, copy, parameters, operands, refused, options};
}

namespace layers {

inline const double not_a_number = std::numeric_limits<double>::quiet_NaN(),
                    infinity = std::numeric_limits<double>::infinity();
inline const std::vector<double> no_width{0, -1, -5}, no_even_width{0, -2, 3},
    no_size{not_a_number, infinity, -infinity, 1e39, -1, 0}, no_eps{not_a_number, infinity, -infinity, 1e39, -1};
inline Index width_of(double option) { return static_cast<Index>(option); }

using Shapes = std::vector<std::vector<Shape>>;
inline const Shapes no_rows_of_3{{{5, 1}}, {{5, 2}}, {{5, 4}}, {{5, 0}}}, no_rows_of_1{{{5, 3}}, {{5, 0}}},
    no_times{{{5, 3}}, {{3}}, {{}}, {{5, 0}}},
    no_points{{{5, 2}, {5, 1}}, {{5, 1}, {5, 1}}, {{5, 4}, {5, 1}}, {{5, 2}, {5, 2}}, {{5, 4}, {5, 0}},
              {{1, 3}, {5, 1}}, {{5, 3}, {5}},    {{3}, {5, 1}},    {{5, 3}, {4, 1}}, {{5, 3}, {1, 3}}};

inline Var standard_deviation(Var t) { return sqrt(t); }

// A network of some options, of which one is set.
template <class Net, class Options, class Set>
std::function<void(double)> with(Options options, Rng& rng, Set set) {
  return [=, &rng](double x) {
    Options changed = options;
    set(changed, x);
    Net net(changed, rng);
  };
}

inline std::vector<Layer> plain(Rng& rng, Dtype dtype) {
  nn::MlpOptions mlp{.in = 3, .hidden = {4, 3}, .out = 2, .activation = tanh, .dtype = dtype}, in_sequence = mlp,
                                                                                               learned = mlp;
  in_sequence.numbering = nn::Numbering::with_activations;
  in_sequence.activation = nn::PRelu(1, 0.3, dtype);
  learned.activation = nn::PRelu(1, 0.3, dtype);
  const auto mlp_option = [&](auto set) {
    return RefusedOption{"[Mlp] needs positive widths", with<nn::Mlp>(mlp, rng, set), no_width};
  };
  return {
      layer("Linear", nn::Linear(3, 2, rng, dtype), "weight[2, 3] bias[2] ", {{5, 3}}, no_rows_of_3,
            {{"[Linear] needs a positive in", [&](double x) { nn::Linear(width_of(x), 2, rng); }, no_width},
             {"[Linear] needs a positive out", [&](double x) { nn::Linear(2, width_of(x), rng); }, no_width}}),
      layer("Linear", nn::Linear(1, 2, rng, dtype), "weight[2, 1] bias[2] ", {{5, 1}}, no_rows_of_1),
      layer("LayerNorm", nn::LayerNorm(3, 1e-5, dtype), "weight[3] bias[3] ", {{5, 3}}, no_rows_of_3,
            {{"[LayerNorm] needs a positive width", [](double x) { nn::LayerNorm norm(width_of(x)); }, no_width},
             {"[LayerNorm] needs eps ", [](double x) { nn::LayerNorm(2, x); }, no_eps}}),
      layer("LayerNorm", nn::LayerNorm(1, 1e-5, dtype), "weight[1] bias[1] ", {{5, 1}}, no_rows_of_1),
      layer("PRelu", nn::PRelu(3, -0.5, dtype), "weight[3] ", {{5, 3}}, no_rows_of_3,
            {{"[PRelu] needs a positive count", [](double x) { nn::PRelu prelu(width_of(x)); }, no_width},
             {"[PRelu] needs initial finite in f32",
              [](double x) { nn::PRelu prelu(1, x); },
              {not_a_number, infinity, -infinity, 1e39}}}),
      layer("PRelu", nn::PRelu(1, 0.25, dtype), "weight[1] ", {{5, 4, 3}}, {}),
      layer("Mlp", nn::Mlp(mlp, rng),
            "layers.0.weight[4, 3] layers.0.bias[4] layers.1.weight[3, 4] layers.1.bias[3] layers.2.weight[2, 3] "
            "layers.2.bias[2] ",
            {{5, 3}}, no_rows_of_3,
            {mlp_option([](auto& o, double x) { o.in = width_of(x); }), mlp_option([](auto& o, double x) {
               o.hidden = {3, width_of(x)};
             }),
             mlp_option([](auto& o, double x) { o.out = width_of(x); })}),
      layer("Mlp", nn::Mlp(learned, rng),
            "layers.0.weight[4, 3] layers.0.bias[4] layers.1.weight[3, 4] layers.1.bias[3] layers.2.weight[2, 3] "
            "layers.2.bias[2] activations.0.weight[1] activations.1.weight[1] ",
            {{5, 3}}, no_rows_of_3),
      layer("Mlp", nn::Mlp(in_sequence, rng),
            "0.weight[4, 3] 0.bias[4] 1.weight[1] 2.weight[3, 4] 2.bias[3] 3.weight[1] 4.weight[2, 3] 4.bias[2] ",
            {{5, 3}}, no_rows_of_3),
      layer("SinusoidalFeatures", nn::SinusoidalFeatures(6, 10, dtype), "freqs[3] ", {{5, 1}}, no_times,
            {{"[SinusoidalFeatures] needs an even width of at least 2",
              [](double x) { nn::SinusoidalFeatures features(width_of(x)); }, no_even_width},
             {"[SinusoidalFeatures] needs max_frequency ", [](double x) { nn::SinusoidalFeatures(4, x); }, no_size}}),
      layer("FourierFeatures", nn::FourierFeatures({.width = 6, .scale = 1, .dtype = dtype}, rng), "freqs[3] ",
            {{5, 1}}, no_times,
            {{"[FourierFeatures] needs an even width of at least 2",
              [&](double x) { nn::FourierFeatures({.width = width_of(x)}, rng); }, no_even_width},
             {"[FourierFeatures] needs scale ", [&](double x) { nn::FourierFeatures({.scale = x}, rng); }, no_size}}),
      layer("FourierFeatures",
            nn::FourierFeatures(
                {.width = 4, .scale = 1, .first = nn::FourierOptions::First::sine, .name = "W", .dtype = dtype}, rng),
            "W[2] ", {{5, 1}}, no_times),
  };
}

inline std::vector<Layer> networks(Rng& rng, Dtype dtype) {
  const nn::TimeMlpOptions time{.dimension = 3, .hidden = {4}, .activation = tanh, .dtype = dtype};
  nn::TimeMlpOptions featured = time, learned = time;
  featured.features = 4;
  featured.max_frequency = 3;
  learned.activation = nn::PRelu(4, 0.1, dtype);
  const nn::ScaledScoreNetOptions score{.dimension = 3,
                                        .layers = 3,
                                        .width = 4,
                                        .features = 4,
                                        .scale = 0.3,
                                        .standard_deviation = standard_deviation,
                                        .dtype = dtype};
  const nn::AdditiveTimeNetOptions added{.dimension = 3, .width = 4, .features = 6, .scale = 0.3, .dtype = dtype};
  const nn::Frozen base(nn::TimeMlp(featured, rng));
  const std::vector<Shape> one_time_each{{5, 3}, {5, 1}}, one_time{{5, 3}, {1, 1}};
  const auto time_option = [&](const char* said, auto set, const std::vector<double>& refused) {
    return RefusedOption{said, with<nn::TimeMlp>(featured, rng, set), refused};
  };
  const auto score_option = [&](const char* said, auto set, const std::vector<double>& refused) {
    return RefusedOption{said, with<nn::ScaledScoreNet>(score, rng, set), refused};
  };
  const auto added_option = [&](const char* said, auto set, const std::vector<double>& refused) {
    return RefusedOption{said, with<nn::AdditiveTimeNet>(added, rng, set), refused};
  };
  const std::string score_names =
      "time_embed.0.freqs[2] time_embed.1.weight[4, 4] time_embed.1.bias[4] time_embed.3.weight[4, 4] "
      "time_embed.3.bias[4] input_proj.weight[4, 7] input_proj.bias[4] hidden.0.weight[4, 4] hidden.0.bias[4] "
      "hidden.2.weight[4, 4] hidden.2.bias[4] hidden.3.weight[4] hidden.3.bias[4] output.weight[3, 4] output.bias[3] ";
  return {
      layer("TimeMlp", nn::TimeMlp(time, rng), "net.0.weight[4, 4] net.0.bias[4] net.2.weight[3, 4] net.2.bias[3] ",
            one_time_each, no_points,
            {{"[TimeMlp] needs a positive dimension",
              with<nn::TimeMlp>(time, rng, [](auto& o, double x) { o.dimension = width_of(x); }), no_width},
             {"[Mlp] needs positive widths",
              with<nn::TimeMlp>(time, rng, [](auto& o, double x) { o.hidden = {width_of(x)}; }), no_width}}),
      layer(
          "TimeMlp", nn::TimeMlp(featured, rng),
          "time_emb.freqs[2] net.0.weight[4, 7] net.0.bias[4] net.2.weight[3, 4] net.2.bias[3] ", one_time, no_points,
          {time_option("[SinusoidalFeatures] needs an even width", [](auto& o, double x) { o.features = width_of(x); },
                       {-2, 3}),
           time_option(
               "[SinusoidalFeatures] needs max_frequency ", [](auto& o, double x) { o.max_frequency = x; }, no_size)}),
      layer("TimeMlp", nn::TimeMlp(learned, rng),
            "net.0.weight[4, 4] net.0.bias[4] net.1.weight[4] net.2.weight[3, 4] net.2.bias[3] ", one_time_each,
            no_points),
      layer("ScaledScoreNet", nn::ScaledScoreNet(score, rng), score_names, one_time_each, no_points,
            {score_option(
                 "[ScaledScoreNet] needs a positive dimension", [](auto& o, double x) { o.dimension = width_of(x); },
                 no_width),
             score_option("[ScaledScoreNet] needs at least 2 layers", [](auto& o, double x) { o.layers = width_of(x); },
                          {1, 0, -1}),
             score_option(
                 "[ScaledScoreNet] needs a positive width", [](auto& o, double x) { o.width = width_of(x); }, no_width),
             score_option(
                 "[FourierFeatures] needs an even width", [](auto& o, double x) { o.features = width_of(x); },
                 no_even_width),
             score_option(
                 "[FourierFeatures] needs scale ", [](auto& o, double x) { o.scale = x; }, no_size)}),
      layer("ScaledScoreNet", nn::ScaledScoreNet(score, rng), score_names, one_time, no_points),
      layer(
          "AdditiveTimeNet", nn::AdditiveTimeNet(added, rng),
          "time_embedder.0.W[3] time_embedder.1.weight[4, 6] time_embedder.1.bias[4] encoder.0.weight[4, 3] "
          "encoder.0.bias[4] decoder.1.weight[3, 4] decoder.1.bias[3] ",
          one_time_each, no_points,
          {added_option(
               "[AdditiveTimeNet] needs a positive dimension", [](auto& o, double x) { o.dimension = width_of(x); },
               no_width),
           added_option(
               "[AdditiveTimeNet] needs a positive width", [](auto& o, double x) { o.width = width_of(x); }, no_width),
           added_option(
               "[FourierFeatures] needs an even width", [](auto& o, double x) { o.features = width_of(x); },
               no_even_width),
           added_option(
               "[FourierFeatures] needs scale ", [](auto& o, double x) { o.scale = x; }, no_size)}),
      layer("ResidualScore", nn::ResidualScore(base, {.dimension = 3, .hidden = {4}, .dtype = dtype}, rng),
            "base.time_emb.freqs[2] base.net.0.weight[4, 7] base.net.0.bias[4] base.net.2.weight[3, 4] "
            "base.net.2.bias[3] delta.0.weight[4, 4] delta.0.bias[4] delta.2.weight[3, 4] delta.2.bias[3] ",
            one_time_each, no_points),
  };
}

}  // namespace layers

// All of them; `rng` must outlive their options.
inline std::vector<Layer> every_layer(Rng& rng, Dtype dtype) {
  std::vector<Layer> all = layers::plain(rng, dtype), networks = layers::networks(rng, dtype);
  all.insert(all.end(), networks.begin(), networks.end());
  return all;
}

}  // namespace wengert::testing
