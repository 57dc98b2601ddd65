#include "autodiff/ops/matrix_references.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace wengert::reference {
namespace {

// Rotates columns i and j: (x_i, x_j) -> (c x_i - s x_j, s x_i + c x_j).
void rotate(Matrix& x, Index i, Index j, Real c, Real s) {
  for (Index r = 0; r < x.rows; ++r) {
    const Real a = x(r, i), b = x(r, j);
    x(r, i) = c * a - s * b, x(r, j) = s * a + c * b;
  }
}

// The rotation that makes [[a, h], [h, b]] diagonal.
void rotation(Real a, Real b, Real h, Real& c, Real& s) {
  const Real tau = (b - a) / (2 * h), t = (tau >= 0 ? 1 : -1) / (std::abs(tau) + std::sqrt(1 + tau * tau));
  c = 1 / std::sqrt(1 + t * t), s = t * c;
}

Real column_dot(const Matrix& x, Index i, const Matrix& y, Index j) {
  Real total = 0;
  for (Index r = 0; r < x.rows; ++r) total += x(r, i) * y(r, j);
  return total;
}

Matrix columns_in_order(const Matrix& x, const std::vector<Index>& order) {
  Matrix result(x.rows, x.columns);
  for (Index i = 0; i < x.rows; ++i)
    for (Index j = 0; j < x.columns; ++j) result(i, j) = x(i, order[static_cast<std::size_t>(j)]);
  return result;
}

std::vector<Index> order_of(const std::vector<Real>& values) {
  std::vector<Index> order(values.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
    return values[static_cast<std::size_t>(a)] < values[static_cast<std::size_t>(b)];
  });
  return order;
}

// a -> 1 where it can, beside it b -> a^-1 b; the determinant, 0 where it cannot.
Real eliminate(Matrix& a, Matrix& b) {
  Real determinant = 1;
  for (Index p = 0; p < a.rows; ++p) {
    Index best = p;
    for (Index i = p; i < a.rows; ++i)
      if (std::abs(a(i, p)) > std::abs(a(best, p))) best = i;
    if (a(best, p) == 0) return 0;
    for (Index j = 0; j < a.columns; ++j) std::swap(a(p, j), a(best, j));
    for (Index j = 0; j < b.columns; ++j) std::swap(b(p, j), b(best, j));
    const Real pivot = a(p, p);
    determinant *= best == p ? pivot : -pivot;
    for (Index j = 0; j < a.columns; ++j) a(p, j) /= pivot;
    for (Index j = 0; j < b.columns; ++j) b(p, j) /= pivot;
    for (Index i = 0; i < a.rows; ++i) {
      const Real factor = a(i, p);
      if (i == p) continue;
      for (Index j = 0; j < a.columns; ++j) a(i, j) -= factor * a(p, j);
      for (Index j = 0; j < b.columns; ++j) b(i, j) -= factor * b(p, j);
    }
  }
  return determinant;
}

}  // namespace

Matrix Matrix::identity(Index n) {
  Matrix result(n, n);
  for (Index i = 0; i < n; ++i) result(i, i) = 1;
  return result;
}

Matrix Matrix::of(const Array& batch, Index number) {
  Matrix result(batch.shape()[-2], batch.shape()[-1]);
  for (Index i = 0; i < result.rows * result.columns; ++i)
    result.entries[static_cast<std::size_t>(i)] = batch.at(number * result.rows * result.columns + i);
  return result;
}

Matrix Matrix::transposed() const {
  Matrix result(columns, rows);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j) result(j, i) = (*this)(i, j);
  return result;
}

Matrix operator*(const Matrix& a, const Matrix& b) {
  Matrix result(a.rows, b.columns);
  for (Index i = 0; i < a.rows; ++i)
    for (Index j = 0; j < b.columns; ++j)
      for (Index p = 0; p < a.columns; ++p) result(i, j) += a(i, p) * b(p, j);
  return result;
}

Matrix solve(Matrix a, Matrix b) {
  eliminate(a, b);
  return b;
}

Real determinant(Matrix a) {
  Matrix nothing(a.rows, 0);
  return eliminate(a, nothing);
}

Eigen eigen(Matrix a) {
  Matrix vectors = Matrix::identity(a.rows);
  for (int sweep = 0; sweep < 30; ++sweep)
    for (Index i = 0; i < a.rows; ++i)
      for (Index j = i + 1; j < a.rows; ++j) {
        if (a(i, j) == 0) continue;
        Real c, s;
        rotation(a(i, i), a(j, j), a(i, j), c, s);
        rotate(a, i, j, c, s);
        a = a.transposed();
        rotate(a, i, j, c, s);
        a = a.transposed();
        rotate(vectors, i, j, c, s);
      }
  std::vector<Real> values;
  for (Index i = 0; i < a.rows; ++i) values.push_back(a(i, i));
  const std::vector<Index> order = order_of(values);
  std::sort(values.begin(), values.end());
  return {values, columns_in_order(vectors, order)};
}

Singular singular(const Matrix& a) {
  if (a.rows < a.columns) {
    Singular other = singular(a.transposed());
    return {std::move(other.v), std::move(other.values), std::move(other.u)};
  }
  Matrix u = a, v = Matrix::identity(a.columns);
  for (int sweep = 0; sweep < 30; ++sweep)
    for (Index i = 0; i < a.columns; ++i)
      for (Index j = i + 1; j < a.columns; ++j) {
        const Real h = column_dot(u, i, u, j);
        if (h == 0) continue;
        Real c, s;
        rotation(column_dot(u, i, u, i), column_dot(u, j, u, j), h, c, s);
        rotate(u, i, j, c, s);
        rotate(v, i, j, c, s);
      }
  std::vector<Real> negative;
  for (Index j = 0; j < a.columns; ++j) {
    const Real length = std::sqrt(column_dot(u, j, u, j));
    negative.push_back(-length);
    for (Index i = 0; i < a.rows && length > 0; ++i) u(i, j) /= length;
  }
  const std::vector<Index> order = order_of(negative);
  std::sort(negative.begin(), negative.end());
  std::vector<Real> values;
  for (Real value : negative) values.push_back(-value);
  return {columns_in_order(u, order), values, columns_in_order(v, order)};
}

Orthogonal orthogonal(const Matrix& a) {
  Matrix q = a, r(a.columns, a.columns);
  for (Index j = 0; j < a.columns; ++j) {
    for (int again = 0; again < 2; ++again)
      for (Index p = 0; p < j; ++p) {
        const Real part = column_dot(q, p, q, j);
        r(p, j) += part;
        for (Index i = 0; i < a.rows; ++i) q(i, j) -= part * q(i, p);
      }
    r(j, j) = std::sqrt(column_dot(q, j, q, j));
    for (Index i = 0; i < a.rows; ++i) q(i, j) /= r(j, j);
  }
  return {q, r};
}

void fix_signs(Matrix& x, Matrix* y) {
  for (Index j = 0; j < x.columns; ++j) {
    Real largest = 0;
    for (Index i = 0; i < x.rows; ++i) largest = std::max(largest, std::abs(x(i, j)));
    Index first = 0;
    while (first < x.rows && std::abs(x(first, j)) < 0.9L * largest) ++first;
    if (first == x.rows || x(first, j) >= 0) continue;
    for (Index i = 0; i < x.rows; ++i) x(i, j) = -x(i, j);
    for (Index i = 0; y != nullptr && i < y->rows; ++i) (*y)(i, j) = -(*y)(i, j);
  }
}

}  // namespace wengert::reference
