#include "experiments/common/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autodiff/error.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert::experiments {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

double count(std::span<const double> values) { return static_cast<double>(values.size()); }

// Also false for NaN.
bool within(double value, const Range& range) { return value >= range.low && value <= range.high; }

Index bin_of(double value, const Range& range, Index bins) {
  const double place = (value - range.low) / (range.high - range.low) * static_cast<double>(bins);
  return std::min(static_cast<Index>(place), bins - 1);
}

void check(const Range& range, Index bins) {
  if (bins < 1 || !(range.low < range.high) || !std::isfinite(range.high - range.low))
    throw Error(
        fmt::format("a histogram needs bins and a range, got {} between {} and {}", bins, range.low, range.high));
}

}  // namespace

std::vector<double> column(const Array& points, Index j) {
  if (points.shape().rank() != 2 || j < 0 || j >= points.shape()[1])
    throw Error(fmt::format("column {} of an array of shape {}", j, to_string(points.shape())));
  const Index width = points.shape()[1];
  std::vector<double> values(static_cast<std::size_t>(points.shape()[0]));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = points.at(static_cast<Index>(i) * width + j);
  return values;
}

Array first_rows(const Array& points, Index n) {
  Tape tape;
  return slice(tape.input(points), 0, 0, n).value();
}

double mean(std::span<const double> values) {
  if (values.empty()) return nan;
  return std::accumulate(values.begin(), values.end(), 0.0) / count(values);
}

double sd(std::span<const double> values) {
  if (values.size() < 2) return nan;
  const double centre = mean(values);
  double sum = 0;
  for (double value : values) sum += (value - centre) * (value - centre);
  return std::sqrt(sum / (count(values) - 1));
}

double correlation(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size()) throw Error(fmt::format("{} values have no correlation with {}", a.size(), b.size()));
  const double centre_a = mean(a), centre_b = mean(b);
  double squares_a = 0, squares_b = 0, products = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    squares_a += (a[i] - centre_a) * (a[i] - centre_a);
    squares_b += (b[i] - centre_b) * (b[i] - centre_b);
    products += (a[i] - centre_a) * (b[i] - centre_b);
  }
  return products / std::sqrt(squares_a * squares_b);
}

double share(std::span<const double> values, Range range) {
  if (values.empty()) return nan;
  const auto inside = std::count_if(values.begin(), values.end(), [&](double value) { return within(value, range); });
  return static_cast<double>(inside) / count(values);
}

Histogram::Histogram(std::span<const double> values, Range range, Index bins) : range_(range) {
  check(range, bins);
  shares_.resize(static_cast<std::size_t>(bins));
  for (double value : values)
    if (within(value, range)) ++shares_[static_cast<std::size_t>(bin_of(value, range, bins))];
  for (double& share : shares_) share /= std::max(count(values), 1.0);
}

Histogram2d::Histogram2d(const Array& points, Range x, Range y, Index bins) : x_(x), y_(y), bins_(bins) {
  check(x, bins);
  check(y, bins);
  if (points.shape().rank() != 2 || points.shape()[1] != 2)
    throw Error(fmt::format("a 2-D histogram needs points [n, 2], got {}", to_string(points.shape())));
  area_ = (x.high - x.low) * (y.high - y.low) / static_cast<double>(bins * bins);
  shares_.resize(static_cast<std::size_t>(bins * bins));
  for (Index i = 0; i < points.shape()[0]; ++i) {
    const double u = points.at(2 * i), v = points.at(2 * i + 1);
    if (within(u, x) && within(v, y))
      ++shares_[static_cast<std::size_t>(bin_of(v, y, bins) * bins + bin_of(u, x, bins))];
  }
  for (double& share : shares_) share /= std::max(static_cast<double>(points.shape()[0]), 1.0);
}

double total_variation(const Histogram& histogram, std::span<const double> masses) {
  if (static_cast<Index>(masses.size()) != histogram.bins())
    throw Error(fmt::format("a histogram of {} bins has no {} masses", histogram.bins(), masses.size()));
  double sum = 0;
  for (Index bin = 0; bin < histogram.bins(); ++bin)
    sum += std::abs(histogram.share(bin) - masses[static_cast<std::size_t>(bin)]);
  return sum / 2;
}

namespace {

// The mean distance over all pairs, summed row by row.
double mean_distance(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  const std::size_t n = a.front().size(), m = b.front().size();
  double total = 0;
  std::vector<double> squares(m);
  for (std::size_t i = 0; i < n; ++i) {
    std::fill(squares.begin(), squares.end(), 0.0);
    for (std::size_t j = 0; j < a.size(); ++j)
      for (std::size_t k = 0; k < m; ++k) squares[k] += (a[j][i] - b[j][k]) * (a[j][i] - b[j][k]);
    double row = 0;
    for (double square : squares) row += std::sqrt(square);
    total += row;
  }
  return total / (static_cast<double>(n) * static_cast<double>(m));
}

std::vector<std::vector<double>> columns(const Array& points) {
  std::vector<std::vector<double>> result;
  for (Index j = 0; j < (points.shape().rank() == 2 ? points.shape()[1] : 0); ++j) result.push_back(column(points, j));
  return result;
}

}  // namespace

std::vector<double> nearest_distances(const Array& points, const Array& others, Index k) {
  const auto x = columns(points), y = columns(others);
  const Index count = others.shape()[0];
  if (x.empty() || x.size() != y.size() || k < 1 || k > count)
    throw Error(fmt::format("neighbour {} needs points [n,d] and [m,d] with as many, got {} and {}", k,
                            to_string(points.shape()), to_string(others.shape())));
  std::vector<double> distances, squares(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < x.front().size(); ++i) {
    std::fill(squares.begin(), squares.end(), 0);
    for (std::size_t j = 0; j < x.size(); ++j)
      for (std::size_t other = 0; other < squares.size(); ++other)
        squares[other] += (x[j][i] - y[j][other]) * (x[j][i] - y[j][other]);
    const auto nth = squares.begin() + (k - 1);
    std::nth_element(squares.begin(), nth, squares.end());
    distances.push_back(std::sqrt(*nth));
  }
  return distances;
}

double energy_distance(const Array& a, const Array& b) {
  const auto x = columns(a), y = columns(b);
  if (x.empty() || x.size() != y.size() || x.front().empty() || y.front().empty())
    throw Error(fmt::format("an energy distance needs points [n,d] and [m,d], got {} and {}", to_string(a.shape()),
                            to_string(b.shape())));
  return 2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y);
}

}  // namespace wengert::experiments
