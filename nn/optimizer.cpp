#include "nn/optimizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "autodiff/derivatives.hpp"
#include "autodiff/kernels/folds.hpp"
#include "autodiff/ops/sources.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/tape.hpp"
#include "nn/checks.hpp"

namespace wengert::nn {
namespace {

constexpr Index small = Index{1} << 14;  // elements that are not worth waking a team for

// Elements that go through all parts of an update together, in the L1 cache, and whose squares are one term of
// the gradient's norm.
constexpr Index block = 1024;

void check(const OptimizerOptions& common) {
  const Clip& clip = common.clip;
  if (!(clip.value > 0) || !(clip.norm > 0))
    throw Error(fmt::format("[clip] needs a value and a norm above 0, got {} and {}", clip.value, clip.norm));
  fraction("ema_decay", "a number", common.ema_decay);
}

template <class T>
T limited(T x, T limit) {  // NaN stays
  return x > limit ? limit : x < -limit ? -limit : x;
}

// The sum of value(i)^2 over [0, size) in f64. Partial sums in lanes, for the compiler to keep in registers.
template <class T, class Value>
double sum_of_squares(Index size, const Value& value) {
  constexpr Index lanes = 32;
  std::array<double, lanes> sums{};
  const auto add = [&](Index i, Index lane) {
    const double x = value(i);
    sums[static_cast<std::size_t>(lane)] += x * x;
  };
  Index i = 0;
  for (; i + lanes <= size; i += lanes)
    for (Index lane = 0; lane < lanes; ++lane) add(i + lane, lane);
  for (Index lane = 0; i < size; ++i, ++lane) add(i, lane);
  for (std::size_t half = lanes / 2; half > 0; half /= 2)
    for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  return sums[0];
}

// The sum of x^2 over a piece of a gradient, read once: in lanes of T, and in f64 where a sum in f32 is not finite or
// so small that squares may have been lost.
template <class T>
double sum_of_squares(const T* x, Index size) {
  using simd::Batch;
  constexpr Index width = simd::lanes<T>;
  std::array<Batch<T>, 4> sums;
  sums.fill(Batch<T>(0));
  Index i = 0;
  for (; i + 4 * width <= size; i += 4 * width)
    for (std::size_t v = 0; v < 4; ++v) {
      const Batch<T> part = simd::load(x + i + static_cast<Index>(v) * width);
      sums[v] = simd::fma<T>(part, part, sums[v]);
    }
  for (; i < size; i += width) {
    const Batch<T> part = simd::Part<T>(std::min(width, size - i)).load(x + i);
    sums[0] = simd::fma<T>(part, part, sums[0]);
  }
  const T sum = simd::fold<T>((sums[0] + sums[1]) + (sums[2] + sums[3]));
  if (sizeof(T) == sizeof(double) || (std::isfinite(sum) && sum > T(1e-25))) return sum;
  return sum_of_squares<T>(size, [x](Index k) { return x[k]; });
}

// Zeros that stand for "does not depend on it".
bool is_zero(Var gradient) {
  const Tape& tape = gradient.tape();
  const Node& node = tape.node(tape.index_of(gradient, Where::current()));
  return node.op == &full_op() && arguments_of<FullArguments>(*node.attributes).value == 0;
}

// "a, b, c", at most six names
std::string list_of(const std::vector<Slot>& slots) {
  constexpr std::size_t most = 6;
  std::string names;
  for (std::size_t i = 0; i < std::min(slots.size(), most); ++i) names += (i == 0 ? "" : ", ") + slots[i].name;
  return slots.size() > most ? fmt::format("{} and {} more", names, slots.size() - most) : names;
}

template <class T>
void average(Index size, T decay, const T* w, T* averages) {
  for (Index i = 0; i < size; ++i) averages[i] = decay * averages[i] + (1 - decay) * w[i];
}

}  // namespace

const char* name_of(StepOutcome outcome) {
  switch (outcome) {
    case StepOutcome::updated:
      return "updated";
    case StepOutcome::loss_not_finite:
      return "the loss is not finite";
    case StepOutcome::gradient_not_finite:
      return "the gradient is not finite";
  }
  return "";
}

Optimizer::Optimizer(Module& module, int moments, const OptimizerOptions& common)
    : store_((check(common), gather(module))), averages_(store_->dtype(), {0}) {
  for (const auto& [name, parameter] : module.trained()) slots_.push_back(parameter->slot());
  for (int i = 0; i < moments; ++i) moments_.emplace_back(store_->dtype(), Shape{store_->size()});
  squares_.resize(static_cast<std::size_t>((store_->size() + block - 1) / block));
}

double Optimizer::step(Operand loss) {
  prepare();
  const std::vector<Var> gradients = gradients_of(loss, "step");
  const double value = loss.var().item(loss.where());
  std::vector<Array> copies;  // of gradients that are parameters themselves, which move
  places_.clear();
  for (Var gradient : gradients) {
    const Node& node = *Tape::find(gradient);
    places_.push_back(node.borrowed == Node::none ? node.data : copies.emplace_back(gradient.value()).raw());
  }
  parallel_region(store_->size() < small ? 1 : threads(), [&](int thread, int threads, Barrier& barrier) {
    move(value, std::span<const void* const>(places_), thread, threads, barrier);
  });
  finish();
  return value;
}

std::vector<Var> Optimizer::gradients_of(Operand loss, std::string_view owner) const {
  std::vector<Var> leaves;
  leaves.reserve(slots_.size());
  for (const Slot& slot : slots_) leaves.push_back(slot.on(loss.tape(), loss.where()));
  std::vector<Var> gradients = grad(loss, leaves);
  if (std::all_of(gradients.begin(), gradients.end(), is_zero))
    throw Error(
        fmt::format("[{}] the loss depends on none of the optimizer's parameters: {}. It may have read a copy of the "
                    "module, or their values before an update  ({})",
                    owner, list_of(slots_), location_of(loss)));
  return gradients;
}

void Optimizer::prepare(double share) {
  if (exchanged_) throw Error("[step] the parameters are exchanged with their averages: exchange them again first");
  const FloatingPointMode mode;  // rates and corrections are numbers of the update, too
  share_ = share;
  common_ = read(updates_ + 1);
  check(common_);
  if (clips_twice()) clipped_squares_.resize(squares_.size());
  if (common_.ema_decay > 0 && averages_.size() == 0) {
    averages_ = Array(dtype(), {store_->size()});
    std::memcpy(averages_.raw(), store_->at(0), averages_.type().bytes());
  }
}

// f(begin, size, gradient, block) for every piece of the thread's part of the store: within one block and one slot. A
// thread has the same blocks in every update, so that its moments stay in its cache.
template <class F>
void Optimizer::for_pieces(const Gradients& gradients, int thread, int threads, F&& f) const {
  const Index blocks = static_cast<Index>(squares_.size()), size = static_cast<Index>(size_of(store_->dtype()));
  const Index begin = blocks * thread / threads * block, end = blocks * (thread + 1) / threads * block;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Index offset = slots_[i].offset, last = std::min(end, offset + slots_[i].type.shape.size());
    const std::byte* gradient = static_cast<const std::byte*>(gradients[i]);
    for (Index at = std::max(begin, offset); at < last;) {
      const Index next = std::min(last, (at / block + 1) * block);
      f(at, next - at, gradient + (at - offset) * size, at / block);
      at = next;
    }
  }
}

