// Plain algorithms in long double that references of ops on matrices are made of. No LAPACK, no speed.
#pragma once
#include <vector>

#include "autodiff/array.hpp"

namespace wengert::reference {

using Real = long double;

struct Matrix {
  Matrix(Index m, Index n) : rows(m), columns(n), entries(static_cast<std::size_t>(m * n)) {}
  static Matrix identity(Index n);
  // Matrix `number` of a batch [..., rows, columns].
  static Matrix of(const Array& batch, Index number);
  Real& operator()(Index i, Index j) { return entries[static_cast<std::size_t>(i * columns + j)]; }
  Real operator()(Index i, Index j) const { return entries[static_cast<std::size_t>(i * columns + j)]; }
  Matrix transposed() const;

  Index rows, columns;
  std::vector<Real> entries;
};
Matrix operator*(const Matrix& a, const Matrix& b);

// Gauss-Jordan elimination with the largest pivot of each column: x of a x = b, and the determinant.
Matrix solve(Matrix a, Matrix b);
Real determinant(Matrix a);

struct Eigen {
  std::vector<Real> values;  // ascending
  Matrix vectors;            // columns
};
Eigen eigen(Matrix a);  // of a symmetric matrix, by Jacobi's rotations

struct Singular {
  Matrix u;
  std::vector<Real> values;  // descending
  Matrix v;
};
Singular singular(const Matrix& a);  // by one-sided rotations (Hestenes); min(rows, columns) columns

struct Orthogonal {
  Matrix q, r;
};
Orthogonal orthogonal(const Matrix& a);  // by Gram and Schmidt, twice

// Turns columns j of x (and of y) so that the first entry of x of at least 9/10 of the largest magnitude is positive.
void fix_signs(Matrix& x, Matrix* y = nullptr);

}  // namespace wengert::reference
