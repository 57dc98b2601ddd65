// The networks at the sizes of their studies against PyTorch: forward pass, trace, two losses with gradients, and ten
// Adam steps. Weights and inputs are not stored; a generator fills them.
#define BOOST_TEST_MODULE full_size_parity
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "nn/adam.hpp"
#include "nn/module.hpp"
#include "tests/parity/networks.hpp"

using namespace wengert;
using parity::check_close;
namespace data = boost::unit_test::data;

namespace {

const char* const names[] = {"triangles", "rings", "circle", "heat_plain", "heat_embed", "nano"};
constexpr std::uint64_t seed = 12345;

// splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): uniform in [0, 1).
class Stream {
 public:
  explicit Stream(std::uint64_t number) : state_(seed + number) {}
  double next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return std::ldexp(static_cast<double>((z ^ z >> 31) >> 11), -53);
  }

 private:
  std::uint64_t state_;
};

Array filled(Dtype dtype, const Shape& shape, std::uint64_t number, double scale, double offset) {
  Array array(dtype, shape);
  Stream stream(number);
  for (Index i = 0; i < array.size(); ++i) array.set(i, offset + scale * (2 * stream.next() - 1));
  return array;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

Array tensor(Dtype dtype, const std::string& name, const Shape& shape, std::uint64_t number) {
  if (name == "time_emb.freqs") {
    Array frequencies(dtype, shape);
    const double steps = std::max<double>(1, static_cast<double>(shape[0] - 1));
    for (Index i = 0; i < shape[0]; ++i)
      frequencies.set(i, std::exp(std::log(1000.0) * static_cast<double>(i) / steps));
    return frequencies;
  }
  if (shape.rank() == 2) return filled(dtype, shape, number, std::sqrt(3.0 / static_cast<double>(shape[1])), 0);
  if (ends_with(name, "freqs") || ends_with(name, ".W")) return filled(dtype, shape, number, 16, 0);
  if (ends_with(name, "weight")) return filled(dtype, shape, number, 0.1, 1);  // a layer norm's
  return filled(dtype, shape, number, 0.1, 0);
}

// What is trained, by name; the rest are constants.
class Network final : public nn::Module {
 public:
  Network(const parity::Reference& reference, Dtype dtype) {
    std::uint64_t number = 0;
    for (const auto& [key, extents] : reference.below("order/")) {
      const std::string name = key.substr(3);
      Shape shape;
      for (Index i = 0; i < extents.size(); ++i) shape.append(static_cast<Index>(extents.at(i)));
      const Array value = tensor(dtype, name, shape, number++);
      if (reference.has("dsm/grad/" + name))
        trained_.emplace_back(name, nn::Parameter(value));
      else
        constants_.emplace_back(name, value);
    }
    name_parameters();
  }
  void children(nn::Visitor& visit) override {
    for (auto& [name, parameter] : trained_) visit(name, parameter);
  }
  parity::Weights on(Tape& tape) const {
    std::map<std::string, Var> vars;
    for (const auto& [name, parameter] : trained_) vars[name] = parameter.on(tape);
    for (const auto& [name, value] : constants_) vars[name] = tape.input(value, name);
    return parity::Weights(vars);
  }

 private:
  std::vector<std::pair<std::string, nn::Parameter>> trained_;
  NamedArrays constants_;
};

// The L2 norm, the sum and the first eight entries, as many as there are.
Array summary(const Array& array) {
  double squares = 0, total = 0;
  for (Index i = 0; i < array.size(); ++i) {
    squares += array.at(i) * array.at(i);
    total += array.at(i);
  }
  Array result(Dtype::f64, {2 + std::min<Index>(8, array.size())});
  result.set(0, std::sqrt(squares));
  result.set(1, total);
  for (Index i = 2; i < result.size(); ++i) result.set(i, array.at(i - 2));
  return result;
}

struct Case {
  Case(const std::string& name, Dtype dtype)
      : reference("full_" + name + "_" + name_of(dtype)),
        model(parity::model(name)),
        network(reference, dtype),
        batch(static_cast<Index>(reference["batch"].at(0))),
        dimensions(reference["fwd/y"].shape()[1]),
        x(filled(dtype, {batch, dimensions}, 1000, 2, 0)),
        t(filled(dtype, {batch, 1}, 1001, 0.48, 0.5)),
        z(filled(dtype, {batch, dimensions}, 1002, 2, 0)),
        x0(name.rfind("heat", 0) == 0 ? Array(dtype, {batch, dimensions}) : x),
        tolerance(dtype == Dtype::f64 ? 1e-9 : 2e-5) {}

  Var loss(Tape& tape, const parity::Weights& weights) const {
    return parity::denoising_loss(model, weights, tape.input(x0), tape.input(t), tape.input(z));
  }
  void check(Var got, const std::string& name) const { check_close(got.value(), reference[name], tolerance, name); }
  void check_gradients(Var loss, const parity::Weights& weights, const std::string& name) const {
    check(loss, name + "/loss");
    for (const auto& [parameter, wanted] : reference.below(name + "/grad/"))
      check_close(summary(grad(loss, weights[parameter]).value()), wanted, tolerance, name + "/grad/" + parameter);
  }

  parity::Reference reference;
  parity::Model model;
  Network network;
  Index batch, dimensions;
  Array x, t, z, x0;
  double tolerance;
};

void check_derivatives(const Case& c) {
  Tape tape(c.x.dtype());
  const parity::Weights weights = c.network.on(tape);
  const Var x = slice(tape.input(c.x), 0, 0, 64), t = slice(tape.input(c.t), 0, 0, 64);
  const auto score = [&](Var y) { return c.model.score(weights, y, t); };
  const ValueAndDivergence both = value_and_divergence(score, x);
  c.check(score(x), "fwd/y");
  c.check(both.divergence, "jac/trace");
  c.check_gradients(mean(both.divergence + 0.5 * sum(square(both.value), 1)), weights, "ism");
  c.check_gradients(c.loss(tape, weights), weights, "dsm");
}

void check_training(Case& c) {
  const bool f64 = c.x.dtype() == Dtype::f64;
  nn::Adam adam(c.network, {.lr = 1e-3});
  Array losses(Dtype::f64, {10});
  Tape tape(c.x.dtype());
  const Tape::Mark start = tape.mark();
  for (Index i = 0; i < 10; ++i) {
    losses.set(i, adam.step(c.loss(tape, c.network.on(tape))));
    tape.rewind(start);
  }
  check_close(losses, c.reference["adam/losses"], f64 ? 1e-9 : 1e-4, "adam/losses");
  for (const auto& [name, parameter] : c.network.parameters())
    check_close(summary(parameter->value()), c.reference["adam/step10/" + name], f64 ? 1e-9 : 1e-2, "step10/" + name);
}

void check_all(const std::string& name, Dtype dtype) {
  Case c(name, dtype);
  check_derivatives(c);
  check_training(c);
}

}  // namespace

BOOST_DATA_TEST_CASE(f64, data::make(names), name) { check_all(name, Dtype::f64); }
BOOST_DATA_TEST_CASE(f32, data::make(names), name) { check_all(name, Dtype::f32); }