bool Optimizer::clips_twice() const { return std::isfinite(common_.clip.value) && std::isfinite(common_.clip.norm); }

// The norm of what overflows when it is squared: in units of the largest entry, at most the largest number. A NaN or an
// infinity where an entry is one.
template <class T>
double Optimizer::scaled_norm(const Gradients& gradients) const {
  double largest = 0, squares = 0;
  const auto entries = [&](std::size_t i) {
    return std::span(static_cast<const T*>(gradients[i]), static_cast<std::size_t>(slots_[i].type.shape.size()));
  };
  for (std::size_t i = 0; i < slots_.size(); ++i)
    for (double entry : entries(i)) {
      if (!std::isfinite(entry)) return std::abs(entry);
      largest = std::max(largest, std::abs(entry));
    }
  for (std::size_t i = 0; i < slots_.size(); ++i)
    for (double entry : entries(i)) squares += std::pow(entry / largest, 2);
  return std::min(largest * std::sqrt(squares), std::numeric_limits<double>::max());
}

// The norm of the whole gradient, on every thread; a NaN or an infinity where an entry is one, and only there.
template <class T>
double Optimizer::measure(const Gradients& gradients, int thread, int threads, Barrier& barrier) {
  const Index blocks = static_cast<Index>(squares_.size());
  const auto clear = [&](std::vector<double>& sums) {
    std::fill(sums.begin() + blocks * thread / threads, sums.begin() + blocks * (thread + 1) / threads, 0.0);
  };
  const bool twice = clips_twice();
  clear(squares_);
  if (twice) clear(clipped_squares_);
  const T share = static_cast<T>(share_), largest = static_cast<T>(common_.clip.value);
  for_pieces(gradients, thread, threads, [&](Index, Index size, const void* gradient, Index which) {
    const T* from = static_cast<const T*>(gradient);
    squares_[static_cast<std::size_t>(which)] += sum_of_squares(from, size);
    if (twice)
      clipped_squares_[static_cast<std::size_t>(which)] +=
          sum_of_squares<T>(size, [&](Index i) { return limited(share * from[i], largest); });
  });
  barrier.wait();
  const double total = std::accumulate(squares_.begin(), squares_.end(), 0.0);
  if (std::isfinite(total)) return std::sqrt(total);
  return sizeof(T) == sizeof(float) ? total : scaled_norm<T>(gradients);  // squares of f32 do not overflow in f64
}

