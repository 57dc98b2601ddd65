#include "experiments/common/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "experiments/common/interrupt.hpp"

namespace wengert::experiments {
namespace {

// "0:09", "1:02:33"
std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(std::min(seconds, 1e9) + 0.5);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::size_t columns(std::FILE* terminal) {
  struct winsize size {};
  return ::ioctl(::fileno(terminal), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string bar(double share, std::size_t width) {
  const auto full = static_cast<std::size_t>(share * static_cast<double>(width));
  return fmt::format("[{:#<{}}{:.<{}}]  ", "", full, "", width - full);
}

}  // namespace

Progress::Progress(std::string part, std::int64_t steps, std::FILE* out)
    : part_(std::move(part)), steps_(steps), out_(out), terminal_(::isatty(::fileno(out)) == 1) {}

Progress::~Progress() {
  if (done_ > done_shown_) show(timer_.seconds());
  if (terminal_ && done_ > 0) std::fputs("\n", out_);
}

void Progress::step(double loss, std::span<const nn::MetricValue> metrics) {
  has_losses_ = true;
  loss_sum_ += loss;
  if (metric_sums_.empty())
    for (const auto& [name, value] : metrics) metric_sums_.push_back({name, 0});
  for (std::size_t i = 0; i < metrics.size(); ++i) metric_sums_[i].value += metrics[i].value;
  step();
}

void Progress::step() {
  ++done_;
  const double now = timer_.seconds();
  if (now - shown_at_ >= (terminal_ ? 0.1 : 5.0)) show(now);
}

void Progress::show(double now) {
  const double rate = static_cast<double>(done_) / std::max(now, 1e-9);
  const double left = static_cast<double>(steps_ - done_) / rate;
  const double count = static_cast<double>(done_ - done_shown_);
  std::string means = has_losses_ ? fmt::format("loss {:.4g}  ", loss_sum_ / count) : "";
  for (const auto& [name, sum] : metric_sums_) means += fmt::format("{} {:.4g}  ", name, sum / count);
  std::string text =
      fmt::format("{}  {}/{}  {}{:.{}f} steps/s  {}", part_, done_, steps_, means, rate, rate < 10 ? 2 : 0,
                  done_ < steps_ ? "ETA " + clock_text(left) : "in " + clock_text(now));
  if (terminal_) {
    // A line as long as the terminal is wide would wrap, and could not be rewritten.
    const std::size_t room = columns(out_) - 1;
    const double share = static_cast<double>(done_) / static_cast<double>(std::max(steps_, done_));
    if (room >= text.size() + 14) text = bar(share, std::min<std::size_t>(room - text.size() - 4, 40)) + text;
    text = fmt::format("\r{:.{}}\x1b[K", text, room);
  } else {
    text += '\n';
  }
  if (std::fputs(text.c_str(), out_) < 0 || std::fflush(out_) != 0) {
    // A pipe without its reader, a terminal that was closed.
    if (errno == EPIPE || errno == EIO) Interrupt::request();
    std::clearerr(out_);
  }
  shown_at_ = now;
  done_shown_ = done_;
  loss_sum_ = 0;
  for (nn::MetricValue& metric : metric_sums_) metric.value = 0;
}

}  // namespace wengert::experiments
