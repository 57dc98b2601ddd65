// Derivatives by grad and vjp against what is known on paper.
#define BOOST_TEST_MODULE derivatives
#include "autodiff/derivatives.hpp"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "autodiff/testing/check.hpp"
#include "autodiff/transforms.hpp"
#include "tests/autodiff/on_paper.hpp"

using namespace wengert;
using namespace wengert::testing;
namespace tt = boost::test_tools;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

}  // namespace

BOOST_FIXTURE_TEST_CASE(one_use, F64) {
  const Var x = in({3}, {1, -2, 0.5});
  close(numbers(grad(sum(square(x)), x)), {2, -4, 1});
  close(numbers(grad(sum(exp(x) * 3), x)), {3 * std::exp(1.0), 3 * std::exp(-2.0), 3 * std::exp(0.5)});
  close(numbers(grad(mean(sin(x)), x)), {std::cos(1.0) / 3, std::cos(-2.0) / 3, std::cos(0.5) / 3});
  close(numbers(grad(sum(1 / x), x)), {-1, -0.25, -4});
  close(numbers(grad(sum(2 - x), x)), {-1, -1, -1});
}

BOOST_FIXTURE_TEST_CASE(many_uses_and_shared_parts, F64) {
  const Var x = number(1.3), y = x * x, z = y * y + y;  // x^4 + x^2, y shared
  close(numbers(grad(z, x)), {4 * std::pow(1.3, 3) + 2 * 1.3}, 1e-12);
  Var power = number(1.1);
  const Var base = power;
  for (int i = 0; i < 9; ++i) power = power * base;  // x^10
  close(numbers(grad(power, base)), {10 * std::pow(1.1, 9)}, 1e-12);
  Var doubled = x;
  for (int i = 0; i < 40; ++i) doubled = doubled + doubled;  // 2^40 paths, 40 nodes
  close(numbers(grad(doubled, x)), {std::ldexp(1.0, 40)});
  close(numbers(grad(mul(x, x), x)), {2.6});
}

BOOST_FIXTURE_TEST_CASE(itself_and_what_it_does_not_depend_on, F64) {
  const Var x = number(3), other = in({2, 3}, {1, 2, 3, 4, 5, 6}), y = exp(x);
  close(numbers(grad(x, x)), {1});
  const Var zeros = grad(y, other);
  BOOST_TEST((zeros.type() == other.type()));
  close(numbers(zeros), Numbers(6, 0.0));
  const Var single = tape.input(Array(Dtype::f32, {4}));
  BOOST_TEST((grad(y, single).type() == Type{Dtype::f32, {4}}));
  const Var later = identity(x);  // recorded after y
  close(numbers(grad(y, later)), {0});
  close(numbers(grad(tape.full(Shape{}, 2), x)), {0});
  // Together with one that it depends on, and named twice.
  const auto both = grad(y, {other, x, x});
  close(numbers(both[0]), Numbers(6, 0.0));
  close(numbers(both[1]), {std::exp(3.0)}, 1e-12);
  close(numbers(both[2]), {std::exp(3.0)}, 1e-12);
  BOOST_TEST(grad(y, std::span<const Var>{}).empty());
}

BOOST_FIXTURE_TEST_CASE(forward_mode_of_the_identity, F64) {
  const Var x = in({2, 3}, {1, 2, 3, 4, 5, 6}), v = in({2, 3}, {6, 5, 4, 3, 2, 1});
  const Function same = [](Var z) { return z; };
  close(numbers(jvp(same, x, v).tangent), {6, 5, 4, 3, 2, 1});
  close(numbers(divergence(same, x)), {3, 3});
  close(numbers(value_and_divergence(same, x).value), {1, 2, 3, 4, 5, 6});
  const Var y = in({2}, {1, 2});
  close(numbers(jacobian(same, y)), {1, 0, 0, 1});
  // Of a constant nothing moves.
  close(numbers(jvp([&](Var) { return y; }, x, v).tangent), {0, 0});
  close(numbers(divergence([&](Var) { return x; }, x)), {0, 0});
}

BOOST_FIXTURE_TEST_CASE(a_one_element_loss_of_any_rank, F64) {
  const Var x = in({1, 1}, {2});
  close(numbers(grad(square(x), x)), {4});
  BOOST_TEST((grad(square(x), x).shape() == Shape{1, 1}));
}

