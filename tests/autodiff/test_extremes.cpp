// Attributes and arguments at the ends of their types: every op either refuses them or gives what they mean. Overflow
// shows in a build with -Dsanitize=address, which looks for undefined behaviour too.
#define BOOST_TEST_MODULE extremes
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <climits>
#include <cmath>
#include <functional>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;

namespace {

constexpr Index least = std::numeric_limits<Index>::min(), greatest = std::numeric_limits<Index>::max();
const std::vector<Index> extremes{least,
                                  least + 1,
                                  -(Index{1} << 62),
                                  -(Index{1} << 47),
                                  -(Index{1} << 32),
                                  -9,
                                  -3,
                                  -2,
                                  -1,
                                  0,
                                  1,
                                  2,
                                  3,
                                  4,
                                  5,
                                  8,
                                  150,
                                  151,
                                  Index{1} << 31,
                                  (Index{1} << 32) - 1,
                                  1L << 32,
                                  1L << 47,
                                  Index{1} << 62,
                                  greatest - 1,
                                  greatest};
constexpr Index most_elements_computed = 1 << 16;

std::vector<Array> inputs_of(const Example& example, Dtype dtype) {
  std::mt19937_64 random(3);
  std::vector<Array> arrays;
  for (const Sample& sample : example.inputs) {
    Array& array = arrays.emplace_back(sample.dtype.value_or(dtype), sample.shape);
    for (Index i = 0; i < array.size(); ++i)
      array.set(i, sample.values.empty() ? std::uniform_real_distribution<double>(sample.low, sample.high)(random)
                                         : sample.values[static_cast<std::size_t>(i)]);
  }
  return arrays;
}

// What was thrown, if it was an Error; other exceptions pass.
bool refused(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error&) {
    return true;
  }
  return false;
}

void check_close(const Array& value, const Array& wanted, double tolerance, const std::string& what) {
  BOOST_REQUIRE_MESSAGE(value.shape() == wanted.shape(), what << ": shapes differ");
  double largest = 1e-300;
  for (Index i = 0; i < wanted.size(); ++i)
    if (std::isfinite(wanted.at(i))) largest = std::max(largest, std::abs(wanted.at(i)));
  for (Index i = 0; i < wanted.size(); ++i) {
    const double a = value.at(i), b = wanted.at(i);
    BOOST_CHECK_MESSAGE(a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= tolerance * largest,
                        what << " at " << i << ": got " << a << ", wanted " << b);
  }
}

// Records the call with its derivatives, unless it is refused or its result is large.
void attempt(const Op& op, const Example& example, const Attributes& attributes, bool compared) {
  const std::vector<Array> inputs = inputs_of(example, Dtype::f64);
  const std::string what = fmt::format("[{}] {}", op.name(), to_string(attributes));
  const auto call = [&](Tape& tape, std::vector<Var>& leaves) {
    std::vector<Operand> operands;
    for (const Array& input : inputs) operands.emplace_back(leaves.emplace_back(tape.input(input)));
    return tape.record(op, operands, attributes, Where::current());
  };
  Type type;
  if (refused([&] {
        Tape tape(Dtype::f64, Tape::Mode::symbolic);
        std::vector<Var> leaves;
        type = call(tape, leaves).type();
      }) ||
      type.shape.size() > most_elements_computed)
    return;
  refused([&] {
    Tape tape(Dtype::f64);
    std::vector<Var> leaves;
    const Var y = call(tape, leaves);
    if (compared) {
      std::vector<Array> in_f64;
      for (const Array& input : inputs) in_f64.push_back(input.cast(Dtype::f64));
      check_close(y.value(), op.reference(in_f64, attributes, type), std::max(1e-9, op.tolerance(type.dtype)), what);
    }
    if (!is_float(type.dtype) || op.linearity() == Linearity::none) return;
    for (const Var& leaf : leaves)
      if (is_float(leaf.dtype())) grad(sum(grad(sum(y), leaf)), leaf);
  });
}

}  // namespace

