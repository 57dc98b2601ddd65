// Every layer and network, by the table in layers.hpp: names in files, derivatives, plans, copies, files, what is
// refused; then what is peculiar to single ones. (Values are compared with PyTorch's in tests/parity.)
#define BOOST_TEST_MODULE every_layer
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <set>

#include "autodiff/autodiff.hpp"
#include "autodiff/plan/forced.hpp"
#include "autodiff/testing/check.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/nn/classes.hpp"
#include "tests/nn/layers.hpp"

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

// Operands of a call, with another number of rows than 5: points, and times in (0.2, 0.9).
std::vector<Array> operands_of(const Layer& layer, Dtype dtype, Index rows) {
  std::vector<Array> operands;
  for (Shape shape : layer.operands) {
    if (shape[0] == 5) shape.set(0, rows);
    const bool time = !operands.empty();
    operands.push_back(random_array(dtype, shape, operands.size() + 1, time ? 0.2 : -1, time ? 0.9 : 1));
  }
  return operands;
}

Array value_of(const Layer& layer, const std::vector<Array>& operands) {
  Tape tape(operands[0].dtype());
  std::vector<Var> vars;
  for (const Array& operand : operands) vars.push_back(tape.input(operand));
  return layer.call(vars).value();
}

// An entry for each of the table's, and a failure's text names it.
template <class F>
void for_every_layer(F&& f) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    Rng rng(1);
    for (const Layer& layer : every_layer(rng, dtype))
      BOOST_TEST_CONTEXT(layer.name << " in " << name_of(dtype) << ": " << layer.parameters) f(layer, dtype);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_layer_is_in_the_table) {
  std::set<std::string> known;
  Rng rng(1);
  for (const Layer& layer : every_layer(rng, f64)) known.insert(layer.name);
  BOOST_TEST(known.size() > 5U);
  for (const std::string& name : classes_of("Module"))
    BOOST_TEST(known.count(name) == 1U, name << " is not in tests/nn/layers.hpp");
}

BOOST_AUTO_TEST_CASE(parameters_have_the_names_of_files) {
  for_every_layer([](const Layer& layer, Dtype dtype) {
    BOOST_TEST(names_of(*layer.module) == layer.parameters);
    for (const auto& [name, parameter] : layer.module->parameters()) BOOST_TEST((parameter->dtype() == dtype), name);
  });
}

BOOST_AUTO_TEST_CASE(derivatives_are_those_of_differences) {
  for_every_layer([](const Layer& layer, Dtype dtype) {
    if (dtype == f64) check_layer(*layer.module, layer.call, operands_of(layer, f64, 3));
  });
}