BOOST_FIXTURE_TEST_CASE(higher_orders, F64) {
  const Var x = number(0.7);
  const auto nth = [&](Var y, int n) {
    for (int i = 0; i < n; ++i) y = grad(y, x);
    return y.item();
  };
  for (int n = 0; n <= 4; ++n) {
    BOOST_TEST(nth(exp(x), n) == std::exp(0.7), tt::tolerance(1e-13));
    const double sine[] = {std::sin(0.7), std::cos(0.7), -std::sin(0.7), -std::cos(0.7)};
    BOOST_TEST(nth(sin(x), n) == sine[n % 4], tt::tolerance(1e-13));
  }
  const Var fifth = x * x * x * x * x;
  const double wanted[] = {std::pow(0.7, 5), 5 * std::pow(0.7, 4), 20 * std::pow(0.7, 3), 60 * 0.49, 120 * 0.7, 120, 0};
  for (int n = 0; n <= 6; ++n) close({nth(fifth, n)}, {wanted[n]}, 1e-11);
  // log: -(-1)^n (n - 1)! / x^n
  close({nth(log(x), 3)}, {2 / std::pow(0.7, 3)}, 1e-11);
  // tanh''' = -2 (1 - t^2) (1 - 3 t^2)
  const double t2 = std::pow(std::tanh(0.7), 2);
  close({nth(tanh(x), 3)}, {-2 * (1 - t2) * (1 - 3 * t2)}, 1e-12);
  close({nth(sqrt(x), 2)}, {-0.25 * std::pow(0.7, -1.5)}, 1e-12);
}

BOOST_FIXTURE_TEST_CASE(mixed_second_derivatives_commute, F64) {
  const Var x = number(0.4), y = number(-1.2), f = sin(x * y) + exp(x) / (1 + square(y));
  close(numbers(grad(grad(f, x), y)), numbers(grad(grad(f, y), x)), 1e-14);
  const double s = std::sin(-0.48), c = std::cos(-0.48), b = 1 + 1.44;
  close(numbers(grad(grad(f, x), y)), {c - 0.4 * -1.2 * s - std::exp(0.4) * 2 * -1.2 / (b * b)}, 1e-13);
}

BOOST_FIXTURE_TEST_CASE(a_gradient_can_be_part_of_a_loss, F64) {
  // The loss of a gradient penalty: d/dx of |grad f|^2 with f = sum x^3 is 36 x^3.
  const Var x = in({3}, {1, 2, -1});
  const Var penalty = sum(square(grad(sum(x * x * x), x)));
  close(numbers(grad(penalty, x)), {36, 288, -36}, 1e-11);
}

BOOST_FIXTURE_TEST_CASE(stop_gradient_is_a_constant, F64) {
  const Var x = number(3);
  close(numbers(grad(stop_gradient(x) * x, x)), {3});
  close(numbers(grad(stop_gradient(exp(x)), x)), {0});
  const Var g = grad(x * x * stop_gradient(x), x);  // 2 x c
  close({g.item(), grad(g, x).item()}, {18, 6});
}

BOOST_FIXTURE_TEST_CASE(by_an_intermediate_node, F64) {
  const Var x = in({2}, {1, 2}), h = square(x), y = sum(exp(h) * x);
  close(numbers(grad(y, h)), {std::exp(1.0), 2 * std::exp(4.0)}, 1e-12);
  // A fresh identity separates one use of x from the others.
  const Var z = identity(x), f = sum(z * x * x);
  close(numbers(grad(f, z)), {1, 4});
  close(numbers(grad(f, x)), {3, 12});
}

