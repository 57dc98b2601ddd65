// Who holds a parameter: tied names, two optimizers, assignment and moves while an optimizer or a plan holds a module.
#define BOOST_TEST_MODULE sharing
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <optional>
#include <utility>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

nn::Mlp network(std::uint64_t seed, Index width = 4, Dtype dtype = Dtype::f32) {
  Rng rng(seed);
  return nn::Mlp({.in = 2, .hidden = {width}, .out = 1, .activation = tanh, .dtype = dtype}, rng);
}

const Array point = Array::of<float>({1, 2}, {1, 2});

template <class Net>
double eager(const Net& net) {
  Tape tape;
  return net(tape.input(point)).item();
}

std::vector<Array> values_of(const nn::Module& module) {
  std::vector<Array> values;
  for (const auto& [name, parameter] : module.parameters()) values.push_back(parameter->value());
  return values;
}

// One parameter w [n] under one name or two.
class Vector final : public nn::Module {
 public:
  explicit Vector(Index n, bool tied = false) : w(Array(Dtype::f32, {n})), tied_(tied) { name_parameters(); }
  void children(nn::Visitor& visit) override {
    visit("w", w);
    if (tied_) visit("again", w);
  }
  nn::Parameter w;

 private:
  bool tied_;
};

// Another's module, and a parameter of its own.
class Around final : public nn::Module {
 public:
  explicit Around(nn::Module& inner) : own(Array(Dtype::f32, {3})), inner_(inner) {}
  void children(nn::Visitor& visit) override {
    visit("inner", inner_);
    visit("own", own);
  }
  nn::Parameter own;

 private:
  nn::Module& inner_;
};

// Modules in every kind of member.
class Members final : public nn::Module {
 public:
  explicit Members(Rng& rng, std::size_t layers = 2) : features_(std::in_place, 4, 10.0), norm_(3) {
    layers_.emplace_back(6, 3, rng);
    for (std::size_t i = 1; i < layers; ++i) layers_.emplace_back(3, 3, rng);
    name_parameters();
  }
  Var operator()(Operand x) const {
    const Var time = (*features_)(x.tape().full(Shape{1, 1}, 0.5));
    Var h = concat({x, time}, -1);
    for (const nn::Linear& layer : layers_) h = tanh(layer(h));
    return sum(norm_(h));
  }
  void children(nn::Visitor& visit) override {
    visit("features", *features_);
    for (std::size_t i = 0; i < layers_.size(); ++i) visit("layers." + std::to_string(i), layers_[i]);
    visit("norm", norm_);
  }

 private:
  std::optional<nn::SinusoidalFeatures> features_;
  std::vector<nn::Linear> layers_;
  nn::LayerNorm norm_;
};

// `to` is assigned from what `from` gives while an optimizer and a plan hold it: everyone sees the new numbers.
template <class Net, class From>
void check_assignment(Net& to, const From& assign, const Net& wanted) {
  nn::Sgd sgd(to, {.lr = 1});
  Plan plan = compile([&](std::span<const Var> in) { return std::vector<Var>{to(in[0])}; }, {point.type()});
  nn::TrainStep step(sgd, 1, {point.type()}, [&](Draw&, std::span<const Var> in) { return sum(to(in[0])); });
  Tape tape;
  const auto [name, last] = to.trained().back();
  const Var before = last->on(tape);
  const std::string path = to.parameters().back().second->name();
  assign();
  BOOST_TEST(same_bits(values_of(to), values_of(wanted)));
  BOOST_TEST(eager(to) == eager(wanted));
  BOOST_TEST(plan.run({point})[0].at(0) == eager(wanted));
  BOOST_TEST(contains(error_of([&] { square(before); }), "was changed after this tape read it"));
  BOOST_TEST(to.parameters().back().second->name() == path);
  const double start = last->value().at(0);
  BOOST_TEST(step.run({point}) == eager(wanted));
  BOOST_TEST(last->value().at(0) == static_cast<float>(start - 1));  // the derivative by the last bias
  BOOST_TEST(plan.run({point})[0].at(0) == eager(to));
  BOOST_TEST(!same_bits(values_of(to), values_of(wanted)));  // a copy
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_tied_parameter_is_moved_once_and_filed_under_both_names) {
  for (bool tied : {false, true}) {
    Vector module(3, tied);
    nn::Sgd sgd(module, {.lr = 1});
    BOOST_TEST(sgd.parameters().size() == 1U);
    BOOST_TEST(module.parameters().size() == (tied ? 2U : 1U));
    BOOST_TEST(module.w.name() == "w");
    Tape tape;
    sgd.step(sum(module.w.on(tape)));
    BOOST_TEST(numbers(module.w.value()) == std::vector<double>(3, -1));
  }
  Vector module(3, true);
  const auto path = std::filesystem::temp_directory_path() / "wengert_tied.safetensors";
  module.w.set(Array::of<float>({3}, {1, 2, 3}));
  nn::save(module, path);
  const NamedArrays file = read_safetensors(path);
  std::filesystem::remove(path);
  BOOST_REQUIRE(file.size() == 2U);
  BOOST_TEST(same_bits(file[0].second, file[1].second));
  Vector other(3, true);
  nn::load(other, file, "file");
  BOOST_TEST(same_bits(other.w.value(), module.w.value()));
}

