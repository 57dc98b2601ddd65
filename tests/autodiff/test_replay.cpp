// What changes between runs of a plan is an input, a parameter or a draw; all else is frozen: the traps.
#define BOOST_TEST_MODULE replay
#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <optional>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/small_plans.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

nn::Mlp network() {
  Rng rng(1);
  return nn::Mlp({.in = 3, .hidden = {16}, .out = 3, .activation = tanh}, rng);
}

Array eagerly(const nn::Mlp& net, const Array& x) {
  Tape tape;
  return net(tape.input(x)).value();
}

// The plan of a function of [200,3] gives what an eager tape does.
void check_against_eager(const PlanFunction& f) {
  Plan plan = compile(f, {batch_of_3});
  const Array x = random_array(Dtype::f32, {200, 3}, 1);
  Tape tape;
  const std::vector<Var> vars{tape.input(x)};
  const Outputs wanted = f(vars);
  const auto out = plan.run({x});
  for (std::size_t i = 0; i < wanted.size(); ++i) BOOST_TEST(same_bits(out[i], wanted[i].value()));
}

}  // namespace

BOOST_AUTO_TEST_CASE(inputs_change_between_runs) {
  Plan plan = compile([](Vars in) { return Outputs{in[0] * 2}; }, {row_of_3});
  BOOST_TEST(same_bits(plan.run({row(1, 2, 3)})[0], row(2, 4, 6)));
  BOOST_TEST(same_bits(plan.run({row(-1, 0, 5)})[0], row(-2, 0, 10)));
}

BOOST_AUTO_TEST_CASE(an_input_that_nothing_reads_is_still_asked_for) {
  Plan plan = compile([](Vars in) { return Outputs{in[1] * 2}; }, {batch_of_3, row_of_3});
  BOOST_TEST(same_bits(plan.run({Array(batch_of_3), row(1, 2, 3)})[0], row(2, 4, 6)));
  BOOST_TEST(error_of([&] { plan.run({row(1, 2, 3)}); }) == "[run] this plan has 2 inputs, got 1");
}

BOOST_AUTO_TEST_CASE(an_output_may_be_an_input_a_constant_or_given_twice) {
  const auto f = [](Vars in) {
    const Var y = in[0] + 1, c = in[0].tape().input(row(7, 8, 9));
    return Outputs{in[0], y, y, c, in[0]};
  };
  Plan plan = compile(f, {row_of_3});
  for (float shift : {0.f, 10.f}) {
    const Array x = row(1 + shift, 2, 3), wanted = row(2 + shift, 3, 4);
    const auto out = plan.run({x});
    BOOST_TEST(same_bits(out[0], x));
    BOOST_TEST(same_bits(out[1], wanted));
    BOOST_TEST(same_bits(out[2], wanted));
    BOOST_TEST(same_bits(out[3], row(7, 8, 9)));
    BOOST_TEST(same_bits(out[4], x));
    BOOST_TEST(out[1].raw() != out[2].raw());
  }
}

BOOST_AUTO_TEST_CASE(outputs_hold_until_the_next_run_and_do_not_alias_inputs) {
  Plan plan = compile([](Vars in) { return Outputs{in[0]}; }, {row_of_3});
  Array x = row(1, 2, 3);
  const Array& out = plan.run({x})[0];
  x.set(0, 100);
  BOOST_TEST(same_bits(out, row(1, 2, 3)));
}

BOOST_AUTO_TEST_CASE(an_output_may_be_the_next_input) {
  Plan plan = compile([](Vars in) { return Outputs{in[0] * 2, sum(in[0])}; }, {row_of_3});
  plan.run({row(1, 2, 3)});
  for (int i = 0; i < 3; ++i) plan.run({Array(plan.outputs()[0])});
  BOOST_TEST(same_bits(plan.outputs()[0], row(16, 32, 48)));
  BOOST_TEST(error_of([&] { plan.run({plan.outputs()[0]}); }) ==
             "[run] input 0 is this plan's own output, which the run writes over: copy it first");
}

BOOST_AUTO_TEST_CASE(shared_subexpressions_are_computed_once_and_read_often) {
  const auto f = [](Vars in) {
    const auto g = [&] { return exp(in[0]) * sin(in[0]); };
    return Outputs{g() + g(), g() * g(), sum(g(), 1)};
  };
  check_against_eager(f);
}