BOOST_FIXTURE_TEST_CASE(refusals, F64) {
  const Var x = in({3}, {1, 2, 3});
  int line = __LINE__ + 1;
  std::string text = error_of([&] { grad(square(x), x); });
  const auto here = [&] { return fmt::format("(test_derivatives.cpp:{})", line); };
  BOOST_TEST(text == "[grad] needs a float of one element to differentiate, got f64 [3]  " + here());
  line = __LINE__ + 1;
  text = error_of([&] { grad(cast(sum(x), Dtype::i32), x); });
  BOOST_TEST(text == "[grad] needs a float of one element to differentiate, got i32 []  " + here());
  line = __LINE__ + 1;
  text = error_of([&] { vjp(square(x), sum(x), std::vector<Var>{x}); });
  BOOST_TEST(text == "[vjp] the cotangent must be of y's type f64 [3], got f64 []  " + here());
  line = __LINE__ + 1;
  text = error_of([&] { vjp(square(x), cast(x, Dtype::f32), std::vector<Var>{x}); });
  BOOST_TEST(text == "[vjp] the cotangent must be of y's type f64 [3], got f32 [3]  " + here());
  BOOST_TEST(contains(error_of([&] { vjp(square(x), 1, std::vector<Var>{x}); }), "got a number"));
  line = __LINE__ + 1;
  BOOST_TEST(contains(error_of([&] { grad(3.0, x); }), here()));  // a number is on no tape
}

BOOST_FIXTURE_TEST_CASE(integers_have_no_derivative, F64) {
  const Var i = tape.input(Array::of<std::int32_t>({2}, {3, 5})), x = in({2}, {1, 2});
  const Var scale = cast(i, Dtype::f64), y = sum(scale * scale * x);
  close(numbers(grad(y, x)), {9, 25});
  close(numbers(grad(y, scale)), {6, 20});
  // By the integers themselves: zeros of their type, as for anything that y does not depend on smoothly.
  const Var g = grad(y, i);
  BOOST_TEST((g.type() == i.type()));
  close(numbers(g), {0, 0});
  close(numbers(grad(sum(cast(cast(x * 1.5, Dtype::i32), Dtype::f64) * x), x)), {1, 3});  // a step function is flat
}

BOOST_FIXTURE_TEST_CASE(broadcasting_is_undone_by_sums, F64) {
  const Var x = in({2, 3}, {1, 2, 3, 4, 5, 6}), row = in({3}, {1, 10, 100}), column = in({2, 1}, {2, 3}),
            one = number(5);
  const Var y = sum(x * row * column + one * column);
  const auto g = grad(y, {x, row, column, one});
  close(numbers(g[0]), {2, 20, 200, 3, 30, 300});
  close(numbers(g[1]), {2 * 1 + 3 * 4, 2 * 2 + 3 * 5, 2 * 3 + 3 * 6});
  close(numbers(g[2]), {321 + 3 * 5, 654 + 3 * 5});  // the last product is broadcast over three columns
  close(numbers(g[3]), {3 * (2 + 3)});
  for (std::size_t i = 0; i < 4; ++i) BOOST_TEST((g[i].shape() == std::vector<Shape>{{2, 3}, {3}, {2, 1}, {}}[i]));
  const Var deep = in({1, 1, 2}, {1, 2}), wide = in({3, 4, 1}, Numbers(12, 0.5));
  close(numbers(grad(sum(deep * wide), deep)), {6, 6});
  close(numbers(grad(sum(deep * wide), wide)), Numbers(12, 3.0));
  const Var empty = in({0, 3}, {});
  close(numbers(grad(sum(empty + row), row)), {0, 0, 0});  // a sum over nothing
}

BOOST_FIXTURE_TEST_CASE(reductions_shapes_and_parts, F64) {
  const Var x = in({2, 3}, {1, 2, 3, 4, 5, 6});
  const Var weights = in({3, 2}, {1, 2, 3, 4, 5, 6});
  close(numbers(grad(sum(transpose(x) * weights), x)), {1, 3, 5, 2, 4, 6});
  close(numbers(grad(sum(reshape(x, {3, 2}) * weights), x)), {1, 2, 3, 4, 5, 6});
  close(numbers(grad(sum(slice(x, 1, 0, to_end, 2)), x)), {1, 0, 1, 1, 0, 1});
  close(numbers(grad(sum(square(sum(x, 0))), x)), {10, 14, 18, 10, 14, 18});
  close(numbers(grad(sum(square(mean(x, 1, {.keepdims = true}))), x)),
        {4. / 3, 4. / 3, 4. / 3, 10. / 3, 10. / 3, 10. / 3});
  const Var time = in({1, 1}, {2});
  const Var both = concat({x, time}, 1);  // the time serves both rows
  close(numbers(grad(sum(both * in({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8})), time)), {12});
  close(numbers(grad(sum(square(broadcast_to(time, {5, 4}))), time)), {80});
}