BOOST_AUTO_TEST_CASE(a_tied_parameter_takes_one_value_from_a_file) {
  Vector module(2, true);
  const Array one = Array::of<float>({2}, {1, 2});
  for (const Array& two : {Array::of<float>({2}, {1, 3}), Array::of<float>({2}, {0, 2})})
    BOOST_TEST(contains(error_of([&] {
                          nn::load(module, {{"w", one}, {"again", two}}, "file");
                        }),
                        "file: w and again are one parameter of the module, and differ"));
  BOOST_TEST(numbers(module.w.value()) == std::vector<double>(2, 0));
}

BOOST_AUTO_TEST_CASE(a_tied_layer_is_one_in_an_optimizer) {
  Rng rng(1);
  nn::Linear layer(2, 2, rng);
  class Twice final : public nn::Module {
   public:
    explicit Twice(nn::Linear& layer) : layer_(layer) { name_parameters(); }
    void children(nn::Visitor& visit) override {
      visit("first", layer_);
      visit("second", layer_);
    }

   private:
    nn::Linear& layer_;
  } net(layer);
  nn::Adam adam(net);
  BOOST_TEST(adam.parameters().size() == 2U);
  BOOST_TEST(net.parameters().size() == 4U);
  BOOST_TEST(layer.weight.name() == "first.weight");
  BOOST_TEST(layer.path() == "first");
}

BOOST_AUTO_TEST_CASE(no_optimizer_takes_parameters_of_another) {
  for (Index n : {1, 3, 15, 16, 17, 32, 48}) {
    Vector inner(n);
    nn::Sgd first(inner, {.lr = 1});
    Around both(inner);
    BOOST_TEST(contains(error_of([&] { nn::Sgd second(both); }), "parameter inner.w belongs to another optimizer"), n);
    Tape tape;
    first.step(sum(inner.w.on(tape)));
    BOOST_TEST(inner.w.value().at(0) == -1, n);
    nn::Sgd of_the_same(inner, {.lr = 2});
    Tape later;
    of_the_same.step(sum(inner.w.on(later)));
    BOOST_TEST(inner.w.value().at(0) == -3, n);
  }
  for (Index n : {3, 16, 32}) {  // nor does a part of a store
    Vector inner(n);
    Around both(inner);
    nn::Sgd first(both);
    BOOST_TEST(contains(error_of([&] { nn::Sgd second(inner); }), "parameter w belongs to another optimizer"), n);
  }
}

BOOST_AUTO_TEST_CASE(what_a_plan_reads_stays_where_it_is_whatever_its_size) {
  for (Index n : {3, 16}) {
    Vector module(n);
    const Plan plan =
        compile([&](std::span<const Var> in) { return std::vector<Var>{in[0] + module.w.on(in[0].tape())}; },
                {{Dtype::f32, {1}}});
    BOOST_TEST(contains(error_of([&] { nn::Sgd sgd(module); }), "make the optimizer before compiling"), n);
  }
}

BOOST_AUTO_TEST_CASE(options_that_are_refused_leave_the_module_free) {
  Vector inner(16);
  Around both(inner);
  BOOST_TEST(contains(error_of([&] { nn::Sgd sgd(inner, {.lr = NAN}); }), "[Sgd] needs lr"));
  BOOST_TEST(contains(error_of([&] { nn::Adam adam(inner, {.common = {.clip = {.norm = -1}}}); }),
                      "[clip] needs a value and a norm above 0"));
  nn::Sgd sgd(both);
  BOOST_TEST(sgd.parameters().size() == 2U);
}

