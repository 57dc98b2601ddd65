// The score networks and processes of the reference arrays, written out in ops.
#pragma once
#include <cmath>
#include <functional>
#include <map>
#include <numbers>
#include <string>

#include "autodiff/autodiff.hpp"
#include "tests/parity/reference.hpp"

namespace wengert::parity {

// Parameters by PyTorch's names, as nodes of a tape; a Linear's weight is [out, in].
class Weights {
 public:
  explicit Weights(std::map<std::string, Var> vars) : vars_(std::move(vars)) {}
  Weights(Tape& tape, const NamedArrays& arrays) {
    for (const auto& [name, array] : arrays) vars_[name] = tape.input(array, name);
  }
  Var operator[](const std::string& name) const { return vars_.at(name); }
  const std::map<std::string, Var>& all() const { return vars_; }
  bool has(const std::string& name) const { return vars_.count(name) != 0; }

 private:
  std::map<std::string, Var> vars_;
};

inline Var linear(const Weights& w, const std::string& name, Var x) {
  return matmul(x, w[name + ".weight"], {.transpose_b = true}) + w[name + ".bias"];
}

// dx = a(t) x dt + g(t) dW with x_t = mean_scale(t) x_0 + std(t) z
struct TestProcess {
  std::function<Var(Var t)> mean_scale, std;
};

inline TestProcess ou(double theta, double sigma) {
  return {[=](Var t) { return exp(-theta * t); },
          [=](Var t) { return sqrt(sigma * sigma * (1 - exp(-2 * theta * t)) / (2 * theta)); }};
}
inline TestProcess constant_variance_exploding(double sigma) {
  return {[](Var t) { return 0 * t + 1; }, [=](Var t) { return sigma * sqrt(t); }};
}
inline TestProcess kappa_variance_exploding(double kappa) {
  const double log_kappa = std::log(kappa);
  return {[](Var t) { return 0 * t + 1; }, [=](Var t) { return sqrt((exp(2 * log_kappa * t) - 1) / (2 * log_kappa)); }};
}
inline TestProcess variance_preserving(double low, double high) {
  const auto mean = [=](Var t) { return exp(-0.5 * (low * t + 0.5 * (high - low) * square(t))); };
  return {mean, [=](Var t) { return sqrt(1 - square(mean(t))); }};
}

// Linear layers named prefix.first, prefix.(first + step), ... as long as there are any, with an activation between.
inline Var chain(const Weights& w, const std::string& prefix, int step, Var (*activation)(Operand), Var h) {
  for (int i = 0; w.has(prefix + std::to_string(i) + ".weight"); i += step) {
    if (i > 0) h = activation(h);
    h = linear(w, prefix + std::to_string(i), h);
  }
  return h;
}

inline Var normalised(Var x, Var gain, Var bias) {  // over the last axis, biased variance
  const Var centred = x - mean(x, {-1}, {.keepdims = true});
  return centred / sqrt(mean(square(centred), {-1}, {.keepdims = true}) + 1e-5) * gain + bias;
}

// A network and its process; x [B,D], t [B,1] or [1,1].
struct Model {
  TestProcess process;
  std::function<Var(const Weights&, Var x, Var t)> score;
  enum class Loss { ornstein_uhlenbeck, std_weighted } loss = Loss::std_weighted;
};

inline Model model(const std::string& name) {
  const auto sinusoidal = [](const Weights& w, Var x, Var t) {
    const Var angle = t * w["time_emb.freqs"];
    return chain(w, "net.", 2, relu, concat({x, sin(angle), cos(angle)}, 1));
  };
  const auto on_time = [](const std::string& prefix, int step, Var (*activation)(Operand)) {
    return [=](const Weights& w, Var x, Var t) { return chain(w, prefix, step, activation, concat({x, t}, 1)); };
  };
  if (name == "ou2" || name == "rings") return {ou(0.5, 0.5), sinusoidal, Model::Loss::ornstein_uhlenbeck};
  if (name == "ou4" || name == "triangles") return {ou(0.3, 0.5), sinusoidal, Model::Loss::ornstein_uhlenbeck};
  if (name == "nano") return {variance_preserving(0.1, 20), on_time("layers.", 1, relu)};
  if (name == "circle") {
    const TestProcess process = constant_variance_exploding(1);
    return {process, [=](const Weights& w, Var x, Var t) {
              const Var angle = 2 * std::numbers::pi * t * w["time_embed.0.freqs"];
              const Var e =
                  silu(linear(w, "time_embed.3", silu(linear(w, "time_embed.1", concat({cos(angle), sin(angle)}, 1)))));
              Var h = linear(w, "input_proj", concat({x, e}, 1));
              h = silu(linear(w, "hidden.0", h));
              h = silu(linear(w, "hidden.2", h));
              h = silu(normalised(linear(w, "hidden.4", h), w["hidden.5.weight"], w["hidden.5.bias"]));
              return linear(w, "output", h) / process.std(t);
            }};
  }
  const TestProcess process = kappa_variance_exploding(1.1);
  if (name == "heat_plain")
    return {process,
            [=](const Weights& w, Var x, Var t) { return on_time("net.", 2, silu)(w, x, t) / process.std(t); }};
  return {process, [=](const Weights& w, Var x, Var t) {
            const Var angle = 2 * std::numbers::pi * (t * w["time_embedder.0.W"]);
            const Var e = silu(linear(w, "time_embedder.1", concat({sin(angle), cos(angle)}, 1)));
            return linear(w, "decoder.1", silu(linear(w, "encoder.0", x) + e)) / process.std(t);
          }};
}

// The denoising loss of the study that the network belongs to.
inline Var denoising_loss(const Model& m, const Weights& w, Var x0, Var t, Var z) {
  const Var mean_t = m.process.mean_scale(t), std_t = m.process.std(t), xt = mean_t * x0 + std_t * z;
  const Var score = m.score(w, xt, t);
  if (m.loss == Model::Loss::std_weighted) return mean(square(std_t * score + (xt - mean_t * x0) / std_t));
  const Var target = -(xt - mean_t * x0) / (square(std_t) + 1e-9);
  const Var weight = maximum(square(std_t), 1e-6);
  return mean(weight / (mean(weight) + 1e-6) * square(target - score));
}

}  // namespace wengert::parity