BOOST_AUTO_TEST_CASE(attributes_of_every_op) {
  int calls = 0;
  for (const Op* op : registry())
    for (const Example& example : op->examples()) {
      const Attributes& stated = example.attributes;
      for (std::size_t i = 0; i < stated.integers.size(); ++i)
        for (Index value : extremes) {
          Attributes mutated = stated;
          mutated.integers[i] = value;
          attempt(*op, example, mutated, true);
          ++calls;
        }
      for (std::size_t i = 0; i < stated.axes.size(); ++i)
        for (int value : {INT_MIN, INT_MIN + 1, -9, -8, -4, -3, -2, -1, 0, 1, 7, 8, INT_MAX}) {
          Attributes mutated = stated;
          mutated.axes[i] = value;
          attempt(*op, example, mutated, false);
          ++calls;
        }
      for (std::size_t i = 0; i < stated.reals.size(); ++i)
        for (double value : {-double{INFINITY}, -1e308, -1e39, -1e-308, -0.0, 1e-308, 1e-39, 1e39, 1e308,
                             double{INFINITY}, std::nan("")}) {
          Attributes mutated = stated;
          mutated.reals[i] = value;
          attempt(*op, example, mutated, false);
          ++calls;
        }
    }
  BOOST_TEST(calls > 1000);
}

namespace {

__extension__ typedef __int128 Wide;

Wide clamped(Wide i, Wide extent) { return std::clamp<Wide>(i < 0 ? i + extent : i, 0, extent); }

std::vector<double> sliced(Index extent, Index start, Index stop, Index step) {
  std::vector<double> values;
  if (step < 0) {
    const auto bound = [&](Wide i) { return std::clamp<Wide>(i < 0 ? i + extent : i, -1, Wide(extent) - 1); };
    const Wide end = stop == to_end ? -1 : bound(stop);
    for (Wide i = bound(start); i > end; i += step) values.push_back(double(i));
    return values;
  }
  for (Wide i = clamped(start, extent); i < clamped(stop, extent); i += step) values.push_back(double(i));
  return values;
}

Var counting(Tape& tape, Index extent) {
  Array x(Dtype::f64, {extent});
  for (Index i = 0; i < extent; ++i) x.set(i, double(i));
  return tape.input(x);
}

}  // namespace

BOOST_AUTO_TEST_CASE(slices_are_what_wide_integers_say) {
  for (Index extent : {0, 1, 5})
    for (Index start : extremes)
      for (Index stop : extremes)
        for (Index step : {Index{1}, Index{2}, Index{4}, Index{5}, Index{1} << 62, greatest, Index{-1}, Index{-2},
                           Index{-4}, -(Index{1} << 62), least}) {
          Tape tape(Dtype::f64);
          const Var x = counting(tape, extent), y = slice(x, 0, start, stop, step);
          const std::string what = fmt::format("slice({}, {}, {}) of {}", start, stop, step, extent);
          const std::vector<double> wanted = sliced(extent, start, stop, step);
          BOOST_CHECK_MESSAGE(testing::numbers(y) == wanted, what);
          const auto shares = testing::numbers(grad(sum(y), x));
          for (Index i = 0; i < extent; ++i)
            BOOST_CHECK_MESSAGE(shares[std::size_t(i)] == double(std::count(wanted.begin(), wanted.end(), double(i))),
                                what << ": derivative at " << i);
        }
}

BOOST_AUTO_TEST_CASE(slice_backward_is_what_wide_integers_say) {
  for (Index count : {0, 1, 3})
    for (Index extent : {0, 1, 5, 9})
      for (Index start : extremes)
        for (Index step : extremes) {
          Tape tape(Dtype::f64);
          const Var x = counting(tape, count) + 1;
          const bool fits =
              step >= 1 && start >= 0 && (count == 0 || Wide(start) + Wide(count - 1) * step < Wide(extent));
          Var y, gradient;
          const bool thrown = refused([&] {
            y = slice_backward(x, 0, extent, start, step);
            gradient = grad(sum(y), x);
          });
          BOOST_REQUIRE_MESSAGE(thrown == !fits, fmt::format("slice_backward of {} into {} at {} by {}: {}", count,
                                                             extent, start, step, thrown ? "refused" : "taken"));
          if (thrown) continue;
          BOOST_TEST(sum(y).item() == sum(x).item());
          BOOST_TEST(sum(gradient).item() == double(count));
          for (Index i = 0; i < count; ++i) BOOST_TEST(y.value().at(start + i * step) == double(i + 1));
        }
}

