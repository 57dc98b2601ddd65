// Operators on functions: oracles, one mode against the other, composition, and refusals.
#define BOOST_TEST_MODULE operators
#include <boost/test/unit_test.hpp>

#include <cmath>

#include "autodiff/autodiff.hpp"
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

// A small network with everything on the path: products, biases, a concatenated time, a slice, several activations.
struct Network {
  explicit Network(Tape& on, Index d = 3) : tape(on) {
    Rng rng(3);
    w1 = tape.input(rng.normal({tape.dtype(), {d + 1, 7}}));
    w2 = tape.input(rng.normal({tape.dtype(), {7, 6}}));
    w3 = tape.input(rng.normal({tape.dtype(), {5, d}}));
    b = tape.input(rng.normal({tape.dtype(), {7}}));
  }
  Var operator()(Var x) const {
    const Var t = tape.full(Shape{1, 1}, 0.3);
    const Var h = silu(matmul(concat({x, t}, 1), w1) + b);
    const Var k = tanh(slice(matmul(h, w2), 1, 1, 6)) * 0.5;
    return matmul(k, w3) / (1 + t) + 0.1 * x * sum(square(x), 1, {.keepdims = true});
  }
  Tape& tape;
  Var w1, w2, w3, b;
};

Var points(Tape& tape, Index rows = 5, Index d = 3, std::uint64_t seed = 8) {
  return tape.input(Rng(seed).normal({tape.dtype(), {rows, d}}));
}

// J[b,i,j] of rows by one vjp for each output
Array loop_of_vjps(const Function& f, Var x) {
  const Var y = f(x);
  const Index rows = x.extent(0), d = x.extent(1);
  Array result(Dtype::f64, {rows, d, d});
  for (Index i = 0; i < d; ++i) {
    const Array g = grad(sum(slice(y, 1, i, i + 1)), x).value();
    for (Index b = 0; b < rows; ++b)
      for (Index j = 0; j < d; ++j) result.set((b * d + i) * d + j, g.at(b * d + j));
  }
  return result;
}

