#include "sde/grid.hpp"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/error.hpp"

namespace wengert::sde {

Grid Grid::uniform(double from, double to, Index steps) {
  if (steps < 1) throw Error(fmt::format("[grid] needs at least one step, got {}", steps));
  std::vector<double> times;
  const double count = static_cast<double>(steps);
  for (Index i = 0; i <= steps; ++i)
    times.push_back((from * static_cast<double>(steps - i) + to * static_cast<double>(i)) / count);
  times.front() = from;  // not as rounded
  times.back() = to;
  return Grid(std::move(times));
}

Grid Grid::half_open(double from, double to, Index steps) {
  Grid grid = uniform(from, to, steps);
  grid.times_.pop_back();
  return Grid(std::move(grid.times_));
}

Grid Grid::reversed() const { return Grid({times_.rbegin(), times_.rend()}); }

Grid::Grid(std::vector<double> times) : times_(std::move(times)) {
  if (times_.size() < 2) throw Error(fmt::format("[grid] needs at least two times, got {}", times_.size()));
  const bool increasing = times_[1] > times_[0];
  for (std::size_t i = 0; i < times_.size(); ++i) {
    if (!std::isfinite(times_[i])) throw Error(fmt::format("[grid] time {} is {}", i, times_[i]));
    if (i > 0 && (increasing ? times_[i] <= times_[i - 1] : times_[i] >= times_[i - 1]))
      throw Error(fmt::format("[grid] times are not strictly monotone: {} follows {}", times_[i], times_[i - 1]));
  }
}

}  // namespace wengert::sde
