// The networks of the studies as the library builds them against PyTorch: losses, and parameters and their moving
// averages after ten steps of Adam and AdamW, on eager tapes and by plans.
#define BOOST_TEST_MODULE training_parity
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using parity::check_close;
namespace data = boost::unit_test::data;

namespace {

using Loss = std::function<Var(Var x0, Var t, Var z)>;

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
  nn::Module& module;
  Loss loss;
  const parity::Reference& reference;
  double tolerance;

  void check_parameters(const std::string& prefix) const {
    const nn::NamedArrays all = reference.below(prefix);
    BOOST_TEST(!all.empty());
    for (const auto& [name, wanted] : all)
      for (const auto& [own, parameter] : module.parameters())
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
    return optimizer.step(c.loss(tape.input(batch[0]), tape.input(batch[1]), tape.input(batch[2])));
  });
}

void check_planned(const Case& c, nn::Optimizer& optimizer, const std::string& name) {
  const std::vector<Array> first = Batches(c.reference).at(0);
  auto step = compile(nn::train_step(optimizer, 1, {first[0].type(), first[1].type(), first[2].type()},
                                     [&](Draw&, std::span<const Var> in) { return c.loss(in[0], in[1], in[2]); }));
  check_steps(c, optimizer, name, [&](const std::vector<Array>& batch) {
    return step.run({batch[0], batch[1], batch[2]});
  });
}

// net(reference) builds the network with the stored weights, loss(net) the loss of its study.
template <class Net, class LossOf>
void check_all(const std::string& network, Dtype dtype, const Net& net, const LossOf& loss_of) {
  const parity::Reference reference("training_" + network + "_" + name_of(dtype));
  const double tolerance = dtype == Dtype::f64 ? 1e-9 : 2e-5;
  const auto fresh = [&] {
    auto module = net(dtype);
    nn::load(module, reference.below("w/"), network);
    return module;
  };
  for (bool planned : {false, true}) {
    const auto check = [&](const Case& c, nn::Optimizer& optimizer, const std::string& name) {
      planned ? check_planned(c, optimizer, name) : check_eagerly(c, optimizer, name);
    };
    auto by_adam = fresh(), by_adamw = fresh(), smooth = fresh();
    const Case adam_case{by_adam, loss_of(by_adam), reference, tolerance},
        adamw_case{by_adamw, loss_of(by_adamw), reference, tolerance},
        smooth_case{smooth, loss_of(smooth), reference, tolerance};
    nn::Adam adam(by_adam, {.lr = 1e-3, .average = 0.9});
    check(adam_case, adam, "adam");
    {
      const nn::WithAverages averages(adam);
      adam_case.check_parameters("opt/ema0.9/");
    }
    adam_case.check_parameters("opt/adam/step10/");
    nn::Adam adamw(by_adamw, {.lr = 1e-3, .weight_decay = 0.01});
    check(adamw_case, adamw, "adamw");
    nn::Adam slow(smooth, {.lr = 1e-3, .average = 0.9999});
    check(smooth_case, slow, "adam");
    const nn::WithAverages averages(slow);
    smooth_case.check_parameters("opt/ema0.9999/");
  }
}

Loss std_weighted(const auto& process, const auto& score) {
  return Loss([=](Var x0, Var t, Var z) { return sde::denoising_loss(process, score, x0, t, z); });
}
Loss normalised(const auto& process, const auto& score) {
  return Loss([=](Var x0, Var t, Var z) { return sde::normalised_denoising_loss(process, score, x0, t, z); });
}

const char* const both[] = {"f64", "f32"};
Dtype named_dtype(const std::string& name) { return name == "f64" ? Dtype::f64 : Dtype::f32; }

}  // namespace

