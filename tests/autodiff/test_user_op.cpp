// The two ops of autodiff/README.md, as a user writes them: in a file outside of the library, checked by one call.
#define BOOST_TEST_MODULE user_op
#include <boost/test/unit_test.hpp>

#include "autodiff/autodiff.hpp"
#include "autodiff/ops/elementwise.hpp"
#include "autodiff/testing/check.hpp"

using namespace wengert;

namespace {

const Unary snake_op(
    {.name = "snake",
     .reference = [](double x) { return x + std::pow(std::sin(x), 2); },
     .points = {{0, 0, 1}}},                                  // y and dy/dx at x
    [](auto x) { return x + simd::sin(x) * simd::sin(x); },   // the value, of a SIMD batch
    [](Var t, Var x, Var) { return t * (1 + sin(2 * x)); });  // t * dy/dx, in tape ops
Var snake(Operand x) { return record(snake_op, {x}); }

// [..., n] -> [..., n]: differences of neighbours along the last axis, y_0 = x_0, y_i = x_i - x_(i-1)
struct Differences final : OpOf<Differences> {
  Differences() : OpOf({.name = "differences", .linearity = Linearity::linear}) {}
  Type infer(const Signature& s) const override {
    if (s.shape(0).rank() < 1) reject("needs at least one axis, got shape " + to_string(s.shape(0)));
    return *s.in[0];
  }
  template <class T>
  void compute(const Kernel& k) const {
    const Index n = k.out_shape()[-1];
    for (Index i = 0; i < k.out_shape().size(); ++i)
      k.out<T>()[i] = k.in<T>(0)[i] - (i % n == 0 ? T(0) : k.in<T>(0)[i - 1]);
  }
  Var vjp(const Call& c, int, Var g) const override {  // the transpose, in tape ops
    const Index n = c.out_shape()[-1];
    return g - slice_backward(slice(g, -1, 1), -1, n, 0);
  }
  Rows rows(const Signature&, const Type&, int, int axis) const override {
    return {axis == -1 ? RowRule::mixes : RowRule::keeps, axis};
  }
  std::vector<Example> examples() const override { return {{{Sample{{2, 5}}}}, {{Sample{{3}}}}}; }
  std::vector<EdgeCase> edge_cases() const override {
    return {{{Sample{.shape = {1}, .values = {4}}}, {}, {4}, {{1}}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {}}}, {}, "needs at least one axis"}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i)
      result.set(i, in[0].at(i) - (i % out.shape[-1] == 0 ? 0 : in[0].at(i - 1)));
    return result;
  }
};
const Differences differences_op;
Var differences(Operand x) { return record(differences_op, {x}); }

void check(const Op& op) {
  const CheckReport report = check_op(op);
  for (const std::string& failure : report.failures) BOOST_ERROR(failure);
  BOOST_TEST(report.checks > 20);
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_elementwise_op) { check(snake_op); }
BOOST_AUTO_TEST_CASE(a_general_op) { check(differences_op); }

BOOST_AUTO_TEST_CASE(they_work_with_all_operators) {
  Tape tape(Dtype::f64);
  const Var x = tape.input(Rng(1).normal({Dtype::f64, {4, 3}}));
  const Function f = [](Var v) { return differences(snake(v)); };
  const Array trace = divergence(f, x).value();
  const Array wanted = sum(grad(sum(snake(x)), x), 1).value();  // the diagonal of a lower bidiagonal matrix
  for (Index i = 0; i < 4; ++i) BOOST_TEST(trace.at(i) == wanted.at(i), boost::test_tools::tolerance(1e-13));
  BOOST_TEST((vmap([](Var v) { return differences(v); }, x).shape() == Shape{4, 3}));
}