BOOST_AUTO_TEST_CASE(diagonals_and_shifts_are_what_wide_integers_say) {
  for (Index k : extremes) {
    Tape tape(Dtype::f64);
    const Var x = reshape(counting(tape, 12), {3, 4}) + 1;
    const Array lower = tril(x, k).value(), upper = triu(x, k).value(), rolled = roll(x, k, 1).value();
    for (Index i = 0; i < 12; ++i) {
      const Wide over = i % 4 - i / 4;
      BOOST_TEST(lower.at(i) == (over <= k ? double(i + 1) : 0));
      BOOST_TEST(upper.at(i) == (over >= k ? double(i + 1) : 0));
      const Wide from = ((Wide(i % 4) - k) % 4 + 4) % 4;
      BOOST_TEST(rolled.at(i) == double(i / 4 * 4 + Index(from) + 1));
    }
  }
}

BOOST_AUTO_TEST_CASE(functions_that_record_several_ops) {
  // Each with one argument at an extreme: refused, or computed.
  const std::vector<std::pair<const char*, std::function<void(Var, Index)>>> functions{
      {"pad before", [](Var x, Index v) { pad(x, {{.axis = -1, .before = v}}); }},
      {"pad after", [](Var x, Index v) { pad(x, {{.axis = -1, .before = 1, .after = v}}); }},
      {"tile", [](Var x, Index v) { tile(x, {v}); }},
      {"tile twice",
       [](Var x, Index v) {
         tile(x, {v, 1, v});
       }},
      {"pad by reflection", [](Var x, Index v) { pad(x, {{.before = v, .after = v}}, {.mode = PadMode::reflect}); }},
      {"pad by copies", [](Var x, Index v) { pad(x, {{.before = v}}, {.mode = PadMode::replicate}); }},
      {"pad from the other end", [](Var x, Index v) { pad(x, {{.after = v}}, {.mode = PadMode::circular}); }},
      {"pad by value", [](Var x, Index v) { pad(x, {{.before = 1, .after = v}}, {.value = 2}); }},
      {"select", [](Var x, Index v) { select(x, 1, v); }},
      {"slice of several axes",
       [](Var x, Index v) {
         slice(x, {{.axis = 0, .start = v, .step = -1}, {.axis = 1, .stop = v}});
       }},
      {"repeat", [](Var x, Index v) { repeat(x, v, 1); }},
      {"repeat by counts",
       [](Var x, Index v) {
         if (v < 1000) repeat(x, std::vector<Index>{1, v}, 0);
       }},
      {"chunk", [](Var x, Index v) { chunk(x, v, 1); }},
      {"diff", [](Var x, Index v) { diff(x, 1, v); }},
      {"topk", [](Var x, Index v) { topk(x, v); }},
      {"bincount", [](Var x, Index v) { bincount(cast(flatten(x), Dtype::i32), v); }},
      {"moveaxis", [](Var x, Index v) { moveaxis(x, v, 0); }},
      {"split", [](Var x, Index v) { split(x, v, 1); }},
      {"split by extents",
       [](Var x, Index v) {
         split(x, {v, Index{1}}, 1);
       }},
      {"split past the end",
       [](Var x, Index v) {
         split(x, {greatest, v, Index{6}}, 1);
       }},
      {"split of nothing", [](Var x, Index v) { split(slice(x, 1, 0, 0), v, 1); }},
      {"one_hot", [](Var x, Index v) { one_hot(cast(x, Dtype::i32), v); }},
      {"scatter_add", [](Var x, Index v) { scatter_add(x, cast(x, Dtype::i32), 1, v); }},
      {"reshape",
       [](Var x, Index v) {
         reshape(x, {v, v});
       }},
      {"broadcast_to",
       [](Var x, Index v) {
         broadcast_to(x, {v, 2, 3});
       }},
      {"axes", [](Var x, Index v) { sum(x, int(v)), softmax(x, int(v)), unsqueeze(x, int(v)); }},
      {"swapaxes", [](Var x, Index v) { swapaxes(x, 0, int(v)); }},
      {"polygamma", [](Var x, Index v) { polygamma(int(v), x); }},
      {"ive", [](Var x, Index v) { ive(int(v), x); }},
  };
  for (const auto& [name, f] : functions)
    for (Index value : extremes) {
      Tape tape(Dtype::f64, Tape::Mode::symbolic);
      const Var x = tape.input(Type{Dtype::f64, {2, 3}});
      BOOST_CHECK_NO_THROW(refused([&, &function = f] { function(x, value); }));
      BOOST_TEST(tape.size() < 100U, name << " of " << value);
    }
}

