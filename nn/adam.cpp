#include "nn/adam.hpp"

#include <fmt/format.h>

#include <cmath>

namespace wengert::nn {
namespace {

template <class T, class Factors>
void update_range(const Factors& f, Index size, const T* gradient, T* w, T* m, T* v) {
  const T beta1 = static_cast<T>(f.beta1), beta2 = static_cast<T>(f.beta2), rate = static_cast<T>(f.rate),
          root = static_cast<T>(f.root), eps = static_cast<T>(f.eps), keep = static_cast<T>(f.keep);
  for (Index i = 0; i < size; ++i) {
    m[i] = beta1 * m[i] + (1 - beta1) * gradient[i];
    v[i] = beta2 * v[i] + (1 - beta2) * (gradient[i] * gradient[i]);
    w[i] = keep * w[i] - rate * m[i] / (std::sqrt(v[i]) * root + eps);
  }
}

void check(const AdamOptions& o) {
  const auto fraction = [](double beta) { return beta >= 0 && beta < 1; };
  if (!(o.lr >= 0) || !fraction(o.beta1) || !fraction(o.beta2) || !(o.eps >= 0) || !(o.weight_decay >= 0))
    throw Error(
        fmt::format("[Adam] needs lr >= 0, betas in [0, 1), eps >= 0 and weight_decay >= 0, got {}, {}, {}, {}, {}",
                    o.lr, o.beta1, o.beta2, o.eps, o.weight_decay));
}

}  // namespace

Adam::Adam(Module& module, const AdamOptions& settings) : Optimizer(module, 2), options(settings) { check(options); }

Optimizer::Settings Adam::read(std::int64_t update) {
  check(options);
  const double k = static_cast<double>(update);
  factors_ = {options.beta1,
              options.beta2,
              options.lr / (1 - std::pow(options.beta1, k)),
              1 / std::sqrt(1 - std::pow(options.beta2, k)),
              options.eps,
              1 - options.lr * options.weight_decay};
  return {options.clip, options.average};
}

void Adam::update_piece(Index begin, Index size, const void* gradient) {
  dispatch_float(dtype(), [&]<class T>() {
    update_range(factors_, size, static_cast<const T*>(gradient), weights<T>() + begin, moment<T>(0) + begin,
                 moment<T>(1) + begin);
  });
}

}  // namespace wengert::nn
