// Objects of namespace scope, which work before main and after it, and objects that were moved from.
#define BOOST_TEST_MODULE lifetimes
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>

#include "autodiff/autodiff.hpp"
#include "autodiff/ops/elementwise.hpp"
#include "autodiff/tape/program.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

// This file is linked before the library, whose own initialisers would run after these if nothing ordered them.
namespace lifetimes {

extern const Unary late_op;  // defined below
Var late(Operand x) { return record(late_op, {x}); }

using Vars = std::span<const Var>;
using Arrays = std::vector<Array>;

nn::Mlp network() {
  Rng rng(3);
  return nn::Mlp({.in = 4, .hidden = {32}, .out = 2, .activation = silu}, rng);
}

// Enough rows for a team.
Array batch() { return random_array(Dtype::f32, {3000, 4}, 1); }

// A loss and its gradient.
Arrays computed(const nn::Mlp& net) {
  Tape tape;
  Draw draw(tape, 5);
  const Var x = tape.input(batch()), loss = mean(square(net(x)) + draw.normal({3000, 2}));
  return {loss.value(), grad(loss, x).value()};
}
Plan planned(const nn::Mlp& net) {
  return compile([&](Vars in) { return std::vector<Var>{net(in[0])}; }, {batch().type()});
}

std::set<std::string> names_of(const std::vector<const Op*>& ops) {
  std::set<std::string> names;
  for (const Op* op : ops) names.insert(op->name());
  return names;
}

// --- before main ---

const std::set<std::string> registered = names_of(registry());
const nn::Mlp net = network();
const Arrays values = computed(net);
Plan of_net = planned(net);
const Array planned_value = of_net.run({batch()})[0];
Jit by_jit = jit([](Vars in) { return std::vector<Var>{net(in[0])}; });
nn::Mlp trained = network();
nn::Adam adam(trained, {.lr = 1e-2});
nn::TrainStep step(adam, 1, [](Draw& d) { return mean(square(trained(d.normal({64, 4})))); });
const double first_loss = step.run();
const std::string refusal = error_of([] {
  Tape tape;
  late(tape.full(Shape{2}, 1));
});

const Unary late_op(
    {.name = "lifetimes_late", .reference = [](double x) { return x; }}, [](auto x) { return x; },
    [](Var t, Var, Var) { return t; });

// --- after main ---

// The first of all that are left to be destroyed, with a team: the process says so by its exit status.
struct LastWords {
  ~LastWords() {
    set_threads(2);
    step.run();
    if (same_bits(of_net.run({batch()})[0], planned_value) && same_bits(by_jit({batch()})[0], planned_value) &&
        same_bits(computed(net), values))
      return;
    std::fputs("a plan gave something else after main\n", stderr);
    std::_Exit(3);
  }
} last_words;

// Made in main, so that it is destroyed before the objects above.
LastWords& made_in_main() {
  static LastWords words;
  return words;
}

}  // namespace lifetimes

using namespace lifetimes;

BOOST_AUTO_TEST_CASE(every_op_of_the_library_exists_before_any_initialiser) {
  std::set<std::string> all = names_of(registry());
  BOOST_TEST(all.erase("lifetimes_late") == 1U);
  BOOST_TEST(registered.size() > 80U);
  BOOST_TEST(registered == all, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(objects_of_namespace_scope_compute_before_main) {
  const Threads guard(2);
  BOOST_TEST(same_bits(values, computed(network())));
  BOOST_TEST(same_bits(of_net.run({batch()})[0], planned_value));
  BOOST_TEST(same_bits(by_jit({batch()})[0], planned_value));
  BOOST_TEST(first_loss > 0);
  BOOST_TEST(step.number() == 1U);
  made_in_main();
}

BOOST_AUTO_TEST_CASE(an_op_that_does_not_exist_yet_is_refused) {
  BOOST_TEST(contains(refusal, "[record] this op does not exist: the initialiser of its object has not run yet"));
  BOOST_TEST(contains(refusal, "test_lifetimes.cpp:"), refusal);
  Tape tape;
  BOOST_TEST(late(tape.full(Shape{2}, 3)).value().at(1) == 3);
  // Nor one that is gone.
  std::optional<const Unary> passing(std::in_place, UnaryRow{.name = "lifetimes_passing", .reference = nullptr},
                                     [](auto x) { return x; });
  const Op& op = *passing;
  record(op, {tape.full(Shape{2}, 3)});
  passing.reset();
  BOOST_TEST(contains(error_of([&] { record(op, {tape.full(Shape{2}, 3)}); }), "[record] this op does not exist"));
}

// --- objects that were moved from ---

BOOST_AUTO_TEST_CASE(an_array_that_was_moved_from_is_empty) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::i32}) {
    Array from = random_array(dtype, {3, 2}, 1, 0, 100);
    const Array kept = from, to = std::move(from);
    BOOST_TEST(same_bits(to, kept));
    BOOST_TEST((from.type() == Type{dtype, {0}}));
    BOOST_TEST(from.raw() != nullptr);
    Array copy = from;  // as an operand, a copy, a cast, an input
    copy = from;
    const Array again = std::move(from);
    BOOST_TEST(same_bits(again, copy));
    BOOST_TEST(from.cast(Dtype::f64).size() == 0);
    Tape tape;
    BOOST_TEST(sum(tape.input(from).tape().input(from.cast(Dtype::f32))).item() == 0);
    Plan of_nothing = compile([](Vars in) { return std::vector<Var>{in[0]}; }, {from.type()});
    BOOST_TEST(of_nothing.run({from})[0].size() == 0);
    from = kept;  // and filled again
    BOOST_TEST(same_bits(from, kept));
  }
}

