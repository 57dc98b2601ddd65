// vmap against loops, checkpoint against the function itself, custom derivatives against their rule.
#define BOOST_TEST_MODULE transforms
#include <boost/test/unit_test.hpp>

#include <cstring>

#include "autodiff/autodiff.hpp"
#include "autodiff/ops/known.hpp"
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
}

namespace {

// [..., n] -> [..., n, n], products of all pairs, by a rule of its own for everything
struct Pairs final : OpOf<Pairs> {
  Pairs() : OpOf({.name = "pairs", .linearity = Linearity::custom_jvp}) {}
  Type infer(const Signature& s) const override {
    const Shape& x = s.shape(0);
    return {s.dtype(0), x.followed_by({x[-1]})};
  }
  template <class T>
  void compute(const Kernel& k) const {
    const Index n = k.shape(0)[-1];
    for (Index i = 0; i < k.out_shape().size(); ++i)
      k.out<T>()[i] = k.in<T>(0)[i / n] * k.in<T>(0)[i / (n * n) * n + i % n];
  }
  std::vector<Example> examples() const override { return {{{Sample{{3}}}}, {{Sample{{2, 3}}}}}; }
  Array reference(std::span<const Array> in, const Attributes&, const Type&) const override { return in[0]; }
};

// x [n, m], s [n] -> [n, m], rows times numbers; takes no further axes, or, with `leading`, the same ones for both
struct ScaleRows final : OpOf<ScaleRows> {
  ScaleRows(Linearity linearity, bool takes_more)
      : OpOf({.name = "scale_rows", .arity = 2, .linearity = linearity}), leading(takes_more) {}
  Type infer(const Signature& s) const override {
    const Shape& x = s.shape(0);
    if (!leading && x.rank() != 2) reject("needs a matrix");
    if (x.leading(x.rank() - 1) != s.shape(1)) reject("needs a number for each row");
    return *s.in[0];
  }
  template <class T>
  void compute(const Kernel& k) const {
    for (Index i = 0; i < k.out_shape().size(); ++i) k.out<T>()[i] = k.in<T>(0)[i] * k.in<T>(1)[i / k.out_shape()[-1]];
  }
  std::vector<Example> examples() const override { return {{{Sample{{3, 2}}, Sample{{3}}}}}; }
  Array reference(std::span<const Array> in, const Attributes&, const Type&) const override { return in[0]; }
  bool leading;
};

// The sum over the first of two axes, whichever a batch makes that: never right with an axis in front.
struct FirstAxis final : OpOf<FirstAxis> {
  FirstAxis() : OpOf({.name = "first_axis", .linearity = Linearity::linear}) {}
  Type infer(const Signature& s) const override { return {s.dtype(0), s.shape(0).trailing(s.shape(0).rank() - 1)}; }
  template <class T>
  void compute(const Kernel& k) const {
    for (Index j = 0; j < k.out_shape().size(); ++j) {
      k.out<T>()[j] = 0;
      for (Index i = 0; i < k.shape(0)[0]; ++i) k.out<T>()[j] += k.in<T>(0)[i * k.out_shape().size() + j];
    }
  }
  std::vector<Example> examples() const override { return {{{Sample{{3, 2}}}}}; }
  Array reference(std::span<const Array> in, const Attributes&, const Type&) const override { return in[0]; }
};

}  // namespace

