// Optimizers: updates against their equations, clipping, averages; every one, by the table in optimizers.hpp: what it
// refuses, what is not finite.
#define BOOST_TEST_MODULE optimizers
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <memory>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/nn/classes.hpp"
#include "tests/nn/optimizers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

// One parameter w [n], and a loss whose gradient is given.
class Vector final : public nn::Module {
 public:
  explicit Vector(const Array& start) : w(start) { name_parameters(); }
  void children(nn::Visitor& visit) override { visit("w", w); }
  nn::Parameter w;
};

using Row = std::vector<double>;
using optimizers::infinity, optimizers::not_a_number;

Row step(nn::Optimizer& optimizer, Vector& at, const Row& gradient) {
  Tape tape(Dtype::f64);
  Array slope(Dtype::f64, {static_cast<Index>(gradient.size())});
  for (std::size_t i = 0; i < gradient.size(); ++i) slope.set(static_cast<Index>(i), gradient[i]);
  optimizer.step(sum(at.w.on(tape) * tape.input(slope)));
  return numbers(at.w.value());
}

void check_row(const Row& got, const Row& wanted) {
  BOOST_REQUIRE(got.size() == wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) BOOST_CHECK_CLOSE_FRACTION(got[i], wanted[i], 1e-12);
}

// [n], [n] -> [], for a loss alone: each operand's gradient is the other one, no copy of it.
struct BareDot final : OpOf<BareDot> {
  BareDot() : OpOf({.name = "bare_dot", .arity = 2, .linearity = Linearity::bilinear}) {}
  Type infer(const Signature& s) const override { return {s.dtype(0), {}}; }
  template <class T>
  void compute(const Kernel& k) const {
    *k.out<T>() = 0;
    for (Index i = 0; i < k.shape(0).size(); ++i) *k.out<T>() += k.in<T>(0)[i] * k.in<T>(1)[i];
  }
  Var vjp(const Call& c, int i, Var) const override { return c.in(1 - i); }
  std::vector<Example> examples() const override { return {}; }
  Array reference(std::span<const Array>, const Attributes&, const Type& out) const override { return Array(out); }
};
const BareDot bare_dot;

Vector vector(double a, double b) { return Vector(Array::of<double>({2}, {a, b})); }

}  // namespace

BOOST_AUTO_TEST_CASE(plain_descent_with_weight_decay) {
  Vector at = vector(1, -2);
  nn::Sgd sgd(at, {.lr = 0.1, .weight_decay = 0.5});
  check_row(step(sgd, at, {3, 4}), {1 - 0.1 * (3 + 0.5), -2 - 0.1 * (4 - 1)});
}

BOOST_AUTO_TEST_CASE(momentum_and_nesterov) {
  Vector heavy = vector(0, 0), ahead = vector(0, 0);
  nn::Sgd momentum(heavy, {.lr = 0.1, .momentum = 0.9});
  nn::Sgd nesterov(ahead, {.lr = 0.1, .momentum = 0.9, .nesterov = true});
  step(momentum, heavy, {1, 2});
  step(nesterov, ahead, {1, 2});
  check_row(numbers(heavy.w.value()), {-0.1, -0.2});
  check_row(numbers(ahead.w.value()), {-0.19, -0.38});
  // m = 0.9 g1 + g2 = (3.9, 5.8)
  check_row(step(momentum, heavy, {3, 4}), {-0.1 - 0.39, -0.2 - 0.58});
  check_row(step(nesterov, ahead, {3, 4}), {-0.19 - 0.1 * (3 + 0.9 * 3.9), -0.38 - 0.1 * (4 + 0.9 * 5.8)});
}

BOOST_AUTO_TEST_CASE(clipping_by_value_then_by_norm) {
  Vector by_value = vector(0, 0), by_norm = vector(0, 0), by_both = vector(0, 0), loose = vector(0, 0);
  nn::Sgd value(by_value, {.lr = 1, .common = {.clip = {.value = 2}}}),
      norm(by_norm, {.lr = 1, .common = {.clip = {.norm = 1}}}),
      both(by_both, {.lr = 1, .common = {.clip = {.value = 3, .norm = 1}}}),
      wide(loose, {.lr = 1, .common = {.clip = {.norm = 100}}});
  check_row(step(value, by_value, {-3, 1}), {2, -1});
  check_row(step(norm, by_norm, {3, -4}), {-3 / (5 + 1e-6), 4 / (5 + 1e-6)});
  check_row(step(both, by_both, {3, -4}), {-3 / (std::sqrt(18) + 1e-6), 3 / (std::sqrt(18) + 1e-6)});
  check_row(step(wide, loose, {3, -4}), {-3, 4});
}

