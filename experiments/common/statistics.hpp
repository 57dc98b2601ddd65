// Numbers and histograms of samples.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "autodiff/array.hpp"

namespace wengert::experiments {

// Column j of points [n, d], converted; throws Error where there is none.
std::vector<double> column(const Array& points, Index j);

// The first n rows of points, or all where there are fewer.
Array first_rows(const Array& points, Index n);

double mean(std::span<const double> values);  // NaN of none
double sd(std::span<const double> values);    // with n - 1; NaN of fewer than two

// Pearson's correlation of values that belong together; NaN where those of a side are all alike. Throws Error where
// there are more of one than of the other.
double correlation(std::span<const double> a, std::span<const double> b);

struct Range {
  double low, high;
};

// The share of the values that lies within, both ends included; NaN of none.
double share(std::span<const double> values, Range range);

// Counts in equal bins; a value at the upper end belongs to the last bin. Shares and densities are of all values, those
// outside of the range included, which are in no bin.
class Histogram {
 public:
  // Throws Error unless there are bins and the range is finite and not empty.
  Histogram(std::span<const double> values, Range range, Index bins);

  Index bins() const { return static_cast<Index>(shares_.size()); }
  double edge(Index bin) const { return range_.low + width() * static_cast<double>(bin); }  // the lower one
  double width() const { return (range_.high - range_.low) / static_cast<double>(bins()); }
  double share(Index bin) const { return shares_[static_cast<std::size_t>(bin)]; }
  double density(Index bin) const { return share(bin) / width(); }

 private:
  Range range_;
  std::vector<double> shares_;
};

// The histogram over two axes, with as many bins along each.
class Histogram2d {
 public:
  // points [n, 2]: x and y.
  Histogram2d(const Array& points, Range x, Range y, Index bins);

  Index bins() const { return bins_; }
  const Range& x() const { return x_; }
  const Range& y() const { return y_; }
  double share(Index i, Index j) const {
    return shares_[static_cast<std::size_t>(j * bins_ + i)];
  }  // bin i of x, j of y
  double density(Index i, Index j) const { return share(i, j) / area_; }

 private:
  Range x_, y_;
  Index bins_;
  double area_;  // of a bin
  std::vector<double> shares_;
};

// Half the sum of |share - mass| over the bins, where `masses` holds what each bin should have: in [0, 1].
double total_variation(const Histogram& histogram, std::span<const double> masses);

// From each point, [n,d], to its k-th nearest of others, [m,d]. Throws Error unless 1 <= k <= m.
std::vector<double> nearest_distances(const Array& points, const Array& others, Index k = 1);

// 2 E|X - Y| - E|X - X'| - E|Y - Y'| over all pairs of points, a [n,d] and b [m,d], those of a point with itself
// included: 0 for equal sets (Székely and Rizzo, "Energy statistics", 2013).
double energy_distance(const Array& a, const Array& b);

}  // namespace wengert::experiments
