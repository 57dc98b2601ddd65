// Errors of what adds up many terms, against sums in long double: over lengths at the borders of chains and blocks and
// up to 10^7, over every place of the axis, on data that rounding is hard on.
#define BOOST_TEST_MODULE accuracy
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <limits>

#include "autodiff/autodiff.hpp"
#include "autodiff/kernels/sums.hpp"
#include "autodiff/ops/reduction.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;
using namespace std::string_view_literals;

namespace {

constexpr double least(Dtype dtype) {
  return dtype == Dtype::f32 ? std::numeric_limits<float>::min() : std::numeric_limits<double>::min();
}
constexpr double epsilon(Dtype dtype) {
  return dtype == Dtype::f32 ? std::numeric_limits<float>::epsilon() : std::numeric_limits<double>::epsilon();
}

// Element i of n; u is uniform in [0, 1).
struct Data {
  const char* name;
  double (*at)(Index i, Index n, double u, Dtype dtype);
};
const std::vector<Data> data{
    {"constant", [](Index, Index, double, Dtype) { return 0.1; }},
    {"positive", [](Index, Index, double u, Dtype) { return u; }},
    {"cancelling", [](Index i, Index, double u, Dtype) { return (i % 2 == 0 ? 1e4 : -1e4) + u; }},
    {"one huge", [](Index i, Index, double u, Dtype) { return i == 0 ? 1e6 : u; }},
    {"ascending", [](Index i, Index n, double, Dtype) { return static_cast<double>(i) / static_cast<double>(n); }},
    {"descending", [](Index i, Index n, double, Dtype) { return static_cast<double>(n - i) / static_cast<double>(n); }},
    {"near the least number", [](Index, Index, double u, Dtype dtype) { return 3 * u * least(dtype); }},
};

Array make(const Data& kind, Dtype dtype, const Shape& shape) {
  std::mt19937_64 random(5);
  Array x(dtype, shape);
  for (Index i = 0; i < x.size(); ++i)
    x.set(i, kind.at(i, x.size(), static_cast<double>(random() >> 11) * 0x1p-53, dtype));
  return x;
}
Array absolute(const Array& x) {
  Array y(x.dtype(), x.shape());
  for (Index i = 0; i < x.size(); ++i) y.set(i, std::abs(x.at(i)));
  return y;
}

// Roundings that a sum of n terms may show: chains and trees as a whole, of which most cancel.
double roundings(Index n) { return 3 + 0.25 * std::log2(static_cast<double>(n)); }

struct Over {
  Shape shape;
  AxisList axes;
};
// An axis of n at each place, alone and with others.
std::vector<Over> places(Index n, bool several) {
  if (n >= 1000000) return {{{n}, {-1}}};
  std::vector<Over> all{{{n}, {-1}}, {{n, 3}, {-2}}, {{3, n}, {-1}}, {{2, n, 5}, {-2}}};
  if (n <= 100 || n == 4097) all.push_back({{n, 70}, {-2}});
  if (n <= 100) all.push_back({{500, n}, {-1}});
  if (several) {
    all.push_back({{n, 3}, {-2, -1}});
    all.push_back({{3, n, 2}, {-3, -2}});
    all.push_back({{n, 2, 3}, {-3, -1}});
  }
  return all;
}
std::vector<Index> lengths() {
  std::vector<Index> all{1, 2, 7, 8, 9, 15, 16, 17, 31, 63, 64, 65, 1000, 4095, 4096, 4097, 100000};
  if (!SANITIZED) all.insert(all.end(), {1000000, 10000000});
  return all;
}

// Whether a reduction is worth the longest lengths: what picks an element, or takes logarithms, is done with before.
bool adds(const Op& op, Dtype dtype, Index n) {
  return n <= 1000000 ? op.tolerance(dtype) > 0 : op.linearity() == Linearity::linear && dtype == Dtype::f32;
}

void check_reduction(const Op& op, Dtype dtype, const Over& over, const Data& kind) {
  Tape tape(dtype);
  const Array x = make(kind, dtype, over.shape);
  const Attributes attributes{.axes = over.axes, .integers = {0}};
  const Array got = record(op, {tape.input(x)}, attributes).value();
  const bool exact = op.tolerance(dtype) == 0;
  if (exact && kind.at(0, 1, 1, dtype) < 4 * least(dtype))
    return;  // of denormals, which count as 0, none is the largest
  const std::array<Array, 1> in{x}, sizes{absolute(x)};
  const Array wanted = op.reference(in, attributes, got.type());
  const Array scale = same_bits(x, sizes[0]) ? wanted : op.reference(sizes, attributes, got.type());
  const double count = static_cast<double>(x.size()) / static_cast<double>(got.size());
  double worst = 0;
  for (Index i = 0; i < got.size(); ++i) {
    const double error = std::abs(got.at(i) - wanted.at(i)) - (exact ? 0 : count * least(dtype));
    worst = std::max(worst, std::isnan(error) ? INFINITY : error / (epsilon(dtype) * std::abs(scale.at(i)) + 1e-320));
  }
  BOOST_TEST(worst <= (exact ? 0 : roundings(static_cast<Index>(count))),
             op.name() << " of " << to_string(x.type()) << " over " << over.axes.size() << " axes from " << over.axes[0]
                       << ", " << kind.name << ": " << worst << " eps");
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_reduction_is_accurate) {
  const Threads guard(1);
  int met = 0;
  for (const Op* op : registry()) {
    if (dynamic_cast<const Reduction*>(op) == nullptr) continue;
    ++met;
    const auto examples = op->examples();
    const bool several =
        std::any_of(examples.begin(), examples.end(), [](const Example& e) { return e.attributes.axes.size() > 1; });
    for (const Dtype dtype : {Dtype::f32, Dtype::f64})
      for (const Index n : lengths()) {
        const std::vector<Over> all = places(n, several);
        for (const Over& over : all)
          for (const Data& kind : data)
            if (n <= 65 || (n <= 100000 && (&over == &all[0] || kind.name == "cancelling"sv)) ||
                (&kind == &data[0] && adds(*op, dtype, n)))
              check_reduction(*op, dtype, over, kind);
      }
  }
  BOOST_TEST(met >= 6);
}

BOOST_AUTO_TEST_CASE(sums_are_the_tree_that_is_stated) {
  // Chains of 16; of more than one of them the largest power of two that leaves some, plus the others.
  const std::function<float(const std::vector<float>&, Index, Index)> stated = [&](const auto& x, Index begin,
                                                                                   Index end) {
    if (end - begin <= 16) {
      float sum = 0;
      for (Index i = begin; i < end; ++i) sum += x[static_cast<std::size_t>(i)];
      return sum;
    }
    Index left = 16;
    while (2 * left < end - begin) left *= 2;
    return stated(x, begin, begin + left) + stated(x, begin + left, end);
  };
  const Array all = random_array(Dtype::f32, {100001}, 3);
  const std::vector<float> x(all.data<float>().begin(), all.data<float>().end());
  std::vector<Index> counts{4095, 4096, 4097, 100000, 100001};
  for (Index n = 0; n <= 300; ++n) counts.push_back(n);
  for (const Index n : counts) {
    const auto sums = sum_pairwise<float, 2>(n, [&](Index i, std::size_t v) {
      return simd::Batch<float>(v == 0 ? x[static_cast<std::size_t>(i)] : -x[static_cast<std::size_t>(i)]);
    });
    BOOST_TEST(sums[0].get(0) == stated(x, 0, n), n << " terms");
    BOOST_TEST(sums[1].get(0) == -stated(x, 0, n), n << " terms, second register");
    std::vector<float> rows(static_cast<std::size_t>(3 * n));
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = x[i / 3];
    std::array<float, 3> out{};
    sum_rows(rows.data(), n, 3, out.data());
    BOOST_TEST((out[0] == stated(x, 0, n) && out[2] == out[0]), n << " rows");
  }
}

namespace {

using Line = std::vector<long double>;

long double sum_of(const Line& x) {
  ReferenceSum total;
  for (const long double v : x) total.add(v);
  return total.value();
}
Line each(Line x, const std::function<long double(long double)>& f) {
  for (long double& v : x) v = f(v);
  return x;
}
long double mean_of(const Line& x) { return sum_of(x) / static_cast<long double>(x.size()); }
// Twice: a mean that is large has few digits left of a small spread.
Line centred(const Line& x) {
  const auto less = [](const Line& y, long double mean) { return each(y, [mean](long double v) { return v - mean; }); };
  const Line shifted = less(x, mean_of(x));
  return less(shifted, mean_of(shifted));
}
long double size_of(const Line& x) {
  return std::sqrt(sum_of(each(x, [](long double v) { return v * v; })));
}
Line over(const Line& x, long double divisor) {
  return each(x, [&](long double v) { return divisor > 0 ? v / divisor : 0; });
}
Line running(Line x, bool reverse) {
  if (reverse) std::reverse(x.begin(), x.end());
  ReferenceSum total;
  for (long double& v : x) {
    total.add(v);
    v = total.value();
  }
  if (reverse) std::reverse(x.begin(), x.end());
  return x;
}
Line softmax_of(const Line& x) {
  const long double most = *std::max_element(x.begin(), x.end());
  const Line e = each(x, [&](long double v) { return std::exp(v - most); });
  return over(e, sum_of(e));
}
long double root_of(const Line& x, long double less) { return std::sqrt(static_cast<long double>(x.size()) - less); }

// What adds up along an axis, as users write it, and derivatives of it: f(x, axis), and what it makes of one line.
struct AlongAxis {
  const char* name;
  std::function<Var(Var, int)> of;
  std::function<Line(const Line&)> wanted;
};
const std::vector<AlongAxis> functions{
    {"mean", [](Var x, int axis) { return mean(x, axis); }, [](const Line& x) { return Line{mean_of(x)}; }},
    {"variance", [](Var x, int axis) { return variance(x, {axis}, {.ddof = 0}); },
     [](const Line& x) { return Line{std::pow(size_of(centred(x)) / root_of(x, 0), 2)}; }},
    {"stddev", [](Var x, int axis) { return stddev(x, {axis}); },
     [](const Line& x) { return Line{size_of(centred(x)) / root_of(x, 1)}; }},
    {"derivative of stddev", [](Var x, int axis) { return grad(sum(stddev(x, {axis})), x); },
     [](const Line& x) { return over(centred(x), size_of(centred(x)) * root_of(x, 1)); }},
    {"norm", [](Var x, int axis) { return norm(x, {axis}); }, [](const Line& x) { return Line{size_of(x)}; }},
    {"dot", [](Var x, int axis) { return x.rank() == 1 ? dot(x, x) : sum(x * x, axis); },
     [](const Line& x) { return Line{size_of(x) * size_of(x)}; }},
    {"layer_norm", [](Var x, int axis) { return axis == -1 ? layer_norm(x, 1, 0, {.eps = 1e-12}) : Var(); },
     [](const Line& x) { return over(centred(x), std::hypot(size_of(centred(x)) / root_of(x, 0), 1e-6L)); }},
    {"softmax", [](Var x, int axis) { return softmax(x, axis); }, softmax_of},
    {"derivative of logsumexp", [](Var x, int axis) { return grad(sum(logsumexp(x, axis)), x); }, softmax_of},
    {"log_softmax", [](Var x, int axis) { return log_softmax(x, axis); },
     [](const Line& x) { return each(softmax_of(x), [](long double v) { return std::log(v); }); }},
    {"cumsum", [](Var x, int axis) { return cumsum(x, axis); }, [](const Line& x) { return running(x, false); }},
    {"derivative of cumsum", [](Var x, int axis) { return grad(sum(cumsum(x, axis) * stop_gradient(x)), x); },
     [](const Line& x) { return running(x, true); }},
};

// Lines of different data, as the rows of [lines, n] or as the columns of [n, lines].
void check_function(const AlongAxis& f, Dtype dtype, Index n, bool columns, const std::vector<Data>& kinds) {
  const Index count = static_cast<Index>(kinds.size());
  Array x(dtype, count == 1 ? Shape{n} : columns ? Shape{n, count} : Shape{count, n});
  const auto place = [&](Index line, Index i, Index length) { return columns ? i * count + line : line * length + i; };
  std::vector<Line> lines;
  for (Index line = 0; line < count; ++line) {
    const Array values = make(kinds[static_cast<std::size_t>(line)], dtype, {n});
    for (Index i = 0; i < n; ++i) x.set(place(line, i, n), values.at(i));
    lines.emplace_back();
    for (Index i = 0; i < n; ++i) lines.back().push_back(values.at(i));
  }
  Tape tape(dtype);
  const Var result = f.of(tape.input(x), columns ? -2 : -1);
  if (result.is_null()) return;
  const Array got = result.value();
  for (Index line = 0; line < count; ++line) {
    const Line wanted = f.wanted(lines[static_cast<std::size_t>(line)]);
    long double largest = 0, worst = 0;
    for (const long double v : wanted) largest = std::max(largest, std::abs(v));
    if (f.name == "mean"sv)
      largest = mean_of(each(lines[static_cast<std::size_t>(line)], [](long double v) { return std::abs(v); }));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const long double error =
          std::abs(got.at(place(line, static_cast<Index>(i), static_cast<Index>(wanted.size()))) - wanted[i]);
      worst =
          std::max(worst, std::isnan(error) ? static_cast<long double>(INFINITY) : error / (epsilon(dtype) * largest));
    }
    BOOST_TEST(static_cast<double>(worst) <= 2 * roundings(n),
               f.name << " of " << n << " along " << (columns ? "columns" : "rows") << ", " << name_of(dtype) << ", "
                      << kinds[static_cast<std::size_t>(line)].name << ": " << static_cast<double>(worst) << " eps");
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_is_made_of_sums_is_accurate) {
  const Threads guard(1);
  // Numbers whose squares underflow are no matter of sums.
  std::vector<Data> kinds(data.begin(), data.end() - 1);
  kinds.push_back({"far from 0", [](Index i, Index, double, Dtype dtype) {
                     return 1 / epsilon(dtype) + static_cast<double>(4 * (i % 3));
                   }});
  for (const AlongAxis& f : functions)
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      for (const Index n : lengths())
        if (n >= 2 && n < 100000)
          for (const bool columns : {false, true}) check_function(f, dtype, n, columns, kinds);
      check_function(f, dtype, 20000, true, {kinds[0], kinds[2]});
      if (!SANITIZED && dtype == Dtype::f32) check_function(f, dtype, 1000000, false, {kinds[0]});
    }
}

BOOST_AUTO_TEST_CASE(a_spread_survives_a_large_mean) {
  Tape tape;
  const Var x = tape.input(Array::of<float>({3}, {1e8F, 1e8F + 8, 1e8F + 16}));
  BOOST_TEST(stddev(x).item() == 8);
  BOOST_TEST(variance(x).item() == 64);
  BOOST_TEST(numbers(grad(stddev(x), x)) == (std::vector<double>{-0.5, 0, 0.5}), boost::test_tools::per_element());
  BOOST_TEST(numbers(grad(sum(square(grad(variance(x), x))), x)) == (std::vector<double>{-16, 0, 16}),
             boost::test_tools::per_element());
}
