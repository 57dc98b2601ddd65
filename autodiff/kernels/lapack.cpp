#include "autodiff/kernels/lapack.hpp"

#include <complex>  // which xflens takes for granted
// The configuration before the rest.
#include <xtensor-blas/xblas_config.hpp>
//
#include <xflens/cxxblas/cxxblas.cxx>
//
#include <xflens/cxxlapack/interface/geqrf.tcc>
#include <xflens/cxxlapack/interface/gesdd.tcc>
#include <xflens/cxxlapack/interface/getrf.tcc>
#include <xflens/cxxlapack/interface/getrs.tcc>
#include <xflens/cxxlapack/interface/orgqr.tcc>
#include <xflens/cxxlapack/interface/syevd.tcc>

#include <algorithm>
#include <cmath>

#include "autodiff/kernels/openblas.hpp"

namespace wengert {
namespace {

int whole(Index n) { return static_cast<int>(n); }
// Distances between columns are never 0 in LAPACK.
int distance(Index n) { return static_cast<int>(std::max<Index>(n, 1)); }

// The answer to a query of workspace; in f32 a large one may have been rounded down.
template <class T>
int work_size(T answer) {
  return static_cast<int>(std::ceil(static_cast<double>(answer) * (1 + 1e-6))) + 1;
}

}  // namespace

template <class T>
Lu<T>::Lu(Parts& parts, Index size) : n(size), a(parts.take<T>(n * n)), swaps(parts.take<std::int32_t>(n)) {}

template <class T>
Index Lu<T>::factor() {
  const OpenblasAlone alone;
  const int found = cxxlapack::getrf<int>(whole(n), whole(n), a, distance(n), swaps);
  return found > 0 ? found - 1 : n;
}

template <class T>
void Lu<T>::solve(bool transpose, Index columns, T* x) const {
  const OpenblasAlone alone;
  cxxlapack::getrs<int>(transpose ? 'T' : 'N', whole(n), whole(columns), a, distance(n), swaps, x, distance(n));
}

template <class T>
bool Lu<T>::odd() const {
  bool odd = false;
  for (Index i = 0; i < n; ++i) odd = odd != (swaps[i] != i + 1);
  return odd;
}

template <class T>
SymmetricEigen<T>::SymmetricEigen(Parts& parts, Index size)
    : n(size), a(parts.take<T>(n * n)), values(parts.take<T>(n)) {
  T none{}, wanted{};
  int integers = 0;
  cxxlapack::syevd<int>('V', 'L', whole(n), &none, distance(n), &none, &wanted, -1, &integers, -1);
  work_size_ = work_size(wanted), integers_size_ = integers;
  work_ = parts.take<T>(work_size_), integers_ = parts.take<std::int32_t>(integers_size_);
}

template <class T>
bool SymmetricEigen<T>::factor() {
  const OpenblasAlone alone;
  return cxxlapack::syevd<int>('V', 'L', whole(n), a, distance(n), values, work_, work_size_, integers_,
                               integers_size_) == 0;
}

template <class T>
Householder<T>::Householder(Parts& parts, Index m, Index n)
    : rows(m), columns(n), a(parts.take<T>(m * n)), scales_(parts.take<T>(n)) {
  T none{}, factoring{}, forming{};
  cxxlapack::geqrf<int>(whole(m), whole(n), &none, distance(m), &none, &factoring, -1);
  cxxlapack::orgqr<int>(whole(m), whole(n), whole(n), &none, distance(m), &none, &forming, -1);
  work_size_ = work_size(std::max(factoring, forming));
  work_ = parts.take<T>(work_size_);
}

template <class T>
void Householder<T>::factor() {
  const OpenblasAlone alone;
  cxxlapack::geqrf<int>(whole(rows), whole(columns), a, distance(rows), scales_, work_, work_size_);
}

template <class T>
void Householder<T>::form() {
  const OpenblasAlone alone;
  cxxlapack::orgqr<int>(whole(rows), whole(columns), whole(columns), a, distance(rows), scales_, work_, work_size_);
}

template <class T>
SingularValues<T>::SingularValues(Parts& parts, Index m, Index n)
    : rows(m),
      columns(n),
      k(std::min(m, n)),
      a(parts.take<T>(m * n)),
      u(parts.take<T>(m * k)),
      values(parts.take<T>(k)),
      vt(parts.take<T>(k * n)) {
  T none{}, wanted{};
  int integer = 0;
  cxxlapack::gesdd<int>('S', whole(m), whole(n), &none, distance(m), &none, &none, distance(m), &none, distance(k),
                        &wanted, -1, &integer);
  work_size_ = work_size(wanted);
  work_ = parts.take<T>(work_size_), integers_ = parts.take<std::int32_t>(8 * k);
}

template <class T>
bool SingularValues<T>::factor() {
  const OpenblasAlone alone;
  return cxxlapack::gesdd<int>('S', whole(rows), whole(columns), a, distance(rows), values, u, distance(rows), vt,
                               distance(k), work_, work_size_, integers_) == 0;
}

template struct Lu<float>;
template struct Lu<double>;
template struct SymmetricEigen<float>;
template struct SymmetricEigen<double>;
template struct Householder<float>;
template struct Householder<double>;
template struct SingularValues<float>;
template struct SingularValues<double>;

}  // namespace wengert
