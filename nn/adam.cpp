#include "nn/adam.hpp"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/derivatives.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/tape.hpp"

namespace wengert::nn {
namespace {

// What an update multiplies by, fixed before the pass over the parameters.
template <class T>
struct Factors {
  T beta1, beta2, rate, root, eps;

  Factors(const AdamOptions& o, std::int64_t k)
      : beta1(static_cast<T>(o.beta1)),
        beta2(static_cast<T>(o.beta2)),
        rate(static_cast<T>(o.lr / (1 - std::pow(o.beta1, static_cast<double>(k))))),
        root(static_cast<T>(1 / std::sqrt(1 - std::pow(o.beta2, static_cast<double>(k))))),
        eps(static_cast<T>(o.eps)) {}
};

template <class T>
void update(const Factors<T>& f, Index size, const T* gradient, T* w, T* m, T* v) {
  parallel_pieces(size, Index{1} << 13, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      m[i] = f.beta1 * m[i] + (1 - f.beta1) * gradient[i];
      v[i] = f.beta2 * v[i] + (1 - f.beta2) * (gradient[i] * gradient[i]);
      w[i] -= f.rate * m[i] / (std::sqrt(v[i]) * f.root + f.eps);
    }
  });
}

void check(const AdamOptions& o) {
  const auto fraction = [](double beta) { return beta >= 0 && beta < 1; };
  if (!(o.lr >= 0) || !fraction(o.beta1) || !fraction(o.beta2) || !(o.eps >= 0))
    throw Error(fmt::format("[Adam] needs lr >= 0, betas in [0, 1) and eps >= 0, got {}, {}, {}, {}", o.lr, o.beta1,
                            o.beta2, o.eps));
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
  check(options);
  std::vector<Var> leaves;
  for (const Slot& slot : slots_) leaves.push_back(slot.on(loss.tape(), loss.where()));
  const std::vector<Var> gradients = grad(loss, leaves);
  const double value = loss.var().item(loss.where());
  if (!std::isfinite(value)) return value;
  ++updates_;
  const FlushDenormals flush;
  dispatch_float(store_->dtype(), [&]<class T>() {
    const Factors<T> factors(options, updates_);
    T* w = store_->edit<T>().data();
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      const Index at = slots_[i].offset;
      update(factors, slots_[i].type.shape.size(), gradients[i].data<T>().data(), w + at, first_.data<T>().data() + at,
             second_.data<T>().data() + at);
    }
  });
  return value;
}

}  // namespace wengert::nn
