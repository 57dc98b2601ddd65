// Triangular systems, Cholesky factors and parts of matrices: identities that hold for any matrix, batches, errors.
#define BOOST_TEST_MODULE linear_algebra
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using namespace wengert::testing;
using parity::check_close;

namespace {

Var normal(Tape& tape, const Shape& shape, std::uint64_t seed) {
  return tape.input(Rng(seed).normal({tape.dtype(), shape}));
}
Var transposed(Var x) { return swapaxes(x, -1, -2); }

// x x' + n I
Var positive(Tape& tape, const Shape& shape, std::uint64_t seed) {
  const Var x = normal(tape, shape, seed), n = tape.full({shape[-1]}, static_cast<double>(shape[-1]));
  return matmul(x, x, {.transpose_b = true}) + diag_embed(n);
}
Var log_determinant(Var a) { return 2 * sum(log(diagonal(cholesky(a))), -1); }

}  // namespace

BOOST_AUTO_TEST_CASE(a_triangular_solution_solves) {
  Tape tape(Dtype::f64);
  for (Index n : {1, 2, 5, 40})
    for (bool upper : {false, true})
      for (bool transpose : {false, true}) {
        const Var a = positive(tape, {3, 1, n, n}, 1), b = normal(tape, {2, n, 70}, 2);
        const Var x = triangular_solve(a, b, {.upper = upper, .transpose = transpose});
        BOOST_TEST((x.shape() == Shape{3, 2, n, 70}));
        const Var triangle = upper ? triu(a) : tril(a);
        check_close(matmul(triangle, x, {.transpose_a = transpose}).value(), broadcast_to(b, x.shape()).value(), 1e-13,
                    "a x");
      }
}

BOOST_AUTO_TEST_CASE(a_cholesky_factor_multiplies_back) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index n : {1, 2, 3, 8, 50}) {
      Tape tape(dtype);
      const Var a = positive(tape, {4, n, n}, 1), l = cholesky(a);
      check_close(matmul(l, l, {.transpose_b = true}).value(), a.value(), dtype == Dtype::f32 ? 3e-6 : 1e-14, "l l'");
      check_close(triu(l, 1).value(), (0 * l).value(), 0, "above the diagonal");
      for (double pivot : numbers(diagonal(l))) BOOST_TEST(pivot > 0);
    }
}

BOOST_AUTO_TEST_CASE(the_gradient_of_a_log_determinant_is_the_inverse) {
  Tape tape(Dtype::f64);
  const Var a = positive(tape, {3, 5, 5}, 1), l = cholesky(a);
  const Var half = triangular_solve(l, tape.eye(5)), inverse = matmul(half, half, {.transpose_a = true});
  check_close(matmul(a, inverse).value(), broadcast_to(tape.eye(5), {3, 5, 5}).value(), 1e-14, "inverse");
  check_close(grad(sum(log_determinant(a)), a).value(), inverse.value(), 1e-14, "gradient");
  // Its second derivative along v is -inverse v inverse, for a symmetric v.
  const Var one = a[0], v = normal(tape, {5, 5}, 3), s = v + transposed(v);
  const Var wanted = -matmul(matmul(inverse[0], s), inverse[0]);
  check_close(hvp([](Var z) { return log_determinant(z); }, one, s).value(), wanted.value(), 1e-13, "second");
  check_close(jvp([](Var z) { return log_determinant(z); }, one, s).tangent.value(),
              trace(matmul(inverse[0], s)).value(), 1e-13, "forward");
}

BOOST_AUTO_TEST_CASE(traces_and_triangles) {
  Tape tape(Dtype::f64);
  const Var x = normal(tape, {2, 4, 4}, 1), y = normal(tape, {2, 4, 4}, 2);
  check_close(trace(matmul(x, y)).value(), sum(x * transposed(y), {-1, -2}).value(), 1e-14, "trace of a product");
  check_close(grad(sum(trace(matmul(x, y))), x).value(), transposed(y).value(), 0, "its gradient");
  check_close((tril(x) + triu(x, 1)).value(), x.value(), 0, "halves");
  check_close(diagonal(diag_embed(diagonal(x))).value(), diagonal(x).value(), 0, "diagonal");
  check_close((tril(x) - tril(x, -1)).value(), diag_embed(diagonal(x)).value(), 0, "diagonal of a triangle");
}