BOOST_DATA_TEST_CASE(nano, data::make(both), name) {
  const Dtype dtype = named_dtype(name);
  Rng rng(1);
  check_all(
      "nano", dtype,
      [&](Dtype d) {
        return nn::Mlp({.in = 3, .hidden = {16, 16, 16, 16, 16}, .out = 2, .activation = relu, .dtype = d}, rng);
      },
      [](const nn::Mlp& net) {
        return std_weighted(sde::Vp{.beta_min = 0.1, .beta_max = 20}, [&net](Var x, Var t) {
          return net(concat({x, t}, 1));
        });
      });
}

void check_rings(const std::string& name, Dtype dtype, const nn::TimeMlpOptions& options, double theta) {
  Rng rng(1);
  check_all(
      name, dtype,
      [&](Dtype d) {
        nn::TimeMlpOptions typed = options;
        typed.dtype = d;
        return nn::TimeMlp(typed, rng);
      },
      [&](const nn::TimeMlp& net) {
        return normalised(sde::Ou{.theta = theta, .sigma = 0.5}, [&net](Var x, Var t) { return net(x, t); });
      });
}
BOOST_DATA_TEST_CASE(ou2, data::make(both), name) {
  const Dtype dtype = named_dtype(name);
  check_rings("ou2", dtype, {.dimension = 2, .hidden = {24, 24}, .activation = relu, .features = 2}, 0.5);
}
BOOST_DATA_TEST_CASE(ou4, data::make(both), name) {
  const Dtype dtype = named_dtype(name);
  check_rings("ou4", dtype, {.dimension = 4, .hidden = {16, 16, 16, 16}, .activation = relu, .features = 8}, 0.3);
}

BOOST_DATA_TEST_CASE(circle, data::make(both), name) {
  const Dtype dtype = named_dtype(name);
  Rng rng(1);
  const sde::VeConstant process{.sigma = 1};
  check_all(
      "circle", dtype,
      [&](Dtype d) {
        return nn::ScoreNet(
            {.width = 16, .features = 8, .standard_deviation = [=](Var t) { return process.std(t); }, .dtype = d}, rng);
      },
      [&](const nn::ScoreNet& net) { return std_weighted(process, [&net](Var x, Var t) { return net(x, t); }); });
}

BOOST_DATA_TEST_CASE(heat_plain, data::make(both), name) {
  const Dtype dtype = named_dtype(name);
  Rng rng(1);
  const sde::VeExponential process{.kappa = 1.1};
  check_all(
      "heat_plain", dtype,
      [&](Dtype d) {
        return nn::TimeMlp({.dimension = 1, .hidden = {8, 8, 8}, .activation = silu, .dtype = d}, rng);
      },
      [&](const nn::TimeMlp& net) {
        return std_weighted(process, [&net, process](Var x, Var t) { return net(x, t) / process.std(t); });
      });
}

BOOST_DATA_TEST_CASE(heat_embed, data::make(both), name) {
  const Dtype dtype = named_dtype(name);
  Rng rng(1);
  const sde::VeExponential process{.kappa = 1.1};
  check_all(
      "heat_embed", dtype, [&](Dtype d) { return nn::TimeEmbeddedNet({.features = 16, .dtype = d}, rng); },
      [&](const nn::TimeEmbeddedNet& net) {
        return std_weighted(process, [&net, process](Var x, Var t) { return net(x, t) / process.std(t); });
      });
}

// Fine-tuning: a student over a frozen base that its teacher shares.
BOOST_DATA_TEST_CASE(fine_tuning, data::make(both), name) {
  const Dtype dtype = named_dtype(name);
  const parity::Reference reference(std::string("smeme_") + name_of(dtype));
  const double tolerance = dtype == Dtype::f64 ? 1e-9 : 2e-5, beta = 5, lambda = 0.001;
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
    const Var from = stop_gradient(teacher(in[0], in[1])), change = student(in[0], in[1]) - from;
    const Var near = lambda * mean(sum(square(change), 1));
    return near - mean(beta * sum(-from * change, 1, {.keepdims = true}) * (in[1] <= 0.1));
  };
  auto step = compile(nn::train_step(adam, 1, {{dtype, {32, 4}}, {dtype, {32, 1}}}, loss));
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