BOOST_AUTO_TEST_CASE(parameters_are_read_as_they_are_at_each_run) {
  nn::Mlp net = network();
  Plan plan = compile([&](Vars in) { return Outputs{net(in[0])}; }, {batch_of_3});
  const Array x = random_array(Dtype::f32, {200, 3}, 1);
  BOOST_TEST(same_bits(plan.run({x})[0], eagerly(net, x)));
  for (const auto& [name, parameter] : net.parameters()) {  // by hand
    Array value = parameter->value();
    value.set(0, 0.5);
    parameter->set(value);
  }
  BOOST_TEST(same_bits(plan.run({x})[0], eagerly(net, x)));
  Rng rng(9);
  nn::Mlp other({.in = 3, .hidden = {16}, .out = 3, .activation = tanh}, rng);  // by loading
  NamedArrays weights;
  for (const auto& [name, parameter] : other.parameters()) weights.emplace_back(name, parameter->value());
  nn::load(net, weights, "other");
  BOOST_TEST(same_bits(plan.run({x})[0], eagerly(net, x)));
  BOOST_TEST(same_bits(plan.run({x})[0], eagerly(other, x)));
}

BOOST_AUTO_TEST_CASE(a_plan_outlives_its_module) {
  std::optional<nn::Mlp> net = network();
  const Array x = random_array(Dtype::f32, {200, 3}, 1), wanted = eagerly(*net, x);
  Plan plan = compile([&](Vars in) { return Outputs{(*net)(in[0])}; }, {batch_of_3});
  net.reset();
  BOOST_TEST(same_bits(plan.run({x})[0], wanted));
  Plan moved = std::move(plan);
  BOOST_TEST(same_bits(moved.run({x})[0], wanted));
}

BOOST_AUTO_TEST_CASE(two_plans_read_one_store_and_a_step_changes_it_for_both) {
  nn::Mlp net = network();
  nn::Adam adam(net, {.lr = 0.1});
  Plan plan = compile([&](Vars in) { return Outputs{net(in[0])}; }, {batch_of_3});
  nn::TrainStep step(adam, 1, [&](Draw& draw) { return mean(square(net(draw.normal({50, 3})))); });
  const Array x = random_array(Dtype::f32, {200, 3}, 1), before = plan.run({x})[0];
  step.run();
  BOOST_TEST(!same_bits(plan.run({x})[0], before));
  BOOST_TEST(same_bits(plan.run({x})[0], eagerly(net, x)));
}

BOOST_AUTO_TEST_CASE(draws_differ_by_their_state_alone) {
  const auto f = [](Vars in) {
    Draw draw(in[0]);
    return Outputs{draw.normal({200, 3}), draw.normal({200, 3})};
  };
  Plan plan = compile(f, {{Dtype::i32, {4}}});
  const auto first = plan.run({draw_state(5, 0)});
  const Array a = first[0], b = first[1];
  BOOST_TEST(!same_bits(a, b));
  BOOST_TEST(!same_bits(plan.run({draw_state(5, 1)})[0], a));
  BOOST_TEST(!same_bits(plan.run({draw_state(6, 0)})[0], a));
  BOOST_TEST(same_bits(plan.run({draw_state(5, 0)})[0], a));
  Tape tape;
  Draw draw(tape, 5, 0);
  BOOST_TEST(same_bits(draw.normal({200, 3}).value(), a));
}

BOOST_AUTO_TEST_CASE(what_is_captured_is_frozen) {
  double factor = 2;
  Array offset = row(1, 1, 1);
  Plan plan = compile([&](Vars in) { return Outputs{in[0] * factor + in[0].tape().input(offset)}; }, {row_of_3});
  factor = 3;
  offset.set(0, 50);
  BOOST_TEST(same_bits(plan.run({row(1, 2, 3)})[0], row(3, 5, 7)));
}

BOOST_AUTO_TEST_CASE(nothing_is_frozen_by_mistake) {
  const auto branch = [](Vars in) { return Outputs{sum(in[0]).item() > 0 ? in[0] : -in[0]}; };
  const std::string text = error_of([&] { compile(branch, {row_of_3}); });
  BOOST_TEST(contains(text, "symbolic"));
  BOOST_TEST(contains(text, "test_replay.cpp:"));
}

BOOST_AUTO_TEST_CASE(an_input_that_only_its_function_knows_is_refused) {
  const auto f = [](Vars in) { return Outputs{in[0] + in[0].tape().input(row_of_3)}; };
  const std::string text = error_of([&] { compile(f, {row_of_3}); });
  BOOST_TEST(contains(text, "[compile] an input of f32 [3] has neither values"), text);
  BOOST_TEST(contains(text, "test_replay.cpp:"), text);
}

