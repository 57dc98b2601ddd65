#include "sde/step_control.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "autodiff/error.hpp"

namespace wengert::sde {

void check_tolerance(const Owner& solver, const Tolerance& o) {
  if (!std::isfinite(o.from) || !std::isfinite(o.to) || o.from == o.to)
    solver.refuse(fmt::format("needs two finite times that differ, got {} and {}", o.from, o.to));
  const auto finite = [](double value) { return std::isfinite(value); };
  check_option(o.rtol >= 0 && finite(o.rtol), solver, "rtol", "at least 0 and finite", o.rtol);
  check_option(o.atol >= 0 && finite(o.atol), solver, "atol", "at least 0 and finite", o.atol);
  check_option(o.rtol + o.atol > 0, solver, "rtol + atol", "positive", o.rtol + o.atol);
  check_option(o.first_step >= 0 && finite(o.first_step), solver, "first_step",
               "positive and finite, or 0 to be chosen", o.first_step);
  check_option(o.max_step > 0, solver, "max_step", "positive", o.max_step);
  check_option(o.max_steps >= 1, solver, "max_steps", "at least 1", static_cast<double>(o.max_steps));
  const Controller& c = o.controller;
  check_option(c.safety > 0 && c.safety <= 1, solver, "safety", "in (0, 1]", c.safety);
  check_option(c.least_factor > 0 && c.least_factor < 1, solver, "least_factor", "in (0, 1)", c.least_factor);
  check_option(c.most_factor >= 1 && finite(c.most_factor), solver, "most_factor", "at least 1 and finite",
               c.most_factor);
}

double first_euler_step(double length, double norm_y, double norm_f) {
  return std::min(length, norm_y < 1e-5 || norm_f < 1e-5 ? 1e-6 : 0.01 * norm_y / norm_f);
}

double first_step(double h0, double norm_f, double norm_change, double error_order) {
  const double curvature = norm_change / h0, largest = std::max(norm_f, curvature);
  const double h1 = largest <= 1e-15 ? std::max(1e-6, 1e-3 * h0) : std::pow(0.01 / largest, 1 / (error_order + 1));
  return std::min(100 * h0, h1);
}

StepControl::StepControl(const Tolerance& tolerance, double error_order, Dtype dtype)
    : t_(tolerance.from),
      to_(tolerance.to),
      max_step_(tolerance.max_step),
      exponent_(-1 / (error_order + 1)),
      factors_(tolerance.controller),
      max_steps_(tolerance.max_steps),
      single_(dtype == Dtype::f32) {}

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
  const auto [safety, least_factor, most_factor] = factors_;
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
