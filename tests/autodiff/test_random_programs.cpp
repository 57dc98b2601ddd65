// Programs drawn at random, of values of one number to several packs, as machine code and on an eager tape.
#define BOOST_TEST_MODULE random_programs
#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include <array>
#include <random>

#include "tests/autodiff/machine_code.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

// A program drawn at random: ops on values of up to [width], some of them loops whose bodies are drawn as well.
class Drawing {
 public:
  Drawing(unsigned seed, Index width) : random_(seed), width_(width) {}

  std::vector<Var> operator()(Vars in) {
    std::vector<Var> values(in.begin(), in.end());
    grow(values, 40, 2);
    return {values.end() - 12, values.end()};
  }

 private:
  int below(std::size_t n) { return static_cast<int>(random_() % n); }
  Var any(const std::vector<Var>& values) { return values[static_cast<std::size_t>(below(values.size()))]; }

  void grow(std::vector<Var>& values, int count, int loops) {
    for (int i = 0; i < count; ++i)
      values.push_back(loops > 0 && below(12) == 0 ? loop(values, loops - 1) : op(values));
  }
  Var op(const std::vector<Var>& values) {
    const Var a = any(values), b = any(values), c = any(values);
    switch (below(16)) {
      case 0:
        return tanh(a);
      case 1:
        return a * b + c;
      case 2:
        return a / (1 + square(b));
      case 3:
        return where(a < b, c, a);
      case 4:
        return maximum(a, b) - c;
      case 5:
        return sqrt(abs(a)) * b;
      case 6:
        return a.rank() > 0 ? flip(a, 0) : a - 1;
      case 7:
        return a.rank() > 0 ? sum(a * 0.5) : -a;
      case 8:
        return where(logical_or(a > 0, b > c), a, 0.3 * b);
      case 9:
        return a.rank() > 0 ? a[below(static_cast<std::size_t>(width_))] : a + 0.25;
      case 10:
        return abs(a - b);
      case 11:
        return shifted(a, b);
      case 12:
        return a.rank() > 0 ? slice(concat({a, -a}, 0), 0, below(static_cast<std::size_t>(width_)),
                                    Index{2} * width_ - 1, 2)[below(2)] +
                                  b
                            : a;
      case 13:
        return a.rank() > 0 ? sum(stack({a, square(a), 0.1 * a}, 0), {0}) : a;
      case 14:
        return a.rank() > 0 ? a * slice(a, 0, width_ / 2, width_ / 2 + 1) : b * a;
      default:
        return minimum(a, 0.5 * c);
    }
  }
  // A vector moved by some places, where numbers move in.
  Var shifted(Var a, Var b) {
    if (a.rank() == 0) return a + b;
    const Index by = below(static_cast<std::size_t>(width_));
    if (by == 0) return a;
    const Var in = b.rank() > 0 ? slice(b, 0, 0, by) : broadcast_to(reshape(b, {1}), {by});
    return below(2) == 0 ? concat({in, slice(a, 0, 0, -by)}, 0) : concat({slice(a, 0, by), in}, 0);
  }
  // Some rounds of a step that changes three values and reads others from outside.
  Var loop(const std::vector<Var>& outside, int loops) {
    using State = std::array<Var, 4>;
    const Var a = any(outside), b = any(outside), c = any(outside);
    const double rounds = below(5);
    const auto step = [&](const State& at) {
      std::vector<Var> values = outside;
      for (Var each : at) values.push_back(each);
      grow(values, 8, loops);
      const auto like = [&](Var value, Var wanted) {
        const Var bounded = value / (1 + abs(value));
        if (wanted.rank() == 0) return value.rank() == 0 ? bounded : sum(bounded);
        return broadcast_to(bounded, wanted.shape());
      };
      return State{like(values[values.size() - 1], at[0]),
                   like(below(2) == 0 ? at[0] : values[values.size() - 2], at[1]),
                   like(values[values.size() - 3], at[2]), at[3] + 1};
    };
    const State last = while_loop([&](const State& at) { return at[3] < rounds; }, step, State{a, b, c, 0 * sum(a)});
    return last[static_cast<std::size_t>(below(3))];
  }

  std::mt19937 random_;
  Index width_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(programs_at_random) {
  for (Index width : {3, 4, 8, 9, 14, 16, 23, 31, 70})
    for (unsigned seed = 0; seed < 24; ++seed) {
      const Dtype dtype = seed % 2 == 0 ? Dtype::f64 : Dtype::f32;
      const PlanFunction f = [&](Vars in) { return Drawing(seed, width)(in); };
      check(f,
            {random_array(dtype, {width}, seed), random_array(dtype, {}, seed + 1),
             random_array(dtype, {width}, seed + 2)},
            fmt::format("width {}, seed {}", width, seed), served && (width <= 31 || has_packs));
    }
}