BOOST_AUTO_TEST_CASE(a_plan_that_was_moved_from_says_so) {
  Plan from = planned(net), to = std::move(from);
  const Array x = batch();
  const PlanInput input(x);
  const std::string wanted = "[plan] this Plan was moved from";
  BOOST_TEST(error_of([&] { from.run({x}); }) == wanted);
  BOOST_TEST(error_of([&] { from.run({&input, 1}, [](int, int, Barrier&) {}); }) == wanted);
  BOOST_TEST(error_of([&] { from.accumulate({x}); }) == wanted);
  BOOST_TEST(error_of([&] { from.outputs(); }) == wanted);
  BOOST_TEST(error_of([&] { from.explain(); }) == wanted);
  BOOST_TEST(error_of([&] { from.bytes(); }) == wanted);
  BOOST_TEST(error_of([&] { from.profile({x}); }) == wanted);
  Plan again = std::move(from);
  BOOST_TEST(error_of([&] { again.run({x}); }) == wanted);
  from = std::move(to);
  BOOST_TEST(same_bits(from.run({x})[0], planned_value));
}

BOOST_AUTO_TEST_CASE(a_jit_that_was_moved_from_says_so) {
  Jit from = jit([](Vars in) { return std::vector<Var>{net(in[0])}; });
  const Array x = batch();
  from({x});
  Jit to = std::move(from);
  BOOST_TEST(error_of([&] { from({x}); }) == "[jit] this Jit was moved from");
  BOOST_TEST(from.plans() == 0U);
  BOOST_TEST(same_bits(to({x})[0], planned_value));
  from = std::move(to);
  BOOST_TEST(same_bits(from({x})[0], planned_value));
  BOOST_TEST(error_of([] { jit({}); }) == "[jit] got an empty function");
  BOOST_TEST(error_of([] { compile({}, {Type{}}); }) == "[compile] got an empty function");
}

// What holds memory of its own stays where it was made; what is copied in a move is as good as before.
template <class... Ts>
constexpr bool stay = (... && !(std::is_move_constructible_v<Ts> || std::is_move_assignable_v<Ts>));
template <class... Ts>
constexpr bool are_copied = (... && std::is_trivially_move_constructible_v<Ts>);
static_assert(stay<Tape, Scope, Origin, Arena, Op, Barrier, FloatingPointMode, OneThread>);
static_assert(are_copied<Var, Operand, Where, Shape, Type, Attributes, PlanInput, Draw, Rng, Call, Rows, Cost>);

BOOST_AUTO_TEST_CASE(other_objects_that_were_moved_from) {
  Tape tape;
  const Var x = tape.full(Shape{2}, 3);
  Program from(tape, tape.size(), x), to = std::move(from);
  BOOST_TEST(to.replay(tape, to.captured(tape))[0].value().at(0) == 3);
  BOOST_TEST(from.captured(tape).empty());
  Error error("text"), moved = std::move(error);
  BOOST_TEST(std::string(moved.what()) == "text");
  BOOST_TEST(std::string(error.what()).size() <= 4U);
}

// Elements of an array without a name are gone before anybody could read them.
template <class A>
concept spans = requires(A&& array) {
  std::forward<A>(array).template data<float>();
};
static_assert(spans<Array&> && spans<const Array&> && !spans<Array> && !spans<const Array>);
template <class P>
concept runs = requires(P&& p) {
  std::forward<P>(p).run();
};
template <class P>
concept has_outputs = requires(P&& p) {
  std::forward<P>(p).outputs();
};
static_assert(runs<Plan&> && !runs<Plan> && has_outputs<const Plan&> && !has_outputs<Plan>);
template <class J>
concept serves = requires(J&& f, std::span<const PlanInput> in) {
  std::forward<J>(f).plan_for(in);
};
static_assert(serves<Jit&> && !serves<Jit>);
static_assert(!std::is_reference_v<decltype(std::declval<Array>().type())>);
static_assert(!std::is_reference_v<decltype(std::declval<Array>().shape())>);