Array trace_of(const Array& jacobians) {
  const Index rows = jacobians.shape()[0], d = jacobians.shape()[1];
  Array result(Dtype::f64, {rows});
  for (Index b = 0; b < rows; ++b)
    for (Index i = 0; i < d; ++i) result.set(b, result.at(b) + jacobians.at((b * d + i) * d + i));
  return result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(jvp_agrees_with_the_transposed_vjp) {
  Tape tape(Dtype::f64);
  const Network f(tape);
  const Var x = points(tape), v = points(tape, 5, 3, 21), u = points(tape, 5, 3, 22);
  const auto [y, tangent] = jvp(f, x, v);
  check_close(y.value(), f(x).value(), 0, "value");
  const Var x2 = identity(x);
  const Var pulled = vjp(f(x2), u, {&x2, 1})[0];
  check_close(sum(u * tangent).value(), sum(pulled * v).value(), 1e-13, "<u, Jv> = <J'u, v>");
}

BOOST_AUTO_TEST_CASE(hessian_of_a_quartic_form_and_hvp_three_ways) {
  Tape tape(Dtype::f64);
  const Network net(tape);
  const Function f = [&](Var x) { return sum(square(net(x))) + sum(square(x) * square(x)); };
  const Var x = points(tape, 2), v = points(tape, 2, 3, 5);
  const Array forward_over_reverse = hvp(f, x, v).value();
  const Var x2 = identity(x);
  const Array reverse_over_reverse = grad(sum(grad(f(x2), x2) * v), x2).value();
  const Array reverse_over_forward =
      value_and_grad([&](Var z) { return sum(jvp(f, z, v).tangent); }, x).gradient.value();
  check_close(reverse_over_reverse, forward_over_reverse, 1e-13, "reverse over reverse");
  check_close(reverse_over_forward, forward_over_reverse, 1e-13, "reverse over forward");
  const Var h = reshape(hessian(f, x), {6, 6});
  check_close(matmul(h, reshape(v, {6, 1})).value(), forward_over_reverse, 1e-13, "hessian times v");
  check_close(transpose(h).value(), h.value(), 1e-13, "symmetry");
  const Function quartic = [](Var z) { return sum(square(z) * square(z)); };
  const Var at = tape.input(Array::of<double>({2}, {1, 2}));
  check_close(hessian(quartic, at).value(), Array::of<double>({2, 2}, {12, 0, 0, 48}), 1e-15, "12 x^2");
}

BOOST_AUTO_TEST_CASE(jacobian_of_wide_and_of_tall_functions) {
  Tape tape(Dtype::f64);
  const Var a = tape.input(Rng(4).normal({Dtype::f64, {4, 2}})), x = tape.input(Rng(5).normal({Dtype::f64, {2, 1}}));
  check_close(jacobian([&](Var z) { return matmul(a, z); }, x).value(), a.value(), 1e-15, "tall");
  const Var y = tape.input(Rng(6).normal({Dtype::f64, {4, 1}}));
  check_close(jacobian([&](Var z) { return matmul(a, z, {.transpose_a = true}); }, y).value(), transpose(a).value(),
              1e-15, "wide");
  BOOST_TEST((jacobian([&](Var z) { return matmul(a, z); }, x).shape() == Shape{4, 1, 2, 1}));
  BOOST_TEST((jacobian([&](Var z) { return sum(z); }, x).shape() == Shape{2, 1}));
}

BOOST_AUTO_TEST_CASE(jacobians_by_the_mode_that_is_asked_for) {
  Tape tape(Dtype::f64);
  const Var a = tape.input(Rng(4).normal({Dtype::f64, {4, 2}}));
  const auto nodes = [&](const Function& f, Var at, JacobianMode mode) {
    const std::uint32_t before = tape.size();
    const Var j = jacobian(f, at, {.mode = mode});
    return std::pair(tape.size() - before, j.value());
  };
  const Function tall = [&](Var z) { return tanh(matmul(a, z)); };
  const Function wide = [&](Var z) { return tanh(matmul(a, z, {.transpose_a = true})); };
  for (const auto& [f, n, best] :
       {std::tuple(tall, Index{2}, JacobianMode::forward), std::tuple(wide, Index{4}, JacobianMode::reverse)}) {
    const Var x = tape.input(Rng(5).normal({Dtype::f64, {n, 1}}));
    const auto automatic = nodes(f, x, JacobianMode::automatic);
    const auto forward = nodes(f, x, JacobianMode::forward), reverse = nodes(f, x, JacobianMode::reverse);
    check_close(forward.second, reverse.second, 1e-14, "forward and reverse");
    BOOST_TEST(automatic.first == (best == JacobianMode::forward ? forward : reverse).first);
    BOOST_TEST(forward.first != reverse.first);
  }
}

BOOST_AUTO_TEST_CASE(functions_of_several_arguments) {
  Tape tape(Dtype::f64);
  const Var w = tape.input(Rng(1).normal({Dtype::f64, {2, 3}})), b = tape.input(Rng(2).normal({Dtype::f64, {2}}));
  const Var dw = tape.input(Rng(3).normal({Dtype::f64, {2, 3}})), db = tape.input(Rng(4).normal({Dtype::f64, {2}}));
  const Var x = tape.input(Rng(5).normal({Dtype::f64, {3}}));
  const FunctionOfMany layer = [&](std::span<const Var> in) { return tanh(matmul(in[0], x) + in[1]); };
  const FunctionOfMany energy = [&](std::span<const Var> in) { return sum(exp(layer(in)) * in[1]); };
  // The same of one argument, the others in one array after it.
  const Function joined_energy = [&](Var z) {
    const auto parts = split(z, {6, 2}, 0);
    return energy(std::array{reshape(parts[0], {2, 3}), parts[1]});
  };
  const Function joined_layer = [&](Var z) {
    const auto parts = split(z, {6, 2}, 0);
    return layer(std::array{reshape(parts[0], {2, 3}), parts[1]});
  };
  const auto join = [](Var first, Var second) { return concat({flatten(first), second}, 0); };
  const Var z = join(w, b), dz = join(dw, db);

  const auto [value, gradients] = value_and_grad(energy, {w, b});
  const auto [wanted, gradient] = value_and_grad(joined_energy, z);
  BOOST_TEST(value.item() == wanted.item());
  BOOST_TEST((gradients[0].shape() == w.shape()));
  check_close(join(gradients[0], gradients[1]).value(), gradient.value(), 1e-14, "gradient");

  const auto [y, tangent] = jvp(layer, {w, b}, {dw, db});
  check_close(y.value(), layer(std::array{w, b}).value(), 0, "value");
  check_close(tangent.value(), jvp(joined_layer, z, dz).tangent.value(), 1e-14, "tangent");

  const auto products = hvp(energy, {w, b}, {dw, db});
  check_close(join(products[0], products[1]).value(), hvp(joined_energy, z, dz).value(), 1e-13, "Hessian times v");

  const Array whole = jacobian(joined_layer, z).value();
  for (JacobianMode mode : {JacobianMode::automatic, JacobianMode::forward, JacobianMode::reverse}) {
    const auto blocks = jacobian(layer, {w, b}, {.mode = mode});
    BOOST_TEST((blocks[0].shape() == Shape{2, 2, 3}));
    check_close(concat({reshape(blocks[0], {2, 6}), blocks[1]}, 1).value(), whole, 1e-14, "Jacobian");
  }

  const auto second = hessian(energy, {w, b});
  BOOST_TEST((second[0][1].shape() == Shape{2, 3, 2}));
  const Var top = concat({reshape(second[0][0], {6, 6}), reshape(second[0][1], {6, 2})}, 1);
  const Var bottom = concat({reshape(second[1][0], {2, 6}), second[1][1]}, 1);
  check_close(concat({top, bottom}, 0).value(), hessian(joined_energy, z).value(), 1e-13, "Hessian");
}

BOOST_AUTO_TEST_CASE(an_argument_that_nothing_depends_on_has_zeros) {
  Tape tape(Dtype::f64);
  const Var x = points(tape, 2, 3), unused = points(tape, 4, 1);
  const FunctionOfMany f = [](std::span<const Var> in) { return sum(square(in[0])); };
  BOOST_TEST((value_and_grad(f, {x, unused}).gradients[1].shape() == Shape{4, 1}));
  BOOST_TEST(sum(abs(hvp(f, {x, unused}, {x, unused})[1])).item() == 0);
  BOOST_TEST((hessian(f, {x, unused})[1][0].shape() == Shape{4, 1, 2, 3}));
  BOOST_TEST((jacobian(f, {unused, x}, {.mode = JacobianMode::forward})[1].shape() == Shape{2, 3}));
  const std::vector<Var> same{x, x};  // one node twice: each is an argument of its own
  const FunctionOfMany product = [](std::span<const Var> in) { return sum(in[0] * exp(in[1])); };
  const auto twice = value_and_grad(product, same);
  check_close(twice.gradients[0].value(), exp(x).value(), 1e-15, "first");
  check_close(twice.gradients[1].value(), (x * exp(x)).value(), 1e-15, "second");
}

BOOST_AUTO_TEST_CASE(divergence_is_the_trace_of_every_row) {
  for (Index rows : {1, 3, 5}) {  // among them as many rows as tangents
    Tape tape(Dtype::f64);
    const Network f(tape);
    const Var x = points(tape, rows);
    const auto [value, trace] = value_and_divergence(f, x);
    check_close(value.value(), f(x).value(), 0, "value");
    check_close(trace.value(), trace_of(loop_of_vjps(f, identity(x))), 1e-13, "trace");
  }
}

BOOST_AUTO_TEST_CASE(divergence_of_simple_functions) {
  Tape tape(Dtype::f64);
  const Var x = points(tape, 4, 2);
  check_close(divergence([](Var z) { return 3 * z; }, x).value(), Array::of<double>({4}, {6, 6, 6, 6}), 1e-15, "3 x");
  BOOST_TEST(sum(abs(divergence([&](Var z) { return stop_gradient(z); }, x))).item() == 0);
  check_close(divergence([](Var z) { return square(z); }, x).value(), sum(2 * x, 1).value(), 1e-15, "x^2");
  check_close(divergence([](Var z) { return broadcast_to(sum(z, 1, {.keepdims = true}), z.shape()); }, x).value(),
              Array::of<double>({4}, {2, 2, 2, 2}), 1e-15, "row sum");
  check_close(divergence([&](Var z) { return z * x; }, x).value(), sum(x, 1).value(), 1e-15,
              "what is captured stays constant");
}

BOOST_AUTO_TEST_CASE(divergence_can_be_trained_through) {  // the parameter gradient of the mean trace, by differences
  Tape tape(Dtype::f64);
  const Network f(tape);
  const Var x = points(tape);
  const Array g = grad(mean(divergence(f, x)), f.w2).value();
  const Array w = f.w2.value();
  for (Index i : {0, 11, 30, 41}) {
    const auto at = [&](double shift) {
      Array moved = w;
      moved.set(i, w.at(i) + shift);
      Network other(tape);
      other.w2 = tape.input(moved);
      return mean(divergence(other, x)).item();
    };
    BOOST_TEST(std::abs((at(1e-5) - at(-1e-5)) / 2e-5 - g.at(i)) < 1e-8);
  }
}

BOOST_AUTO_TEST_CASE(laplacian_is_the_trace_of_the_hessian) {
  Tape tape(Dtype::f64);
  const Var x = points(tape, 4, 3);
  const Function f = [](Var z) { return sum(sin(z) * square(z), 1, {.keepdims = true}); };
  const Array wanted = sum(2 * sin(x) + 4 * x * cos(x) - square(x) * sin(x), 1).value();
  check_close(laplacian(f, x).value(), wanted, 1e-14, "laplacian");
}

BOOST_AUTO_TEST_CASE(hutchinson_is_unbiased_and_knows_its_error) {
  Tape tape(Dtype::f64);
  const Network f(tape);
  const Var x = points(tape, 6);
  const Array exact = divergence(f, x).value();
  Draw draw(tape, 3);
  for (const Var& probes : {draw.rademacher({4000, 6, 3}), draw.normal({4000, 6, 3})}) {
    const HutchinsonEstimate estimate = value_and_divergence(f, x, probes);
    for (Index b = 0; b < 6; ++b) {
      const double error = std::abs(estimate.divergence.value().at(b) - exact.at(b)),
                   sd = estimate.standard_error.value().at(b);
      BOOST_TEST(error < 4.5 * sd);
      BOOST_TEST(sd > 0);
    }
  }
  // Two probes by hand: v'Jv, their mean, and half their distance.
  const Var two = draw.normal({2, 6, 3});
  const HutchinsonEstimate estimate = value_and_divergence(f, x, two);
  const auto quadratic = [&](Index k) {
    const Var v = reshape(slice(two, 0, k, k + 1), {6, 3});
    return sum(v * jvp(f, x, v).tangent, 1);
  };
  check_close(estimate.divergence.value(), (0.5 * (quadratic(0) + quadratic(1))).value(), 1e-13, "mean of two");
  check_close(estimate.standard_error.value(), abs(0.5 * (quadratic(0) - quadratic(1))).value(), 1e-10, "error of two");
  BOOST_TEST(std::isnan(value_and_divergence(f, x, draw.normal({1, 6, 3})).standard_error.value().at(0)));
}

BOOST_AUTO_TEST_CASE(refusals_name_the_op_and_the_line) {
  Tape tape(Dtype::f64);
  const Var x = points(tape);
  const Function centred = [](Var z) { return z - mean(z, {0}, {.keepdims = true}); };
  BOOST_CHECK_EXCEPTION(divergence(centred, x), Error, says("[sum] reduces rows"));
  const Function swapped = [](Var z) { return concat({slice(z, 0, 1), slice(z, 0, 0, 1)}, 0); };
  BOOST_CHECK_EXCEPTION(divergence(swapped, x), Error, says("[slice] mixes rows"));
  BOOST_CHECK_EXCEPTION(divergence([](Var z) { return slice(z, 1, 0, 2); }, x), Error,
                        says("[divergence] needs a function from [B,d] to [B,d], got f64 [5, 3] to f64 [5, 2]"));
  BOOST_CHECK_EXCEPTION(
      hvp([](Var z) { return z; }, x, x), Error,
      says("[hvp] needs a function whose value is a float of one element, got f64 [5, 3]  (test_operators.cpp:"));
  BOOST_CHECK_EXCEPTION(jvp([](Var z) { return z; }, x, sum(x)), Error,
                        says("[jvp] the direction must be of x's type f64 [5, 3], got f64 []"));
  const FunctionOfMany first = [](std::span<const Var> in) { return in[0]; };
  BOOST_CHECK_EXCEPTION(value_and_grad(first, std::span<const Var>()), Error,
                        says("[value_and_grad] needs at least one argument  (test_operators.cpp:"));
  BOOST_CHECK_EXCEPTION(value_and_grad(first, {x, x}), Error,
                        says("[value_and_grad] needs a function whose value is a float of one element, got f64 [5, 3]  "
                             "(test_operators.cpp:"));
  BOOST_CHECK_EXCEPTION(jvp(first, {x, x}, {x}), Error,
                        says("[jvp] needs a direction for each of 2 arguments, got 1  (test_operators.cpp:"));
  BOOST_CHECK_EXCEPTION(hvp(first, {x, sum(x)}, {x, x}), Error,
                        says("[hvp] direction 1 must be of its argument's type f64 [], got f64 [5, 3]"));
  Tape other(Dtype::f64);
  BOOST_CHECK_EXCEPTION(hessian(first, {x, points(other)}), Error, says("[hessian] this Var belongs to another tape"));
  BOOST_CHECK_EXCEPTION(jacobian(first, {x, Var()}), Error, says("[jacobian] this Var belongs to no tape"));
  BOOST_CHECK_EXCEPTION(value_and_divergence([](Var z) { return z; }, x, x), Error,
                        says("[divergence] needs probes [n,B,d] for x f64 [5, 3], got f64 [5, 3]"));
}