BOOST_AUTO_TEST_CASE(second_derivatives_and_checkpoints) {
  const auto f = [](Vars in) {
    const auto inner = [](Var x) { return tanh(x) * x; };
    const Var y = checkpoint(inner, in[0]), g = grad(sum(y), in[0]);
    return Outputs{y, g, grad(sum(square(g)), in[0])};
  };
  check_against_eager(f);
}

BOOST_AUTO_TEST_CASE(a_derivative_of_ones_own) {
  const auto f = [](Vars in) {
    const Var y =
        custom_derivative([](Var x) { return exp(x); }, [](Var, Var out, Var g) { return 2 * g * out; }, in[0]);
    return Outputs{y, grad(sum(y), in[0])};
  };
  check_against_eager(f);
}

BOOST_AUTO_TEST_CASE(compile_within_compile) {
  const auto f = [](Vars in) {
    Plan inner = compile([](Vars i) { return Outputs{exp(i[0])}; }, {row_of_3});
    return Outputs{in[0] + in[0].tape().input(inner.run({row(0, 0, 0)})[0])};
  };
  Plan plan = compile(f, {row_of_3});
  BOOST_TEST(same_bits(plan.run({row(1, 2, 3)})[0], row(2, 3, 4)));
}

BOOST_AUTO_TEST_CASE(batches_of_nothing) {
  const auto f = [](Vars in) { return Outputs{exp(in[0]), sum(in[0]), grad(sum(square(in[0])), in[0])}; };
  Plan plan = compile(f, {{Dtype::f32, {0, 3}}});
  const auto out = plan.run({Array(Dtype::f32, {0, 3})});
  BOOST_TEST(out[0].size() == 0);
  BOOST_TEST(out[1].at(0) == 0);
}

BOOST_AUTO_TEST_CASE(what_a_failed_run_leaves_is_not_added_to) {
  const auto f = [](Vars in) { return Outputs{in[0] * 2, index_select(in[0], 0, in[1])}; };
  Plan plan = compile(f, {row_of_3, {Dtype::i32, {1}}});
  const Array good = Array::of<std::int32_t>({1}, {0}), bad = Array::of<std::int32_t>({1}, {9});
  plan.run({row(1, 2, 3), good});
  // A batch that is refused adds nothing.
  BOOST_TEST(contains(error_of([&] { plan.accumulate({row(10, 20, 30), bad}); }), "index 9 is out of range"));
  BOOST_TEST(same_bits(plan.accumulate({row(1, 1, 1), good})[0], row(4, 6, 8)));
  BOOST_TEST(contains(error_of([&] { plan.run({row(10, 20, 30), bad}); }), "index 9 is out of range"));
  BOOST_TEST(error_of([&] {
               plan.accumulate({row(1, 1, 1), good});
             }) == "[accumulate] there is nothing to add to: the plan has not run, or its last run failed");
  plan.run({row(1, 2, 3), good});
  BOOST_TEST(same_bits(plan.accumulate({row(1, 1, 1), good})[0], row(4, 6, 8)));
}

BOOST_AUTO_TEST_CASE(wrong_inputs_are_named) {
  Plan plan = compile([](Vars in) { return Outputs{in[0] + in[1]}; }, {batch_of_3, row_of_3});
  BOOST_TEST(error_of([&] {
               plan.run({Array(batch_of_3), Array(Dtype::f64, {3})});
             }) == "[run] input 1 is f32 [3], got f64 [3]");
  BOOST_TEST(error_of([&] {
               plan.run({Array(Dtype::f32, {100, 3}), Array(row_of_3)});
             }) == "[run] input 0 is f32 [200, 3], got f32 [100, 3]");
}

BOOST_AUTO_TEST_CASE(unaligned_inputs) {
  const auto f = [](Vars in) { return Outputs{matmul(in[0], in[0], {.transpose_a = true}), exp(in[0])}; };
  Plan plan = compile(f, {{Dtype::f32, {200, 20}}});
  const Array x = random_array(Dtype::f32, {200, 20}, 1);
  std::vector<float> shifted(200 * 20 + 1);
  std::copy_n(x.data<float>().data(), 200 * 20, shifted.data() + 1);
  const Array product = plan.run({x})[0], exponential = plan.run({x})[1];
  const PlanInput input(x.type(), shifted.data() + 1);
  BOOST_TEST(same_bits(plan.run({input})[0], product));
  BOOST_TEST(same_bits(plan.run({input})[1], exponential));
}