BOOST_AUTO_TEST_CASE(assignment_copies_the_numbers_to_where_they_are_held) {
  const nn::Mlp best = network(2);
  nn::Mlp a = network(1), b = network(1), c = network(1);
  check_assignment(
      a, [&] { a = best; }, best);
  check_assignment(
      b, [&] { b = network(2); }, best);
  nn::Mlp gone = network(2);
  check_assignment(
      c, [&] { c = std::move(gone); }, best);
  Rng rng(3), other(4);
  Members many(rng);
  const Members wanted(other);
  check_assignment(
      many, [&] { many = wanted; }, wanted);
  Members more(rng);
  check_assignment(
      more, [&] { more = Members(wanted); }, wanted);
}

BOOST_AUTO_TEST_CASE(another_architecture_is_refused_where_a_module_is_held) {
  Rng rng(1);
  nn::Mlp net = network(1);
  Members members(rng);
  const auto check = [](auto& to, const auto& from, const std::string& said) {
    const std::vector<Array> before = values_of(to);
    BOOST_TEST(contains(error_of([&] { to = from; }), said), error_of([&] { to = from; }));
    BOOST_TEST(same_bits(values_of(to), before));
  };
  {
    nn::Mlp free = network(1);
    free = network(2, 9);  // nobody holds it
    BOOST_TEST(same_bits(values_of(free), values_of(network(2, 9))));
  }
  nn::Adam adam(net), other(members);
  const std::string of_another =
      "[assign] an optimizer or a plan holds this module, and the other is of another "
      "architecture: ";
  check(net, network(2, 5), of_another + "layers.0.weight f32 [4, 2] here, layers.0.weight f32 [5, 2] there");
  check(net, network(2, 4, Dtype::f64), of_another + "layers.0.weight f32 [4, 2] here, layers.0.weight f64 [4, 2]");
  const nn::Mlp deep({.in = 2, .hidden = {4, 4}, .out = 1, .activation = tanh}, rng);
  check(net, deep, of_another + "layers.1.weight f32 [1, 4] here, layers.1.weight f32 [4, 4] there");
  const nn::Mlp renamed(
      {.in = 2, .hidden = {4}, .out = 1, .activation = tanh, .numbering = nn::Numbering::with_activations}, rng);
  check(net, renamed, of_another + "layers.0.weight f32 [4, 2] here, 0.weight f32 [4, 2] there");
  check(members, Members(rng, 3), of_another + "norm.weight f32 [3] here, layers.2.weight f32 [3, 3] there");
  check(members, Members(rng, 1), of_another + "layers.1.weight f32 [3, 3] here, norm.weight f32 [3] there");
  Vector vector(16);
  nn::Sgd sgd(vector);
  BOOST_TEST(contains(error_of([&] { vector.w = nn::Parameter(Array(Dtype::f32, {4})); }),
                      "[assign] parameter w is held by an optimizer or a plan as f32 [16], got f32 [4]"));
}