BOOST_AUTO_TEST_CASE(ops_of_a_user_are_batched_whatever_they_say_of_their_derivative) {
  const Pairs pairs;
  const FirstAxis first_axis;
  Tape tape(Dtype::f64);
  const auto check = [&](const char* what, const FunctionOfMany& f, std::vector<Var> xs) {
    const Array together = vmap(f, xs).value();
    for (Index i = 0; i < xs[0].extent(0); ++i) {
      std::vector<Var> slices;
      for (Var x : xs) slices.push_back(row_of(x, i));
      const Array alone = f(slices).value();
      check_close(parity::row(together, i, alone.shape()), alone, 0, what + (", slice " + std::to_string(i)));
    }
  };
  // Numbers of slices that are extents of the operands too.
  for (Index count : {1, 2, 3, 4}) {
    const Var matrices = normal(tape, {count, 3, 2}, 1), rows = normal(tape, {count, 3}, 2);
    const Var matrix = normal(tape, {3, 2}, 3), row = normal(tape, {3}, 4);
    check("pairs", [&](std::span<const Var> s) { return record(pairs, {s[0]}); }, {rows});
    check("first_axis", [&](std::span<const Var> s) { return record(first_axis, {s[0]}); }, {matrices});
    for (Linearity linearity : {Linearity::bilinear, Linearity::custom_jvp, Linearity::transpose_vjp, Linearity::none})
      for (bool leading : {false, true}) {
        const ScaleRows op(linearity, leading);
        check("both", [&](std::span<const Var> s) { return record(op, {s[0], s[1]}); }, {matrices, rows});
        check("matrices", [&](std::span<const Var> s) { return record(op, {s[0], row}); }, {matrices});
        check("rows", [&](std::span<const Var> s) { return record(op, {matrix, s[0]}); }, {rows});
      }
  }
}

namespace {

// f as it is, checkpointed, or with its own derivative as a custom one
Var kept_by(int kind, const Function& f, Var z) {
  if (kind == 0) return f(z);
  if (kind == 1) return checkpoint(f, z);
  const PullBack rule = [f](Var x, Var, Var g) {
    const Var at = identity(x);
    return vjp(f(at), g, std::vector<Var>{at})[0];
  };
  return custom_derivative(f, rule, z);
}

}  // namespace

// Of a slice, of what all slices share, of both; with the value and the gradients of a loop.
BOOST_AUTO_TEST_CASE(vmap_goes_through_checkpoints_and_custom_derivatives) {
  const Function g = [](Var z) { return sin(z) * z; };
  for (int kind : {1, 2}) {
    const std::vector<std::function<Var(Var, Var, int)>> functions{
        [=](Var s, Var w, int k) { return s * kept_by(k, g, w); },
        [=](Var s, Var w, int k) { return w * kept_by(k, g, s); },
        [=](Var s, Var w, int k) { return kept_by(k, g, s * w); },
        [=](Var s, Var w, int k) {
          return sum(kept_by(
                     k, [=](Var z) { return kept_by(k, g, z) * w; }, s)) +
                 w;
        },
        [=](Var s, Var w, int k) {
          return kept_by(
                     k, [=](Var) { return sin(w); }, s) +
                 s;
        },
        [=](Var s, Var w, int k) { return w * grad(sum(kept_by(k, g, s)), s); },
    };
    for (std::size_t i = 0; i < functions.size(); ++i)
      for (bool planned : {false, true}) {
        const auto program = [&](std::span<const Var> in, int k) {
          const Var y = vmap([&](Var s) { return functions[i](s, in[1], k); }, in[0]);
          const Var x = grad(sum(y * y), in[0]);
          // What a custom derivative captured gets no gradient: only the first three are equal in w.
          const Var w = i < 3 || k != 2 ? grad(sum(y * y), in[1]) : in[1];
          return std::vector<Var>{y, x, w};
        };
        const Array x = Rng(1).normal({Dtype::f64, {4, 3}}), w = Rng(2).normal({Dtype::f64, {3}});
        const auto values = [&](int k) {
          if (planned) {
            Plan plan =
                compile([&](std::span<const Var> in) { return program(in, k); }, {x.type(), w.type()}, {}, Dtype::f64);
            const auto outputs = plan.run({x, w});
            return std::vector<Array>(outputs.begin(), outputs.end());
          }
          Tape tape(Dtype::f64);
          std::vector<Array> result;
          for (Var var : program(std::vector<Var>{tape.input(x), tape.input(w)}, k)) {
            // What a dropped node held is written over: an op that died with it would show.
            std::vector<std::vector<char>> junk;
            for (std::size_t n = 0; n < 100; ++n) junk.emplace_back(16 + n * 5, 'x');
            result.push_back(var.value());
          }
          return result;
        };
        const std::vector<Array> wanted = values(0), got = values(kind);
        for (std::size_t k = 0; k < (i < 3 || kind != 2 ? 3U : 2U); ++k)
          check_close(got[k], wanted[k], 1e-13,
                      "kind " + std::to_string(kind) + ", function " + std::to_string(i) + ", output " +
                          std::to_string(k) + (planned ? ", planned" : ""));
      }
  }
}