BOOST_AUTO_TEST_CASE(averages_follow_the_parameters) {
  Vector at = vector(1, 0);
  nn::Sgd sgd(at, {.lr = 1, .common = {.ema_decay = 0.75}});
  BOOST_TEST(contains(error_of([&] { sgd.exchange_averages(); }), "[exchange_averages] no averages are kept"));
  at.w.set(Array::of<double>({2}, {0, 8}));  // averages start from what is there at the first step
  step(sgd, at, {-4, 0});
  step(sgd, at, {-4, 4});
  check_row(numbers(at.w.value()), {8, 4});
  {
    const nn::WithAverages averages(sgd);
    check_row(numbers(at.w.value()), {0.75 * (0.25 * 4) + 0.25 * 8, 0.75 * 8 + 0.25 * 4});
    BOOST_TEST(contains(error_of([&] { step(sgd, at, {1, 1}); }), "[step] the parameters are exchanged"));
  }
  check_row(numbers(at.w.value()), {8, 4});
}

// A gradient that is a parameter itself is read as it was before the step.
BOOST_AUTO_TEST_CASE(parameters_that_are_gradients_of_each_other) {
  struct Pair final : nn::Module {
    nn::Parameter a{Array::of<double>({2}, {1, 2})}, b{Array::of<double>({2}, {3, 5})};
    void children(nn::Visitor& visit) override { visit("a", a), visit("b", b); }
  } pair;
  nn::Sgd sgd(pair, {.lr = 0.5});
  Tape tape(Dtype::f64);
  BOOST_TEST(sgd.step(record(bare_dot, {pair.a.on(tape), pair.b.on(tape)})) == 13.0);
  BOOST_TEST(numbers(pair.a.value()) == (Row{1 - 0.5 * 3, 2 - 0.5 * 5}));
  BOOST_TEST(numbers(pair.b.value()) == (Row{3 - 0.5 * 1, 5 - 0.5 * 2}));
}

BOOST_AUTO_TEST_CASE(options_that_make_no_sense_are_refused) {
  Vector at = vector(1, 0);
  BOOST_TEST(contains(error_of([&] { nn::Sgd(at, {.lr = -1}); }), "[Sgd] needs lr >= 0"));
  BOOST_TEST(contains(error_of([&] { nn::Sgd(at, {.nesterov = true}); }), "nesterov needs momentum > 0"));
  nn::Adam adam(at);
  adam.options.common.clip.norm = 0;
  BOOST_TEST(contains(error_of([&] { step(adam, at, {1, 1}); }), "[clip] needs a value and a norm above 0"));
  adam.options = {.common = {.ema_decay = 1}};
  BOOST_TEST(contains(error_of([&] { step(adam, at, {1, 1}); }), "[ema_decay] needs a number in [0, 1)"));
}

BOOST_AUTO_TEST_CASE(every_optimizer_is_in_the_table) {
  std::set<std::string> known;
  for (const OptimizerKind& kind : every_optimizer()) known.insert(kind.name);
  BOOST_TEST(known.size() > 1U);
  for (const std::string& name : classes_of("Optimizer"))
    BOOST_TEST(known.count(name) == 1U, name << " is not in tests/nn/optimizers.hpp");
}

// At construction, where the module stays free, and at every step.
BOOST_AUTO_TEST_CASE(no_option_is_a_number_that_none_should_have) {
  for (const OptimizerKind& kind : every_optimizer())
    for (const optimizers::Refusal& each : kind.refusals) {
      Vector at(Array::of<float>({2}, {1, 0}));
      const std::string refusal = error_of([&] { each.with_it(at); });
      BOOST_TEST(contains(refusal, each.said), each.said << each.value << ": " << refusal);
      BOOST_TEST(!at.w.slot().store->held());
      const auto optimizer = each.with_defaults(at);
      nn::TrainStep step(*optimizer, 1, [&](Draw& draw) { return sum(at.w.on(draw.tape())); });
      each.set(*optimizer);
      BOOST_TEST(error_of([&] { step.run(); }) == refusal);
      Tape tape;
      BOOST_TEST(error_of([&] { optimizer->step(sum(at.w.on(tape))); }) == refusal);
      BOOST_TEST(numbers(at.w.value()) == (Row{1, 0}));
    }
}

