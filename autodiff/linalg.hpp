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

// The product of vectors of 3 elements along an axis, counted from the end where the operands differ in rank; the other
// axes broadcast.
Var cross(Operand a, Operand b, Axis axis = -1);
// Every element of a times the whole of b: [m, n], [p, q] -> [m p, n q]; of up to 4 axes, as NumPy's.
Var kron(Operand a, Operand b);

}  // namespace wengert
