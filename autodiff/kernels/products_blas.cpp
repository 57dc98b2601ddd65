// The one file that calls BLAS, through xtensor-blas. (OpenBLAS's own <cblas.h> clashes with its declarations.)
#include "autodiff/xtensor.hpp"
//
#include <xflens/cxxblas/cxxblas.cxx>
#include <xtensor-blas/xblas_config.hpp>

#include "autodiff/kernels/products.hpp"

extern "C" void openblas_set_num_threads(int count);

namespace wengert {

template <class T>
void multiply_blas(Index m, Index n, Index k, Strided<const T> a, Strided<const T> b, Strided<T> out) {
  // Work is shared out by rows before it comes here; in a region of one thread OpenBLAS would still use all of its own.
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
