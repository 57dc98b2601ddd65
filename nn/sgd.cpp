#include "nn/sgd.hpp"

#include <fmt/format.h>

namespace wengert::nn {
namespace {

void check(const SgdOptions& o) {
  if (!(o.lr >= 0) || !(o.momentum >= 0 && o.momentum < 1) || !(o.weight_decay >= 0))
    throw Error(fmt::format("[Sgd] needs lr >= 0, momentum in [0, 1) and weight_decay >= 0, got {}, {}, {}", o.lr,
                            o.momentum, o.weight_decay));
  if (o.nesterov && o.momentum == 0) throw Error("[Sgd] nesterov needs momentum > 0");
}

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

Sgd::Sgd(Module& module, const SgdOptions& settings) : Optimizer(module, 1), options(settings) { check(options); }

Optimizer::Settings Sgd::read(std::int64_t) {
  check(options);
  return {options.clip, options.average};
}

void Sgd::update_piece(Index begin, Index size, const void* gradient) {
  dispatch_float(dtype(), [&]<class T>() {
    update_range(options, size, static_cast<const T*>(gradient), weights<T>() + begin, moment<T>(0) + begin);
  });
}

}  // namespace wengert::nn