template <class T>
void Optimizer::apply(double norm, const Gradients& gradients, int thread, int threads) {
  const bool by_value = std::isfinite(common_.clip.value), by_norm = std::isfinite(common_.clip.norm);
  const T largest = static_cast<T>(common_.clip.value), share = static_cast<T>(share_);
  T factor = 1;
  if (by_norm) {
    const double before =
        by_value ? std::sqrt(std::accumulate(clipped_squares_.begin(), clipped_squares_.end(), 0.0)) : share_ * norm;
    factor = static_cast<T>(std::min(1.0, common_.clip.norm / (before + 1e-6)));
  }
  const T decay = static_cast<T>(common_.ema_decay);
  const bool as_it_is = !by_value && !by_norm && share_ == 1;
  T* averages = decay > 0 ? averages_.data<T>().data() : nullptr;
  for_pieces(gradients, thread, threads, [&](Index begin, Index size, const void* gradient, Index) {
    std::array<T, block> clipped;
    if (!as_it_is) {
      const T* from = static_cast<const T*>(gradient);
      if (by_norm)
        for (Index i = 0; i < size; ++i)
          clipped[static_cast<std::size_t>(i)] = factor * limited(share * from[i], largest);
      else
        for (Index i = 0; i < size; ++i) clipped[static_cast<std::size_t>(i)] = limited(share * from[i], largest);
      gradient = clipped.data();
    }
    update_piece(begin, size, gradient);
    if (averages != nullptr) average(size, decay, weights<T>() + begin, averages + begin);
  });
}

std::optional<double> Optimizer::judge(double loss, const Gradients& gradients, int thread, int threads,
                                       Barrier& barrier) {
  double norm = std::numeric_limits<double>::quiet_NaN();
  if (std::isfinite(loss))
    norm = dispatch_float(dtype(), [&]<class T>() { return measure<T>(gradients, thread, threads, barrier); });
  if (thread == 0) {
    norm_ = share_ * norm;
    outcome_ = !std::isfinite(loss)   ? StepOutcome::loss_not_finite
               : !std::isfinite(norm) ? StepOutcome::gradient_not_finite
                                      : StepOutcome::updated;
  }
  return std::isfinite(norm) ? std::optional(norm) : std::nullopt;
}

bool Optimizer::examine(double loss, std::span<const Array> gradients, int thread, int threads, Barrier& barrier) {
  return judge(loss, gradients, thread, threads, barrier).has_value();
}

void Optimizer::update(double loss, std::span<const Array> gradients, int thread, int threads, Barrier& barrier) {
  move(loss, gradients, thread, threads, barrier);
}

void Optimizer::move(double loss, const Gradients& gradients, int thread, int threads, Barrier& barrier) {
  const std::optional<double> norm = judge(loss, gradients, thread, threads, barrier);
  if (!norm) return;
  if (thread == 0) store_->touch();  // first, so that an update which fails halfway counts as well
  dispatch_float(dtype(), [&]<class T>() { apply<T>(*norm, gradients, thread, threads); });
}

StepOutcome Optimizer::finish() {
  if (outcome_ == StepOutcome::updated) ++updates_;
  return outcome_;
}

void Optimizer::exchange_averages() {
  if (averages_.size() == 0)
    throw Error("[exchange_averages] no averages are kept: set the optimizer's option ema_decay");
  dispatch_float(dtype(), [&]<class T>() {
    std::swap_ranges(averages_.data<T>().begin(), averages_.data<T>().end(), store_->edit<T>().begin());
  });
  exchanged_ = !exchanged_;
}

}  // namespace wengert::nn