BOOST_FIXTURE_TEST_CASE(a_vjp_with_a_given_cotangent, F64) {
  const Var x = in({2}, {3, 4}), w = in({2, 2}, {1, 2, 3, 4});
  const Var y = matmul(w, reshape(x, {2, 1})), v = in({2, 1}, {10, 100});
  const auto g = vjp(y, v, std::vector<Var>{x, w});
  close(numbers(g[0]), {10 + 300, 20 + 400});
  close(numbers(g[1]), {30, 40, 300, 400});
  // The result is differentiable by the cotangent too: the Jacobian's transpose.
  close(numbers(grad(sum(g[0] * x), v)), {3 * 1 + 4 * 2, 3 * 3 + 4 * 4});
  close(numbers(vjp(x, x, std::vector<Var>{x})[0]), {3, 4});
}

BOOST_AUTO_TEST_CASE(casts_pass_derivatives_between_precisions) {
  Tape tape;
  const Var x = tape.input(Array::of<float>({2}, {1.5f, -2}));
  const Var y = sum(square(cast(x, Dtype::f64)) * 3);
  BOOST_TEST((y.dtype() == Dtype::f64));
  const Var g = grad(y, x);
  BOOST_TEST((g.type() == x.type()));
  close(numbers(g), {9, -12});
  const Var wide = tape.input(Array::of<double>({2}, {0.1, 0.2}));
  const Var h = grad(sum(square(cast(wide, Dtype::f32))), wide);
  BOOST_TEST((h.dtype() == Dtype::f64));
  close(numbers(h), {0.2f, 0.4f});
  const Var second = grad(sum(square(h)), wide);
  BOOST_TEST((second.dtype() == Dtype::f64));
  close(numbers(second), {0.8f, 1.6f}, 1e-6);
}

BOOST_FIXTURE_TEST_CASE(what_a_choice_does_not_take_stays_out, F64) {
  const Var x = in({3}, {-1, 4, 9}), positive = greater(x, 0);
  // The logarithm of -1 is NaN; neither the value nor the derivative sees it.
  const Var y = sum(where(positive, log(x), x * 7));
  close({y.item()}, {-7 + std::log(4.0) + std::log(9.0)}, 1e-12);
  close(numbers(grad(y, x)), {7, 1. / 4, 1. / 9});
  // A derivative that is NaN itself is kept out by choosing before and after, as everywhere.
  const Var safe = where(positive, sqrt(where(positive, x, 1)), 0);
  close(numbers(grad(sum(safe), x)), {0, 1. / 4, 1. / 6});
  const Var a = in({2}, {1, 2}), b = in({2}, {inf, std::nan("")});
  close(numbers(grad(sum(where(in({2}, {1, 1}), a, b)), a)), {1, 1});
  close(numbers(grad(sum(where(in({2}, {1, 1}), a, b)), b)), {0, 0});
  // The condition is flat, even under an infinite cotangent.
  const Var c = in({2}, {1, 0});
  close(numbers(grad(sum(log(where(c, in({2}, {0, 1}), 1))), c)), {0, 0});
}

BOOST_FIXTURE_TEST_CASE(kinks_and_ties_follow_their_conventions, F64) {
  const Var x = in({3}, {-1, 0, 2}), y = in({3}, {-1, 1, 1});
  close(numbers(grad(sum(relu(x)), x)), {0, 0, 1});
  close(numbers(grad(sum(abs(x)), x)), {-1, 0, 1});
  close(numbers(grad(sum(maximum(x, y)), x)), {0.5, 0, 1});
  close(numbers(grad(sum(maximum(x, y)), y)), {0.5, 1, 0});
  close(numbers(grad(sum(minimum(x, y)), x)), {0.5, 1, 0});
  close(numbers(grad(sum(maximum(x, x)), x)), {1, 1, 1});
  close(numbers(grad(sum(clip(x, -1, 1)), x)), {1, 1, 0});
  close(numbers(grad(sum(greater(x, 0) * x), x)), {0, 0, 1});
}

