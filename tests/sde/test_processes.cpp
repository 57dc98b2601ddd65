// Every process against PyTorch's numbers and against the equations of its own moments.
#define BOOST_TEST_MODULE processes
#include <boost/test/unit_test.hpp>

#include "autodiff/autodiff.hpp"
#include "sde/sde.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using parity::check_close;

namespace {

// The constants of the reference arrays.
const sde::Ou ou{.theta = 0.5, .sigma = 0.5};
const sde::VeConstant ve_constant{.sigma = 1};
const sde::VeExponential ve_exponential{.kappa = 1.1};
const sde::Vp vp{.beta_min = 0.1, .beta_max = 20};

template <class F>
void for_every_process(F&& f) {
  f("ou", ou);
  f("ve_const", ve_constant);
  f("ve_kappa", ve_exponential);
  f("vp", vp);
}

// d f(t) / dt at every row
template <class F>
Var rate(F f, Var t) {
  return grad(sum(f(t)), t);
}

}  // namespace

BOOST_AUTO_TEST_CASE(coefficients_agree_with_the_reference) {
  const parity::Reference reference("processes");
  for_every_process([&](const std::string& name, const auto& process) {
    Tape tape(Dtype::f64);
    const Var t = reshape(tape.input(reference["t"]), {103, 1});
    check_close(process.drift(1.0 + 0 * t, t).value(), reference[name + "/drift_coeff"], 1e-12, name + " drift");
    check_close(process.diffusion(t).value(), reference[name + "/g"], 1e-12, name + " g");
    check_close(process.mean(t).value(), reference[name + "/mean_coeff"], 1e-12, name + " mean");
    check_close(process.std(t).value(), reference[name + "/std"], 1e-9, name + " std");
  });
}

BOOST_AUTO_TEST_CASE(transitions_solve_the_moment_equations) {  // m' = a m, (s^2)' = 2 a s^2 + g^2
  for_every_process([](const std::string& name, const auto& process) {
    Tape tape(Dtype::f64);
    const Var t = tape.input(Array::of<double>({5, 1}, {0.01, 0.2, 0.4, 0.7, 1}));
    const Var m = process.mean(t), a = process.drift(1.0 + 0 * t, t), variance = square(process.std(t));
    const auto mean_rate = rate([&](Var u) { return process.mean(u); }, t).value();
    const auto variance_rate = rate([&](Var u) { return square(process.std(u)); }, t).value();
    check_close(mean_rate, (a * m).value(), 1e-12, name + " m'");
    check_close(variance_rate, (2.0 * a * variance + square(process.diffusion(t))).value(), 1e-12, name + " s^2'");
  });
}

BOOST_AUTO_TEST_CASE(standard_deviations_keep_their_digits_near_zero) {
  for_every_process([](const std::string& name, const auto& process) {
    Tape tape(Dtype::f32), exact(Dtype::f64);
    const double t = 1e-6, wanted = process.diffusion(exact.full(Shape{1, 1}, 0)).item() * std::sqrt(t);
    const double got = process.std(tape.full(Shape{1, 1}, t)).item();
    BOOST_TEST(std::abs(got / wanted - 1) < 2e-4, name << ": " << got << " against " << wanted);
  });
}

BOOST_AUTO_TEST_CASE(times_keep_their_shape_and_dtype) {
  for_every_process([](const std::string& name, const auto& process) {
    for (Index rows : {1, 7}) {
      Tape tape;
      const Var t = tape.full(Shape{rows, 1}, 0.5), x = tape.full(Shape{7, 3}, 1);
      for (Var each : {process.diffusion(t), process.mean(t), process.std(t)})
        BOOST_TEST((each.type() == Type{Dtype::f32, {rows, 1}}), name);
      BOOST_TEST((process.drift(x, t).shape() == Shape{7, 3}), name);
    }
  });
}

BOOST_AUTO_TEST_CASE(priors_are_the_laws_they_stand_for) {
  Tape tape(Dtype::f64);
  BOOST_TEST(ou.prior_std() == ou.std(tape.full(Shape{1, 1}, 60)).item(), boost::test_tools::tolerance(1e-12));
  BOOST_TEST(ve_constant.prior_std() == ve_constant.std(tape.full(Shape{1, 1}, 1)).item(),
             boost::test_tools::tolerance(1e-12));
  BOOST_TEST(ve_exponential.prior_std() == ve_exponential.std(tape.full(Shape{1, 1}, 1)).item(),
             boost::test_tools::tolerance(1e-12));
}
