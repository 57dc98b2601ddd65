// Indexing, sorting and what arranges arrays: against loops, in both modes, under vmap, on any number of threads.
#define BOOST_TEST_MODULE indexing
#include <algorithm>
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using namespace wengert::testing;
using parity::check_close;
using Numbers = std::vector<double>;

namespace {

Var normal(Tape& tape, const Shape& shape, std::uint64_t seed) {
  return tape.input(Rng(seed).normal({tape.dtype(), shape}));
}
Var integers(Tape& tape, const Shape& shape, const std::vector<std::int32_t>& values) {
  return tape.input(Array::of<std::int32_t>(shape, std::span<const std::int32_t>(values)));
}
Var floats(Tape& tape, const Numbers& values) {
  return tape.input(Array::of<double>({static_cast<Index>(values.size())}, std::span<const double>(values)));
}
Var slice_of(Var x, Index i) { return reshape(slice(x, 0, i, i + 1), x.shape().trailing(x.rank() - 1)); }

void check_numbers(Var got, const Numbers& wanted) {
  const Numbers values = numbers(got);
  BOOST_TEST(values == wanted, boost::test_tools::per_element());
}

// f's derivatives at x [N, ...]: reverse mode against differences, forward against reverse, second derivatives by
// forward over reverse against differences of the gradient; and vmap over x's first axis against a loop.
void check_function(const std::string& what, const Function& f, Var x) {
  Tape& tape = x.tape();
  const Var y = f(x), w = normal(tape, y.shape(), 90), v = normal(tape, x.shape(), 91);
  const Function scalar = [&](Var z) { return sum(w * f(z) * f(z)); };
  const Array gradient = value_and_grad(scalar, x).gradient.value();
  const auto [value, tangent] = jvp(scalar, x, v);
  BOOST_TEST(std::abs(tangent.item() - sum(tape.input(gradient) * v).item()) < 1e-11 * std::abs(1 + tangent.item()),
             what);
  const double h = 1e-5;
  const Array above = (x + h * v).value(), below = (x - h * v).value();
  const double slope = (scalar(tape.input(above)).item() - scalar(tape.input(below)).item()) / (2 * h);
  BOOST_TEST(std::abs(slope - tangent.item()) < 1e-6 * (1 + std::abs(slope)), what << ": first derivative");
  const Array curvature = hvp(scalar, x, v).value();
  const Array up = value_and_grad(scalar, tape.input(above)).gradient.value();
  const Array down = value_and_grad(scalar, tape.input(below)).gradient.value();
  double worst = 0;
  for (Index i = 0; i < curvature.size(); ++i)
    worst = std::max(worst, std::abs((up.at(i) - down.at(i)) / (2 * h) - curvature.at(i)));
  BOOST_TEST(worst < 1e-5, what << ": second derivative off by " << worst);
}

void check_vmap(const std::string& what, const FunctionOfMany& f, const std::vector<Var>& xs) {
  const Array together = vmap(f, xs).value();
  for (Index i = 0; i < xs[0].extent(0); ++i) {
    std::vector<Var> slices;
    for (Var x : xs) slices.push_back(slice_of(x, i));
    const Array alone = f(slices).value();
    check_close(parity::row(together, i, alone.shape()), alone, 1e-13, what + ", slice " + std::to_string(i));
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(rows_of_a_table) {
  Tape tape(Dtype::f64);
  const Var table = normal(tape, {6, 3}, 1), which = integers(tape, {4}, {5, 0, 5, 2});
  const Var rows = index_select(table, 0, which);
  check_close(rows.value(),
              concat({slice(table, 0, 5), slice(table, 0, 0, 1), slice(table, 0, 5), slice(table, 0, 2, 3)}, 0).value(),
              0, "rows");
  const Var columns = index_select(table, -1, integers(tape, {2}, {2, 0}));
  check_close(columns.value(), concat({slice(table, 1, 2), slice(table, 1, 0, 1)}, 1).value(), 0, "columns");
  // A row that was taken twice collects both cotangents.
  const Var w = normal(tape, {4, 3}, 2), g = grad(sum(w * rows), table);
  check_close(slice(g, 0, 5).value(), (slice(w, 0, 0, 1) + slice(w, 0, 2, 3)).value(), 1e-15, "gradient of a row");
  check_numbers(sum(slice(g, 0, 3, 5)), {0});
  // And the same as a product with one-hot rows.
  check_close(matmul(one_hot(which, 6), table).value(), rows.value(), 1e-15, "one-hot");
  check_close(index_add(table, 0, which, w).value(),
              (table + matmul(one_hot(which, 6), w, {.transpose_a = true})).value(), 1e-15, "index_add");
  BOOST_TEST((index_select(reshape(table, {2, 3, 3}), 1, integers(tape, {4}, {0, 2, 1, 2})).shape() == Shape{2, 4, 3}));
}

BOOST_AUTO_TEST_CASE(one_hot_is_of_the_tapes_dtype) {
  Tape tape;
  const Var hot = one_hot(integers(tape, {1, 2}, {2, 0}), 3);
  BOOST_TEST((hot.type() == Type{Dtype::f32, {1, 2, 3}}));
  check_numbers(hot, {0, 0, 1, 1, 0, 0});
  BOOST_TEST((one_hot(integers(tape, {}, {1}), 2).shape() == Shape{2}));
}

BOOST_AUTO_TEST_CASE(duplicates_are_summed_in_ascending_order) {
  Tape tape;
  const Var x = tape.input(Array::of<float>({4}, {1e8F, 1, -1e8F, 1}));
  check_numbers(scatter_add(x, integers(tape, {4}, {1, 1, 1, 1}), 0, 3), {0, 1, 0});  // ((1e8 + 1) - 1e8) + 1
  check_numbers(scatter_add(reshape(x, {4, 1}), integers(tape, {4, 1}, {0, 0, 0, 0}), 0, 1), {1});
}

BOOST_AUTO_TEST_CASE(sorting) {
  Tape tape(Dtype::f64);
  const Var x = floats(tape, {2, -1, 2, 0.5, -1});
  check_numbers(argsort(x, 0), {1, 4, 3, 0, 2});
  check_numbers(sort(x, -1), {-1, -1, 0.5, 2, 2});
  BOOST_TEST((argsort(x, 0).dtype() == Dtype::i32));
  // Each element takes its cotangent along; ties in the order they came in.
  const Var w = floats(tape, {1, 2, 3, 4, 5});
  check_numbers(grad(sum(w * sort(x, 0)), x), {4, 1, 5, 3, 2});
  const Var y = normal(tape, {40, 7}, 1);
  for (int axis : {0, 1}) {
    const Array sorted = sort(y, axis).value(), there = take_along(y, argsort(y, axis), axis).value();
    BOOST_TEST(same_bits(sorted, there));
    const Array steps = (axis == 0 ? slice(sort(y, 0), 0, 1) - slice(sort(y, 0), 0, 0, -1)
                                   : slice(sort(y, 1), 1, 1) - slice(sort(y, 1), 1, 0, -1))
                            .value();
    for (double step : numbers(steps)) BOOST_TEST(step >= 0);
    check_close(sum(sort(y, axis), axis).value(), sum(y, axis).value(), 1e-14, "sum");
  }
}

BOOST_AUTO_TEST_CASE(an_index_out_of_range_is_refused_and_leaves_the_tape_as_it_was) {
  Tape tape(Dtype::f64);
  const Var x = normal(tape, {5, 3}, 1), good = integers(tape, {2}, {0, 4});
  for (std::int32_t wrong : {5, -1, 1 << 30}) {
    const Var bad = integers(tape, {2, 1}, {0, wrong}), five = integers(tape, {5, 1}, {0, 0, 0, wrong, 0});
    const std::uint32_t size = tape.size();
    const std::size_t bytes = tape.bytes();
    const int line = __LINE__ + 1;
    const std::string text = error_of([&] { take_along(x, bad, 0); });
    BOOST_TEST(text == "[take_along] index " + std::to_string(wrong) +
                           " is out of range for axis -2 of [5, 3]: needs 0 to 4  (test_indexing.cpp:" +
                           std::to_string(line) + ")");
    BOOST_TEST(contains(error_of([&] { scatter_add(x, five, 0, 4); }),
                        "[scatter_add] index " + std::to_string(wrong) + " is out of range for axis -2 of [4, 3]"));
    BOOST_TEST(tape.size() == size);
    BOOST_TEST(tape.bytes() == bytes);
  }
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { index_select(x, 1, good); });
  BOOST_TEST(contains(text, "[take_along] index 4 is out of range for axis -1 of [5, 3]"));
  BOOST_TEST(contains(text, "test_indexing.cpp:" + std::to_string(line) + ", in index_select)"));
  BOOST_TEST(contains(error_of([&] { one_hot(good, 3); }), "in one_hot)"));
  BOOST_TEST((index_select(x, 0, good).shape() == Shape{2, 3}));  // the tape goes on
  BOOST_TEST(
      contains(error_of([&] { index_select(x, 0, x); }), "[index_select] needs indices of one axis, got shape [5, 3]"));
  BOOST_TEST(contains(error_of([&] { index_select(x, 2, good); }), "[index_select] axis 2 is out of range for 2 axes"));
  Tape symbolic(Dtype::f64, Tape::Mode::symbolic);  // knows no values
  const Var unknown = symbolic.input(Type{Dtype::i32, {7}});
  BOOST_TEST((index_select(symbolic.input(Type{Dtype::f64, {5, 3}}), 0, unknown).shape() == Shape{7, 3}));
}

BOOST_AUTO_TEST_CASE(vmap_over_indexing) {
  Tape tape(Dtype::f64);
  const Var x = normal(tape, {3, 4, 2}, 1), shared = normal(tape, {4, 2}, 2), row = normal(tape, {3, 4}, 3);
  const Var each = integers(tape, {3, 5}, {0, 1, 2, 3, 3, 1, 1, 1, 0, 2, 3, 0, 0, 3, 0});
  const Var one = integers(tape, {2}, {3, 1}),
            full = integers(tape, {3, 4, 2}, {0, 1, 2, 3, 3, 1, 1, 1, 0, 2, 3, 0, 0, 3, 0, 2, 1, 1, 2, 2, 0, 0, 3, 1});
  using Vars = std::span<const Var>;
  check_vmap("a batch of tables", [&](Vars s) { return index_select(s[0], 0, one); }, {x});
  check_vmap("a batch of indices", [&](Vars s) { return index_select(shared, 0, s[0]); }, {each});
  check_vmap("both", [&](Vars s) { return index_select(s[0], 0, s[1]); }, {x, each});
  check_vmap("take_along", [&](Vars s) { return take_along(s[0], s[1], 0) * take_along(shared, s[1], 0); }, {x, full});
  check_vmap("different ranks", [&](Vars s) { return take_along(s[0], s[1], 0); }, {row, full});
  check_vmap("scatter_add", [&](Vars s) { return scatter_add(s[0], s[1], 0, 4); }, {x, full});
  check_vmap("scatter_add of what is shared", [&](Vars s) { return scatter_add(shared, s[0], 0, 4); }, {full});
  check_vmap("index_add", [&](Vars s) { return index_add(shared, 0, one, slice(s[0], 0, 0, 2)); }, {x});
  check_vmap("one_hot", [&](Vars s) { return one_hot(s[0], 4); }, {each});
  check_vmap("sort", [&](Vars s) { return sort(s[0], 0) + cast(argsort(s[0], 1), Dtype::f64); }, {x});
  check_vmap("gradients", [&](Vars s) { return grad(sum(square(index_select(s[0], 0, s[1]))), s[0]); }, {x, each});
  const Var late = integers(tape, {3, 1}, {0, 1, 4});  // f is recorded on the first slice alone
  BOOST_TEST(contains(error_of([&] { vmap([&](Vars s) { return index_select(shared, 0, s[0]); }, {late}); }),
                      "[take_along] index 4 is out of range for axis -2 of [4, 2]"));
}

BOOST_AUTO_TEST_CASE(derivatives_of_composites) {
  Tape tape(Dtype::f64);
  const Var x = normal(tape, {4, 3}, 1), which = integers(tape, {5}, {2, 0, 0, 3, 2});
  check_function(
      "index_select", [&](Var z) { return sin(index_select(z, 0, which)); }, x);
  check_function(
      "index_add", [&](Var z) { return index_add(z, 0, which, exp(index_select(z, 0, which))); }, x);
  check_function(
      "sort", [](Var z) { return sort(sin(z), 1) * sort(z, 0); }, x);
  check_function(
      "stack",
      [](Var z) {
        return stack({sin(z), z, z * z}, 1);
      },
      x);
  check_function(
      "split",
      [](Var z) {
        return split(z, {1, 3}, 0)[0] * split(z, 2, 0)[1];
      },
      x);
  check_function(
      "pad",
      [](Var z) {
        return pad(sin(z), {{.axis = 0, .before = 1}, {.axis = 1, .before = 2, .after = 1}});
      },
      x);
  check_function(
      "flip",
      [](Var z) {
        return flip(z, {0, 1}) * z;
      },
      x);
  check_function(
      "roll", [](Var z) { return roll(z, 1, 0) * roll(z, -5, 1); }, x);
  check_function(
      "tile",
      [](Var z) {
        return tile(sin(z), {2, 1, 3});
      },
      x);
  check_function(
      "outer", [](Var z) { return outer(slice_of(z, 0), slice_of(z, 1)); }, x);
  check_function(
      "dot", [](Var z) { return dot(slice_of(z, 0), sin(slice_of(z, 1))); }, x);
}

BOOST_AUTO_TEST_CASE(divergence_over_indexing) {
  Tape tape(Dtype::f64);
  const Var x = normal(tape, {6, 4}, 1), order = integers(tape, {4}, {0, 3, 2, 2});
  const Var each = integers(tape, {6, 4}, {0, 1, 2, 3, 3, 3, 3, 3, 1, 0, 3, 2, 0, 0, 0, 0, 3, 1, 2, 0, 2, 2, 2, 3});
  const auto check = [&](const std::string& what, const Function& f) {
    const Array jacobians = jacobian(f, x).value();  // [6,4,6,4]
    Array wanted(Dtype::f64, {6});
    for (Index b = 0; b < 6; ++b)
      for (Index i = 0; i < 4; ++i) wanted.set(b, wanted.at(b) + jacobians.at(((b * 4 + i) * 6 + b) * 4 + i));
    check_close(divergence(f, x).value(), wanted, 1e-13, what);
  };
  check("index_select", [&](Var z) { return index_select(sin(z), 1, order); });
  check("take_along", [&](Var z) { return take_along(z, each, 1) * z; });
  check("scatter_add", [&](Var z) { return scatter_add(sin(z), each, 1, 4); });
  check("sort", [](Var z) { return sort(z, 1) * z; });
  check("flip and roll", [](Var z) { return flip(z, 1) + roll(z, 1, 1) * z; });
  check("stack and split", [](Var z) {
    return reshape(stack({split(z, 2, 1)[1], split(sin(z), 2, 1)[0]}, 1), {6, 4});
  });
  const Var rows = integers(tape, {6}, {0, 0, 1, 2, 3, 4});
  BOOST_TEST(contains(error_of([&] { divergence([&](Var z) { return index_select(z, 0, rows); }, x); }),
                      "[take_along] mixes rows"));
  BOOST_TEST(contains(error_of([&] { divergence([](Var z) { return sort(z, 0); }, x); }), "[take_along] mixes rows"));
  BOOST_TEST(contains(error_of([&] { divergence([](Var z) { return flip(z, 0); }, x); }), "[flip] mixes rows"));
}

BOOST_AUTO_TEST_CASE(arrangements_are_numpys) {
  Tape tape(Dtype::f64);
  const Var x = floats(tape, {1, 2, 3, 4, 5, 6}), m = reshape(x, {2, 3});
  check_numbers(roll(x, 2, 0), {5, 6, 1, 2, 3, 4});
  check_numbers(roll(x, -8, 0), {3, 4, 5, 6, 1, 2});
  check_numbers(roll(m, 1, 1), {3, 1, 2, 6, 4, 5});
  BOOST_TEST((roll(slice(x, 0, 0, 0), 3, 0).shape() == Shape{0}));
  check_numbers(flip(m, 1), {3, 2, 1, 6, 5, 4});
  check_numbers(flip(m, {0, 1}), {6, 5, 4, 3, 2, 1});
  check_numbers(tile(m, {2}), {1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6});
  check_numbers(tile(slice(x, 0, 0, 2), {2, 2}), {1, 2, 1, 2, 1, 2, 1, 2});
  BOOST_TEST((tile(m, {2, 0, 1}).shape() == Shape{2, 0, 3}));
  check_numbers(pad(slice(m, 0, 0, 1), {{.axis = 0, .after = 1}, {.axis = -1, .before = 1}}), {0, 1, 2, 3, 0, 0, 0, 0});
  check_numbers(stack({slice(x, 0, 0, 2), slice(x, 0, 4)}, 0), {1, 2, 5, 6});
  check_numbers(stack({slice(x, 0, 0, 2), slice(x, 0, 4)}, -1), {1, 5, 2, 6});
  BOOST_TEST((stack({m, m, m, m}, -2).shape() == Shape{2, 4, 3}));
  check_numbers(split(x, 3, 0)[1], {3, 4});
  check_numbers(split(m, {1, 0, 2}, 1)[2], {2, 3, 5, 6});
  BOOST_TEST((unsqueeze(m, -1).shape() == Shape{2, 3, 1}));
  BOOST_TEST((unsqueeze(m, 1).shape() == Shape{2, 1, 3}));
  BOOST_TEST((squeeze(unsqueeze(m, 0), 0).shape() == Shape{2, 3}));
  BOOST_TEST((squeeze(reshape(m, {1, 6, 1})).shape() == Shape{6}));
  BOOST_TEST((swapaxes(unsqueeze(m, 0), 0, -1).shape() == Shape{3, 2, 1}));
  check_numbers(swapaxes(m, 0, 1), {1, 4, 2, 5, 3, 6});
  check_numbers(outer(slice(x, 0, 0, 2), slice(x, 0, 3)), {4, 5, 6, 8, 10, 12});
  BOOST_TEST(dot(x, x).item() == 91);
}

BOOST_AUTO_TEST_CASE(vmap_over_arrangements) {
  Tape tape(Dtype::f64);
  const Var x = normal(tape, {3, 4, 2}, 1), row = normal(tape, {4, 2}, 2);
  using Vars = std::span<const Var>;
  check_vmap("stack", [&](Vars s) { return stack({s[0], row}, 1); }, {x});
  check_vmap("split", [](Vars s) { return split(s[0], 2, 0)[1]; }, {x});
  check_vmap("pad", [](Vars s) { return pad(s[0], {{.axis = 0, .before = 1, .after = 2}}); }, {x});
  check_vmap("flip", [](Vars s) { return flip(s[0], {0, 1}); }, {x});
  check_vmap("roll", [](Vars s) { return roll(s[0], 3, 0); }, {x});
  check_vmap("tile", [](Vars s) { return tile(s[0], {2, 3, 2}); }, {x});
  check_vmap("squeeze", [](Vars s) { return squeeze(unsqueeze(swapaxes(s[0], 0, 1), 1)); }, {x});
  check_vmap("outer", [&](Vars s) { return outer(slice_of(s[0], 1), reshape(row, {8})); }, {x});
  check_vmap("dot", [&](Vars s) { return dot(reshape(s[0], {8}), reshape(row, {8})); }, {x});
}

BOOST_AUTO_TEST_CASE(arrangements_refuse_at_the_users_line) {
  Tape tape(Dtype::f64);
  const Var x = normal(tape, {4, 3}, 1), v = normal(tape, {4}, 2);
  const std::vector<std::pair<std::function<void()>, std::string>> wrong{
      {[&] {
         stack({x, v}, 0);
       },
       "[stack] parts differ in shape: [4, 3] and [4]"},
      {[&] { stack({x}, 3); }, "[stack] axis 3 is out of range for 3 axes of the result, x has shape [4, 3]"},
      {[&] { split(x, 3, 0); }, "[split] cannot cut axis -2 of [4, 3] into 3 equal parts"},
      {[&] {
         split(x, {2, 3}, 0);
       },
       "[split] extents [2, 3] do not make up axis -2 of [4, 3]"},
      {[&] { pad(x, {{.axis = 0, .before = -1}}); }, "[pad] cannot take away: -1 before and 0 after axis -2"},
      {[&] { pad(x, {{.axis = 2, .before = 1}}); }, "[pad] axis 2 is out of range for 2 axes of shape [4, 3]"},
      {[&] {
         flip(x, {0, -2});
       },
       "[flip] axis -2 of shape [4, 3] is named twice"},
      {[&] { roll(x, 1, 2); }, "[roll] axis 2 is out of range for 2 axes"},
      {[&] { tile(x, {-1}); }, "[tile] cannot repeat [-1] times"},
      {[&] { squeeze(x, 1); }, "[squeeze] needs an extent of 1 on axis -1, got shape [4, 3]"},
      {[&] { unsqueeze(x, 3); }, "[unsqueeze] axis 3 is out of range for 3 axes"},
      {[&] { outer(x, v); }, "[outer] needs two operands of one axis, got [4, 3] and [4]"},
      {[&] { dot(v, slice_of(x, 0)); }, "[dot] extents differ: [4] and [3]"}};
  for (const auto& [call, part] : wrong) {
    const std::string text = error_of(call);
    BOOST_TEST(contains(text, part), text);
    BOOST_TEST(contains(text, "(test_indexing.cpp:"), text);
  }
}

BOOST_AUTO_TEST_CASE(threads_do_not_show) {
  const auto compute = [](int count) {
    const Threads guard(count);
    Tape tape;
    const Var x = normal(tape, {3001, 37}, 1);
    Array random(Dtype::i32, {3001});
    for (Index i = 0; i < 3001; ++i) random.set(i, static_cast<double>(i * 7919 % 400));
    const Var which = tape.input(random), by_row = reshape(which, {3001, 1});
    const Var scattered = scatter_add(x, by_row, 0, 400), rows = index_select(scattered, 0, which);
    const Var order = argsort(x, 0), narrow = scatter_add(transpose(x), which, 1, 400);
    std::vector<Var> all{scattered,
                         rows,
                         order,
                         sort(x, 1),
                         take_along(x, order, 0),
                         narrow,
                         flip(x, 0),
                         flip(x, 1),
                         grad(sum(square(rows)), x),
                         roll(x, 1000, 0),
                         tile(x, {2, 3})};
    std::vector<Array> values;
    for (Var var : all) values.push_back(var.value());
    return values;
  };
  const std::vector<Array> alone = compute(1);
  for (int count : {2, 3, 7}) BOOST_TEST(same_bits(compute(count), alone), count << " threads");
}
