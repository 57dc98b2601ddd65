// The bridge to xtensor, and the only header that includes it: opt in where arrays come from or go to xtensor. It costs
// about a second of compilation; nothing else in the library does.
//
//   xt::xarray<float> x = ...;
//   Var v = tape.input(from_xtensor(x));
//   xt::xarray<double> g = to_xtensor<double>(grad(loss, v));
//   auto view = adapt<float>(v);       // reads the tape's memory, no copy; valid while v is
#pragma once
#include <array>
#include <vector>

#if __has_include(<xtensor/containers/xarray.hpp>)  // xtensor 0.26 and later
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#include <xtensor/core/xnoalias.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xnoalias.hpp>
#endif

#include "autodiff/var.hpp"

namespace wengert {

using XShape = xt::svector<std::size_t, max_rank>;  // inline: adapting allocates nothing

inline XShape to_xshape(const Shape& shape) { return XShape(shape.extents().begin(), shape.extents().end()); }

// An array of the expression's elements, evaluated once; float, double and int32 elements.
template <class E>
Array from_xtensor(const xt::xexpression<E>& expression) {
  using T = typename E::value_type;
  const E& e = expression.derived_cast();
  Shape shape;
  for (auto extent : e.shape()) shape.append(static_cast<Index>(extent));
  Array result(dtype_of<T>, shape);
  auto out =
      xt::adapt(result.data<T>().data(), static_cast<std::size_t>(result.size()), xt::no_ownership(), to_xshape(shape));
  xt::noalias(out) = e;
  return result;
}

// Without a copy, over the array's or the tape's memory.
template <class T>
auto adapt(const Array& array) {
  const auto data = array.data<T>();
  return xt::adapt(data.data(), data.size(), xt::no_ownership(), to_xshape(array.shape()));
}
template <class T>
auto adapt(Var var, Where where = Where::current()) {
  const auto data = var.data<T>(where);
  return xt::adapt(data.data(), data.size(), xt::no_ownership(), to_xshape(var.shape(where)));
}

template <class T>
xt::xarray<T> to_xtensor(const Array& array) {
  return adapt<T>(array);
}
template <class T>
xt::xarray<T> to_xtensor(Var var, Where where = Where::current()) {
  return adapt<T>(var, where);
}

}  // namespace wengert
