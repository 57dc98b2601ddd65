// The errors of every elementwise op over the whole range of its operands, and of its first and second derivatives, in
// units of the last place against long double. The registry is walked: an op whose truth is not stated in truths.hpp
// fails, and what its errors may be stands in its own row (Accuracy). To see the table, or to try more points:
//
//   build/tests/test_ulp -- --table --points=200000
#define BOOST_TEST_MODULE accuracy
#include <fmt/format.h>

#include <algorithm>
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "autodiff/autodiff.hpp"
#include "autodiff/ops/elementwise.hpp"
#include "tests/autodiff/truths.hpp"

using namespace wengert;
using namespace wengert::testing;
using Types = boost::mpl::list<float, double>;

namespace {

Index points_wanted() {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  for (int i = 1; i < suite.argc; ++i)
    if (std::strncmp(suite.argv[i], "--points=", 9) == 0) return std::atoll(suite.argv[i] + 9);
  return 1500;
}
bool table_wanted() {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  return std::any_of(suite.argv, suite.argv + suite.argc, [](const char* a) { return std::string(a) == "--table"; });
}

// Magnitudes of every exponent with both signs; both sides of small whole numbers and of the borders of the normal
// numbers; even spacing where most functions live.
template <class T>
std::vector<T> points(Index count, std::uint64_t seed) {
  using Limits = std::numeric_limits<T>;
  std::mt19937_64 random(seed);
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  std::vector<T> all{T(0), Limits::min(), std::nextafter(Limits::min(), T(1)), Limits::max(), Limits::epsilon()};
  for (int n = 1; n <= 24; ++n)
    for (T x : {T(n) / 2, std::nextafter(T(n) / 2, T(0)), std::nextafter(T(n) / 2, T(100))}) all.push_back(x);
  for (Index i = 0; i < count; ++i) {
    const double kind = uniform(0, 1);
    if (kind < 0.4)
      all.push_back(std::ldexp(static_cast<T>(uniform(1, 2)),
                               static_cast<int>(uniform(Limits::min_exponent - 1, Limits::max_exponent))));
    else
      all.push_back(static_cast<T>(kind < 0.6 ? uniform(0, 2) : kind < 0.85 ? uniform(0, 40) : uniform(0, 800)));
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    if (std::abs(all[i]) < Limits::min()) all[i] = 0;
  std::vector<T> both;
  for (T x : all) both.insert(both.end(), {x, -x});
  return both;
}

// Operands: the points for one; for more of them, points shuffled against each other, and near ties.
template <class T>
std::vector<std::vector<T>> operands(int arity, Index count) {
  std::vector<std::vector<T>> columns;
  for (int k = 0; k < arity; ++k) {
    columns.push_back(points<T>(count, 17 + static_cast<std::uint64_t>(k)));
    if (k > 0) std::shuffle(columns.back().begin(), columns.back().end(), std::mt19937_64(5));
  }
  if (arity == 2)
    for (std::size_t i = 0; i < columns[0].size(); i += 7)
      columns[1][i] = i % 2 == 0 ? std::nextafter(columns[0][i], T(0)) : -columns[0][i];
  return columns;
}

struct Worst {
  double ulp = 0;
  std::string where = "";
};

template <class T>
class Sweep {
 public:
  Sweep(const ElementwiseOp& op, const Attributes& attributes)
      : op_(op), attributes_(attributes), columns_(operands<T>(op.arity(), points_wanted())) {}

  // The worst of value, first and second derivatives.
  std::array<Worst, 3> run() {
    Tape tape(dtype_of<T>);
    std::vector<Var> xs;
    std::vector<Operand> in;
    const Index n = static_cast<Index>(columns_[0].size());
    for (const auto& column : columns_)
      in.emplace_back(xs.emplace_back(tape.input(Array::of<T>({n}, std::span<const T>(column)))));
    std::vector<Var> results{tape.record(op_, in, attributes_, Where::current())};
    if (op_.linearity() != Linearity::none) {
      for (Var x : xs) results.push_back(grad(sum(results[0]), x));
      for (std::size_t i = 0; i < xs.size(); ++i)
        for (std::size_t j = i; j < xs.size(); ++j) results.push_back(grad(sum(results[1 + i]), xs[j]));
    }
    for (std::size_t at = 0; at < columns_[0].size(); ++at) compare(results, at);
    return worst_;
  }

 private:
  void compare(const std::vector<Var>& results, std::size_t at) {
    Reals x;
    for (const auto& column : columns_) {
      x.push_back(static_cast<Real>(column[at]));
      if (!(std::abs(x.back()) <= op_.accuracy().range)) return;
    }
    const Results wanted = truths().at(op_.name())(attributes_, x);
    if (wanted.empty()) return;
    BOOST_REQUIRE_MESSAGE(wanted.size() == results.size(),
                          op_.name() << ": " << wanted.size() << " truths for " << results.size() << " results");
    for (std::size_t r = 0; r < wanted.size(); ++r) {
      if (r > 0 && !std::isfinite(wanted[0].value)) return;
      if (r > 0 && !std::isfinite(wanted[r].value)) continue;  // a convention, stated among the edge cases
      const std::size_t order = r == 0 ? 0 : r <= x.size() ? 1 : 2;
      if (r > 0 && x.size() > 1 && !moderate(x, order)) return;
      const double error = error_of(results[r].template data<T>()[at], wanted[r]);
      if (!(error <= worst_[order].ulp))
        worst_[order] = {error, fmt::format("{} for {} at {}", results[r].template data<T>()[at],
                                            static_cast<double>(wanted[r].value), place(at))};
    }
  }
  // For derivatives by several operands: their sums and differences neither overflow nor are flushed, and for second
  // derivatives neither are their cubes.
  static bool moderate(const Reals& x, std::size_t order) {
    using Limits = std::numeric_limits<T>;
    const Real low = Limits::min() / Limits::epsilon() * 4, high = Limits::max() / 4;
    return std::all_of(x.begin(), x.end(), [&](Real a) {
      const Real size = order == 1 ? std::abs(a) : std::abs(a * a * a);
      return a == 0 || (size > low && size < high);
    });
  }
  std::string place(std::size_t at) const {
    std::string text;
    for (const auto& column : columns_) text += fmt::format("{}{}", text.empty() ? "" : ", ", column[at]);
    return text;
  }
  // In ulp. Where a factor on the way may have been flushed to 0 or have overflowed, what is left is no error: results
  // within 2^12 of the smallest normal number, or 2^4 of the largest.
  static double error_of(T got, const Result& truth) {
    using Limits = std::numeric_limits<T>;
    const Real wanted = truth.value, gap = std::abs(static_cast<Real>(got) - wanted);
    if (std::isnan(wanted)) return std::isnan(got) ? 0 : infinity;
    if (std::abs(wanted) > static_cast<Real>(Limits::max()) / 16)
      return !std::isfinite(got) && !(std::isinf(got) && std::signbit(got) != std::signbit(wanted))
                 ? 0
                 : error_in_ulp(got, wanted);
    if (gap <= static_cast<Real>(Limits::min()) * 4096) return 0;
    return error_in_ulp(got, wanted, truth.scale);
  }
  static double error_in_ulp(Real got, Real wanted, Real scale = 0) {
    int exponent = 0;
    std::frexp(std::max(std::abs(wanted), std::abs(scale)), &exponent);
    return static_cast<double>(std::abs(got - wanted) / std::ldexp(Real(1), exponent - std::numeric_limits<T>::digits));
  }

  const ElementwiseOp& op_;
  Attributes attributes_;
  std::vector<std::vector<T>> columns_;
  std::array<Worst, 3> worst_;
};

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(every_elementwise_op, T, Types) {
  int swept = 0;
  for (const Op* op : registry()) {
    const auto* elementwise = dynamic_cast<const ElementwiseOp*>(op);
    if (elementwise == nullptr) continue;
    BOOST_REQUIRE_MESSAGE(truths().count(op->name()) == 1, "[" << op->name() << "] has no truth to be compared with");
    std::vector<Attributes> done;
    for (const Example& example : op->examples()) {
      if (std::find(done.begin(), done.end(), example.attributes) != done.end()) continue;
      done.push_back(example.attributes);
      const std::array<Worst, 3> worst = Sweep<T>(*elementwise, example.attributes).run();
      const std::string attributes = to_string(example.attributes);
      const std::string name = op->name() + (attributes.empty() ? "" : " (" + attributes + ")");
      for (std::size_t order = 0; order < 3; ++order) {
        const double bound = elementwise->accuracy().ulp[order];
        BOOST_TEST(worst[order].ulp <= bound, name << " in " << name_of(dtype_of<T>) << ", derivative " << order << ": "
                                                   << worst[order].ulp << " ulp, " << worst[order].where);
      }
      if (table_wanted())
        fmt::print("{:<22} {}  {:>9.3g} {:>9.3g} {:>9.3g}   {}\n", name, name_of(dtype_of<T>), worst[0].ulp,
                   worst[1].ulp, worst[2].ulp, worst[0].where);
      ++swept;
    }
  }
  BOOST_TEST(swept > 50);
}
