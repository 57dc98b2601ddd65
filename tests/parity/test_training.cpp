// The networks of the studies as the library builds them against PyTorch: losses, and parameters and their moving
// averages after ten steps of Adam and AdamW, on eager tapes and by plans.
#define BOOST_TEST_MODULE training_parity
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "autodiff/autodiff.hpp"
#include "tests/parity/reference.hpp"
#include "tests/parity/studies.hpp"

using namespace wengert;
using parity::check_close;
namespace data = boost::unit_test::data;

namespace {

constexpr Index steps = 10;

struct Batches {
  explicit Batches(const parity::Reference& reference)
      : x0(reference["opt/x0"]), t(reference["opt/t"]), z(reference["opt/z"]) {}
  std::vector<Array> at(Index i) const {
    const Shape points{x0.shape()[1], x0.shape()[2]}, times{x0.shape()[1], 1};
    return {parity::row(x0, i, points), parity::row(t, i, times), parity::row(z, i, points)};
  }
  const Array &x0, &t, &z;
};

struct Case {
  parity::Study study;
  const parity::Reference& reference;
  double tolerance;

  void check_parameters(const std::string& prefix) const {
    const NamedArrays all = reference.below(prefix);
    BOOST_TEST(!all.empty());
    for (const auto& [name, wanted] : all)
      for (const auto& [own, parameter] : study.module->parameters())
        if (own == name) check_close(parameter->value(), wanted, tolerance, prefix + name);
  }
};

void check_steps(const Case& c, nn::Optimizer& optimizer, const std::string& name,
                 const std::function<double(const std::vector<Array>&)>& step) {
  const Batches batches(c.reference);
  Array losses(Dtype::f64, {steps});
  for (Index i = 0; i < steps; ++i) {
    losses.set(i, step(batches.at(i)));
    if (i == 0) c.check_parameters("opt/" + name + "/step1/");
  }
  BOOST_TEST(optimizer.updates() == steps);
  check_close(losses, c.reference["opt/" + name + "/losses"], c.tolerance, "opt/" + name + "/losses");
  c.check_parameters("opt/" + name + "/step10/");
}

void check_eagerly(const Case& c, nn::Optimizer& optimizer, const std::string& name) {
  Tape tape(c.reference["opt/x0"].dtype());
  const Tape::Mark start = tape.mark();
  check_steps(c, optimizer, name, [&](const std::vector<Array>& batch) {
    tape.rewind(start);
    return optimizer.step(c.study.loss(tape.input(batch[0]), tape.input(batch[1]), tape.input(batch[2])));
  });
}

void check_planned(const Case& c, nn::Optimizer& optimizer, const std::string& name) {
  const std::vector<Array> first = Batches(c.reference).at(0);
  nn::TrainStep step(optimizer, 1, {first[0].type(), first[1].type(), first[2].type()},
                     [&](Draw&, std::span<const Var> in) { return c.study.loss(in[0], in[1], in[2]); });
  check_steps(c, optimizer, name, [&](const std::vector<Array>& batch) {
    return step.run({batch[0], batch[1], batch[2]});
  });
}

void check_all(const std::string& network, Dtype dtype) {
  const parity::Reference reference("training_" + network + "_" + name_of(dtype));
  const double tolerance = dtype == Dtype::f64 ? 1e-9 : 2e-5;
  const auto fresh = [&] { return parity::study(network, dtype, reference.below("w/")); };
  for (bool planned : {false, true}) {
    const auto check = [&](const Case& c, nn::Optimizer& optimizer, const std::string& name) {
      planned ? check_planned(c, optimizer, name) : check_eagerly(c, optimizer, name);
    };
    const Case by_adam{fresh(), reference, tolerance}, by_adamw{fresh(), reference, tolerance},
        smooth{fresh(), reference, tolerance};
    nn::Adam adam(*by_adam.study.module, {.lr = 1e-3, .common = {.ema_decay = 0.9}});
    check(by_adam, adam, "adam");
    {
      const nn::WithAverages averages(adam);
      by_adam.check_parameters("opt/ema0.9/");
    }
    by_adam.check_parameters("opt/adam/step10/");
    nn::Adam adamw(*by_adamw.study.module, {.lr = 1e-3, .weight_decay = 0.01});
    check(by_adamw, adamw, "adamw");
    nn::Adam slow(*smooth.study.module, {.lr = 1e-3, .common = {.ema_decay = 0.9999}});
    check(smooth, slow, "adam");
    const nn::WithAverages averages(slow);
    smooth.check_parameters("opt/ema0.9999/");
  }
}

const char* const both[] = {"f64", "f32"};
Dtype named_dtype(const std::string& name) { return name == "f64" ? Dtype::f64 : Dtype::f32; }

}  // namespace

BOOST_DATA_TEST_CASE(every_network,
                     data::make({"nano", "ou2", "ou4", "circle", "heat_plain", "heat_embed"}) * data::make(both),
                     network, name) {
  check_all(network, named_dtype(name));
}

// Fine-tuning: a student over a frozen base that its teacher shares.
BOOST_DATA_TEST_CASE(fine_tuning, data::make(both), name) {
  const Dtype dtype = named_dtype(name);
  const parity::Reference reference(std::string("smeme_") + name_of(dtype));
  const double tolerance = dtype == Dtype::f64 ? 1e-9 : 2e-5;
  Rng rng(1);
  const nn::Frozen base(nn::TimeMlp(
      {.dimension = 4, .hidden = {16, 16, 16, 16}, .activation = relu, .features = 8, .dtype = dtype}, rng));
  nn::ResidualScore teacher(base, {.dimension = 4, .hidden = {12, 12}, .dtype = dtype}, rng);
  nn::ResidualScore student = teacher;
  nn::load(teacher, reference.below("teacher/"), "teacher");
  nn::load(student, reference.below("student/"), "student");
  nn::Adam adam(student, {.lr = 1e-3, .weight_decay = 0.01});
  BOOST_TEST(adam.parameters().size() == 6U);
  const auto loss = [&](Draw&, std::span<const Var> in) {
    const sde::RewardGradient gradient = [&](Var x, Var t) { return -teacher(x, t); };
    return sde::proximal_loss(student, teacher, gradient, in[0], in[1], {.beta = 5, .lambda = 0.001}).loss;
  };
  nn::TrainStep step(adam, 1, {{dtype, {32, 4}}, {dtype, {32, 1}}}, loss);
  Array losses(Dtype::f64, {steps}), wanted_losses(Dtype::f64, {steps});
  for (Index i = 0; i < steps; ++i) {
    losses.set(i, step.run({parity::row(reference["x"], i, {32, 4}), parity::row(reference["t"], i, {32, 1})}));
    wanted_losses.set(i, reference["adamw/terms"].at(3 * i));
    if (i > 0 && i + 1 < steps) continue;
    const std::string prefix = i == 0 ? "adamw/step1/" : "adamw/step10/";
    for (const auto& [trained, parameter] : student.trained())
      check_close(parameter->value(), reference[prefix + trained], tolerance, prefix + trained);
  }
  check_close(losses, wanted_losses, tolerance, "adamw/terms");
}
