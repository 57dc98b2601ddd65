// The reverse of slices: their cotangents come together in one array.
#define BOOST_TEST_MODULE slice_derivatives
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "autodiff/derivatives.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "autodiff/testing/check.hpp"
#include "autodiff/transforms.hpp"
#include "tests/autodiff/on_paper.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

// The cotangent of x [8] under f, and what it is where each slice's is spread over the array by itself.
struct Spread {
  Numbers got, wanted;
};
Spread by_slices(Tape& tape, const std::vector<std::array<Index, 3>>& slices) {
  const Var x = tape.input(random_array(Dtype::f64, {8}, 5));
  Var y = tape.full(Shape{}, 0);
  Numbers wanted(8, 0.0);
  double weight = 1;
  for (const auto& [start, stop, step] : slices) {
    weight += 0.25;  // sums of quarters are exact in any order
    y = y + weight * sum(slice(x, 0, start, stop, step));
    for (Index i = start; i < stop; i += step) wanted[static_cast<std::size_t>(i)] += weight;
  }
  return {numbers(grad(y, x)), wanted};
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(cotangents_of_slices_come_together, F64) {
  const std::vector<std::vector<std::array<Index, 3>>> cases{
      {{0, 4, 1}, {4, 8, 1}},                                    // side by side
      {{4, 8, 1}, {0, 4, 1}},                                    // in any order
      {{0, 2, 1}, {5, 6, 1}, {3, 4, 1}},                         // with gaps between and behind
      {{3, 5, 1}},                                               // one alone
      {{0, 8, 1}, {0, 8, 1}},                                    // all of it, twice
      {{1, 3, 1}, {1, 3, 1}, {1, 3, 1}, {4, 6, 1}},              // the same again
      {{0, 3, 1}, {1, 4, 1}, {2, 5, 1}, {3, 6, 1}, {4, 7, 1}},   // a window that moves
      {{0, 8, 2}, {1, 8, 2}, {0, 8, 3}},                         // every second, every third
      {{2, 3, 2}, {3, 4, 5}, {4, 4, 1}, {7, 8, 1}},              // single ones, and none
      {{0, 6, 1}, {2, 4, 1}, {5, 8, 1}, {0, 1, 1}, {2, 4, 1}}};  // one inside another
  for (const auto& slices : cases) {
    const Spread spread = by_slices(tape, slices);
    close(spread.got, spread.wanted, 0);
  }
  close(by_slices(tape, {{3, 3, 1}}).got, Numbers(8, 0.0));  // of nothing
}

BOOST_FIXTURE_TEST_CASE(the_derivative_of_slices_takes_as_much_as_the_array, F64) {
  const auto bytes_of = [&](Index count, bool twice) {  // of the gradient of a recurrence over the rows of an array
    Tape here(Dtype::f64);
    const Var xs = here.input(random_array(Dtype::f64, {count, 16}, 3));
    Var h = here.full({1, 16}, 0.1);
    for (Index t = 0; t < count; ++t) h = tanh(h + slice(xs, 0, t, t + 1) * (twice ? xs[t] : here.full({16}, 0.5)));
    const std::size_t before = here.bytes();
    grad(sum(h), xs);
    return here.bytes() - before;
  };
  for (bool twice : {false, true}) {
    const double small = static_cast<double>(bytes_of(64, twice)), large = static_cast<double>(bytes_of(512, twice));
    BOOST_TEST(large < 9 * small);  // for 8 times the rows; 50 times and more where each takes an array
  }
}

BOOST_AUTO_TEST_CASE(derivatives_through_slices_of_every_kind) {
  const auto f = [](std::span<const Var> in) {
    const Var x = in[0];
    Var h = x[0] * x[3];  // single indices
    for (Index t = 0; t < 4; ++t) h = sin(h + select(x, -1, t % 3)[t]) * x[t];
    const std::vector<Var> rows = split(x, 2, 0), columns = split(x, {1, 2}, 1);  // along both axes
    const Var shifted = slice(x, 0, 1, 4) * slice(x, 0, 0, 3) + slice(x, 0, 0, 4, 2)[1];
    return sum(h) + sum(rows[0] * rows[1]) + sum(square(columns[1]) * columns[0]) + sum(tanh(shifted)) +
           sum(slice(slice(x, 0, 3, to_end, -1), 1, 2, 0, -1) * 0.3 * slice(x, 1, 0, 2)) + sum(x * x);
  };
  for (const std::string& failure : check_grads(f, {random_array(Dtype::f64, {4, 3}, 7)}, {.order = 2}).failures)
    BOOST_ERROR(failure);
  // Each of a batch, by the same calls with an axis in front.
  Tape tape(Dtype::f64);
  const Array batch = random_array(Dtype::f64, {5, 4, 3}, 8);
  const Var x = tape.input(batch);
  const Function one = [&](Var z) { return grad(f({&z, 1}), z); };
  const Var all = vmap(one, x);
  for (Index i = 0; i < 5; ++i) close(numbers(all[i]), numbers(one(x[i])), 1e-14);
}

BOOST_FIXTURE_TEST_CASE(a_gathered_cotangent_knows_where_it_comes_from, F64) {
  const Var x = in({3}, {1, 2, 3}), first = slice(x, 0, 0, 1), last = slice(x, 0, 2, 3);
  const Var g = grad(sum(first * last), x);
  BOOST_TEST(tape.node(tape.index_of(g, {})).origin == tape.index_of(first, {}));  // pulled back last
}
