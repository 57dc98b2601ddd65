#include "nn/optimizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "autodiff/derivatives.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/tape.hpp"

namespace wengert::nn {
namespace {

constexpr Index small = Index{1} << 14;  // elements that are not worth waking a team for

// Elements that go through all parts of an update together, in the first-level cache, and whose squares are one term of
// the gradient's norm.
constexpr Index block = 1024;

template <class T>
T limited(T x, T limit) {  // NaN stays
  return x > limit ? limit : x < -limit ? -limit : x;
}

template <class T>
void average(Index size, T decay, const T* w, T* averages) {
  for (Index i = 0; i < size; ++i) averages[i] = decay * averages[i] + (1 - decay) * w[i];
}

}  // namespace

Optimizer::Optimizer(Module& module, int moments) : store_(gather(module)), averages_(store_->dtype(), {0}) {
  for (const auto& [name, parameter] : module.trained()) slots_.push_back(parameter->slot());
  for (int i = 0; i < moments; ++i) moments_.emplace_back(store_->dtype(), Shape{store_->size()});
  squares_.resize(static_cast<std::size_t>((store_->size() + block - 1) / block));
}

double Optimizer::step(Operand loss) {
  std::vector<Var> leaves;
  for (const Slot& slot : slots_) leaves.push_back(slot.on(loss.tape(), loss.where()));
  prepare();
  const std::vector<Var> gradients = grad(loss, leaves);
  const double value = loss.var().item(loss.where());
  if (!std::isfinite(value)) return value;
  std::vector<Array> arrays;
  for (Var gradient : gradients) arrays.push_back(gradient.value());
  parallel_region(store_->size() < small ? 1 : threads(),
                  [&](int thread, int threads, Barrier& barrier) { update(arrays, thread, threads, barrier); });
  finish();
  return value;
}

void Optimizer::prepare(double share) {
  if (exchanged_) throw Error("[step] the parameters are exchanged with their averages: exchange them again first");
  share_ = share;
  settings_ = read(updates_ + 1);
  const auto& [clip, decay] = settings_;
  if (!(clip.value > 0) || !(clip.norm > 0))
    throw Error(fmt::format("[clip] needs a value and a norm above 0, got {} and {}", clip.value, clip.norm));
  if (!(decay >= 0 && decay < 1)) throw Error(fmt::format("[average] needs a decay in [0, 1), got {}", decay));
  if (decay > 0 && averages_.size() == 0) {
    averages_ = Array(dtype(), {store_->size()});
    std::memcpy(averages_.raw(), store_->at(0), averages_.type().bytes());
  }
}

// f(begin, size, gradient, block) for every piece of the thread's part of the store: within one block and one slot. A
// thread has the same blocks in every update, so that its moments stay in its cache.
template <class F>
void Optimizer::for_pieces(std::span<const Array> gradients, int thread, int threads, F&& f) const {
  const Index blocks = static_cast<Index>(squares_.size()), size = static_cast<Index>(size_of(store_->dtype()));
  const Index begin = blocks * thread / threads * block, end = blocks * (thread + 1) / threads * block;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Index offset = slots_[i].offset, last = std::min(end, offset + slots_[i].type.shape.size());
    const std::byte* gradient = static_cast<const std::byte*>(gradients[i].raw());
    for (Index at = std::max(begin, offset); at < last;) {
      const Index next = std::min(last, (at / block + 1) * block);
      f(at, next - at, gradient + (at - offset) * size, at / block);
      at = next;
    }
  }
}

template <class T>
void Optimizer::update_as(std::span<const Array> gradients, int thread, int threads, Barrier& barrier) {
  const bool by_value = std::isfinite(settings_.clip.value), by_norm = std::isfinite(settings_.clip.norm);
  const T limit = static_cast<T>(settings_.clip.value), share = static_cast<T>(share_);
  T factor = share;
  if (by_norm) {
    const Index blocks = static_cast<Index>(squares_.size());
    std::fill(squares_.begin() + blocks * thread / threads, squares_.begin() + blocks * (thread + 1) / threads, 0.0);
    for_pieces(gradients, thread, threads, [&](Index, Index size, const void* gradient, Index which) {
      double sum = 0;
      for (Index i = 0; i < size; ++i) {
        const double g = limited(share * static_cast<const T*>(gradient)[i], limit);
        sum += g * g;
      }
      squares_[static_cast<std::size_t>(which)] += sum;
    });
    barrier.wait();
    double total = 0;
    for (double square : squares_) total += square;
    factor = static_cast<T>(std::min(1.0, settings_.clip.norm / (std::sqrt(total) + 1e-6)));
  }
  const T decay = static_cast<T>(settings_.average);
  const bool as_it_is = !by_value && !by_norm && share_ == 1;
  T* averages = decay > 0 ? averages_.data<T>().data() : nullptr;
  for_pieces(gradients, thread, threads, [&](Index begin, Index size, const void* gradient, Index) {
    std::array<T, block> clipped;
    if (!as_it_is) {
      const T* from = static_cast<const T*>(gradient);
      if (by_norm)
        for (Index i = 0; i < size; ++i)
          clipped[static_cast<std::size_t>(i)] = factor * limited(share * from[i], limit);
      else
        for (Index i = 0; i < size; ++i) clipped[static_cast<std::size_t>(i)] = limited(share * from[i], limit);
      gradient = clipped.data();
    }
    update_piece(begin, size, gradient);
    if (averages != nullptr) average(size, decay, weights<T>() + begin, averages + begin);
  });
}

void Optimizer::update(std::span<const Array> gradients, int thread, int threads, Barrier& barrier) {
  dispatch_float(dtype(), [&]<class T>() { update_as<T>(gradients, thread, threads, barrier); });
}

void Optimizer::finish() {
  ++updates_;
  store_->touch();
}

void Optimizer::exchange_averages() {
  if (averages_.size() == 0) throw Error("[average] no averages are kept: set the optimizer's option `average`");
  dispatch_float(dtype(), [&]<class T>() {
    std::swap_ranges(averages_.data<T>().begin(), averages_.data<T>().end(), store_->edit<T>().begin());
  });
  exchanged_ = !exchanged_;
}

}  // namespace wengert::nn
