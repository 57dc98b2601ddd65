#include "experiments/triangles/data.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "experiments/common/numpy_random.hpp"
#include "experiments/common/statistics.hpp"

namespace wengert::experiments {
namespace {

Sides sorted(Sides sides) {
  std::sort(sides.begin(), sides.end());
  return sides;
}

// numpy.isclose(a, b, atol=tolerance): false for NaN.
bool is_close(double a, double b, double tolerance) { return std::abs(a - b) <= tolerance + 1e-5 * std::abs(b); }

// The angle between b and c in degrees, NaN where a side of it is 0.
double opposite_angle(double a, double b, double c) {
  const double cosine = (b * b + c * c - a * a) / (2 * b * c);
  return std::acos(std::isnan(cosine) ? cosine : std::clamp(cosine, -1.0, 1.0)) * (180 / std::numbers::pi);
}

double weight(const Sides& sides) {
  constexpr std::array by_sides{0.0, 0.05, 0.95}, by_angle{0.9, 0.0, 0.1};
  return by_sides[static_cast<std::size_t>(side_class(sides))] * by_angle[static_cast<std::size_t>(angle_class(sides))];
}

// Triangles among blocks of sorted uniform triples, of which there are five times as many as are wanted.
std::vector<Sides> draw_pool(numpy::Generator generator, std::size_t size) {
  std::vector<Sides> pool;
  while (pool.size() < size)
    for (std::size_t i = 0; i < std::max<std::size_t>(1000, 5 * size); ++i) {
      Sides sides{};
      for (double& side : sides) side = generator.random();
      sides = sorted(sides);
      if (sides[0] + sides[1] > sides[2]) pool.push_back(sides);
    }
  pool.resize(size);
  return pool;
}

std::array<double, 4> features(const Sides& s) {
  const double l = s[0] + s[1] + s[2];
  return {s[0] / l, s[1] / l, s[2] / l, l};
}

}  // namespace

bool is_triangle(const Sides& sides) {
  const auto [a, b, c] = sides;
  return a > 0 && b > 0 && c > 0 && a + b > c && b + c > a && c + a > b;
}

SideClass side_class(const Sides& sides) {
  const auto [a, b, c] = sorted(sides);
  const int equal = is_close(a, b, 1e-3) + is_close(b, c, 1e-3);
  return equal == 2 ? SideClass::equilateral : equal == 1 ? SideClass::isosceles : SideClass::scalene;
}

AngleClass angle_class(const Sides& sides) {
  const auto [a, b, c] = sorted(sides);
  const std::array angles{opposite_angle(a, b, c), opposite_angle(b, a, c), opposite_angle(c, a, b)};
  if (std::any_of(angles.begin(), angles.end(), [](double angle) { return std::isnan(angle); }))
    return AngleClass::obtuse;
  const double largest = *std::max_element(angles.begin(), angles.end());
  return is_close(largest, 90, 0.1) ? AngleClass::right : largest < 90 ? AngleClass::acute : AngleClass::obtuse;
}

ClassShares class_shares(const std::vector<Sides>& triangles) {
  using Share = ClassShares::Share;
  constexpr std::array<Share, 3> by_sides{&ClassShares::equilateral, &ClassShares::isosceles, &ClassShares::scalene},
      by_angle{&ClassShares::acute, &ClassShares::right, &ClassShares::obtuse};
  ClassShares shares;
  for (const Sides& s : triangles) {
    shares.valid += is_triangle(s);
    shares.*by_sides[static_cast<std::size_t>(side_class(s))] += 1;
    shares.*by_angle[static_cast<std::size_t>(angle_class(s))] += 1;
  }
  for (const auto& [name, share] : ClassShares::all) shares.*share /= static_cast<double>(triangles.size());
  return shares;
}

TriangleFeatures::TriangleFeatures(const std::vector<Sides>& data) {
  for (std::size_t j = 0; j < means_.size(); ++j) {
    std::vector<double> values;
    for (const Sides& s : data) values.push_back(features(s)[j]);
    means_[j] = mean(values);
    deviations_[j] = sd(values);
  }
}

Array TriangleFeatures::standardised(const std::vector<Sides>& triangles) const {
  Array x(Dtype::f32, {static_cast<Index>(triangles.size()), 4});
  for (std::size_t i = 0; i < triangles.size(); ++i)
    for (std::size_t j = 0; j < 4; ++j)
      x.set(static_cast<Index>(4 * i + j), (features(triangles[i])[j] - means_[j]) / deviations_[j]);
  return x;
}

std::vector<Sides> TriangleFeatures::sides(const Array& standardised) const {
  std::vector<Sides> result(static_cast<std::size_t>(standardised.shape()[0]));
  for (std::size_t i = 0; i < result.size(); ++i) {
    const auto feature = [&](std::size_t j) {
      return standardised.at(static_cast<Index>(4 * i + j)) * deviations_[j] + means_[j];
    };
    for (std::size_t j = 0; j < 3; ++j) result[i][j] = feature(j) * feature(3);
  }
  return result;
}

std::vector<Sides> triangle_data(std::uint32_t seed, Index count) {
  const std::vector<Sides> pool =
      draw_pool(numpy::Generator(seed), static_cast<std::size_t>(std::max(6 * count, count + 1000)));
  std::vector<double> weights;
  for (const Sides& sides : pool) weights.push_back(weight(sides));
  const double total = numpy::sum(weights);
  for (double& each : weights) each /= total;
  const std::vector<Index> chosen = numpy::Generator(seed).choice(weights, count);
  std::vector<Sides> data;
  for (Index i : numpy::RandomState(seed).permutation(count))
    data.push_back(pool[static_cast<std::size_t>(chosen[static_cast<std::size_t>(i)])]);
  return data;
}

}  // namespace wengert::experiments
