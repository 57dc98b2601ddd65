// Draws: Random123's known answers, the promised layout, the laws, and independence of threads and splits.
#define BOOST_TEST_MODULE random_draws
#include <boost/math/special_functions/gamma.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "autodiff/kernels/philox.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;

namespace {

using Drawer = std::function<Var(Draw&, const Shape&)>;

Array draw(Dtype dtype, const Shape& shape, const Drawer& f, std::uint64_t seed = 11, std::uint32_t step = 4,
           Index first_row = 0) {
  Tape tape(dtype);
  Draw source(tape, seed, step, first_row);
  return f(source, shape).value();
}

const Drawer uniform = [](Draw& d, const Shape& s) { return d.uniform(s); };
const Drawer normal = [](Draw& d, const Shape& s) { return d.normal(s); };
Drawer gamma_of(double a) {
  return [a](Draw& d, const Shape& s) { return d.gamma(s, a, 1); };
}
const Drawer index_of_7 = [](Draw& d, const Shape& s) { return d.index(s, 7); };
const std::vector<Drawer> all{uniform, normal, gamma_of(200), gamma_of(0.4), index_of_7};

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

// sqrt(n) times the largest distance between the empirical distribution and `cdf`: below 1.95 in 999 of 1000 draws.
double kolmogorov_smirnov(const Array& x, const std::function<double(double)>& cdf) {
  std::vector<double> sorted;
  for (Index i = 0; i < x.size(); ++i) sorted.push_back(x.at(i));
  std::sort(sorted.begin(), sorted.end());
  const double n = static_cast<double>(sorted.size());
  double distance = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const double f = cdf(sorted[i]), rank = static_cast<double>(i);
    distance = std::max({distance, f - rank / n, (rank + 1) / n - f});
  }
  return std::sqrt(n) * distance;
}

// The mean of f(x), in standard errors away from `wanted`.
double deviation(const Array& x, const std::function<double(double)>& f, double wanted) {
  double sum = 0, squares = 0;
  for (Index i = 0; i < x.size(); ++i) {
    sum += f(x.at(i));
    squares += f(x.at(i)) * f(x.at(i));
  }
  const double n = static_cast<double>(x.size()), mean = sum / n;
  return std::abs(mean - wanted) / std::sqrt((squares / n - mean * mean) / n);
}

