// The modes of floating-point arithmetic while something is computed, and after it: denormal numbers, rounding, traps.
// The thread sanitizer runs this file.
#define BOOST_TEST_MODULE floating_point
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cfenv>
#include <cmath>
#include <limits>

#include "autodiff/autodiff.hpp"
#include "autodiff/parallel.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

// Half of the smallest normal number: 0 where denormal numbers are flushed.
bool flushes() {
  volatile float smallest = std::numeric_limits<float>::min();
  volatile double wide = std::numeric_limits<double>::min();
  volatile float half = smallest / 2;
  volatile double wide_half = wide / 2;
  return half == 0 && wide_half == 0;
}

}  // namespace

#if defined(__SSE2__) || defined(__aarch64__)
BOOST_AUTO_TEST_CASE(denormal_numbers_are_flushed_in_a_scope_alone) {
  BOOST_TEST(!flushes());
  {
    const FloatingPointMode outer;
    BOOST_TEST(flushes());
    {
      const FloatingPointMode inner;
      BOOST_TEST(flushes());
    }
    BOOST_TEST(flushes());
  }
  BOOST_TEST(!flushes());
}

BOOST_AUTO_TEST_CASE(computing_flushes_on_every_thread_and_restores) {
  for (int count : {1, 2, 3}) {
    const Threads guard(count);
    std::atomic<int> kept{0};
    parallel_for(64, [&](Index) {
      if (!flushes()) ++kept;
    });
    BOOST_TEST(kept == 0);
    BOOST_TEST(!flushes());
    Tape tape;
    const Var x = tape.full(Shape{100000}, std::numeric_limits<float>::min());
    const Array half = (x * 0.5).value();
    BOOST_TEST(half.at(0) == 0.0);
    BOOST_TEST(half.at(99999) == 0.0);
    BOOST_TEST(!flushes());
  }
  // After an error too.
  Tape tape;
  const Var x = tape.full(Shape{3}, 1);
  error_of([&] { x + tape.full(Shape{4}, 1); });
  BOOST_TEST(!flushes());
}

// What README promises of them, in f32 and f64, as operands and as results; eager and by a plan.
BOOST_AUTO_TEST_CASE(denormal_numbers_are_zeros_of_their_sign) {
  const auto f = [](std::span<const Var> in) {
    return std::vector<Var>{in[0] * 1, log(abs(in[0])), in[1] * in[1], -in[1] * in[1], in[0] * in[2]};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const double tiny = dtype == Dtype::f32 ? 1e-40 : 1e-310, root = dtype == Dtype::f32 ? 1e-20 : 1e-160;
    Array small(dtype, {2}), large(dtype, {2}), huge(dtype, {2});
    small.set(0, tiny);
    small.set(1, -tiny);
    large.set(0, root);
    large.set(1, root);
    huge.set(0, 1 / root);
    huge.set(1, 1 / root);
    BOOST_TEST(small.at(0) > 0);
    Tape tape(dtype);
    const std::vector<Var> in{tape.input(small), tape.input(large), tape.input(huge)};
    std::vector<Array> eager;
    for (Var y : f(in)) eager.push_back(y.value());
    Plan plan = compile(f, {small.type(), large.type(), huge.type()}, {}, dtype);
    const auto planned = plan.run({small, large, huge});
    const double infinity = std::numeric_limits<double>::infinity();
    const std::vector<std::vector<double>> wanted{{0, -0.0}, {-infinity, -infinity}, {0, 0}, {-0.0, -0.0}, {0, -0.0}};
    for (std::size_t i = 0; i < wanted.size(); ++i)
      for (const Array& got : {eager[i], planned[i]})
        for (Index e = 0; e < 2; ++e) {
          const double want = wanted[i][static_cast<std::size_t>(e)];
          BOOST_TEST(got.at(e) == want);
          BOOST_TEST(std::signbit(got.at(e)) == std::signbit(want), "output " << i << " of " << name_of(dtype));
        }
  }
}

BOOST_AUTO_TEST_CASE(a_callers_rounding_does_not_show_and_is_restored) {
  const auto f = [](std::span<const Var> in) {
    const Var x = in[0], w = in[1], h = tanh(matmul(x, w)) / 3.0;
    const Var loss =
        mean(logsumexp(h, 1)) + sum(square(h)) * 1e-3 + sum(cumsum(x, 0) / 7.0) + variance(x) + mean(softmax(h, 1) * x);
    const std::vector<Var> g = grad(loss, {x, w});
    return std::vector<Var>{h, loss, g[0], g[1],
                            in[0].tape().full(Shape{3}, 0.1) * slice(x, 0, 0, 1).tape().full(Shape{3}, 0.3)};
  };
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Array x = random_array(dtype, {3000, 40}, 1), w = random_array(dtype, {40, 40}, 2);
    const auto eagerly = [&] {
      Tape tape(dtype);
      const std::vector<Var> in{tape.input(x), tape.input(w)};
      std::vector<Array> values;
      for (Var y : f(in)) values.push_back(y.value());
      return values;
    };
    const auto planned = [&] {
      Plan plan = compile(f, {x.type(), w.type()}, {}, dtype);
      const auto out = plan.run({x, w});
      return std::vector<Array>(out.begin(), out.end());
    };
    const std::vector<Array> wanted = eagerly();
    for (int count : {1, 2, 3})
      for (int rounding : {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
        const Threads guard(count);
        std::fesetround(rounding);
        const std::vector<Array> eager = eagerly(), by_plan = planned();
        const std::string refusal = error_of([&] { parallel_for(9, [](Index) { throw Error("refused"); }); });
        const int after = std::fegetround();
        std::fesetround(FE_TONEAREST);
        BOOST_TEST(same_bits(eager, wanted), "eager, " << count << " threads, mode " << rounding);
        BOOST_TEST(same_bits(by_plan, wanted), "plan, " << count << " threads, mode " << rounding);
        BOOST_TEST(refusal == "refused");
        BOOST_TEST(after == rounding);
      }
  }
}

#if defined(__GLIBC__) && defined(__SSE2__)
BOOST_AUTO_TEST_CASE(a_callers_traps_do_not_spring_and_are_restored) {
  for (int count : {1, 3}) {
    const Threads guard(count);
    Tape tape;
    const Var x = tape.full(Shape{100000}, 0);
    feenableexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW);
    const Array y = (x / x).value();
    const int after = fegetexcept();
    fedisableexcept(FE_ALL_EXCEPT);
    BOOST_TEST(std::isnan(y.at(0)));
    BOOST_TEST(after == (FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW));
  }
}
#endif
#endif