BOOST_AUTO_TEST_CASE(plans_give_what_an_eager_tape_gives) {
  for_every_layer([](const Layer& layer, Dtype dtype) {
    const std::vector<Array> operands = operands_of(layer, dtype, 200);
    PlanCheck options{.orders = dtype == f64 ? 2 : 1};
    for (std::size_t i = 0; i < operands.size(); ++i)
      if (operands[i].shape()[0] == 200) options.rows.push_back(i);
    const CheckReport report = check_plans(layer.call, operands, options);
    BOOST_TEST(report.failures.empty(), (report.failures.empty() ? "" : report.failures[0]));
    BOOST_TEST(report.planned.count("ranges of rows") == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_copy_has_parameters_of_its_own) {
  for_every_layer([](const Layer& layer, Dtype dtype) {
    const std::vector<Array> operands = operands_of(layer, dtype, 5);
    const Array before = value_of(layer, operands);
    const Layer copy = layer.copy();
    BOOST_TEST(same_bits(value_of(copy, operands), before));
    for (const auto& [name, parameter] : copy.module->trained())
      parameter->set(random_array(dtype, parameter->shape(), 9));
    BOOST_TEST(same_bits(value_of(layer, operands), before));
  });
}

BOOST_AUTO_TEST_CASE(what_is_loaded_computes_what_was_saved) {
  for_every_layer([](const Layer& layer, Dtype dtype) {
    const std::vector<Array> operands = operands_of(layer, dtype, 5);
    const Array before = value_of(layer, operands);
    NamedArrays saved;
    for (const auto& [name, parameter] : layer.module->parameters()) saved.emplace_back(name, parameter->value());
    for (const auto& [name, parameter] : layer.module->parameters())
      parameter->set(random_array(dtype, parameter->shape(), 9));
    BOOST_TEST(!same_bits(value_of(layer, operands), before));
    nn::load(*layer.module, saved, "memory");
    BOOST_TEST(same_bits(value_of(layer, operands), before));
  });
}

BOOST_AUTO_TEST_CASE(no_option_is_a_number_that_none_should_have) {
  for_every_layer([](const Layer& layer, Dtype dtype) {
    if (dtype != Dtype::f32) return;  // in which 1e39 is infinite
    for (const RefusedOption& option : layer.options)
      for (double value : option.refused) {
        const std::string error = error_of([&] { option.make(value); });
        BOOST_TEST(contains(error, option.said), option.said << ", " << value << ": " << error);
      }
  });
}

BOOST_AUTO_TEST_CASE(what_merely_broadcasts_is_refused) {
  for_every_layer([](const Layer& layer, Dtype dtype) {
    Tape tape(dtype);
    const auto with = [&](const std::vector<Shape>& shapes) {
      std::vector<Var> given;
      for (const Shape& shape : shapes) given.push_back(tape.full(shape, 0.5));
      return layer.call(given);
    };
    BOOST_TEST(error_of([&] { with(layer.operands); }) == "nothing was thrown");
    for (const std::vector<Shape>& shapes : layer.refused) {
      const std::string error = error_of([&] { with(shapes); });
      BOOST_TEST(contains(error, ".hpp:"), to_string(shapes[0]) << ": " << error);
    }
  });
}

BOOST_AUTO_TEST_CASE(parametric_relu) {
  nn::PRelu one(1, 0.25, f64), each(3, -0.5, f64);
  BOOST_TEST(nn::PRelu().weight.value().at(0) == 0.25f);
  each.weight.set(Array::of<double>({3}, {0.5, 0, -2}));
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
  Tape tape(f64);
  const Array t = Array::of<double>({2, 1}, {0.25, 0.5});
  const Array y = features(tape.input(t)).value();
  for (Index i = 0; i < 2; ++i)
    for (Index k = 0; k < 3; ++k) {
      const double angle = t.at(i) * std::pow(10.0, static_cast<double>(k));
      BOOST_TEST(std::abs(y.at(6 * i + k) - std::sin(angle)) < 1e-12);
      BOOST_TEST(std::abs(y.at(6 * i + 3 + k) - std::cos(angle)) < 1e-12);
    }
}

BOOST_AUTO_TEST_CASE(fourier_features) {
  Rng rng(1);
  const nn::FourierFeatures cosine_first({.width = 2000, .scale = 3, .dtype = f64}, rng);
  const Array w = cosine_first.parameters()[0].second->value();
  double squares = 0;
  for (Index i = 0; i < 1000; ++i) squares += w.at(i) * w.at(i) / 1000;
  BOOST_TEST(std::abs(squares / 9 - 1) < 0.25);
  Tape tape(f64);
  const Array y = cosine_first(tape.full(Shape{1, 1}, 0.5)).value();
  BOOST_TEST(std::abs(y.at(7) - std::cos(std::numbers::pi * w.at(7))) < 1e-9);
  BOOST_TEST(std::abs(y.at(1007) - std::sin(std::numbers::pi * w.at(7))) < 1e-9);
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

BOOST_AUTO_TEST_CASE(errors_name_an_activation_with_parameters) {
  Rng rng(1);
  const nn::Mlp wide({.in = 2, .hidden = {3}, .out = 1, .activation = nn::PRelu(4)}, rng);
  Tape tape;
  const std::string error = error_of([&] { wide(tape.full(Shape{5, 2}, 1)); });
  BOOST_TEST(contains(error, "[PRelu] needs [..., 4], got [5, 3]  (test_every_layer.cpp:"), error);
  BOOST_TEST(contains(error, ", in activations.0)"), error);
}

BOOST_AUTO_TEST_CASE(frequencies_are_not_trained) {
  for_every_layer([](const Layer& layer, Dtype) {
    for (const auto& entry : layer.module->trained())
      BOOST_TEST((!contains(entry.first, "freqs") && entry.first != "W"), entry.first);
  });
}

BOOST_AUTO_TEST_CASE(an_output_that_starts_at_zero) {
  Rng rng(1);
  const nn::TimeMlp zero({.dimension = 2, .hidden = {5}, .activation = silu, .zero_output = true, .dtype = f64}, rng);
  Tape tape(f64);
  const Var y = zero(tape.input(random_array(f64, {3, 2}, 1)), tape.full(Shape{1, 1}, 0.5));
  BOOST_TEST(numbers(y) == std::vector<double>(6, 0.0));
}

BOOST_AUTO_TEST_CASE(standard_deviations_are_given_and_have_the_shape_of_times) {
  Rng rng(1);
  BOOST_TEST(contains(error_of([&] { nn::ScaledScoreNet({}, rng); }), "[ScaledScoreNet] needs the standard deviation"));
  const auto three = [](Var t) { return concat({t, t, t}, 1); };
  const nn::ScaledScoreNet wrong({.dimension = 3, .width = 4, .features = 4, .standard_deviation = three}, rng);
  Tape tape;
  const Var x = tape.full(Shape{5, 3}, 1), t = tape.full(Shape{5, 1}, 0.5);
  BOOST_TEST(contains(error_of([&] { wrong(x, t); }),
                      "[ScaledScoreNet] needs standard_deviation of shape [5, 1], got [5, 3]  (test_every_layer.cpp:"));
}

BOOST_AUTO_TEST_CASE(one_time_for_all_rows_gives_what_a_column_of_it_gives) {
  Rng rng(1);
  const nn::ScaledScoreNet net(
      {.width = 6, .features = 4, .standard_deviation = layers::standard_deviation, .dtype = f64}, rng);
  Tape tape(f64);
  const Var x = tape.input(random_array(f64, {3, 2}, 1));
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
  const plan::Force apart(plan::Way::steps_alone);
  const Plan plan = compile(both, {{f64, {30, 2}}, {f64, {30, 1}}}, {}, f64);
  const auto steps = plan.steps();  // the base's two products once, each correction's two
  BOOST_TEST(std::count_if(steps.begin(), steps.end(),
                           [](const Plan::StepInfo& step) { return contains(step.kernel, "product "); }) == 6);
  Tape tape(f64);
  const Var x = tape.input(random_array(f64, {3, 2}, 1)), t = tape.full(Shape{3, 1}, 0.5);
  sgd.step(mean(square(student(x, t))));
  BOOST_TEST(same_bits(base.module().parameters()[0].second->value(), before));
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
