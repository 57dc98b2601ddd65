// Matrices with rows and columns exchanged.
#pragma once
#include "autodiff/dtype.hpp"

namespace wengert {

// to[c, r] = from[r, c] for rows x columns elements (f32, f64 or i32), of rows that are from_row and to_row elements
// apart.
template <class T>
void transpose_matrix(Index rows, Index columns, const T* from, Index from_row, T* to, Index to_row);

}  // namespace wengert