BOOST_AUTO_TEST_CASE(adam_without_eps_leaves_what_has_no_gradient) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    Vector at(Array(dtype, {20}));
    nn::Adam adam(at, {.lr = 0.5, .eps = 0});
    Array slope(dtype, {20});
    slope.set(3, 2);
    slope.set(19, -1e-3);
    for (int i = 0; i < 2; ++i) {
      Tape tape(dtype);
      adam.step(sum(at.w.on(tape) * tape.input(slope)));
    }
    for (Index i = 0; i < 20; ++i)
      BOOST_TEST(std::abs(at.w.value().at(i) - (i == 3 ? -1.0 : i == 19 ? 1.0 : 0.0)) < 1e-5, i);
  }
}

namespace {

// 1, with a given gradient by w.
Var with_gradient(Var w, Var gradient) {
  return custom_derivative([](Var x) { return 0 * sum(x) + 1; }, [=](Var, Var, Var g) { return g * gradient; }, w);
}

struct Stepped {
  Row parameters{};
  nn::StepOutcome outcome{};
  double norm = 0, loss = 0;
  std::int64_t updates = 0;
  std::string explanation{};  // of a planned one
};

// One step from w = 0 along a gradient, eager or planned.
Stepped step_along(const Array& gradient, const nn::SgdOptions& options, bool planned) {
  Vector at(Array(gradient.dtype(), gradient.shape()));
  nn::Sgd sgd(at, options);
  const auto loss = [&](Var slope) { return with_gradient(at.w.on(slope.tape()), slope); };
  Stepped result;
  if (planned) {
    nn::TrainStep step(sgd, 1, {gradient.type()}, [&](Draw&, std::span<const Var> in) { return loss(in[0]); });
    result.loss = step.run({gradient});
    result.outcome = step.outcome();
    result.norm = step.gradient_norm();
    result.explanation = nn::explain_nonfinite(step);
    BOOST_TEST((sgd.outcome() == step.outcome()));
  } else {
    Tape tape(gradient.dtype());
    result.loss = sgd.step(loss(tape.input(gradient, "slope")));
    result.outcome = sgd.outcome();
    result.norm = sgd.gradient_norm();
  }
  result.parameters = numbers(at.w.value());
  result.updates = sgd.updates();
  return result;
}

bool updated(const Stepped& step) { return step.outcome == nn::StepOutcome::updated && step.updates == 1; }

}  // namespace

BOOST_AUTO_TEST_CASE(the_norm_is_that_of_the_whole_gradient) {
  const nn::SgdOptions all[] = {
      {}, {.common = {.clip = {.norm = 0.5}}}, {.common = {.clip = {.value = 0.1, .norm = 0.5}}}};
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index size : {1, 31, 32, 33, 1000, 5000}) {
      const Array gradient = random_array(dtype, {size}, 1);
      double squares = 0;
      for (double g : numbers(gradient)) squares += g * g;
      for (bool planned : {false, true})
        for (const nn::SgdOptions& options : all) {
          const Stepped step = step_along(gradient, options, planned);
          BOOST_TEST(updated(step));
          BOOST_CHECK_CLOSE_FRACTION(step.norm, std::sqrt(squares), dtype == Dtype::f32 ? 1e-6 : 1e-12);
        }
    }
}

BOOST_AUTO_TEST_CASE(squares_that_overflow_are_no_infinity) {
  for (bool planned : {false, true}) {
    const Stepped huge =
        step_along(Array::of<double>({3}, {3e200, -4e200, 0}), {.lr = 1, .common = {.clip = {.norm = 1}}}, planned);
    BOOST_TEST(updated(huge));
    BOOST_CHECK_CLOSE_FRACTION(huge.norm, 5e200, 1e-12);
    check_row(huge.parameters, {-0.6, 0.8, 0});
    BOOST_TEST(updated(step_along(Array::of<double>({2}, {1.7e308, 1.7e308}), {.lr = 0}, planned)));
    BOOST_TEST(updated(step_along(Array::of<float>({2}, {3e38f, -3e38f}), {.lr = 0}, planned)));
  }
}

