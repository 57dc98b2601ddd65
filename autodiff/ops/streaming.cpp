#include "autodiff/ops/streaming.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

#include "autodiff/parallel.hpp"

namespace wengert {
namespace {

constexpr double clearly_faster = 0.9;  // of the time through the caches: less may be chance
constexpr int pause = 2400;             // runs between trials of 24

double median(std::vector<double> seconds) {
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

}  // namespace

Streaming& Streaming::of(const Op& op, const Kernel& k, int large_operands) {
  static std::mutex mutex;
  static std::map<std::tuple<const Op*, Dtype, int, int, int>, Streaming> all;
  const std::lock_guard lock(mutex);
  return all[{&op, k.type.dtype, large_operands, std::bit_width(k.type.bytes()), threads()}];
}

Streaming::Run Streaming::next() {
  const std::lock_guard lock(mutex_);
  const int i = run_++;
  if (i < 0) return {.streamed = streamed_};
  return {.streamed = i / block % 2 == 1, .timed = i % block > 0};
}

void Streaming::took(Run run, double seconds) {
  const std::lock_guard lock(mutex_);
  if (run_ < 0) return;  // another thread's run has ended the trial
  seconds_[run.streamed].push_back(seconds);
  if (std::min(seconds_[0].size(), seconds_[1].size()) < samples) return;
  streamed_ = median(seconds_[1]) < clearly_faster * median(seconds_[0]);
  for (auto& way : seconds_) way.clear();
  run_ = -pause;
}

}  // namespace wengert
