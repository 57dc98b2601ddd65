// Ward's clustering against SciPy's, and against its definition.
#define BOOST_TEST_MODULE ward
#include "experiments/common/ward.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "tests/experiments/helpers.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using namespace wengert::experiments;
using namespace wengert::testing;

namespace {

// The sum of squared distances of points to the centres of their clusters.
double within(const Array& points, const Clusters& clusters) {
  double sum = 0;
  const Index d = points.shape()[1];
  for (Index i = 0; i < points.size(); ++i)
    sum +=
        std::pow(points.at(i) - clusters.centres.at(clusters.labels[static_cast<std::size_t>(i / d)] * d + i % d), 2);
  return sum;
}

}  // namespace

BOOST_AUTO_TEST_CASE(heights_and_clusters_are_scipys) {
  const parity::Reference reference("ward");
  const Array& points = reference["points"];
  const std::vector<Merge> merges = ward(points);
  BOOST_REQUIRE(merges.size() == 199u);
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const double wanted = reference["merge_heights"].at(static_cast<Index>(i));
    BOOST_TEST(merges[i].height == wanted, boost::test_tools::tolerance(1e-12));
  }
  for (const auto& [name, threshold] :
       {std::pair{"threshold0.45", 0.45}, {"threshold2.0", 2.0}, {"threshold3.0", 3.0}}) {
    const Clusters clusters = clusters_below(points, merges, threshold);
    BOOST_TEST(clusters.count() == reference[std::string(name) + "/clusters"].at(0));
    const Array& labels = reference[std::string(name) + "/labels"];
    for (std::size_t i = 0; i < clusters.labels.size(); ++i)
      BOOST_TEST(clusters.labels[i] == labels.at(static_cast<Index>(i)), name << ", point " << i);
  }
}

// Each merge joins clusters that are there, and adds height^2 / 2 to the squares within clusters, by no cheaper one.
BOOST_AUTO_TEST_CASE(every_merge_is_the_cheapest_there_is) {
  for (Index d : {1, 2, 3}) {
    const Array points = random_array(Dtype::f64, {40, d}, 7);
    const std::vector<Merge> merges = ward(points);
    double squares = 0, before = 0;
    std::set<Index> there;
    for (Index i = 0; i < 40; ++i) there.insert(i);
    std::vector<Index> sizes(40, 1);
    for (std::size_t i = 0; i < merges.size(); ++i) {
      const Merge& merge = merges[i];
      BOOST_TEST(merge.height >= before);
      BOOST_TEST(merge.a < merge.b);
      BOOST_TEST(there.erase(merge.a) == 1u);
      BOOST_TEST(there.erase(merge.b) == 1u);
      there.insert(40 + static_cast<Index>(i));
      sizes.push_back(sizes[static_cast<std::size_t>(merge.a)] + sizes[static_cast<std::size_t>(merge.b)]);
      BOOST_TEST(merge.size == sizes.back());
      squares += merge.height * merge.height / 2;
      const Clusters left = clusters_below(points, merges, std::nextafter(merge.height, 1e9));
      BOOST_TEST(left.count() == 39 - static_cast<Index>(i));
      BOOST_TEST(within(points, left) == squares, boost::test_tools::tolerance(1e-10));
      // No two of the clusters left are nearer than the next merge.
      const double next = i + 1 < merges.size() ? merges[i + 1].height : 0;
      std::vector<double> counts(static_cast<std::size_t>(left.count()));
      for (Index label : left.labels) ++counts[static_cast<std::size_t>(label)];
      for (Index p = 0; p < left.count(); ++p)
        for (Index q = 0; q < p; ++q) {
          double distance = 0;
          for (Index j = 0; j < d; ++j)
            distance += std::pow(left.centres.at(p * d + j) - left.centres.at(q * d + j), 2);
          const double n = counts[static_cast<std::size_t>(p)], m = counts[static_cast<std::size_t>(q)];
          BOOST_TEST(std::sqrt(2 * n * m / (n + m) * distance) >= next * (1 - 1e-12));
        }
      before = merge.height;
    }
  }
}

BOOST_AUTO_TEST_CASE(a_threshold_that_is_a_height_keeps_its_clusters_apart) {
  const Array points = Array::of<double>({3, 1}, {0, 2, 10});
  const std::vector<Merge> merges = ward(points);
  BOOST_TEST(merges[0].height == 2);
  BOOST_TEST(clusters_below(points, merges, 2).count() == 3);
  const Clusters two = clusters_below(points, merges, 2.5);
  BOOST_TEST(two.labels == (std::vector<Index>{0, 0, 1}), boost::test_tools::per_element());
  BOOST_TEST(two.centres.at(0) == 1);
  BOOST_TEST(two.centres.at(1) == 10);
}

BOOST_AUTO_TEST_CASE(one_point_and_equal_points_are_clusters) {
  const Array one = Array::of<float>({1, 2}, {3, 4});
  BOOST_TEST(ward(one).empty());
  BOOST_TEST(clusters_below(one, {}, 1).count() == 1);
  const Array equal(Dtype::f32, {5, 2});
  for (const Merge& merge : ward(equal)) BOOST_TEST(merge.height == 0);
  BOOST_TEST(clusters_below(equal, ward(equal), 0.1).count() == 1);
}

BOOST_AUTO_TEST_CASE(points_that_are_none_are_refused) {
  BOOST_TEST(contains(error_of([] { ward(Array(Dtype::f32, {3})); }), "[ward] needs points [n,d], got [3]"));
  BOOST_TEST(contains(error_of([] { ward(Array(Dtype::f32, {0, 2})); }), "got [0, 2]"));
  const Array bad = Array::of<double>({2, 1}, {0, std::numeric_limits<double>::quiet_NaN()});
  BOOST_TEST(contains(error_of([&] { ward(bad); }), "[ward] a point is not finite"));
  BOOST_TEST(contains(error_of([] { clusters_below(Array(Dtype::f32, {3, 1}), {}, 1); }), "3 points have 2 merges"));
}
