// The reverse Euler-Maruyama sampler of the variance-preserving process: the law it reaches, its bits.
#define BOOST_TEST_MODULE euler_maruyama
#include <boost/test/unit_test.hpp>

#include "autodiff/autodiff.hpp"
#include "sde/sde.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;

namespace {

const sde::Vp vp{.beta_min = 0.1, .beta_max = 20};

}  // namespace

BOOST_AUTO_TEST_CASE(sampler_reaches_a_gaussian_and_converges_weakly_at_order_one) {
  // Data N(0, 0.25): the marginal's variance is 0.25 m^2 + s^2, its score known; the law at the end must be the data's.
  const auto score = [](Var x, Var t) { return -x / (0.25 * square(vp.mean(t)) + square(vp.std(t))); };
  const Index n = 40000;
  const Array start = Rng(5).normal({Dtype::f64, {n, 1}});
  const auto variance = [&](Index steps) {
    const Array x =
        sde::reverse_euler_maruyama(vp, score, start, sde::Grid::uniform(1, 0, steps), sde::Noise::drawn(9));
    double total = 0;
    for (Index i = 0; i < n; ++i) total += x.at(i) * x.at(i);
    return total / static_cast<double>(n);
  };
  const double coarse = variance(100) - 0.25, fine = variance(200) - 0.25;
  // The statistical error of a variance of 0.25 from 40 000 points is 0.0018.
  BOOST_TEST(std::abs(fine) < 0.03);
  BOOST_TEST(coarse / fine > 1.5);
  BOOST_TEST(coarse / fine < 2.7);
}

BOOST_AUTO_TEST_CASE(samples_depend_neither_on_threads_nor_on_the_split) {
  const auto score = [](Var x, Var t) { return tanh(concat({x, t}, 1)); };
  const auto two = [&](Var x, Var t) { return slice(score(x, t), 1, 0, 2); };
  const Array start = Rng(2).normal({Dtype::f32, {600, 2}});
  const sde::Grid grid = sde::Grid::uniform(1, 0, 5);
  const auto run = [&](const Array& x, Index first) {
    return sde::reverse_euler_maruyama(vp, two, x, grid, sde::Noise::drawn(3, first));
  };
  const int before = threads();
  set_threads(1);
  const Array whole = run(start, 0);
  for (int count : {2, 3, 7}) {
    set_threads(count);
    const Array again = run(start, 0);
    for (Index i = 0; i < whole.size(); ++i) BOOST_REQUIRE(whole.at(i) == again.at(i));
  }
  set_threads(before);
  const Array part = run(parity::row(start, 1, {200, 2}), 200);
  for (Index i = 0; i < part.size(); ++i) BOOST_REQUIRE(part.at(i) == whole.at(400 + i));
}

BOOST_AUTO_TEST_CASE(bad_input_is_refused) {
  const auto says = [](const std::string& part) {
    return [part](const Error& e) { return std::string(e.what()).find(part) != std::string::npos; };
  };
  BOOST_CHECK_EXCEPTION(sde::Grid::uniform(1, 0, 0), Error, says("at least one step, got 0"));
  BOOST_CHECK_EXCEPTION(sde::Grid({1, 0.5, 0.5}), Error, says("not strictly monotone"));
  BOOST_CHECK_EXCEPTION(sde::Grid({1}), Error, says("at least two times"));
  BOOST_CHECK_EXCEPTION(sde::Grid({1, NAN}), Error, says("time 1 is nan"));
  const auto zero = [](Var x, Var) { return 0 * x; };
  const Array x(Dtype::f32, {3, 2});
  BOOST_CHECK_EXCEPTION(sde::reverse_euler_maruyama(vp, zero, x, sde::Grid::uniform(0, 1, 4), sde::Noise::drawn(1)),
                        Error, says("falling"));
  const Array wrong(Dtype::f32, {4, 2, 2});
  BOOST_CHECK_EXCEPTION(sde::reverse_euler_maruyama(vp, zero, x, sde::Grid::uniform(1, 0, 4), sde::Noise::given(wrong)),
                        Error, says("was given noise f32 [4, 2, 2]"));
}