namespace {

// f(x) = sum_i v_i tanh(w_i . x): its gradient and Hessian are known.
struct Small {
  static constexpr Index hidden = 5, in = 3;
  Array w = random_array(Dtype::f64, {hidden, in}, 1), v = random_array(Dtype::f64, {hidden}, 2),
        x = random_array(Dtype::f64, {in}, 3), p = random_array(Dtype::f64, {in}, 4);

  double w_at(Index i, Index j) const { return w.at(i * in + j); }
  double t(Index i) const {
    double z = 0;
    for (Index j = 0; j < in; ++j) z += w_at(i, j) * x.at(j);
    return std::tanh(z);
  }
  double hessian(Index a, Index b) const {
    double total = 0;
    for (Index i = 0; i < hidden; ++i) total += v.at(i) * -2 * t(i) * (1 - t(i) * t(i)) * w_at(i, a) * w_at(i, b);
    return total;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(hessian_vector_products_by_differentiating_twice) {
  const Small f;
  Tape tape(Dtype::f64);
  const Var x = tape.input(f.x), w = tape.input(f.w), v = tape.input(f.v), p = tape.input(f.p);
  const Var y = sum(v * reshape(tanh(matmul(w, reshape(x, {3, 1}))), {5}));
  const Var product = grad(sum(grad(y, x) * p), x);
  for (Index a = 0; a < 3; ++a) {
    double wanted = 0;
    for (Index b = 0; b < 3; ++b) wanted += f.hessian(a, b) * f.p.at(b);
    BOOST_TEST(product.value().at(a) == wanted, tt::tolerance(1e-12));
  }
  // The derivative of p'Hp by the outer weights: differentiation to the third order, across operands.
  const Var by_v = grad(sum(product * p), v);
  for (Index i = 0; i < 5; ++i) {
    double along = 0;
    for (Index b = 0; b < 3; ++b) along += f.w_at(i, b) * f.p.at(b);
    BOOST_TEST(by_v.value().at(i) == -2 * f.t(i) * (1 - f.t(i) * f.t(i)) * along * along, tt::tolerance(1e-12));
  }
}

BOOST_FIXTURE_TEST_CASE(nodes_of_a_derivative_know_their_origin, F64) {
  const Var x = in({2}, {1, 2}), t = tanh(x), y = sum(t);
  const std::uint32_t forward = tape.size();
  const Var g = grad(y, x);
  for (std::uint32_t i = 0; i < forward; ++i) BOOST_TEST((tape.node(i).origin == Node::none));
  BOOST_TEST(tape.node(tape.index_of(g, {})).origin == tape.index_of(t, {}));
  const std::uint32_t before = tape.size();
  grad(sum(g), x);  // its nodes come from nodes of the first derivative, or from tanh
  std::size_t known = 0;
  for (std::uint32_t i = before; i < tape.size(); ++i) known += tape.node(i).origin != Node::none;
  BOOST_TEST(known > 3U);
  const Var after = exp(x);
  BOOST_TEST((tape.node(tape.index_of(after, {})).origin == Node::none));
}

BOOST_FIXTURE_TEST_CASE(only_nodes_on_a_path_are_differentiated, F64) {
  const Var x = number(2), side = number(3);
  Var aside = side;
  for (int i = 0; i < 100; ++i) aside = exp(aside * 0.5);
  const Var y = x * x + aside;
  const std::uint32_t before = tape.size();
  close(numbers(grad(y, x)), {4});
  BOOST_TEST(tape.size() - before < 10U);
}

BOOST_AUTO_TEST_CASE(a_symbolic_tape_records_the_same_derivative) {
  const auto build = [](Tape& tape) {
    const Var x = tape.input(random_array(Dtype::f32, {3, 4}, 1));
    const Var w = tape.input(random_array(Dtype::f32, {4, 2}, 2));
    const Var g = grad(mean(square(silu(matmul(x, w)))), w);
    return grad(sum(square(g)), x);
  };
  Tape eager, symbolic(Dtype::f32, Tape::Mode::symbolic);
  BOOST_TEST((build(eager).type() == build(symbolic).type()));
  BOOST_TEST(eager.list() == symbolic.list());
}
