// The one file that calls BLAS, through xtensor-blas. (OpenBLAS's own <cblas.h> clashes with its declarations.)
#include "autodiff/xtensor.hpp"
// First the configuration, which defines HAVE_CBLAS: without it cxxblas falls back to plain loops of its own.
#include <xtensor-blas/xblas_config.hpp>
//
#include <xflens/cxxblas/cxxblas.cxx>
#if !defined(HAVE_CBLAS)
#error "products_blas.cpp would run cxxblas's plain loops instead of BLAS"
#endif

#include "autodiff/kernels/products.hpp"
#include "autodiff/parallel.hpp"

extern "C" void openblas_set_num_threads(int count);

namespace wengert {

template <class T>
void multiply_blas(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out) {
  // Work is shared out by rows before it comes here. The flavour with OpenMP asks OpenMP for the number of threads at
  // every call, whatever it was told, and being told sets OpenMP's number for all that follows on this thread.
  const OneThread guard;
  static const bool pinned = (openblas_set_num_threads(1), true);
  static_cast<void>(pinned);
  const bool a_transposed = a.column != 1, b_transposed = b.column != 1;
  cxxblas::gemm<int>(cxxblas::RowMajor, a_transposed ? cxxblas::Trans : cxxblas::NoTrans,
                     b_transposed ? cxxblas::Trans : cxxblas::NoTrans, static_cast<int>(m), static_cast<int>(n),
                     static_cast<int>(k), T(1), a.data, static_cast<int>(a_transposed ? a.column : a.row), b.data,
                     static_cast<int>(b_transposed ? b.column : b.row), T(0), out.data, static_cast<int>(out.row));
}

template void multiply_blas<float>(Index, Index, Index, Strided<const float>, Strided<const float>, Strided<float>);
template void multiply_blas<double>(Index, Index, Index, Strided<const double>, Strided<const double>, Strided<double>);

}  // namespace wengert
