// Statistics of samples, batches of points, and the data of the studies.
#define BOOST_TEST_MODULE statistics
#include "experiments/common/statistics.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

#include "autodiff/ops.hpp"
#include "experiments/circle/landscape.hpp"
#include "experiments/common/batches.hpp"
#include "experiments/common/data.hpp"
#include "experiments/common/evaluate.hpp"
#include "experiments/common/figures.hpp"
#include "tests/experiments/helpers.hpp"

using namespace wengert;
using namespace wengert::experiments;
using namespace wengert::testing;

namespace {
constexpr double no_number = std::numeric_limits<double>::quiet_NaN();
}  // namespace

BOOST_AUTO_TEST_CASE(columns_are_those_of_the_array) {
  const Array points = Array::of<float>({3, 2}, {1, 2, 3, 4, 5, 6});
  BOOST_TEST(column(points, 0) == (std::vector<double>{1, 3, 5}), boost::test_tools::per_element());
  BOOST_TEST(column(points, 1) == (std::vector<double>{2, 4, 6}), boost::test_tools::per_element());
  for (Index j : {-1, 2}) BOOST_TEST(contains(error_of([&] { column(points, j); }), "of shape [3, 2]"));
  BOOST_TEST(contains(error_of([] { column(Array(Dtype::f32, {3}), 0); }), "of shape [3]"));
}

BOOST_AUTO_TEST_CASE(means_and_deviations_and_shares) {
  const std::vector<double> values{1, 2, 3, 6};
  BOOST_TEST(mean(values) == 3);
  BOOST_TEST(sd(values) == std::sqrt(14.0 / 3), boost::test_tools::tolerance(1e-15));
  BOOST_TEST(share(values, {2, 3}) == 0.5);
  BOOST_TEST(share(std::vector<double>{no_number, 1}, {0, 2}) == 0.5);
  BOOST_TEST(std::isnan(mean({})));
  BOOST_TEST(std::isnan(sd(std::vector<double>{1})));
  BOOST_TEST(std::isnan(share({}, {0, 1})));
}

BOOST_AUTO_TEST_CASE(histograms_count_each_value_once) {
  const std::vector<double> values{
      0, 0.5, 1, 1.999, 2, -0.001, 2.001, no_number, std::numeric_limits<double>::infinity(), 1.5};
  const Histogram histogram(values, {0, 2}, 4);
  const double shares[] = {0.1, 0.1, 0.1, 0.3};  // the upper end is in the last bin; the outer ones only in the total
  for (Index bin = 0; bin < 4; ++bin) {
    BOOST_TEST(histogram.share(bin) == shares[bin], boost::test_tools::tolerance(1e-15));
    BOOST_TEST(histogram.density(bin) == shares[bin] / 0.5, boost::test_tools::tolerance(1e-15));
    BOOST_TEST(histogram.edge(bin) == 0.5 * static_cast<double>(bin));
  }
  BOOST_TEST(Histogram({}, {0, 1}, 3).share(0) == 0);
}

BOOST_AUTO_TEST_CASE(histograms_of_points_keep_their_axes_apart) {
  const Array points = Array::of<double>({4, 2}, {0.5, 2.5, 0.5, 2.5, 1, 4, 5, 5});
  const Histogram2d histogram(points, {0, 1}, {2, 4}, 2);
  BOOST_TEST(histogram.share(1, 0) == 0.5);
  BOOST_TEST(histogram.share(1, 1) == 0.25);
  BOOST_TEST(histogram.share(0, 1) == 0);
  BOOST_TEST(histogram.density(1, 0) == 0.5 / (0.5 * 1));
}

BOOST_AUTO_TEST_CASE(histograms_need_bins_and_a_range) {
  const auto error = [](Range range, Index bins) { return error_of([&] { Histogram({}, range, bins); }); };
  for (Index bins : {0, -1}) BOOST_TEST(contains(error({0, 1}, bins), "a histogram needs bins and a range"));
  for (const Range& range :
       {Range{1, 1}, Range{2, 1}, Range{no_number, 1}, Range{0, std::numeric_limits<double>::infinity()}})
    BOOST_TEST(contains(error(range, 3), "a histogram needs bins and a range"));
  BOOST_TEST(contains(error_of([] { Histogram2d(Array(Dtype::f32, {4, 3}), {0, 1}, {0, 1}, 2); }), "got [4, 3]"));
}

BOOST_AUTO_TEST_CASE(total_variation_lies_between_equal_and_disjoint) {
  const Histogram histogram(std::vector<double>{0.1, 0.2, 0.3, 0.9}, {0, 1}, 2);
  BOOST_TEST(total_variation(histogram, std::vector<double>{0.75, 0.25}) == 0);
  BOOST_TEST(total_variation(histogram, std::vector<double>{0.5, 0.5}) == 0.25);
  BOOST_TEST(total_variation(Histogram(std::vector<double>{0.1}, {0, 1}, 2), std::vector<double>{0, 1}) == 1);
  BOOST_TEST(contains(error_of([&] { total_variation(histogram, std::vector<double>{1}); }), "2 bins has no 1 masses"));
}

