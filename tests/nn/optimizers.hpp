// Every optimizer of nn, one entry each: what the tests of optimizers walk. A new one is tested by being entered here,
// and test_optimizers.cpp fails until it is.
#pragma once
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "nn/nn.hpp"

namespace wengert::testing {

namespace optimizers {

inline const double not_a_number = std::numeric_limits<double>::quiet_NaN(),
                    infinity = std::numeric_limits<double>::infinity();
inline const std::vector<double> no_size{not_a_number, infinity, -infinity, -1e-9, 1e39},  // the last: infinite in f32
    no_fraction{not_a_number, infinity, -infinity, -1e-9, 1, 2}, no_limit{not_a_number, -infinity, -1, 0};

// An option that is a number: what an Error calls it, where it is, what it refuses.
template <class Options>
struct Option {
  std::string said;
  std::function<void(Options&, double)> set;
  std::vector<double> refused;
};

// One optimizer with one option that it refuses: at construction, or set later.
struct Refusal {
  std::string said;
  double value;
  std::function<std::unique_ptr<nn::Optimizer>(nn::Module&)> with_defaults, with_it;
  std::function<void(nn::Optimizer&)> set;
};

}  // namespace optimizers

struct OptimizerKind {
  using Make = std::function<std::unique_ptr<nn::Optimizer>(nn::Module&)>;
  std::string name;        // of the class
  std::vector<Make> make;  // with settings that between them use all it has, averages always
  std::vector<optimizers::Refusal> refusals;
};

// Of a class with options that have an lr, a weight_decay and the common ones, besides `own`.
template <class Optimizer, class Options>
OptimizerKind optimizer_kind(const std::string& name, const std::vector<Options>& settings,
                             std::vector<optimizers::Option<Options>> own) {
  using namespace optimizers;
  own.insert(own.end(),
             {{"[" + name + "] needs lr ", [](Options& o, double x) { o.lr = x; }, no_size},
              {"[" + name + "] needs weight_decay ", [](Options& o, double x) { o.weight_decay = x; }, no_size},
              {"[clip] needs a value ", [](Options& o, double x) { o.common.clip.value = x; }, no_limit},
              {"[clip] needs a value and a norm ", [](Options& o, double x) { o.common.clip.norm = x; }, no_limit},
              {"[ema_decay] needs a number ", [](Options& o, double x) { o.common.ema_decay = x; }, no_fraction}});
  OptimizerKind kind{name, {}, {}};
  const auto maker = [](const Options& options) {
    return [options](nn::Module& module) { return std::make_unique<Optimizer>(module, options); };
  };
  for (const Options& options : settings) kind.make.push_back(maker(options));
  for (const Option<Options>& option : own)
    for (double value : option.refused) {
      Options bad;
      option.set(bad, value);
      kind.refusals.push_back({option.said, value, maker({}), maker(bad),
                               [bad](nn::Optimizer& optimizer) { static_cast<Optimizer&>(optimizer).options = bad; }});
    }
  return kind;
}

inline const std::vector<OptimizerKind>& every_optimizer() {
  using nn::AdamOptions, nn::SgdOptions, optimizers::no_fraction, optimizers::no_size;
  static const std::vector<OptimizerKind> all{
      optimizer_kind<nn::Adam, AdamOptions>(
          "Adam",
          {{.weight_decay = 0.01, .common = {.clip = {.value = 0.02, .norm = 0.1}, .ema_decay = 0.9}},
           {.lr = 0.1, .common = {.ema_decay = 0.5}}},
          {{"[Adam] needs beta1 ", [](AdamOptions& o, double x) { o.beta1 = x; }, no_fraction},
           {"[Adam] needs beta2 ", [](AdamOptions& o, double x) { o.beta2 = x; }, no_fraction},
           {"[Adam] needs eps ", [](AdamOptions& o, double x) { o.eps = x; }, no_size}}),
      optimizer_kind<nn::Sgd, SgdOptions>(
          "Sgd",
          {{.momentum = 0.9, .nesterov = true, .common = {.clip = {.norm = 0.1}, .ema_decay = 0.5}},
           {.weight_decay = 0.1, .common = {.clip = {.value = 0.01}, .ema_decay = 0.5}}},
          {{"[Sgd] needs momentum ", [](SgdOptions& o, double x) { o.momentum = x; }, no_fraction}}),
  };
  return all;
}

}  // namespace wengert::testing
