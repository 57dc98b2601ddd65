// The catalogue of linear algebra; products of matrices, triangles, triangular_solve and cholesky are in ops.hpp.
// Names, arguments and conventions are those of torch.linalg (einsum's and kron's NumPy's).
//
//   Var x = solve(a, b);                           // a x = b
//   auto [values, vectors] = eigh(a);
//   Var y = einsum("bij,bjk->bik", {a, b});
//
// Matrices are the last two axes, leading axes a batch. Operands are f32 or f64, all of one dtype. Derivatives are of
// any order; where there is none, it is said here what comes. LAPACK computes each matrix by itself, on one thread: its
// bits do not depend on the batch or on the number of threads. A matrix with a NaN or an infinity gives NaN.
#pragma once
#include <initializer_list>
#include <span>
#include <string_view>

#include "autodiff/ops.hpp"

namespace wengert {

// x of a x = b, or of a' x = b with transpose: [..., n, n], [..., n, k] -> [..., n, k]; leading axes broadcast. A b of
// one axis is a vector: [..., n, n], [n] -> [..., n]. A matrix with a pivot that is exactly 0 throws Error when it is
// computed: "[solve] matrix 1 of [3, 2, 2] is singular: pivot 1 is 0".
struct SolveOptions {
  bool transpose = false;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("transpose", transpose);
  }
};
Var solve(Operand a, Operand b, SolveOptions options = {});
// The inverse, by solve: Error for a singular matrix. A system is solved faster and better by solve itself.
Var inv(Operand a);

// [..., n, n] -> [...], 0 where singular, 1 for n = 0. The derivative is right for every matrix, singular ones too.
// Those of higher order are so up to n = 3; for larger n they are NaN at a determinant of 0.
Var det(Operand a);
// The sign of det(a), which has no derivative, and log |det(a)|, without overflow: [...] each; (0, -infinity) where
// singular, which has no derivative: there it is Error, as solve's.
struct SlogDet {
  Var sign, logabsdet;
};
SlogDet slogdet(Operand a);

// Factorizations. What LAPACK leaves open is settled, so that a matrix has one result: of each eigenvector, and of each
// column of u, the first entry of at least 9/10 of the largest magnitude is positive; and r's diagonal is not negative.
//
// Eigenvalues, ascending, [..., n], and orthonormal eigenvectors, columns of [..., n, n], of (a + a')/2: for a
// symmetric a its own, and derivatives by a are symmetric. Those of the vectors divide by differences of values;
// vectors of equal values (within n eps of the largest) have none, and 0 is taken for 1/0 between them. So the first
// derivative is right for functions that do not tell equal values apart: of the values alone (a log-determinant), of
// projections on the whole space of equal values. That of v diag(f(values)) v' lacks what lies between equal values.
struct Eigh {
  Var values, vectors;
};
Eigh eigh(Operand a);
// a = q r, [..., m, n] -> q [..., m, k] with orthonormal columns and r [..., k, n] upper triangular, k = min(m, n).
// Derivatives want the first k columns of a to be independent: else infinities or NaN.
struct Qr {
  Var q, r;
};
Qr qr(Operand a);
// a = u diag(s) vh, [..., m, n] -> u [..., m, k], s [..., k], descending, and vh [..., k, n], k = min(m, n).
// Derivatives of u and vh divide by differences of squares of singular values, and, where a is not square, by those
// themselves: 0 is taken for 1/0, as in eigh.
struct Svd {
  Var u, s, vh;
};
Svd svd(Operand a);
// The x that makes |a x - b| smallest, and of several (more columns than rows) the shortest: [..., m, n], [..., m, k]
// ->
// [..., n, k]; a b of one axis is a vector. By qr, for an a of full rank, as PyTorch's "gels": else infinities or NaN
// (pinv(a) b is right for any rank).
Var lstsq(Operand a, Operand b);
// The Moore-Penrose inverse, [..., m, n] -> [..., n, m], without the singular values up to rtol times the largest; a
// negative rtol is max(m, n) eps. Derivatives are those among matrices of the same rank.
struct PinvOptions {
  double rtol = -1;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("rtol", rtol);
  }
};
Var pinv(Operand a, PinvOptions options = {});

// The product of vectors of 3 elements along an axis, counted from the end where the operands differ in rank; the other
// axes broadcast.
Var cross(Operand a, Operand b, Axis axis = -1);
// Every element of a times the whole of b: [m, n], [p, q] -> [m p, n q]; of up to 4 axes, as NumPy's.
Var kron(Operand a, Operand b);

// Sums of products by names of axes: "ij,jk->ik" is a product of matrices, "ii->" a trace, "bi,bi->b" dot products of
// rows. A name that the output does not have is summed over; one that an operand has twice is its diagonal. "..."
// stands for the other axes, which broadcast; so does any extent of 1. Without ->, the output has the axes of "..."
// and, in the alphabet's order, what is named once. Of several operands the two whose product is cheapest come first.
// Recorded as matmul where something is summed. Spaces do not count.
Var einsum(std::string_view expression, std::initializer_list<Operand> operands, Where where = Where::current());
Var einsum(std::string_view expression, std::span<const Operand> operands, Where where = Where::current());

}  // namespace wengert
