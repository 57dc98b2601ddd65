// vmap against loops, checkpoint against the function itself, custom derivatives against their rule.
#define BOOST_TEST_MODULE transforms
#include <boost/test/unit_test.hpp>

#include <cstring>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using parity::check_close;

namespace {

auto says(const std::string& part) {
  return [part](const Error& e) {
    BOOST_TEST_MESSAGE(e.what());
    return std::string(e.what()).find(part) != std::string::npos;
  };
}

Var normal(Tape& tape, const Shape& shape, std::uint64_t seed) {
  return tape.input(Rng(seed).normal({tape.dtype(), shape}));
}
Var row_of(Var x, Index i) { return reshape(slice(x, 0, i, i + 1), x.shape().trailing(x.rank() - 1)); }

nn::Mlp network(Dtype dtype = Dtype::f64) {
  Rng rng(2);
  return nn::Mlp({.in = 3, .hidden = {16, 16}, .out = 2, .activation = tanh, .dtype = dtype}, rng);
}

bool same_bits(Var a, Var b) {
  return a.type() == b.type() && std::memcmp(a.value().raw(), b.value().raw(), a.type().bytes()) == 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(vmap_of_many_kinds_of_op_agrees_with_a_loop) {
  Tape tape(Dtype::f64);
  const Var x = normal(tape, {4, 3}, 1), y = normal(tape, {4, 2, 3}, 2), shared = normal(tape, {2, 3}, 3);
  const std::vector<FunctionOfMany> functions{
      [](std::span<const Var> s) { return sum(square(s[0])) + 0 * sum(s[1]); },
      [](std::span<const Var> s) { return s[0] * s[1]; },  // ranks 1 and 2
      [&](std::span<const Var> s) { return matmul(s[1], shared, {.transpose_b = true}) + sum(s[0]); },
      [&](std::span<const Var> s) {
        return concat({s[1], shared, reshape(s[0], {1, 3})}, 0);
      },
      [&](std::span<const Var> s) {
        return transpose(s[1]) + broadcast_to(sum(s[1]), {3, 2});
      },
      [&](std::span<const Var> s) { return where(s[0] > 0, slice(s[1], 0, 0, 1), shared); },
      [&](std::span<const Var> s) {
        return grad(sum(tanh(matmul(s[1], reshape(s[0], {3, 1})))), s[0]);
      },
      [&](std::span<const Var> s) { return mean(s[1], {0}) / sum(s[1], {1}, {.keepdims = true}) + 0 * s[0]; },
      [&](std::span<const Var> s) { return 0 * s[0] + jvp([&](Var z) { return sin(z) * s[1]; }, s[0], s[0]).tangent; },
  };
  for (std::size_t f = 0; f < functions.size(); ++f) {
    const Array together = vmap(functions[f], {x, y}).value();
    for (Index i = 0; i < 4; ++i) {
      const Array alone = functions[f](std::vector<Var>{row_of(x, i), row_of(y, i)}).value();
      check_close(parity::row(together, i, alone.shape()), alone, 1e-13,
                  "function " + std::to_string(f) + ", slice " + std::to_string(i));
    }
  }
}

BOOST_AUTO_TEST_CASE(per_sample_gradients) {
  Tape tape(Dtype::f64);
  const nn::Mlp net = network();
  const Var x = normal(tape, {5, 3}, 1), target = normal(tape, {5, 2}, 2);
  const Var w = net.parameters()[2].second->on(tape);
  const auto loss = [&](Var input, Var wanted) { return sum(square(net(reshape(input, {1, 3})) - wanted)); };
  const Var each = vmap([&](std::span<const Var> s) { return grad(loss(s[0], s[1]), w); }, {x, target});
  BOOST_TEST((each.shape() == Shape{5, 16, 16}));
  for (Index i = 0; i < 5; ++i)
    check_close(parity::row(each.value(), i, {16, 16}), grad(loss(row_of(x, i), row_of(target, i)), w).value(), 1e-13,
                "sample");
  check_close(sum(each, 0).value(), grad(sum(square(net(x) - target)), w).value(), 1e-13, "their sum");
  // And they can be differentiated: d/dx of the sum of squared gradients.
  const Var g = grad(sum(square(each)), x);
  const Var alone = identity(row_of(x, 2));
  check_close(parity::row(g.value(), 2, {3}), grad(sum(square(grad(loss(alone, row_of(target, 2)), w))), alone).value(),
              1e-12, "second order");
}

BOOST_AUTO_TEST_CASE(vmap_leaves_nothing_behind_and_refuses_what_it_must) {
  Tape tape(Dtype::f64);
  const Var x = normal(tape, {4, 3}, 1);
  const std::uint32_t before = tape.size();
  const Var y = vmap([](Var s) { return sum(square(s)); }, x);
  BOOST_TEST(tape.size() == before + 2);  // square and sum, once
  BOOST_TEST(y.size() == 4);
  check_close(vmap([&](Var) { return sum(x); }, x).value(), broadcast_to(sum(x), {4}).value(), 0,
              "a constant function");
  BOOST_CHECK_EXCEPTION(
      vmap([](std::span<const Var> s) { return s[0]; }, {x, normal(tape, {3}, 1)}), Error,
      says("[vmap] arguments need one first extent, at least 1, in common: got [3] after 4  (test_transforms.cpp:"));
  const Function inner = [](Var s) { return checkpoint([](Var z) { return sum(sin(z)); }, s); };
  BOOST_CHECK_EXCEPTION(vmap(inner, x), Error, says("[vmap] cannot take a batch through checkpoint"));
}

BOOST_AUTO_TEST_CASE(checkpoint_keeps_values_and_gradients_to_the_bit) {
  const nn::Mlp net = network(Dtype::f32);
  Tape tape;
  const Var x = normal(tape, {6, 3}, 1), scale = normal(tape, {6, 2}, 4);
  const Function f = [&](Var z) { return net(z) * scale; };
  const Var kept = f(x), dropped = checkpoint(f, x);
  BOOST_TEST(same_bits(kept, dropped));
  const Var w = net.parameters()[2].second->on(tape);
  const std::vector<Var> xs{x, scale, w};
  const auto wanted = grad(sum(square(kept)), xs), got = grad(sum(square(dropped)), xs);
  for (std::size_t i = 0; i < xs.size(); ++i) BOOST_TEST(same_bits(wanted[i], got[i]));
}

BOOST_AUTO_TEST_CASE(checkpoint_finds_parameters_first_read_inside_and_second_derivatives) {
  const nn::Mlp net = network();
  Tape kept_tape(Dtype::f64), tape(Dtype::f64);
  const auto second = [&](Tape& on, bool drop) {
    const Var x = normal(on, {6, 3}, 1);
    const Function f = [&](Var z) { return net(z); };
    const Function inside = [&](Var z) { return square(checkpoint(f, z)); };  // one within another
    const Var y = drop ? checkpoint(inside, x) : square(f(x));
    const Var w = net.parameters()[0].second->on(on);
    const Var g = grad(sum(y), w);
    return std::pair(g.value(), grad(sum(square(g)), w).value());
  };
  const auto wanted = second(kept_tape, false), got = second(tape, true);
  check_close(got.first, wanted.first, 1e-14, "first");
  check_close(got.second, wanted.second, 1e-13, "second");
  BOOST_TEST(std::abs(wanted.first.at(0)) > 0);
}

BOOST_AUTO_TEST_CASE(checkpoint_holds_fewer_bytes) {
  const nn::Mlp net = network();
  const auto bytes = [&](bool drop) {
    Tape tape(Dtype::f64);
    Var x = normal(tape, {512, 3}, 1);
    for (int layer = 0; layer < 4; ++layer) {
      const Function f = [&](Var z) { return concat({net(z), slice(z, 1, 2)}, 1); };
      x = drop ? checkpoint(f, x) : f(x);
    }
    return tape.bytes();
  };
  BOOST_TEST(static_cast<double>(bytes(true)) < 0.15 * static_cast<double>(bytes(false)));
}

BOOST_AUTO_TEST_CASE(checkpoint_in_forward_mode_and_divergence) {
  Tape tape(Dtype::f64);
  Rng rng(6);
  const nn::Mlp net({.in = 2, .hidden = {9}, .out = 2, .activation = silu, .dtype = Dtype::f64}, rng);
  const Var x = normal(tape, {7, 2}, 1);
  const Function f = [&](Var z) { return net(z); }, g = [&](Var z) { return checkpoint(f, z); };
  check_close(divergence(g, x).value(), divergence(f, x).value(), 1e-14, "divergence");
  check_close(hvp([&](Var z) { return sum(square(g(z))); }, x, x).value(),
              hvp([&](Var z) { return sum(square(f(z))); }, x, x).value(), 1e-13, "hvp");
  const Function mixes = [&](Var z) {
    return checkpoint([](Var q) { return q - mean(q, {0}, {.keepdims = true}); }, z);
  };
  BOOST_CHECK_EXCEPTION(divergence(mixes, x), Error, says("[checkpoint] mixes rows"));
}

BOOST_AUTO_TEST_CASE(a_custom_derivative_is_used_in_both_modes) {
  Tape tape(Dtype::f64);
  const Var x = normal(tape, {3}, 1);
  // A rounding with the derivative of the identity, times two.
  const Function f = [](Var z) {
    return custom_derivative([](Var q) { return 0.5 * sign(q); }, [](Var, Var, Var g) { return 2 * g; }, z);
  };
  check_close(f(x).value(), (0.5 * sign(x)).value(), 0, "value");
  check_close(grad(sum(f(x) * x), x).value(), (2 * x + 0.5 * sign(x)).value(), 1e-15, "reverse");
  check_close(jvp(f, x, x).tangent.value(), (2 * x).value(), 1e-15, "forward");
  // A rule that depends on x differentiates again.
  const Function cube = [](Var z) {
    return custom_derivative([](Var q) { return q * q * q; }, [](Var q, Var, Var g) { return 3 * g * square(q); }, z);
  };
  check_close(hvp([&](Var z) { return sum(cube(z)); }, x, x).value(), (6 * square(x)).value(), 1e-14, "second");
  const Function wrong = [](Var z) {
    return custom_derivative([](Var q) { return q; }, [](Var, Var, Var g) { return sum(g); }, z);
  };
  BOOST_CHECK_EXCEPTION(grad(sum(wrong(x)), x), Error,
                        says("[custom_derivative] the rule's cotangent must be of x's type f64 [3], got f64 []"));
}
