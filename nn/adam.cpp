#include "nn/adam.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "autodiff/derivatives.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/tape.hpp"

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

constexpr Index small = Index{1} << 14;  // elements that are not worth waking a team for

void check(const AdamOptions& o) {
  const auto fraction = [](double beta) { return beta >= 0 && beta < 1; };
  if (!(o.lr >= 0) || !fraction(o.beta1) || !fraction(o.beta2) || !(o.eps >= 0) || !(o.weight_decay >= 0))
    throw Error(
        fmt::format("[Adam] needs lr >= 0, betas in [0, 1), eps >= 0 and weight_decay >= 0, got {}, {}, {}, {}, {}",
                    o.lr, o.beta1, o.beta2, o.eps, o.weight_decay));
}

}  // namespace

Adam::Adam(Module& module, const AdamOptions& settings)
    : options(settings),
      store_(gather(module)),
      first_(store_->dtype(), {store_->size()}),
      second_(store_->dtype(), {store_->size()}) {
  check(options);
  for (const auto& [name, parameter] : module.parameters()) slots_.push_back(parameter->slot());
}

double Adam::step(Operand loss) {
  std::vector<Var> leaves;
  for (const Slot& slot : slots_) leaves.push_back(slot.on(loss.tape(), loss.where()));
  prepare();
  const std::vector<Var> gradients = grad(loss, leaves);
  const double value = loss.var().item(loss.where());
  if (!std::isfinite(value)) return value;
  std::vector<Array> arrays;
  for (Var gradient : gradients) arrays.push_back(gradient.value());
  parallel_region(store_->size() < small ? 1 : threads(),
                  [&](int thread, int threads, Barrier&) { update(arrays, thread, threads); });
  finish();
  return value;
}

void Adam::prepare() {
  check(options);
  const double k = static_cast<double>(updates_ + 1);
  factors_ = {options.beta1,
              options.beta2,
              options.lr / (1 - std::pow(options.beta1, k)),
              1 / std::sqrt(1 - std::pow(options.beta2, k)),
              options.eps,
              1 - options.lr * options.weight_decay};
}

// A thread has the same part of the store in every update, so that its moments stay in its cache.
void Adam::update(std::span<const Array> gradients, int thread, int threads) {
  dispatch_float(store_->dtype(), [&]<class T>() {
    const Index lines = store_->size() / store_alignment;
    const Index begin = lines * thread / threads * store_alignment,
                end = lines * (thread + 1) / threads * store_alignment;
    T *w = store_->mutable_values<T>().data(), *m = first_.data<T>().data(), *v = second_.data<T>().data();
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      const Index at = slots_[i].offset, from = std::max(begin, at),
                  to = std::min(end, at + slots_[i].type.shape.size());
      if (from < to)
        update_range(factors_, to - from, std::as_const(gradients[i]).data<T>().data() + (from - at), w + from,
                     m + from, v + from);
    }
  });
}

void Adam::finish() {
  ++updates_;
  store_->touch();
}

}  // namespace wengert::nn
