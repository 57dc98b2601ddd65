// Systems, determinants and factorizations: identities that hold for any matrix, derivatives, batches, plans, threads,
// errors. (Values against plain algorithms and derivatives by each op alone: test_every_op.)
#define BOOST_TEST_MODULE linalg
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "autodiff/testing/check.hpp"
#include "tests/autodiff/plans.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using namespace wengert::testing;
using parity::check_close;

namespace {

Array normal(Dtype dtype, const Shape& shape, std::uint64_t seed) { return Rng(seed).normal({dtype, shape}); }
Var normal(Tape& tape, const Shape& shape, std::uint64_t seed) { return tape.input(normal(tape.dtype(), shape, seed)); }
Var transposed(Var x) { return swapaxes(x, -1, -2); }
double epsilon(Dtype dtype) { return dtype == Dtype::f32 ? 1.2e-7 : 2.2e-16; }
constexpr Dtype dtypes[] = {Dtype::f32, Dtype::f64};

void check_derivatives(const std::string& what, const FunctionOfMany& f, const std::vector<Array>& inputs) {
  for (const std::string& failure : check_grads(f, inputs).failures) BOOST_ERROR(what << ": " << failure);
}

// The function of each matrix of a batch, alone: what the batch gives.
void check_each(const std::string& what, const Function& f, const Array& batch) {
  Tape tape(batch.dtype());
  const Array together = f(tape.input(batch)).value();
  for (Index i = 0; i < batch.shape()[0]; ++i) {
    const Array alone = f(tape.input(parity::row(batch, i, batch.shape().trailing(batch.shape().rank() - 1)))).value();
    BOOST_TEST(same_bits(parity::row(together, i, alone.shape()), alone), what << " of matrix " << i);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_solution_solves) {
  for (Dtype dtype : dtypes)
    for (Index n : {1, 2, 5, 40, 150})
      for (bool transpose : {false, true}) {
        Tape tape(dtype);
        const Var a = normal(tape, {3, 1, n, n}, 1), b = normal(tape, {2, n, 3}, 2);
        const Var x = solve(a, b, {.transpose = transpose});
        BOOST_TEST((x.shape() == Shape{3, 2, n, 3}));
        // Backward error: the residual is that of a matrix whose entries are off by some eps.
        const Array residual = (matmul(a, x, {.transpose_a = transpose}) - b).value();
        const double scale = max(abs(a)).item() * max(abs(x)).item() * static_cast<double>(n);
        for (double r : numbers(residual)) BOOST_TEST(std::abs(r) <= 20 * epsilon(dtype) * scale);
      }
}

BOOST_AUTO_TEST_CASE(a_right_hand_side_may_be_a_vector) {
  Tape tape(Dtype::f64);
  const Var a = normal(tape, {4, 3, 3}, 1), b = normal(tape, {3}, 2), x = solve(a, b);
  BOOST_TEST((x.shape() == Shape{4, 3}));
  check_close(x.value(), squeeze(solve(a, unsqueeze(b, -1)), -1).value(), 0, "as a column");
  BOOST_TEST((solve(a[0], b, {.transpose = true}).shape() == Shape{3}));
  const auto f = [](std::span<const Var> s) { return solve(s[0], s[1]); };
  check_close(vmap(f, {a, stack({b, b, b, b}, 0)}).value(), x.value(), 0, "under vmap");
  BOOST_TEST(
      contains(error_of([&] { solve(a, normal(tape, {4}, 2)); }), "[solve] matrices and right-hand sides differ"));
}

BOOST_AUTO_TEST_CASE(inverses_and_determinants) {
  Tape tape(Dtype::f64);
  for (Index n : {1, 2, 3, 4, 7, 30}) {
    const Var a = normal(tape, {2, n, n}, 1), inverse = inv(a);
    check_close(matmul(a, inverse).value(), broadcast_to(tape.eye(n), {2, n, n}).value(), 1e-11, "a inv(a)");
    const auto [sign, logarithm] = slogdet(a);
    check_close((sign * exp(logarithm)).value(), det(a).value(), 1e-12, "slogdet and det");
    check_close(det(matmul(a, a)).value(), square(det(a)).value(), 1e-12, "det of a product");
    check_close(grad(sum(logarithm), a).value(), transposed(inverse).value(), 1e-11, "gradient of logabsdet");
    check_close(grad(sum(det(a)), a).value(), (reshape(det(a), {2, 1, 1}) * transposed(inverse)).value(), 1e-11,
                "gradient of det");
    check_close(grad(sum(sign), a).value(), (0 * a).value(), 0, "gradient of the sign");
  }
}

BOOST_AUTO_TEST_CASE(derivatives_of_systems_and_determinants) {
  const Array a = normal(Dtype::f64, {2, 3, 3}, 5), b = normal(Dtype::f64, {3, 2}, 6);
  check_derivatives("solve", [](std::span<const Var> x) { return solve(x[0], x[1]); }, {a, b});
  check_derivatives("inv", [](std::span<const Var> x) { return inv(x[0]); }, {a});
  check_derivatives("det", [](std::span<const Var> x) { return det(x[0]); }, {normal(Dtype::f64, {2, 4, 4}, 7)});
  check_derivatives("logabsdet", [](std::span<const Var> x) { return slogdet(x[0]).logabsdet; }, {a});
}

BOOST_AUTO_TEST_CASE(determinants_have_derivatives_at_singular_matrices) {
  // u v' + w z' has rank 2, which for 3 x 3 leaves a gradient, for 4 x 4 none.
  for (Index n : {2, 3, 4, 6})
    for (Index rank : {n - 1, n - 2}) {
      Tape tape(Dtype::f64);
      const Var a = matmul(normal(tape, {n, rank}, 1), normal(tape, {rank, n}, 2)), g = grad(det(a), a);
      const double size = std::pow(max(abs(a)).item(), static_cast<double>(n - 1));
      for (Index i = 0; i < n; ++i) {  // differences of a function that is linear in each entry
        const Var step = slice_backward(slice_backward(tape.full({1, 1}, 1), -1, n, i), -2, n, n - 1 - i);
        const double difference = (det(a + step) - det(a - step)).item() / 2;
        BOOST_TEST(std::abs(sum(g * step).item() - difference) <= 1e-13 * size, n << " of rank " << rank);
      }
      if (rank < n - 1)
        for (double x : numbers(g)) BOOST_TEST(std::abs(x) <= 1e-13 * size);
    }
  // To any order where they are polynomials.
  const Array zero(Dtype::f64, {3, 3});
  for (const std::string& failure :
       check_grads([](std::span<const Var> x) { return det(x[0]); }, {zero}, {.order = 3}).failures)
    BOOST_ERROR(failure);
}

BOOST_AUTO_TEST_CASE(a_singular_matrix_is_refused_where_it_must_be) {
  Tape tape(Dtype::f64);
  const Var bad = tape.input(Array::of<double>({2, 2}, {1, 2, 2, 4})), b = tape.full({2, 1}, 1);
  const std::uint32_t size = tape.size();
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { solve(bad, b); });
  BOOST_TEST(text == "[solve] [2, 2] is singular: pivot 1 is 0  (test_linalg.cpp:" + std::to_string(line) + ")");
  BOOST_TEST(tape.size() == size);
  const Var batch = stack({tape.eye(2), bad, 0 * bad}, 0);
  BOOST_TEST(contains(error_of([&] { solve(batch, b); }), "[solve] matrix 1 of [3, 2, 2] is singular: pivot 1 is 0"));
  BOOST_TEST(contains(error_of([&] { inv(batch); }), "matrix 1 of [3, 2, 2] is singular"));
  BOOST_TEST(contains(error_of([&] { inv(batch); }), ", in inv)"));
  BOOST_TEST(contains(error_of([&] { inv(b[0]); }), "[inv] needs square matrices, got [1]"));
  BOOST_TEST(contains(error_of([&] { inv(b); }), "[solve] needs square matrices, got [2, 1]"));
  const auto [sign, logarithm] = slogdet(batch);
  BOOST_TEST((numbers(sign) == std::vector<double>{1, 0, 0}));
  BOOST_TEST((numbers(logarithm) == std::vector<double>{0, -INFINITY, -INFINITY}));
  BOOST_TEST((numbers(det(batch)) == std::vector<double>{1, 0, 0}));
  BOOST_TEST(contains(error_of([&] { grad(sum(slogdet(batch).logabsdet), batch); }), "is singular"));
  BOOST_TEST(std::isnan(numbers(solve(bad * std::nan(""), b))[0]));
  // A plan says it when it runs.
  const PlanFunction f = [](Vars in) { return std::vector<Var>{solve(in[0], in[1])}; };
  Plan plan = compile(f, {{Dtype::f64, {2, 2}}, {Dtype::f64, {2, 1}}}, {}, Dtype::f64);
  BOOST_TEST(contains(error_of([&] { run(plan, {bad.value(), b.value()}); }), "[2, 2] is singular: pivot 1 is 0"));
}

namespace {

Var orthonormality(Var q) { return matmul(q, q, {.transpose_a = true}) - q.tape().eye(q.extent(-1)); }
void check_small(Var x, double bound, const std::string& what) {
  for (double entry : numbers(x)) BOOST_REQUIRE_MESSAGE(std::abs(entry) <= bound, what << ": " << entry);
}
// Of each column, the first entry of at least 9/10 of the largest magnitude is positive.
void check_signs(Var columns) {
  for (Index j = 0; j < columns.extent(-1); ++j) {
    const std::vector<double> column = numbers(slice(columns, -1, j, j + 1));
    double largest = 0;
    for (double x : column) largest = std::max(largest, std::abs(x));
    const auto first =
        std::find_if(column.begin(), column.end(), [&](double x) { return std::abs(x) > 0.9 * largest; });
    BOOST_TEST(*first > 0);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(eigenvectors_make_a_matrix_diagonal) {
  for (Dtype dtype : dtypes)
    for (Index n : {1, 2, 3, 10, 60, 130}) {
      Tape tape(dtype);
      const Var x = normal(tape, {2, n, n}, 1), a = (x + transposed(x)) / 2;
      const auto [values, vectors] = eigh(x);
      BOOST_TEST((values.shape() == Shape{2, n} && vectors.shape() == Shape{2, n, n}));
      const double bound = 4 * epsilon(dtype) * std::sqrt(static_cast<double>(n)) + 2 * epsilon(dtype);
      check_small(orthonormality(vectors), 4 * bound, "v'v - 1");
      check_small(matmul(a, vectors) - vectors * unsqueeze(values, -2), 4 * bound * max(abs(values)).item(),
                  "a v - v d");
      for (Index i = 0; i < 2; ++i) {
        const std::vector<double> ascending = numbers(values[i]);
        BOOST_TEST(std::is_sorted(ascending.begin(), ascending.end()));
        check_signs(vectors[i]);
      }
    }
}

BOOST_AUTO_TEST_CASE(orthogonal_and_triangular_factors) {
  for (Dtype dtype : dtypes)
    for (const Shape& shape :
         {Shape{1, 1}, Shape{2, 5, 5}, Shape{2, 9, 4}, Shape{2, 4, 9}, Shape{150, 70}, Shape{70, 150}}) {
      Tape tape(dtype);
      const Var a = normal(tape, shape, 1);
      const auto [q, r] = qr(a);
      const double bound = 8 * epsilon(dtype) * std::sqrt(static_cast<double>(shape[-1]));
      check_small(orthonormality(q), bound, "q'q - 1");
      check_small(matmul(q, r) - a, 4 * bound * max(abs(a)).item(), "q r - a");
      check_small(tril(r, -1), 0, "below r");
      for (double x : numbers(diagonal(slice(r, -1, 0, r.extent(-2))))) BOOST_TEST(x >= 0);
    }
}

BOOST_AUTO_TEST_CASE(singular_values_and_vectors) {
  for (Dtype dtype : dtypes)
    for (const Shape& shape : {Shape{1, 1}, Shape{5, 5}, Shape{9, 4}, Shape{4, 9}, Shape{90, 50}, Shape{50, 90}}) {
      Tape tape(dtype);
      const Var a = normal(tape, shape, 1);
      const auto [u, s, vh] = svd(a);
      const double bound = 8 * epsilon(dtype) * std::sqrt(static_cast<double>(shape[-1]));
      check_small(orthonormality(u), bound, "u'u - 1");
      check_small(orthonormality(transposed(vh)), bound, "v'v - 1");
      check_small(matmul(u * s, vh) - a, 2 * bound * max(s).item(), "u s v' - a");
      check_signs(u);
      for (double step : numbers(slice(s, -1, 1) - slice(s, -1, 0, -1))) BOOST_TEST(step <= 0);
      // Penrose's four conditions.
      const Var p = pinv(a), scale = max(s) / min(s);
      check_small(matmul(matmul(a, p), a) - a, 4 * bound * scale.item() * max(s).item(), "a p a - a");
      check_small(matmul(matmul(p, a), p) - p, 4 * bound * scale.item() / min(s).item(), "p a p - p");
      check_small(matmul(a, p) - transposed(matmul(a, p)), 4 * bound * scale.item(), "a p");
      check_small(matmul(p, a) - transposed(matmul(p, a)), 4 * bound * scale.item(), "p a");
    }
}

BOOST_AUTO_TEST_CASE(least_squares) {
  Tape tape(Dtype::f64);
  for (const Shape& shape : {Shape{2, 7, 3}, Shape{2, 3, 7}, Shape{4, 4}}) {
    const Var a = normal(tape, shape, 1), b = normal(tape, {shape[-2], 2}, 2), x = lstsq(a, b);
    BOOST_TEST(x.extent(-2) == shape[-1]);
    check_small(matmul(a, matmul(a, x) - b, {.transpose_a = true}), 1e-13, "the residual is orthogonal to a");
    check_small(x - matmul(pinv(a), b), 1e-13, "of several solutions the shortest");
    const Var vector = lstsq(a, squeeze(slice(b, -1, 0, 1), -1));
    check_small(unsqueeze(vector, -1) - slice(x, -1, 0, 1), 1e-14, "a vector");
  }
  BOOST_TEST(contains(error_of([&] {
                        lstsq(normal(tape, {3, 2}, 1), normal(tape, {2}, 1));
                      }),
                      "[lstsq] matrices and right-hand sides differ in rows: [3, 2] and [2]"));
}

BOOST_AUTO_TEST_CASE(derivatives_of_factorizations) {
  const Array square =
      Array::of<double>({4, 4}, {3, 0.3, -0.5, 0.2, 0.7, -1.5, 0.4, 0.1, -0.5, 0.4, 0.8, -0.6, 0.3, 0.2, 1, 6});
  const Array tall = normal(Dtype::f64, {2, 4, 2}, 3), wide = normal(Dtype::f64, {2, 4}, 4),
              b = normal(Dtype::f64, {4, 1}, 5);
  using In = std::span<const Var>;
  check_derivatives("eigh",
                    [](In x) {
                      const auto [d, v] = eigh(x[0]);
                      return matmul(v * sin(d), v * v);
                    },
                    {square});
  check_derivatives("svd",
                    [](In x) {
                      const auto [u, s, vh] = svd(x[0]);
                      return matmul(u * sin(s), vh * vh);
                    },
                    {square});
  for (const Array& a : {tall, wide})
    check_derivatives("svd",
                      [](In x) {
                        const auto [u, s, vh] = svd(x[0]);
                        return matmul(u * u * unsqueeze(sin(s), -2), vh);
                      },
                      {a});
  for (const Array& a : {square, tall, wide})
    check_derivatives("qr",
                      [](In x) {
                        const auto [q, r] = qr(x[0]);
                        return matmul(sin(q), exp(r));
                      },
                      {a});
  check_derivatives("lstsq", [](In x) { return lstsq(x[0], x[1]); }, {tall, b});
  check_derivatives("lstsq of a wide one", [](In x) { return lstsq(x[0], slice(x[1], 0, 0, 2)); }, {wide, b});
  check_derivatives("pinv", [](In x) { return pinv(x[0]); }, {tall});
  check_derivatives("pinv of rank 1", [](In x) { return pinv(matmul(x[0], x[1]), {.rtol = 1e-6}); },
                    {b, normal(Dtype::f64, {1, 3}, 6)});
}

BOOST_AUTO_TEST_CASE(derivatives_at_equal_values) {
  // Of the values alone, and of the projection on the space of the equal ones: that of a - 3 on the plane, differences
  // of which are smooth.
  Tape tape(Dtype::f64);
  const Var q = qr(normal(tape, {3, 3}, 1)).q, weights = normal(tape, {3, 3}, 2);
  const Var a = matmul(q * tape.input(Array::of<double>({3}, {1, 1, 3})), q, {.transpose_b = true});
  const auto logarithm = [](Var x) { return sum(log(eigh(x).values)); };
  check_close(grad(logarithm(a), a).value(), transposed(inv(a)).value(), 1e-14, "log-determinant");
  const auto projection = [&](Var x) {
    const Var plane = slice(eigh(x).vectors, -1, 0, 2);
    return sum(weights * matmul(plane, plane, {.transpose_b = true}));
  };
  const Var g = grad(projection(a), a);
  for (Index i = 0; i < 9; ++i) {
    Array step(Dtype::f64, {3, 3});
    step.set(i, 1e-5);
    const double difference = (projection(a + tape.input(step)) - projection(a - tape.input(step))).item() / 2e-5;
    BOOST_TEST(std::abs(g.value().at(i) - difference) < 1e-8);
  }
  const auto nuclear = [](Var x) { return sum(svd(x).s); };  // its gradient is u v'
  check_close(grad(nuclear(q), q).value(), q.value(), 1e-14, "nuclear norm of an orthogonal matrix");
}

BOOST_AUTO_TEST_CASE(products_of_vectors) {
  Tape tape(Dtype::f64);
  const Var a = normal(tape, {5, 3}, 1), b = normal(tape, {3}, 2), c = cross(a, b);
  BOOST_TEST((c.shape() == Shape{5, 3}));
  for (double x : numbers(sum(c * a, -1))) BOOST_TEST(std::abs(x) < 1e-15);
  for (double x : numbers(sum(c * b, -1))) BOOST_TEST(std::abs(x) < 1e-15);
  const Var x = tape.input(Array::of<double>({3, 1}, {1, 0, 0})), y = tape.input(Array::of<double>({3, 1}, {0, 1, 0}));
  BOOST_TEST((numbers(cross(x, y, 0)) == std::vector<double>{0, 0, 1}));
  BOOST_TEST((numbers(cross(y, x, -2)) == std::vector<double>{0, 0, -1}));
  BOOST_TEST(contains(error_of([&] { cross(x, y); }), "[cross] needs 3 elements along axis -1, got [3, 1]"));
  BOOST_TEST(contains(error_of([&] { cross(x, y, 2); }), "[cross] "));
  check_derivatives("cross", [](std::span<const Var> v) { return cross(v[0], v[1]); }, {a.value(), b.value()});
}

BOOST_AUTO_TEST_CASE(kronecker_products) {
  Tape tape(Dtype::f64);
  const Var a = tape.input(Array::of<double>({2, 2}, {1, 2, 3, 4})), b = tape.input(Array::of<double>({1, 2}, {1, -1}));
  BOOST_TEST((kron(a, b).shape() == Shape{2, 4}));
  BOOST_TEST((numbers(kron(a, b)) == std::vector<double>{1, -1, 2, -2, 3, -3, 4, -4}));
  const Var v = tape.input(Array::of<double>({2}, {1, 10}));
  BOOST_TEST((numbers(kron(v, v)) == std::vector<double>{1, 10, 10, 100}));
  BOOST_TEST((numbers(kron(v, b)) == std::vector<double>{1, -1, 10, -10}));
  const Var p = normal(tape, {3, 3}, 1), q = normal(tape, {2, 2}, 2);
  check_close(det(kron(p, q)).value(), (square(det(p)) * det(q) * square(det(q))).value(), 1e-12, "determinant");
  check_close(inv(kron(p, q)).value(), kron(inv(p), inv(q)).value(), 1e-12, "inverse");
  BOOST_TEST(contains(error_of([&] { kron(normal(tape, {1, 1, 1, 1, 1}, 1), q); }), "[kron] takes up to 4 axes"));
}

BOOST_AUTO_TEST_CASE(a_matrix_of_a_batch_has_the_bits_that_it_has_alone) {
  for (Dtype dtype : dtypes)
    for (Index n : {2, 3, 17, 33}) {
      const Array batch = normal(dtype, {5, n, n}, 1);
      check_each(
          "solve", [](Var a) { return solve(a, slice(a, -1, 0, 2)); }, batch);
      check_each(
          "det", [](Var a) { return det(a); }, batch);
      check_each(
          "slogdet", [](Var a) { return slogdet(a).logabsdet; }, batch);
    }
}

namespace {

// Values and gradients of everything, for comparisons by bits.
std::vector<Var> everything(Vars in) {
  const Var a = in[0], b = in[1], large = in[2], tall = concat({a, b}, -1);
  std::vector<Var> all{solve(a, b),  inv(large), det(a),       slogdet(a).logabsdet, pinv(a),     eigh(a).vectors,
                       svd(tall).vh, qr(tall).r, svd(large).u, eigh(large).values,   qr(large).q, lstsq(tall, b)};
  Var total = 0 * sum(a);
  for (const Var value : std::vector<Var>(all)) total = total + sum(square(value));
  for (Var g : grad(total, {a, b, large})) all.push_back(g);
  return all;
}
Arrays inputs_of_everything(Dtype dtype) {
  return {normal(dtype, {60, 9, 9}, 1), normal(dtype, {60, 9, 2}, 2), normal(dtype, {2, 40, 40}, 3)};
}

}  // namespace

BOOST_AUTO_TEST_CASE(threads_do_not_show) {
  for (Dtype dtype : dtypes) {
    const Arrays inputs = inputs_of_everything(dtype);
    const auto compute = [&](int count) {
      const Threads guard(count);
      return eagerly(everything, inputs, dtype);
    };
    const Arrays alone = compute(1);
    for (int count : {2, 3, 7}) BOOST_TEST(same_bits(compute(count), alone), count << " threads");
  }
}

BOOST_AUTO_TEST_CASE(plans_give_the_same_bits) {
  for (Dtype dtype : dtypes) {
    const Arrays inputs = inputs_of_everything(dtype), wanted = eagerly(everything, inputs, dtype);
    for (int count : {1, 2, 3}) {
      const Threads guard(count);
      Plan plan = compile(everything, types_of(inputs), {}, dtype);
      BOOST_TEST(same_bits(run(plan, inputs), wanted), count << " threads");
    }
  }
}