BOOST_AUTO_TEST_CASE(another_seed_gets_another_replay) {
  Tape tape(Dtype::f64);
  const Var x = normal(tape, {3}, 1);
  const Function f = [](Var z) { return sin(z) * z; };
  const Var dropped = checkpoint(f, x), kept = f(x);
  const Tape::Mark start = tape.mark();
  for (double seed : {1.0, -2.0, 3.0}) {  // on nodes of the same numbers
    const std::vector<Var> xs{x};
    const Var v = tape.full(x.type(), seed);
    const Array got = vjp(dropped, v, xs)[0].value();
    check_close(got, vjp(kept, v, xs)[0].value(), 1e-15, "seed");
    tape.rewind(start);
  }
}

BOOST_AUTO_TEST_CASE(rows_that_arrive_on_two_axes_are_mixed) {
  const Function mixes = [](Var z) { return z + transpose(z); };
  Tape tape(Dtype::f64);
  const Var x = normal(tape, {3, 3}, 1);
  BOOST_CHECK_EXCEPTION(divergence(mixes, x), Error, says("[add] mixes rows"));
  BOOST_CHECK_EXCEPTION(divergence([&](Var z) { return checkpoint(mixes, z); }, x), Error,
                        says("[checkpoint] mixes rows"));
  // A plan gets both orders of rows in full.
  const Array many = Rng(1).normal({Dtype::f64, {300, 300}});
  for (bool drop : {false, true})
    for (bool rewrites : {false, true}) {
      const auto f = [&](std::span<const Var> in) {
        const Var y = 2 * in[0];
        const Var mixed = drop ? checkpoint(mixes, y) : mixes(y);
        return std::vector<Var>{transpose(mixed)};
      };
      Plan plan = compile(f, {many.type()}, {.rewrites = rewrites}, Dtype::f64);
      Tape eager(Dtype::f64);
      const Array wanted = f(std::vector<Var>{eager.input(many)}).back().value(), got = plan.run({many}).back();
      BOOST_TEST(std::memcmp(got.raw(), wanted.raw(), wanted.type().bytes()) == 0);
    }
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

BOOST_AUTO_TEST_CASE(rows_go_through_an_op_where_each_depends_on_its_own) {
  const auto through = [](const Op& op, const std::vector<Shape>& shapes, const std::vector<int>& axes,
                          const Attributes& attributes = {}) {
    std::vector<Type> types;
    std::vector<const Type*> pointers;
    for (const Shape& shape : shapes) types.push_back({Dtype::f64, shape});
    for (const Type& type : types) pointers.push_back(&type);
    const Signature signature{pointers, attributes};
    const Rows rows = rows_through(op, signature, op.infer(signature), axes);
    return rows.kept() ? "kept at " + std::to_string(rows.axis) : rows.rule == RowRule::reduces ? "reduced" : "mixed";
  };
  const auto over = [](int axis) { return to_attributes(ReductionArguments{.axes = {axis}}); };
  BOOST_TEST(through(add_op(), {{5, 3}, {5, 3}}, {-2, -2}) == "kept at -2");
  BOOST_TEST(through(add_op(), {{5, 3}, {3}}, {-2, 0}) == "kept at -2");
  BOOST_TEST(through(add_op(), {{5, 3}, {5, 3}}, {0, 0}) == "kept at 0");  // none has rows
  BOOST_TEST(through(add_op(), {{3, 3}, {3, 3}}, {-2, -1}) == "mixed");    // each of its own
  BOOST_TEST(through(sum_op(), {{5, 3}}, {-2}, over(-1)) == "kept at -1");
  BOOST_TEST(through(sum_op(), {{5, 3}}, {-2}, over(-2)) == "reduced");
  BOOST_TEST(through(matmul_op(), {{5, 3}, {3, 3}}, {-2, -1}, to_attributes(MatmulOptions{})) == "mixed");
}
