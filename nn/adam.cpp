#include "nn/adam.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autodiff/kernels/simd.hpp"
#include "nn/checks.hpp"

namespace wengert::nn {
namespace {

using simd::Batch;

template <class T, class Factors>
void update_range(const Factors& f, Index size, const T* gradient, T* w, T* m, T* v) {
  using B = Batch<T>;
  const B beta1(static_cast<T>(f.beta1)), rest1(static_cast<T>(1 - f.beta1)), beta2(static_cast<T>(f.beta2)),
      rest2(static_cast<T>(1 - f.beta2)), rate(static_cast<T>(f.rate)), root(static_cast<T>(f.root)),
      eps(static_cast<T>(f.eps)), keep(static_cast<T>(f.keep));
  const auto update = [&](const auto& load, const auto& store, Index i) {
    const B g = load(gradient + i);
    const B first = simd::fma<T>(beta1, load(m + i), rest1 * g);
    const B second = simd::fma<T>(beta2, load(v + i), rest2 * g * g);
    const B step = simd::quick_quotient<T>(first, simd::fma<T>(simd::quick_sqrt<T>(second), root, eps));
    store(m + i, first);
    store(v + i, second);
    store(w + i, simd::fma<T>(keep, load(w + i), -(rate * step)));
  };
  constexpr Index width = simd::lanes<T>;
  Index i = 0;
  for (; i + width <= size; i += width) update(simd::load<T>, simd::store<T>, i);
  if (i == size) return;
  const simd::Part<T> rest(size - i);
  update([&](const T* from) { return rest.load(from); }, [&](T* to, B value) { rest.store(to, value); }, i);
}

}  // namespace

const AdamOptions& Adam::checked(const AdamOptions& o, Dtype dtype) {
  at_least_0("Adam", "lr", o.lr, dtype);
  fraction("Adam", "beta1", o.beta1);
  fraction("Adam", "beta2", o.beta2);
  at_least_0("Adam", "eps", o.eps, dtype);
  at_least_0("Adam", "weight_decay", o.weight_decay, dtype);
  return o;
}

Adam::Adam(Module& module, const AdamOptions& settings)
    : Optimizer(module, 2, checked(settings, trained_dtype(module)).common), options(settings) {}

OptimizerOptions Adam::read(std::int64_t update) {
  checked(options, dtype());
  const double k = static_cast<double>(update);
  factors_ = {options.beta1, options.beta2, options.lr / (1 - std::pow(options.beta1, k)),
              1 / std::sqrt(1 - std::pow(options.beta2, k)),
              // Not 0: where no gradient has come yet the step is 0, not 0/0.
              std::max(options.eps, dtype() == Dtype::f32 ? double{std::numeric_limits<float>::min()}
                                                          : std::numeric_limits<double>::min()),
              1 - options.lr * options.weight_decay};
  return options.common;
}

void Adam::update_piece(Index begin, Index size, const void* gradient) {
  dispatch_float(dtype(), [&]<class T>() {
    update_range(factors_, size, static_cast<const T*>(gradient), weights<T>() + begin, moment<T>(0) + begin,
                 moment<T>(1) + begin);
  });
}

}  // namespace wengert::nn