BOOST_AUTO_TEST_CASE(an_input_is_memory_of_the_callers_and_its_type) {
  Plan plan = compile([](Vars in) { return Outputs{in[0] * in[1]}; }, {{Dtype::f64, {2, 2}}, {Dtype::f64, {}}});
  const std::array<double, 4> values{1, 2, 3, 4};
  const double scale = 0.5;
  const Type matrix{Dtype::f64, {2, 2}}, number{Dtype::f64, {}};
  const Array& y = plan.run({{matrix, values.data()}, {number, &scale}})[0];
  BOOST_TEST(same_bits(y, Array::of<double>({2, 2}, {0.5, 1, 1.5, 2})));
  BOOST_TEST(error_of([&] {
               plan.run({{matrix, values.data()}, {number, nullptr}});
             }) == "[run] input 1 is f64 [], got a null pointer");
  BOOST_TEST(error_of([&] {
               plan.run({{{Dtype::f64, {4}}, values.data()}, {number, &scale}});
             }) == "[run] input 0 is f64 [2, 2], got f64 [4]");
  Plan empty = compile([](Vars in) { return Outputs{sum(in[0])}; }, {{Dtype::f32, {0, 3}}});
  BOOST_TEST(empty.run({{{Dtype::f32, {0, 3}}, nullptr}})[0].at(0) == 0);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_holds_fewer_bytes_and_gives_the_same_bits) {
  const auto make = [](bool drop) {
    return [drop](Vars in) {
      const Function stretch = [](Var x) {
        for (int i = 0; i < 8; ++i) x = sin(matmul(x, x));  // of which every derivative wants x
        return x;
      };
      Var y = in[0];
      for (int i = 0; i < 8; ++i) y = drop ? checkpoint(stretch, y) : stretch(y);
      return Outputs{sum(y), grad(sum(y), in[0])};
    };
  };
  const Type square{Dtype::f32, {50, 50}};
  const Array x = random_array(Dtype::f32, {50, 50}, 3);
  Plan kept = compile(make(false), {square}), dropped = compile(make(true), {square});
  const std::vector<Array> wanted(kept.run({x}).begin(), kept.run({x}).end());
  const std::vector<Array> got(dropped.run({x}).begin(), dropped.run({x}).end());
  BOOST_TEST(same_bits(wanted, got));
  BOOST_TEST(dropped.bytes() < kept.bytes() / 2, dropped.bytes() << " of " << kept.bytes());
}

BOOST_AUTO_TEST_CASE(outputs_accumulate) {
  Plan plan = compile([](Vars in) { return Outputs{in[0] * 2, sum(in[0])}; }, {row_of_3});
  BOOST_TEST(contains(error_of([&] { plan.accumulate({row(1, 2, 3)}); }), "[accumulate] there is nothing to add to"));
  plan.run({row(1, 2, 3)});
  plan.accumulate({row(10, 20, 30)});
  const auto out = plan.accumulate({row(100, 200, 300)});
  BOOST_TEST(same_bits(out[0], row(222, 444, 666)));
  BOOST_TEST(out[1].at(0) == 666);
  BOOST_TEST(contains(error_of([&] { plan.accumulate({out[0]}); }), "own output"));
  BOOST_TEST(same_bits(plan.outputs()[0], row(222, 444, 666)));
  BOOST_TEST(same_bits(plan.run({row(1, 2, 3)})[0], row(2, 4, 6)));
  Plan whole = compile([](Vars in) { return Outputs{argmax(in[0])}; }, {row_of_3});
  whole.run({row(1, 2, 3)});
  BOOST_TEST(contains(error_of([&] { whole.accumulate({row(1, 2, 3)}); }), "this plan is i32"));
}

BOOST_AUTO_TEST_CASE(parameters_exchanged_with_their_averages) {
  nn::Mlp net = network();
  nn::Sgd sgd(net, {.lr = 1, .common = {.ema_decay = 0.5}});
  const Array x = random_array(Dtype::f32, {200, 3}, 1);
  Plan plan = compile([&](Vars in) { return Outputs{net(in[0])}; }, {batch_of_3});
  for (int i = 0; i < 2; ++i) {
    Tape tape;
    sgd.step(mean(square(net(tape.input(x)))));
  }
  const Array trained = eagerly(net, x);
  BOOST_TEST(same_bits(plan.run({x})[0], trained));
  {
    const nn::WithAverages averages(sgd);
    BOOST_TEST(same_bits(plan.run({x})[0], eagerly(net, x)));
    BOOST_TEST(!same_bits(plan.run({x})[0], trained));
  }
  BOOST_TEST(same_bits(plan.run({x})[0], trained));
}
