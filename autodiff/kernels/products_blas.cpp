// The one file that calls BLAS itself, through xtensor-blas; lapack.cpp calls LAPACK. (OpenBLAS's own <cblas.h> clashes
// with its declarations.)
#include "autodiff/io/xtensor.hpp"
// First the configuration, which defines HAVE_CBLAS: without it cxxblas falls back to plain loops of its own.
#include <xtensor-blas/xblas_config.hpp>
//
#include <xflens/cxxblas/cxxblas.cxx>
#if !defined(HAVE_CBLAS)
#error "products_blas.cpp would run cxxblas's plain loops instead of BLAS"
#endif

#include <algorithm>

#include "autodiff/kernels/openblas.hpp"
#include "autodiff/kernels/products.hpp"

extern "C" void openblas_set_num_threads(int count);

namespace wengert {
namespace {

// A matrix as BLAS takes it: by rows, or transposed, with the distance between them. Where there is one row or one
// column, the distance may be anything, but BLAS wants it to be possible.
struct Given {
  cxxblas::Transpose transpose;
  int leading;
};
template <class T>
Given given(Index rows, Index columns, Strided<const T> x) {
  if (x.column == 1 && (x.row >= columns || rows == 1))
    return {cxxblas::NoTrans, static_cast<int>(std::max(x.row, columns))};
  return {cxxblas::Trans, static_cast<int>(std::max(x.column, rows))};
}

}  // namespace

OpenblasAlone::OpenblasAlone() {
  static const bool pinned = (openblas_set_num_threads(1), true);
  static_cast<void>(pinned);
}

template <class T>
void multiply_blas(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out) {
  const OpenblasAlone alone;  // work is shared out by rows before it comes here
  const Given left = given(m, k, a), right = given(k, n, b);
  cxxblas::gemm<int>(cxxblas::RowMajor, left.transpose, right.transpose, static_cast<int>(m), static_cast<int>(n),
                     static_cast<int>(k), T(1), a.data, left.leading, b.data, right.leading, T(0), out.data,
                     static_cast<int>(std::max(out.row, n)));
}

template void multiply_blas<float>(Index, Index, Index, Strided<const float>, Strided<const float>, Strided<float>);
template void multiply_blas<double>(Index, Index, Index, Strided<const double>, Strided<const double>, Strided<double>);

}  // namespace wengert
