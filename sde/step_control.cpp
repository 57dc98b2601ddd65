#include "sde/step_control.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "autodiff/error.hpp"

namespace wengert::sde {
namespace {

constexpr double safety = 0.9, least_factor = 0.2, most_factor = 10;

void check(const AdaptiveOptions& o) {
  const auto refuse = [](const char* option, const char* wanted, double got) {
    throw Error(fmt::format("[adaptive] {} must be {}, got {}", option, wanted, got));
  };
  if (!(o.rtol >= 0) || !std::isfinite(o.rtol)) refuse("rtol", "at least 0", o.rtol);
  if (!(o.atol >= 0) || !std::isfinite(o.atol)) refuse("atol", "at least 0", o.atol);
  if (o.rtol + o.atol == 0) refuse("rtol + atol", "positive", 0);
  if (!(o.first_step >= 0)) refuse("first_step", "positive, or 0 to be chosen", o.first_step);
  if (!(o.max_step > 0)) refuse("max_step", "positive", o.max_step);
  if (o.max_steps < 1) refuse("max_steps", "at least 1", static_cast<double>(o.max_steps));
}

}  // namespace

double first_euler_step(double length, double norm_y, double norm_f) {
  return std::min(length, norm_y < 1e-5 || norm_f < 1e-5 ? 1e-6 : 0.01 * norm_y / norm_f);
}

double first_step(double h0, double norm_f, double norm_change, double error_order) {
  const double curvature = norm_change / h0, largest = std::max(norm_f, curvature);
  const double h1 = largest <= 1e-15 ? std::max(1e-6, 1e-3 * h0) : std::pow(0.01 / largest, 1 / (error_order + 1));
  return std::min(100 * h0, h1);
}

StepControl::StepControl(double from, double to, const AdaptiveOptions& options, double error_order, Dtype dtype)
    : t_(from), to_(to), max_step_(options.max_step), exponent_(-1 / (error_order + 1)), single_(dtype == Dtype::f32) {
  check(options);
  if (!std::isfinite(from) || !std::isfinite(to) || from == to)
    throw Error(fmt::format("[adaptive] needs two finite times that differ, got {} and {}", from, to));
}

double StepControl::propose() {
  const double end = direction() * INFINITY;
  const float t = static_cast<float>(t_);
  const double gap = single_ ? std::nextafter(t, static_cast<float>(end)) - t : std::nextafter(t_, end) - t_;
  const double least = 10 * std::abs(gap);
  if (!rejected_) size_ = std::clamp(size_, least, std::max(least, max_step_));
  if (!(size_ >= least)) return 0;
  next_ = t_ + direction() * size_;
  if (direction() * (next_ - to_) > 0) next_ = to_;
  size_ = std::abs(next_ - t_);
  return next_ - t_;
}

bool StepControl::accept(double error_norm) {
  const double factor = safety * std::pow(error_norm, exponent_);
  if (error_norm < 1) {
    const double growth = error_norm == 0 ? most_factor : std::min(most_factor, factor);
    size_ *= rejected_ ? std::min(1.0, growth) : growth;
    rejected_ = false;
    t_ = next_;
    return true;
  }
  size_ *= std::isfinite(factor) ? std::max(least_factor, factor) : least_factor;
  rejected_ = true;
  return false;
}

}  // namespace wengert::sde