BOOST_AUTO_TEST_CASE(one_entry_that_is_not_finite_lets_nothing_move) {
  const nn::SgdOptions all[] = {
      {.lr = 1},
      {.lr = 1, .common = {.clip = {.value = 0.5}}},
      {.lr = 1, .common = {.clip = {.norm = 0.5}}},
      {.lr = 1, .momentum = 0.9, .common = {.clip = {.value = 0.5, .norm = 0.5}, .ema_decay = 0.5}}};
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (double bad : {not_a_number, infinity, -infinity})
      for (Index where : {0, 1100, 2019})
        for (bool planned : {false, true})
          for (const nn::SgdOptions& options : all) {
            Array gradient = random_array(dtype, {2020}, 1);
            gradient.set(where, bad);
            const Stepped step = step_along(gradient, options, planned);
            BOOST_TEST((step.outcome == nn::StepOutcome::gradient_not_finite));
            BOOST_TEST(step.loss == 1);
            BOOST_TEST(!std::isfinite(step.norm));
            BOOST_TEST(step.updates == 0);
            BOOST_TEST((step.parameters == Row(2020, 0.0)));
            if (planned)
              BOOST_TEST(contains(step.explanation, "the gradient by w is not finite, with the draws of step 0: "));
          }
}

BOOST_AUTO_TEST_CASE(moments_and_averages_outlive_what_is_not_finite) {
  for (const OptimizerKind& kind : every_optimizer())
    for (const OptimizerKind::Make& make : kind.make) {
      Vector whole(Array(Dtype::f64, {2})), broken(Array(Dtype::f64, {2}));
      const auto one = make(whole), other = make(broken);
      for (const Row& gradient : {Row{1, 2}, Row{not_a_number, 1}, Row{3, -1}, Row{infinity, 0}, Row{0.5, 0.5}}) {
        if (std::isfinite(gradient[0])) step(*one, whole, gradient);
        Tape tape(Dtype::f64);
        const Array slope = Array::of<double>({2}, {gradient[0], gradient[1]});
        other->step(with_gradient(broken.w.on(tape), tape.input(slope)));
        BOOST_TEST(numbers(whole.w.value()) == numbers(broken.w.value()), kind.name);
      }
      BOOST_TEST(other->updates() == 3);
      const nn::WithAverages first(*one), second(*other);
      BOOST_TEST(numbers(whole.w.value()) == numbers(broken.w.value()), kind.name);
    }
}

BOOST_AUTO_TEST_CASE(a_loss_that_reads_no_parameter_is_refused) {
  Rng rng(1);
  nn::Mlp net({.in = 2, .hidden = {3, 3, 3}, .out = 1, .activation = tanh}, rng);
  nn::Sgd sgd(net, {.lr = 1});
  const std::string said =
      "the loss depends on none of the optimizer's parameters: layers.0.weight, layers.0.bias, "
      "layers.1.weight, layers.1.bias, layers.2.weight, layers.2.bias and 2 more.";
  const auto by_value = [net](Draw& draw) { return mean(net(draw.normal({4, 2}))); };
  const auto stopped = [&](Draw& draw) { return mean(stop_gradient(net(draw.normal({4, 2})))); };
  const auto none = [](Draw& draw) { return mean(draw.normal({4, 2})); };
  const auto check = [&](const auto& loss) {
    const int line = __LINE__ + 1;
    const std::string planned = error_of([&] { nn::TrainStep(sgd, 1, loss); });
    BOOST_TEST(contains(planned, "[train_step] " + said), planned);
    BOOST_TEST(contains(planned, "(test_optimizers.cpp:" + std::to_string(line) + ")"), planned);
    Tape tape;
    Draw draw(tape, 1);
    const std::string eager = error_of([&] { sgd.step(loss(draw)); });
    BOOST_TEST(contains(eager, "[step] " + said), eager);
  };
  check(by_value);
  check(stopped);
  check(none);
  {
    Tape tape;
    const Var before = mean(net(tape.full(Shape{1, 2}, 1)));
    sgd.step(mean(net(tape.full(Shape{1, 2}, 1))));
    BOOST_TEST(contains(error_of([&] { sgd.step(before); }), "[step] "));  // read before the update
  }
  // Some that are not read stay where they are.
  const Array first = net.parameters()[0].second->value();
  Tape tape;
  sgd.step(sum(net.parameters().back().second->on(tape)));
  BOOST_TEST((sgd.outcome() == nn::StepOutcome::updated));
  BOOST_TEST(same_bits(net.parameters()[0].second->value(), first));
  BOOST_TEST(sgd.gradient_norm() == 1);
}