BOOST_AUTO_TEST_CASE(vmap_over_matrices) {
  Tape tape(Dtype::f64);
  const Var a = positive(tape, {3, 4, 4}, 1), b = normal(tape, {3, 4, 2}, 2), many = normal(tape, {2, 4, 2}, 3);
  const Var shared = positive(tape, {4, 4}, 4), vectors = normal(tape, {3, 4}, 5);
  const auto check = [&](const std::string& what, const FunctionOfMany& f, const std::vector<Var>& xs) {
    const Array together = vmap(f, xs).value();
    for (Index i = 0; i < 3; ++i) {
      std::vector<Var> slices;
      for (Var x : xs) slices.push_back(x[i]);
      const Array alone = f(slices).value();
      check_close(parity::row(together, i, alone.shape()), alone, 1e-13, what);
    }
  };
  using Vars = std::span<const Var>;
  check("both", [](Vars s) { return triangular_solve(s[0], s[1]); }, {a, b});
  check("matrices, of lower rank", [&](Vars s) { return triangular_solve(s[0], many, {.upper = true}); }, {a});
  check("right-hand sides", [&](Vars s) { return triangular_solve(shared, s[0], {.transpose = true}); }, {b});
  check("gradients", [&](Vars s) { return grad(sum(square(triangular_solve(s[0], many))), s[0]); }, {a});
  check("cholesky", [](Vars s) { return cholesky(s[0]); }, {a});
  check("its gradient", [](Vars s) { return grad(log_determinant(s[0]), s[0]); }, {a});
  check("tangents", [&](Vars s) { return jvp([](Var z) { return cholesky(z); }, s[0], shared).tangent; }, {a});
  check("diagonals", [](Vars s) { return diagonal(s[0]) + trace(tril(s[0])) * s[1] + sum(diag_embed(s[1]), 0); },
        {a, vectors});
}

BOOST_AUTO_TEST_CASE(divergence_through_a_system) {
  // x -> l^-1 x for each row x: the trace of l^-1 for every row; and rows that scale their own matrix.
  Tape tape(Dtype::f64);
  const Var l = cholesky(positive(tape, {3, 3}, 1)), x = normal(tape, {6, 3}, 2);
  const Function solve = [&](Var z) { return reshape(triangular_solve(l, reshape(z, {6, 3, 1})), {6, 3}); };
  check_close(divergence(solve, x).value(), broadcast_to(sum(1 / diagonal(l)), {6}).value(), 1e-14, "constant matrix");
  const Function own = [&](Var z) {
    const Var a = matmul(reshape(z, {6, 3, 1}), reshape(z, {6, 1, 3})) + tape.eye(3);
    return reshape(matmul(cholesky(a), reshape(z, {6, 3, 1})), {6, 3});
  };
  const Array jacobians = jacobian(own, x).value();
  Array wanted(Dtype::f64, {6});
  for (Index b = 0; b < 6; ++b)
    for (Index i = 0; i < 3; ++i) wanted.set(b, wanted.at(b) + jacobians.at(((b * 3 + i) * 6 + b) * 3 + i));
  check_close(divergence(own, x).value(), wanted, 1e-13, "own matrices");
}

BOOST_AUTO_TEST_CASE(a_matrix_that_is_not_positive_definite_is_refused) {
  Tape tape(Dtype::f64);
  const Var bad = tape.input(Array::of<double>({2, 2}, {1, 2, 2, 3}));
  const std::uint32_t size = tape.size();
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { cholesky(bad); });
  BOOST_TEST(text == "[cholesky] [2, 2] is not positive definite: pivot 1 is -1  (test_linear_algebra.cpp:" +
                         std::to_string(line) + ")");
  BOOST_TEST(tape.size() == size);
  const Var batch = stack({positive(tape, {2, 2}, 1), bad, bad}, 0);
  BOOST_TEST(contains(error_of([&] { cholesky(batch); }), "[cholesky] matrix 1 of [3, 2, 2] is not positive definite"));
  BOOST_TEST(contains(error_of([&] { cholesky(bad * std::nan("")); }), "pivot 0 is nan"));
  BOOST_TEST(contains(error_of([&] { vmap([](Var z) { return cholesky(z); }, batch); }), "matrix 1 of [3, 2, 2]"));
  BOOST_TEST(numbers(cholesky(batch[0])).size() == 4U);  // the tape goes on
}

BOOST_AUTO_TEST_CASE(threads_do_not_show) {
  const auto compute = [](int count) {
    const Threads guard(count);
    Tape tape;
    const Var a = positive(tape, {300, 9, 9}, 1), b = normal(tape, {300, 9, 130}, 2), l = cholesky(a);
    const Var large = positive(tape, {150, 150}, 3), x = triangular_solve(cholesky(large), normal(tape, {150, 301}, 4));
    std::vector<Var> all{l,
                         triangular_solve(l, b, {.transpose = true}),
                         x,
                         tril(large, 3),
                         diagonal(a),
                         trace(a),
                         diag_embed(slice(b, 0, 0, 40)),
                         grad(sum(square(x)), large),
                         grad(sum(log_determinant(a)), a)};
    std::vector<Array> values;
    for (Var var : all) values.push_back(var.value());
    return values;
  };
  const std::vector<Array> alone = compute(1);
  for (int count : {2, 3, 7}) BOOST_TEST(same_bits(compute(count), alone), count << " threads");
}
