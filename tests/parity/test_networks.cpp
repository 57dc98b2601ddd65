// Six score networks against PyTorch: forward passes, Jacobians, traces, estimates, and four losses with their
// parameter gradients, which are second derivatives for the traces.
#define BOOST_TEST_MODULE networks_parity
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "sde/maximum_entropy.hpp"
#include "tests/parity/networks.hpp"

using namespace wengert;
using parity::check_close;
namespace data = boost::unit_test::data;

namespace {

const char* const names[] = {"nano", "ou2", "ou4", "circle", "heat_plain", "heat_embed"};

struct Case {
  Case(const std::string& name, Dtype dtype)
      : tape(dtype),
        reference("derivatives_" + name + "_" + name_of(dtype)),
        model(parity::model(name)),
        weights(tape, reference.below("w/")),
        tolerance(dtype == Dtype::f64 ? 1e-9 : 2e-5),
        x(tape.input(reference["in/x"])),
        t(column(reference["in/t"])) {}

  Var column(const Array& times) { return reshape(tape.input(times), {times.size(), 1}); }
  Function score() const {
    return [this](Var y) { return model.score(weights, y, t); };
  }
  void check(Var got, const std::string& name) const { check_close(got.value(), reference[name], tolerance, name); }
  // A loss and its gradients by all trained parameters, stored below `name`/grad/.
  void check_loss(Var loss, const std::string& name, const std::string& value) const {
    check(loss, name + "/" + value);
    for (const auto& [parameter, wanted] : reference.below(name + "/grad/"))
      check_close(grad(loss, weights[parameter]).value(), wanted, tolerance, name + "/grad/" + parameter);
  }

  Tape tape;
  parity::Reference reference;
  parity::Model model;
  parity::Weights weights;
  double tolerance;
  Var x, t;
};

void check_all(const std::string& name, Dtype dtype) {
  Case c(name, dtype);
  const auto [value, trace] = value_and_divergence(c.score(), c.x);
  c.check(c.score()(c.x), "fwd/y");
  c.check(value, "fwd/y");
  c.check(trace, "jac/trace");
  const Var jacobians = vmap(
      [&](std::span<const Var> s) {
        const Var row = s[0], time = reshape(s[1], {1, 1});
        return jacobian([&](Var y) { return flatten(c.model.score(c.weights, reshape(y, {1, y.size()}), time)); }, row);
      },
      {c.x, c.t});
  c.check(jacobians, "jac/J");
  c.check(value_and_divergence(c.score(), c.x, c.tape.input(c.reference["hutch/probes"])).divergence, "hutch/trace");
  c.check_loss(mean(trace), "div", "mean_trace");
  const Var half_norm = 0.5 * sum(square(value), 1);
  c.check_loss(mean(trace + half_norm), "ism", "loss");
  const Var v = c.tape.input(c.reference["ssm/v"]);
  c.check_loss(mean(sum(v * jvp(c.score(), c.x, v).tangent, 1) + half_norm), "ssm", "loss");
  const Var x0 = c.tape.input(c.reference["dsm/x0"]), z = c.tape.input(c.reference["dsm/z"]);
  c.check_loss(parity::denoising_loss(c.model, c.weights, x0, c.column(c.reference["dsm/t"]), z), "dsm", "loss");
}

}  // namespace

BOOST_DATA_TEST_CASE(f64, data::make(names), name) { check_all(name, Dtype::f64); }
BOOST_DATA_TEST_CASE(f32, data::make(names), name) { check_all(name, Dtype::f32); }

namespace {

void check_fine_tuning(Dtype dtype) {
  Tape tape(dtype);
  const parity::Reference reference(std::string("smeme_") + name_of(dtype));
  const double tolerance = dtype == Dtype::f64 ? 1e-9 : 2e-5;
  const parity::Model base = parity::model("ou4");
  const Var x = tape.input(parity::row(reference["x"], 0, {32, 4})),
            t = tape.input(parity::row(reference["t"], 0, {32, 1}));
  const auto score = [&](const std::string& who, const parity::Weights& delta) {
    return [&, who](Var at, Var time) {
      const parity::Weights frozen(tape, reference.below(who + "/base."));
      return base.score(frozen, at, time) + parity::chain(delta, "", 2, silu, concat({at, time}, 1));
    };
  };
  const parity::Weights student_delta(tape, reference.below("student/delta.")),
      teacher_delta(tape, reference.below("teacher/delta."));
  const auto student = score("student", student_delta), teacher = score("teacher", teacher_delta);
  const sde::ProximalLoss got = sde::proximal_loss(
      student, teacher, [&](Var at, Var time) { return -teacher(at, time); }, x, t, {.beta = 5, .lambda = 0.001});
  const auto check = [&](Var value, const std::string& name) {
    check_close(value.value(), reference[name], tolerance, name);
  };
  check(student(x, t), "student_out");
  check(teacher(x, t), "teacher_out");
  check(got.proximity, "prox");
  check(got.direction, "direction");
  check(got.loss, "loss");
  for (const auto& [name, wanted] : reference.below("grad/delta."))
    check_close(grad(got.loss, student_delta[name]).value(), wanted, tolerance, name);
}

}  // namespace

BOOST_AUTO_TEST_CASE(proximal_fine_tuning_f64) { check_fine_tuning(Dtype::f64); }
BOOST_AUTO_TEST_CASE(proximal_fine_tuning_f32) { check_fine_tuning(Dtype::f32); }