namespace {

// Calls with a number of floating type where an axis, an index, an extent or a count belongs do not compile; the same
// calls with a whole number do. N is the type of that number.
template <class N>
constexpr std::array calls{requires(Var x, N n){sum(x, n);
}  // namespace
, requires(Var x, N n) { sum(x, n, Reduce{}); }
, requires(Var x, N n) { sum(x, n, {.keepdims = true}); }
, requires(Var x, N n) { mean(x, n); }
, requires(Var x, N n) { max(x, n); }
, requires(Var x, N n) { max(x, n, {.keepdims = true}); }
, requires(Var x, N n) { min(x, n); }
, requires(Var x, N n) { argmax(x, n); }
, requires(Var x, N n) { argmin(x, n); }
, requires(Var x, N n) { prod(x, n); }
, requires(Var x, N n) { logsumexp(x, n); }
, requires(Var x, N n) { norm(x, n); }
, requires(Var x, N n) { variance(x, n); }
, requires(Var x, N n) { stddev(x, n, {.ddof = 0}); }
, requires(Var x, N n) { softmax(x, n); }
, requires(Var x, N n) { log_softmax(x, n); }
, requires(Var x, N n) { cumsum(x, n, {.reverse = true}); }
, requires(Var x, N n) { concat({x, x}, n); }
, requires(std::vector<Operand> parts, N n) { concat(parts, n); }
, requires(Var x, N n) { stack({x, x}, n); }
, requires(std::vector<Operand> parts, N n) { stack(parts, n); }
, requires(Var x, N n) { slice(x, n, 0); }
, requires(Var x, N n) { slice(x, 0, n); }
, requires(Var x, N n) { slice(x, 0, 0, n); }
, requires(Var x, N n) { slice(x, 0, 0, 1, n); }
, requires(Var x, N n) { slice_backward(x, n, 3, 0); }
, requires(Var x, N n) { slice_backward(x, 0, n, 0); }
, requires(Var x, N n) { slice_backward(x, 0, 3, n); }
, requires(Var x, N n) { slice_backward(x, 0, 3, 0, n); }
, requires(Var x, N n) { split(x, n, 0); }
, requires(Var x, N n) { split(x, 2, n); }
, requires(Var x, N n) { split(x, {Index{1}, Index{2}}, n); }
, requires(Var x, N n) { flip(x, n); }
, requires(Var x, N n) { roll(x, n, 0); }
, requires(Var x, N n) { roll(x, 1, n); }
, requires(Var x, N n) { swapaxes(x, n, 1); }
, requires(Var x, N n) { swapaxes(x, 0, n); }
, requires(Var x, N n) { unsqueeze(x, n); }
, requires(Var x, N n) { squeeze(x, n); }
, requires(Var x, N n) { select(x, n, 0); }
, requires(Var x, N n) { select(x, 0, n); }
, requires(Var x, N n) { chunk(x, n, 0); }
, requires(Var x, N n) { repeat(x, n, 0); }
, requires(Var x, N n) { moveaxis(x, n, 0); }
, requires(Var x, N n) { cumprod(x, n); }
, requires(Var x, N n) { cummax(x, n); }
, requires(Var x, N n) { diff(x, n); }
, requires(Var x, N n) { topk(x, n); }
, requires(Var x, N n) { quantile(x, 0.5, n); }
, requires(Var x, N n) { median(x, n); }
, requires(Var x, N n) { any(x, n); }
, requires(Var x, N n) { all(x, n); }
, requires(Var x, N n) { bincount(x, n); }
, requires(Var x, N n) { take_along(x, x, n); }
, requires(Var x, N n) { scatter_add(x, x, n, 3); }
, requires(Var x, N n) { scatter_add(x, x, 0, n); }
, requires(Var x, N n) { index_select(x, n, x); }
, requires(Var x, N n) { index_add(x, n, x, x); }
, requires(Var x, N n) { one_hot(x, n); }
, requires(Var x, N n) { argsort(x, n); }
, requires(Var x, N n) { sort(x, n); }
, requires(Var x, N n) { tril(x, n); }
, requires(Var x, N n) { triu(x, n); }
, requires(Var x, N n) { polygamma(n, x); }
, requires(Var x, N n) { ive(n, x); }
, requires(Draw& draw, N n) { draw.index({2}, n); }
,
}
;
constexpr bool all(auto list, bool wanted) {
  return std::all_of(list.begin(), list.end(), [&](bool compiles) { return compiles == wanted; });
}
static_assert(all(calls<int>, true) && all(calls<Index>, true) && all(calls<short>, true));
static_assert(all(calls<bool>, false) && all(calls<double>, false) && all(calls<float>, false) &&
              all(calls<long double>, false));

}  // namespace