bool same_bits(const Array& a, const Array& b) {
  return a.type() == b.type() && std::memcmp(a.raw(), b.raw(), a.type().bytes()) == 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(philox_gives_the_known_answers) {  // Random123's kat_vectors, philox4x32 with 10 rounds
  const auto philox = [](std::array<std::uint32_t, 4> c, std::array<std::uint32_t, 2> k) {
    const Stream stream{wide(k[0], k[1]), c[2], c[3]};
    return stream.block(static_cast<Index>(c[0]), static_cast<Index>(c[1]));
  };
  const std::uint32_t f = 0xffffffff;
  BOOST_TEST((philox({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  BOOST_TEST((philox({f, f, f, f}, {f, f}) == Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  BOOST_TEST((philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
              Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

BOOST_AUTO_TEST_CASE(uniforms_are_open_at_both_ends) {
  BOOST_TEST(open_uniform(std::uint32_t{0}) > 0);
  BOOST_TEST(open_uniform(std::uint32_t{0xffffffff}) < 1);
  BOOST_TEST(open_uniform(std::uint64_t{0}) > 0);
  BOOST_TEST(open_uniform(~std::uint64_t{0}) < 1);
  BOOST_TEST(fine_uniform(0) > 0);
}

BOOST_AUTO_TEST_CASE(laws_hold) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Shape shape{40000, 3};
    const Array u = draw(dtype, shape, uniform), z = draw(dtype, shape, normal);
    BOOST_TEST(kolmogorov_smirnov(u, [](double x) { return std::clamp(x, 0.0, 1.0); }) < 1.95);
    BOOST_TEST(kolmogorov_smirnov(z, normal_cdf) < 1.95);
    for (int power : {1, 2, 3, 4}) {
      const double moments[] = {0, 1, 0, 3};
      BOOST_TEST(deviation(
                     u, [&](double x) { return std::pow(x, power); }, 1.0 / (power + 1)) < 4);
      BOOST_TEST(deviation(
                     z, [&](double x) { return std::pow(x, power); }, moments[power - 1]) < 4);
    }
    for (double a : {0.4, 1.0, 2.5, 200.0}) {
      const Array g = draw(dtype, shape, gamma_of(a));
      BOOST_TEST(kolmogorov_smirnov(g, [&](double x) { return x <= 0 ? 0 : boost::math::gamma_p(a, x); }) < 1.95);
      BOOST_TEST(deviation(
                     g, [](double x) { return x; }, a) < 4);
      BOOST_TEST(deviation(
                     g, [&](double x) { return (x - a) * (x - a); }, a) < 4);
    }
  }
}

BOOST_AUTO_TEST_CASE(neighbours_are_uncorrelated) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Array z = draw(dtype, {30000, 4}, normal);
    for (Index lag : {1, 2, 3, 4}) {
      Array products(Dtype::f64, {z.size() - lag});
      for (Index i = 0; i < products.size(); ++i) products.set(i, z.at(i) * z.at(i + lag));
      BOOST_TEST(deviation(
                     products, [](double x) { return x; }, 0) < 4);
    }
  }
}

BOOST_AUTO_TEST_CASE(indices_are_even_over_their_range) {
  const Array x = draw(Dtype::f32, {70000}, index_of_7);
  BOOST_TEST((x.dtype() == Dtype::i32));
  std::array<double, 7> counts{};
  for (Index i = 0; i < x.size(); ++i) {
    BOOST_REQUIRE(x.at(i) >= 0 && x.at(i) < 7);
    counts[static_cast<std::size_t>(x.at(i))] += 1;
  }
  double chi_squared = 0;
  for (double count : counts) chi_squared += (count - 10000) * (count - 10000) / 10000;
  BOOST_TEST(chi_squared < 22.5);  // 999 of 1000 at 6 degrees of freedom
}

BOOST_AUTO_TEST_CASE(draws_depend_on_seed_step_and_stream) {
  for (const Drawer& f : all) {
    const Shape shape{50};
    const Array base = draw(Dtype::f32, shape, f);
    BOOST_TEST(same_bits(base, draw(Dtype::f32, shape, f)));
    BOOST_TEST(!same_bits(base, draw(Dtype::f32, shape, f, 12)));
    BOOST_TEST(!same_bits(base, draw(Dtype::f32, shape, f, 11 + (std::uint64_t{1} << 32))));
    BOOST_TEST(!same_bits(base, draw(Dtype::f32, shape, f, 11, 5)));
    const Drawer second = [&](Draw& d, const Shape& s) { return f(d, s), f(d, s); };
    BOOST_TEST(!same_bits(base, draw(Dtype::f32, shape, second)));
  }
}

BOOST_AUTO_TEST_CASE(draws_depend_neither_on_threads_nor_on_splits) {
  const int before = threads();
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (const Drawer& f : all) {
      set_threads(1);
      const Array whole = draw(dtype, {5000, 3}, f);
      for (int count : {2, 3, 7}) {
        set_threads(count);
        BOOST_TEST(same_bits(whole, draw(dtype, {5000, 3}, f)));
      }
      const Array part = draw(dtype, {700, 3}, f, 11, 4, 1300);
      for (Index i = 0; i < part.size(); ++i) BOOST_REQUIRE(part.at(i) == whole.at(1300 * 3 + i));
    }
  set_threads(before);
}

BOOST_AUTO_TEST_CASE(the_layout_is_the_promised_one) {  // a change here breaks every stored seed
  const parity::Reference golden("draws");
  const std::vector<std::pair<std::string, Drawer>> named{{"uniform", uniform},
                                                          {"normal", normal},
                                                          {"gamma200", gamma_of(200)},
                                                          {"gamma0.4", gamma_of(0.4)},
                                                          {"index", index_of_7}};
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (const auto& [name, f] : named) {
      const Array x = draw(dtype, {2, 5}, f, 11 + (std::uint64_t{3} << 32), 4, 2);
      parity::check_close(x, golden[name + "/" + name_of(dtype)], dtype == Dtype::f32 ? 1e-6 : 1e-14, name);
    }
}

BOOST_AUTO_TEST_CASE(draws_have_no_derivative_and_rng_meets_no_draw) {
  Tape tape;
  Draw source(tape, 1);
  const Var x = tape.full(Shape{3}, 2), z = source.normal({3});
  BOOST_TEST(grad(sum(x * z), x).value().at(1) == z.value().at(1));
  Rng a(1), b(1);
  const Array first = a.normal({Dtype::f32, {8}}), second = a.normal({Dtype::f32, {8}});
  BOOST_TEST(same_bits(first, b.normal({Dtype::f32, {8}})));
  BOOST_TEST(!same_bits(first, second));
  BOOST_TEST(!same_bits(first, draw(Dtype::f32, {8}, normal, 1, 0)));
  BOOST_TEST(derive_seed(1, 0) != derive_seed(1, 1));
  BOOST_TEST(derive_seed(1, 0) != derive_seed(2, 0));
}

BOOST_AUTO_TEST_CASE(bad_settings_are_refused) {
  Tape tape;
  Draw source(tape, 1);
  const auto says = [](const std::string& part) {
    return [part](const Error& e) { return std::string(e.what()).find(part) != std::string::npos; };
  };
  BOOST_CHECK_EXCEPTION(source.gamma({2}, -1), Error,
                        says("[draw_gamma] needs a positive shape and rate, got -1 and 1  (test_random.cpp:"));
  BOOST_CHECK_EXCEPTION(source.uniform({2}, 1, 1), Error, says("[draw_uniform] needs low < high"));
  BOOST_CHECK_EXCEPTION(source.index({2}, 0), Error, says("[draw_index] needs a count between 1 and 2^31, got 0"));
}
