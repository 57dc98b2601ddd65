// Factorizations by LAPACK, through xtensor-blas, in memory of the caller's.
//
// Each struct is one factorization of one matrix after the other: its constructor takes all its arrays from `Parts`,
// its matrices lie by columns, as LAPACK has them. Everything that LAPACK reads and writes lies there, at cache lines
// in an order fixed by the extents, and it computes on the calling thread: bits depend on the matrix alone, not on its
// place in a batch or on threads. (Which of OpenBLAS's kernels run depends on the processor.)
#pragma once
#include <cstddef>
#include <cstdint>

#include "autodiff/dtype.hpp"

namespace wengert {

// Memory cut into arrays, each at a cache line. Without memory: how many bytes they need.
class Parts {
 public:
  explicit Parts(void* memory = nullptr) : memory_(static_cast<std::byte*>(memory)) {}
  template <class T>
  T* take(Index count) {
    std::byte* const at = memory_ == nullptr ? nullptr : memory_ + bytes_;
    bytes_ += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(at);
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* memory_;
  std::size_t bytes_ = 0;
};

// a = P L U, of n x n, by partial pivoting (getrf).
template <class T>
struct Lu {
  Lu(Parts& parts, Index n);
  Index factor();                                         // a -> L and U; the first pivot that is 0, or n
  void solve(bool transpose, Index columns, T* x) const;  // x of a x = b, or a' x = b, in place of b, [n, columns]
  T pivot(Index i) const { return a[i * n + i]; }
  bool odd() const;  // whether P is an odd permutation

  Index n;
  T* a;
  std::int32_t* swaps;
};

// Eigenvalues, ascending, and eigenvectors of a symmetric a of n x n (syevd).
template <class T>
struct SymmetricEigen {
  SymmetricEigen(Parts& parts, Index n);
  bool factor();  // a -> vectors; whether it converged

  Index n;
  T *a, *values;

 private:
  int work_size_, integers_size_;
  T* work_;
  std::int32_t* integers_;
};

// a = Q R, of rows x columns, rows >= columns (geqrf, orgqr).
template <class T>
struct Householder {
  Householder(Parts& parts, Index rows, Index columns);
  void factor();  // a -> R in its upper triangle
  void form();    // then a -> Q

  Index rows, columns;
  T* a;

 private:
  int work_size_;
  T *scales_, *work_;
};

// a = U S V', of rows x columns, with k = min(rows, columns) singular values, descending (gesdd).
template <class T>
struct SingularValues {
  SingularValues(Parts& parts, Index rows, Index columns);
  bool factor();  // a is overwritten; whether it converged

  Index rows, columns, k;
  T *a, *u, *values, *vt;  // u [rows, k], vt [k, columns], by columns

 private:
  int work_size_;
  T* work_;
  std::int32_t* integers_;
};

}  // namespace wengert
