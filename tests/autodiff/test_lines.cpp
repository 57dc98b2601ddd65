// Reductions and scans of many short lines, which kernels compute some at a time: each line has the bits that it has
// alone, and is right.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;

namespace {

struct Function {
  const char* name;
  Var (*of)(Var x, int axis);
  std::vector<long double> (*truth)(const std::vector<long double>& line);
};

std::vector<long double> sums_so_far(const std::vector<long double>& line) {
  std::vector<long double> result;
  long double sum = 0;
  for (long double x : line) result.push_back(sum += x);
  return result;
}

const Function functions[] = {
    {"sum", [](Var x, int axis) { return sum(x, {axis}); },
     [](const std::vector<long double>& x) { return std::vector{sums_so_far(x).back()}; }},
    {"max", [](Var x, int axis) { return max(x, {axis}); },
     [](const std::vector<long double>& x) { return std::vector{*std::max_element(x.begin(), x.end())}; }},
    {"min", [](Var x, int axis) { return min(x, {axis}); },
     [](const std::vector<long double>& x) { return std::vector{*std::min_element(x.begin(), x.end())}; }},
    {"argmax", [](Var x, int axis) { return cast(argmax(x, axis), x.dtype()); },
     [](const std::vector<long double>& x) {
       return std::vector{static_cast<long double>(std::max_element(x.begin(), x.end()) - x.begin())};
     }},
    {"logsumexp", [](Var x, int axis) { return logsumexp(x, {axis}); },
     [](const std::vector<long double>& x) {
       long double sum = 0;
       for (long double each : x) sum += std::exp(each);
       return std::vector{std::log(sum)};
     }},
    {"cumsum", [](Var x, int axis) { return cumsum(x, axis); }, sums_so_far},
    {"cumsum from the end", [](Var x, int axis) { return cumsum(x, axis, {.reverse = true}); },
     [](const std::vector<long double>& x) {
       std::vector<long double> result = sums_so_far({x.rbegin(), x.rend()});
       std::reverse(result.begin(), result.end());
       return result;
     }},
};

template <class T>
void check_lines(const Function& function, Index lines, Index n) {
  Tape tape(dtype_of<T>);
  const Array x = Rng(static_cast<std::uint64_t>(100 * lines + n)).uniform({dtype_of<T>, {lines, n}}, -3, 3);
  const Array many = function.of(tape.input(x), 1).value();
  const Array across = function.of(transpose(tape.input(x)), 0).value();  // the same lines as columns
  const Index results = many.size() / lines;
  for (Index line = 0; line < lines; ++line) {
    std::vector<long double> exact;
    for (Index i = 0; i < n; ++i) exact.push_back(static_cast<long double>(x.at(line * n + i)));
    const auto truth = function.truth(exact);
    const Array alone = function.of(slice(tape.input(x), 0, line, line + 1), 1).value();
    for (Index i = 0; i < results; ++i) {
      const double value = many.at(line * results + i),
                   expected = static_cast<double>(truth[static_cast<std::size_t>(i)]);
      if (alone.at(i) != value) BOOST_ERROR(function.name << " of line " << line << " of " << lines << " x " << n);
      const double tolerance = (sizeof(T) == 4 ? 1e-6 : 2e-15) * static_cast<double>(n + 10);
      BOOST_TEST(std::abs(value - expected) <= tolerance, function.name << " of " << n << ": " << value);
      BOOST_TEST(std::abs(across.at(i * lines + line) - expected) <= tolerance);
    }
  }
}

BOOST_AUTO_TEST_CASE(each_line_is_computed_as_if_it_were_alone) {
  for (const Function& function : functions)
    for (const Index lines : {1, 3, 8, 21, 37})
      for (const Index n : {1, 2, 3, 5, 7, 8, 9, 12, 15, 16, 17, 31, 33, 50, 64, 65, 70, 130, 300}) {
        check_lines<float>(function, lines, n);
        check_lines<double>(function, lines, n);
      }
}

// NaN, infinities and zeros of both signs in each place of a line among others.
BOOST_AUTO_TEST_CASE(special_values_stay_in_their_line) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const Dtype dtype : {Dtype::f32, Dtype::f64})
    for (const Index n : {2, 5, 9, 17, 40})
      for (const double special : {nan, infinity, -infinity}) {
        const Index lines = 19;
        Array x = Rng(1).uniform({dtype, {lines, n}}, -3, 3);
        for (Index line = 0; line < lines; line += 2) x.set(line * n + line % n, special);
        for (const Function& function : functions) {
          Tape tape(dtype);
          const Array many = function.of(tape.input(x), 1).value();
          const Index results = many.size() / lines;
          for (Index line = 0; line < lines; ++line) {
            const Array alone = function.of(slice(tape.input(x), 0, line, line + 1), 1).value();
            for (Index i = 0; i < results; ++i) {
              const double a = many.at(line * results + i), b = alone.at(i);
              BOOST_TEST((a == b || (std::isnan(a) && std::isnan(b))), function.name << " of " << n);
              if (line % 2 == 1) BOOST_TEST(std::isfinite(a), function.name << " of " << n);
            }
          }
          if (std::isnan(special) && (function.name[0] == 'm' || function.name[0] == 's'))
            BOOST_TEST(std::isnan(many.at(0)));
          if (std::string(function.name) == "max") BOOST_TEST((many.at(0) == infinity) == (special == infinity));
        }
      }
}

}  // namespace