BOOST_AUTO_TEST_CASE(energy_distances_are_those_of_their_definition) {
  const Array a = Array::of<double>({2, 1}, {0, 2}), b = Array::of<double>({1, 1}, {3});
  // 2 (3 + 1) / 2 - (0 + 2 + 2 + 0) / 4 - 0
  BOOST_TEST(energy_distance(a, b) == 3, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(energy_distance(b, a) == 3, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(energy_distance(a, a) == 0);
  const Array p = Array::of<float>({1, 2}, {0, 0}), q = Array::of<float>({1, 2}, {3, 4});
  BOOST_TEST(energy_distance(p, q) == 10);
  BOOST_TEST(contains(error_of([&] { energy_distance(a, p); }), "got [2, 1] and [1, 2]"));
}

BOOST_AUTO_TEST_CASE(nearest_distances_are_in_order) {
  const Array points = Array::of<float>({2, 2}, {0, 0, 1, 0}), others = Array::of<float>({3, 2}, {0, 0, 3, 4, 1, 2});
  const auto distances = [&](Index k) { return nearest_distances(points, others, k); };
  BOOST_TEST(nearest_distances(points, others) == (std::vector<double>{0, 1}), boost::test_tools::per_element());
  BOOST_TEST(distances(2) == (std::vector<double>{std::sqrt(5), 2}), boost::test_tools::per_element());
  BOOST_TEST(distances(3) == (std::vector<double>{5, std::sqrt(20)}), boost::test_tools::per_element());
  for (Index k : {Index{0}, Index{4}}) BOOST_TEST(contains(error_of([&] { distances(k); }), "got [2, 2] and [3, 2]"));
  const Array line = Array::of<float>({2, 1}, {0, 1});
  BOOST_TEST(contains(error_of([&] { nearest_distances(points, line); }), "got [2, 2] and [2, 1]"));
}

BOOST_AUTO_TEST_CASE(correlations_are_pearsons) {
  const std::vector<double> a{1, 2, 3, 4}, b{2, 4, 6, 8}, c{4, 3, 2, 1}, d{1, -1, -1, 1};
  BOOST_TEST(correlation(a, b) == 1, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(correlation(a, c) == -1, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(correlation(a, d) == 0);
  BOOST_TEST(correlation(a, std::vector<double>{1, 0, 0, 1}) == 0);
  BOOST_TEST(correlation(a, std::vector<double>{0, 0, 0, 1}) == 1.5 / std::sqrt(5 * 0.75),
             boost::test_tools::tolerance(1e-15));
  BOOST_TEST(std::isnan(correlation(a, std::vector<double>{1, 1, 1, 1})));
  BOOST_TEST(
      contains(error_of([&] { correlation(a, std::vector<double>{1}); }), "4 values have no correlation with 1"));
}

BOOST_AUTO_TEST_CASE(functions_are_evaluated_at_points_and_a_time) {
  const Array points = Array::of<double>({3, 2}, {1, 2, 3, 4, 5, 6});
  const Array sums = evaluated([](Var x, Var t) { return t * sum(x, 1); }, points, 0.5);
  for (Index i = 0; i < 3; ++i) BOOST_TEST(sums.at(i) == 0.5 * static_cast<double>(3 + 4 * i));
}

// Each epoch has every point once, in another order; the same epoch has it again, unless points are shuffled once.
BOOST_AUTO_TEST_CASE(batches_shuffle_each_epoch) {
  Array points(Dtype::f32, {7, 2});
  for (Index i = 0; i < 14; ++i) points.set(i, static_cast<double>(i));
  const auto epoch = [&](bool once, std::int64_t n) {
    Batches batches(points, 3, 5, once);
    std::vector<double> rows;
    for (std::int64_t i = 2 * n; i < 2 * n + 2; ++i) {
      const Array batch = batches(i);
      BOOST_TEST((batch.type() == Type{Dtype::f32, {3, 2}}));
      for (Index row = 0; row < 3; ++row) {
        rows.push_back(batch.at(2 * row) / 2);
        BOOST_TEST(batch.at(2 * row + 1) == batch.at(2 * row) + 1);
      }
    }
    return rows;
  };
  std::vector<double> first = epoch(false, 0), sorted = first;
  std::sort(sorted.begin(), sorted.end());
  BOOST_TEST((std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end()));
  BOOST_TEST(sorted.front() >= 0);
  BOOST_TEST(sorted.back() <= 6);
  BOOST_TEST((first != epoch(false, 1)));
  BOOST_TEST((epoch(false, 1) == epoch(false, 1)));
  BOOST_TEST((first == epoch(true, 0)));
  BOOST_TEST((first == epoch(true, 1)));
  BOOST_TEST(contains(error_of([&] { Batches(points, 8, 1); }), "batches of 8 need as many points [n,d], got [7, 2]"));
  BOOST_TEST(contains(error_of([&] { Batches(points, 0, 1); }), "batches of 0"));
}

BOOST_AUTO_TEST_CASE(the_studies_data_lie_beside_the_programs) {
  for (Index k : {2, 9, 1000}) {
    const Array patterns = study_data("circle_" + std::to_string(k));
    BOOST_TEST((patterns.type() == Type{Dtype::f32, {k, 2}}));
    for (Index i = 0; i < k; ++i)
      BOOST_TEST(std::hypot(patterns.at(2 * i), patterns.at(2 * i + 1)) == 1, boost::test_tools::tolerance(1e-6));
  }
  BOOST_TEST(contains(error_of([] { study_data("none"); }), "data/none.npy"));
}

BOOST_AUTO_TEST_CASE(lattices_go_along_x_first) {
  const Array points = lattice({0, 1}, {2, 4}, 3);
  BOOST_TEST(column(points, 0) == (std::vector<double>{0, 0.5, 1, 0, 0.5, 1, 0, 0.5, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(column(points, 1) == (std::vector<double>{2, 2, 2, 3, 3, 3, 4, 4, 4}), boost::test_tools::per_element());
  BOOST_TEST(contains(error_of([] { lattice({0, 1}, {0, 1}, 1); }), "got 1"));
}
