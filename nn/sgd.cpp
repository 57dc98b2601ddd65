#include "nn/sgd.hpp"

#include "nn/checks.hpp"

namespace wengert::nn {
namespace {

template <class T>
void update_range(const SgdOptions& o, Index size, const T* gradient, T* w, T* m) {
  const T rate = static_cast<T>(o.lr), momentum = static_cast<T>(o.momentum), decay = static_cast<T>(o.weight_decay);
  const T ahead = o.nesterov ? momentum : T(1), own = o.nesterov ? T(1) : T(0);
  for (Index i = 0; i < size; ++i) {
    const T g = gradient[i] + decay * w[i];
    m[i] = momentum * m[i] + g;
    w[i] = w[i] - rate * (own * g + ahead * m[i]);
  }
}

}  // namespace

const SgdOptions& Sgd::checked(const SgdOptions& o, Dtype dtype) {
  at_least_0("Sgd", "lr", o.lr, dtype);
  fraction("Sgd", "momentum", o.momentum);
  at_least_0("Sgd", "weight_decay", o.weight_decay, dtype);
  if (o.nesterov && o.momentum == 0) throw Error("[Sgd] nesterov needs momentum > 0");
  return o;
}

Sgd::Sgd(Module& module, const SgdOptions& settings)
    : Optimizer(module, 1, checked(settings, trained_dtype(module)).common), options(settings) {}

OptimizerOptions Sgd::read(std::int64_t) { return checked(options, dtype()).common; }

void Sgd::update_piece(Index begin, Index size, const void* gradient) {
  dispatch_float(dtype(), [&]<class T>() {
    update_range(options, size, static_cast<const T*>(gradient), weights<T>() + begin, moment<T>(0) + begin);
  });
}

}  // namespace wengert::nn