namespace {

// As nn::PRelu, with its slope above 0.
class Softened final : public nn::Module {
 public:
  Softened() : weight(nn::constant(1, 0.25, Dtype::f32)) { name_parameters(); }
  Var operator()(Operand x) const { return weight.on(x.tape()) * softplus(x); }
  void children(nn::Visitor& visit) override { visit("weight", weight); }
  nn::Parameter weight;
};

nn::Mlp with(const nn::Activation& activation, std::uint64_t seed) {
  Rng rng(seed);
  return nn::Mlp({.in = 2, .hidden = {4, 4}, .out = 1, .activation = activation}, rng);
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_place_and_every_copy_has_an_activation_of_its_own) {
  const nn::PRelu model;
  nn::Mlp net = with(model, 1);
  const nn::Mlp copy = net;
  const auto [first, second] = std::pair{net.parameters()[6].second, net.parameters()[7].second};
  BOOST_TEST(first->name() == "activations.0.weight");
  first->set(Array::of<float>({1}, {7}));
  BOOST_TEST(second->value().at(0) == 0.25);
  BOOST_TEST(copy.parameters()[6].second->value().at(0) == 0.25);
  BOOST_TEST(model.weight.value().at(0) == 0.25);
  nn::Mlp heir = std::move(net);
  BOOST_TEST(heir.parameters()[6].second == first);
}

BOOST_AUTO_TEST_CASE(activations_of_a_held_module_are_assigned_in_place) {
  nn::Mlp net = with(nn::PRelu(), 1);
  const nn::Mlp other = with(nn::PRelu(1, 0.5), 2);
  nn::Sgd sgd(net, {.lr = 1});
  Plan plan = compile([&](std::span<const Var> in) { return std::vector<Var>{net(in[0])}; }, {point.type()});
  net = other;
  BOOST_TEST(same_bits(values_of(net), values_of(other)));
  BOOST_TEST(plan.run({point})[0].at(0) == eager(other));
  Tape tape;
  sgd.step(sum(net(tape.input(point))));  // moves what the network reads
  BOOST_TEST(!same_bits(values_of(net), values_of(other)));
  BOOST_TEST(plan.run({point})[0].at(0) == eager(net));
  const std::vector<Array> before = values_of(net);
  const std::string error = error_of([&] { net = with(Softened(), 3); });
  BOOST_TEST(contains(error, "the other has a module of another type around its activations.0.weight"), error);
  BOOST_TEST(contains(error_of([&] { net = with(tanh, 3); }), "activations.0.weight f32 [1] here, nothing more there"));
  BOOST_TEST(same_bits(values_of(net), before));
  nn::Mlp free = with(nn::PRelu(), 1);  // nobody holds it
  free = with(Softened(), 3);
  BOOST_TEST(eager(free) == eager(with(Softened(), 3)));
  free = with(tanh, 4);
  BOOST_TEST(eager(free) == eager(with(tanh, 4)));
}

BOOST_AUTO_TEST_CASE(a_held_module_keeps_its_frozen_one) {
  Rng rng(1);
  using Score = nn::ResidualScore<nn::TimeMlp>;
  const auto base = [&] { return nn::Frozen(nn::TimeMlp({.dimension = 2, .hidden = {4}, .activation = relu}, rng)); };
  const nn::Frozen shared = base();
  Score student(shared, {.dimension = 2, .hidden = {3}}, rng);
  const Score teacher(shared, {.dimension = 2, .hidden = {3}}, rng),
      stranger(base(), {.dimension = 2, .hidden = {3}}, rng);
  nn::Adam adam(student);
  student = teacher;
  BOOST_TEST(same_bits(values_of(student), values_of(teacher)));
  BOOST_TEST(contains(error_of([&] { student = stranger; }), "its frozen base.net.0.weight is another one's"));
  BOOST_TEST(same_bits(values_of(student), values_of(teacher)));
}

BOOST_AUTO_TEST_CASE(a_module_that_is_moved_keeps_its_optimizer) {
  nn::Mlp net = network(1);
  const nn::Mlp before = net;
  nn::Sgd sgd(net, {.lr = 1});
  nn::Mlp heir = std::move(net);
  Tape tape;
  sgd.step(sum(heir(tape.input(point))));
  BOOST_TEST(heir.parameters().back().second->value().at(0) ==
             static_cast<float>(before.parameters().back().second->value().at(0) - 1));
}

BOOST_AUTO_TEST_CASE(what_was_moved_from_says_so) {
  Rng rng(1);
  nn::Mlp net = network(1);
  nn::Linear layer(2, 3, rng);
  nn::Parameter parameter(Array(Dtype::f32, {3}));
  Members members(rng);
  const nn::Frozen base(nn::TimeMlp({.dimension = 2, .hidden = {4}, .activation = relu}, rng));
  nn::ResidualScore score(base, {.dimension = 2, .hidden = {3}}, rng);
  const nn::Mlp new_net = std::move(net);
  const nn::Linear new_layer = std::move(layer);
  const nn::Parameter new_parameter = std::move(parameter);
  const Members new_members = std::move(members);
  const nn::ResidualScore new_score = std::move(score);

  Tape tape;
  const Var x = tape.input(point), t = tape.full(Shape{1, 1}, 0.5);
  const auto says = [](auto&& use, const std::string& said = "was moved from") {
    const std::string error = error_of(use);
    BOOST_TEST(contains(error, said), error);
  };
  says([&] { net(x); }, "[Mlp] this network was moved from  (test_sharing.cpp:");
  says([&] { layer(x); }, " was moved from  (test_sharing.cpp:");
  says([&] { parameter.on(tape); });
  says([&] { parameter.value(); });
  says([&] { parameter.set(Array(Dtype::f32, {3})); });
  says([&] { parameter.slot(); });
  says([&] { nn::Parameter copy(parameter); });
  says([&] { nn::Linear copy(layer); });
  says([&] { nn::Sgd sgd(layer); });
  says([&] { nn::Sgd sgd(net); }, "without trained parameters");
  says([&] { score(x, t); });
  says([&] { score.parameters(); });
  says([&] { nn::save(layer, "never_written.safetensors"); });
  says(
      [&] {
        nn::Linear held = new_layer;
        held = layer;
      },
      "[assign] weight of the other module was moved from");

  // It may be assigned to.
  parameter = new_parameter;
  BOOST_TEST(parameter.value().size() == 3);
  layer = new_layer;
  net = new_net;
  BOOST_TEST(eager(net) == eager(new_net));
  BOOST_TEST(layer(x).size() == 3);
}
