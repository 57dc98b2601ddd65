#include "autodiff/plan/team_size.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace wengert::plan {
namespace {

constexpr double clearly_faster = 0.95;  // of the other's time: less may be chance
constexpr double clearly_slower = 1.3;   // than usual
constexpr int slow_runs = 6;             // one after another, that start a trial
constexpr double long_run = 20e-3;       // seconds: threads gain, and trying would take long
constexpr double most_lost = 0.005;      // of the time between trials
constexpr double shortest_pause = 200;   // runs
constexpr double longest_pause = 1e6;

double median(std::array<double, 3> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return seconds[1];
}

}  // namespace

int TeamSize::next(int most) {
  if (most != most_) {
    most_ = size_ = most;
    said_.size = 0;
    lost_ = 0;
    up_ = false;
    trying_ = false;
    if (most > 1) start_trial(half());
  }
  return trying_ && run_ >= block ? other_ : size_;
}

void TeamSize::took(double seconds) {
  if (most_ == 1) return;
  ++run_;
  if (!trying_) {
    slow_ = seconds > clearly_slower * usual_ ? slow_ + 1 : 0;
    if (run_ < next_trial_ && slow_ < slow_runs) return;
    const bool up = size_ == 1 || (up_ && size_ < most_ && slow_ < slow_runs);
    up_ = !up;
    start_trial(up ? twice() : half());
    return;
  }
  const int i = (run_ - 1) % block;
  if (i > 0) (run_ <= block ? own_ : others_)[static_cast<std::size_t>(i - 1)] = seconds;
  if (run_ == 2 && usual_ == 0 && seconds > long_run) {
    usual_ = seconds;
    settle();
  } else if (run_ == 2 * block) {
    decide();
  }
}

void TeamSize::start_trial(int other) {
  trying_ = true;
  other_ = other;
  run_ = slow_ = 0;
}

void TeamSize::decide() {
  double own = median(own_), others = median(others_);
  lost_ += block * std::max(0.0, others - own);
  const bool faster = others < clearly_faster * own;
  if (faster) {
    std::swap(size_, other_);
    std::swap(own, others);
  }
  usual_ = own;
  said_.of = most_;
  said_.other = other_;
  said_.seconds = own;
  said_.others = others;
  said_.size = size_;
  const int further = size_ < other_ ? half() : twice();
  if (faster && further != size_)
    start_trial(further);
  else
    settle();
}

void TeamSize::settle() {
  trying_ = false;
  run_ = slow_ = 0;
  next_trial_ = static_cast<int>(std::clamp(lost_ / (most_lost * usual_), shortest_pause, longest_pause));
  lost_ = 0;
}

std::string TeamSize::text() const {
  if (said_.size == 0) return "";
  return fmt::format("threads: {} of {} ({:.3f} ms a run; on {} {:.3f} ms)\n", said_.size.load(), said_.of.load(),
                     said_.seconds * 1e3, said_.other.load(), said_.others * 1e3);
}

}  // namespace wengert::plan
