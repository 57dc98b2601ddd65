// The arithmetic contract: the same bits on any number of threads, at any place of an array, beside any neighbours.
#define BOOST_TEST_MODULE bits
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

#include "autodiff/autodiff.hpp"
#include "autodiff/kernels/groups.hpp"
#include "autodiff/kernels/sums.hpp"
#include "autodiff/ops/known.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity(),
                 not_a_number = std::numeric_limits<double>::quiet_NaN();

// Records with one thread, then with more, and compares every value by its bits.
template <class F>
void same_on_any_threads(const char* what, F&& compute) {
  const auto run = [&](int count) {
    const Threads guard(count);
    Tape tape;
    std::vector<Array> values;
    for (Var var : compute(tape)) values.push_back(var.value());
    return values;
  };
  const std::vector<Array> alone = run(1);
  for (int count : {2, 3, 7}) BOOST_TEST(same_bits(run(count), alone), what << " with " << count << " threads");
}

Var random_on(Tape& tape, const Shape& shape, std::uint64_t seed) {
  return tape.input(random_array(tape.dtype(), shape, seed));
}

}  // namespace

BOOST_AUTO_TEST_CASE(threads_do_not_show_in_elementwise_ops) {
  same_on_any_threads("elementwise", [](Tape& tape) {
    const Var x = random_on(tape, {100003}, 1), y = random_on(tape, {100003}, 2);
    return std::vector<Var>{exp(x) * y, sin(x * 100) + y, gelu(x), maximum(x, y), where(x < y, tanh(x), log1p(abs(y)))};
  });
  same_on_any_threads("broadcast", [](Tape& tape) {
    const Var x = random_on(tape, {300, 1, 101}, 1), y = random_on(tape, {7, 1}, 2);
    return std::vector<Var>{x * y, x + 1, y / (2 + x)};
  });
}

BOOST_AUTO_TEST_CASE(threads_do_not_show_in_sums) {
  for (const Shape& shape : {Shape{37, 5, 129, 2}, Shape{2, 3, 70, 501}, Shape{20011, 1, 3, 1}})
    same_on_any_threads("sum", [&](Tape& tape) {
      const Var x = random_on(tape, shape, 1);
      std::vector<Var> sums{sum(x), mean(x)};
      for (int mask = 1; mask < 16; ++mask) {
        std::vector<int> axes;
        for (int axis = 0; axis < 4; ++axis)
          if ((mask >> axis & 1) != 0) axes.push_back(axis);
        sums.push_back(sum(x, axes));
      }
      return sums;
    });
  same_on_any_threads("sum of many", [](Tape& tape) {
    const Var x = random_on(tape, {1000003}, 1);
    return std::vector<Var>{sum(x), mean(reshape(slice(x, 0, 0, 1000000), {100, 10000}), 0)};
  });
}

// Long lines, which are cut into pieces: the first or last element may be the extremum, or one is NaN; of zeros of both
// signs it is the same on any number of threads.
BOOST_AUTO_TEST_CASE(extrema_of_long_lines) {
  for (const Shape& shape : {Shape{1, 100'003, 1}, Shape{3, 70'001, 1}, Shape{1, 40'000, 3}, Shape{2, 1100, 64}}) {
    const Index outer = shape[0], n = shape[1], inner = shape[2];
    Array x = random_array(Dtype::f32, shape, 1);
    x.set((outer - 1) * n * inner, 9);  // of the last line of a column the first, of the first line the last
    x.set(n * inner - 1, -9);
    Tape tape;
    const Array largest = max(tape.input(x), 1).value(), smallest = min(tape.input(x), 1).value();
    for (Index o = 0; o < outer; ++o)
      for (Index i = 0; i < inner; ++i) {
        double high = -infinity, low = infinity;
        for (Index r = 0; r < n; ++r) {
          high = std::max(high, x.at((o * n + r) * inner + i));
          low = std::min(low, x.at((o * n + r) * inner + i));
        }
        BOOST_TEST(largest.at(o * inner + i) == high);
        BOOST_TEST(smallest.at(o * inner + i) == low);
      }
    x.set(n * inner / 2, not_a_number);
    BOOST_TEST(std::isnan(max(tape.input(x), 1).value().at(n * inner / 2 % inner)));
    same_on_any_threads("extremum", [&](Tape& other) {
      const Var zeros = round(random_on(other, shape, 2)) * 0;
      return std::vector<Var>{max(zeros, 1), min(zeros, 1), max(zeros)};
    });
  }
}

BOOST_AUTO_TEST_CASE(sums_are_right) {
  // Beside bits: every combination of axes against sums in f64 that know nothing of groups.
  Tape tape;
  const Array values = random_array(Dtype::f32, {150, 3, 33, 2}, 1);
  const Var x = tape.input(values);
  for (int mask = 1; mask < 16; ++mask) {
    std::vector<int> axes;
    Index strides[4], stride = 1;
    for (int axis = 3; axis >= 0; --axis) {
      const bool summed = (mask >> axis & 1) != 0;
      if (summed) axes.insert(axes.begin(), axis);
      strides[axis] = summed ? 0 : stride;
      if (!summed) stride *= values.shape()[axis];
    }
    std::vector<double> wanted(static_cast<std::size_t>(stride), 0.0);
    for (Index i = 0; i < values.size(); ++i) {
      Index rest = i, to = 0;
      for (int axis = 3; axis >= 0; --axis) {
        to += rest % values.shape()[axis] * strides[axis];
        rest /= values.shape()[axis];
      }
      wanted[static_cast<std::size_t>(to)] += values.at(i);
    }
    const Array got = sum(x, axes).value();
    double worst = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i)
      worst = std::max(worst, std::abs(got.at(static_cast<Index>(i)) - wanted[i]));
    const double terms = static_cast<double>(values.size() / stride);
    BOOST_TEST(worst < 1e-7 * std::max(terms, 1.0), "axes " << mask << ": " << worst);
  }
}

BOOST_AUTO_TEST_CASE(threads_do_not_show_in_products) {
  using Extents = std::array<Index, 3>;
  for (const Extents& e : {Extents{1000, 37, 64}, Extents{129, 64, 2}, Extents{64, 300, 101}, Extents{3, 64, 700}})
    same_on_any_threads("matmul", [&](Tape& tape) {
      const Index m = e[0], k = e[1], n = e[2];
      const Var x = random_on(tape, {m, k}, 1), w = random_on(tape, {k, n}, 2), v = random_on(tape, {m, n}, 3);
      std::vector<Var> all{matmul(x, w)};
      for (Var g : vjp(all[0], v, std::vector<Var>{x, w})) all.push_back(g);
      all.push_back(matmul(transpose(w), x, {.transpose_b = true}));
      return all;
    });
  same_on_any_threads("batched matmul", [](Tape& tape) {
    const Var x = random_on(tape, {5, 1, 40, 70}, 1), w = random_on(tape, {3, 70, 33}, 2);
    return std::vector<Var>{matmul(x, w), matmul(x, slice(w, 0, 0, 1))};
  });
}

BOOST_AUTO_TEST_CASE(threads_do_not_show_in_movements) {
  same_on_any_threads("movements", [](Tape& tape) {
    const Var x = random_on(tape, {301, 5, 67}, 1), row = random_on(tape, {1, 5, 3}, 2);
    return std::vector<Var>{concat({x, row, x}, 2),   slice(x, 0, 3, -4, 2),
                            slice(x, 2, 1, 66, 3),    transpose(x),
                            transpose(x, {1, 0, 2}),  slice_backward(x, 1, 20, 2, 3),
                            reshape(x, {67, 5, 301}), broadcast_to(row, {900, 5, 3}),
                            tape.full({70001}, 0.3),  cast(x * 100, Dtype::i32),
                            cast(x, Dtype::f64)};
  });
}

BOOST_AUTO_TEST_CASE(threads_do_not_show_in_a_networks_gradient) {
  for (Index width : {37, 64, 101})
    for (Index rows : {1, 9, 31, 33, 127, 500, 5000})
      same_on_any_threads("network", [&](Tape& tape) {
        const Var x = random_on(tape, {rows, 3}, 1);
        std::vector<Var> parameters{random_on(tape, {3, width}, 2),     random_on(tape, {width}, 3),
                                    random_on(tape, {width, width}, 4), random_on(tape, {width}, 5),
                                    random_on(tape, {width, 2}, 6),     random_on(tape, {2}, 7)};
        const Var h = silu(matmul(x, parameters[0]) + parameters[1]);
        const Var y = matmul(tanh(matmul(h, parameters[2]) + parameters[3]), parameters[4]) + parameters[5];
        const Var loss = mean(sum(square(y), 1));
        std::vector<Var> all = grad(loss, parameters);
        all.push_back(loss);
        return all;
      });
}

namespace {

// Values of very different sizes, and what is no number.
template <class T>
std::vector<T> wild(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const double scales[] = {1e-30, 1e-8, 1, 1, 1, 10, 300, 9e4, 1e6, 1e10, 1e30};
  const T odd[] = {T(0),
                   T(-0.0),
                   std::numeric_limits<T>::infinity(),
                   -std::numeric_limits<T>::infinity(),
                   std::numeric_limits<T>::quiet_NaN(),
                   std::numeric_limits<T>::max(),
                   std::numeric_limits<T>::min()};
  std::vector<T> values;
  while (values.size() < count)
    values.push_back(random() % 8 == 0 ? odd[random() % 7]
                                       : static_cast<T>(scales[random() % 11] *
                                                        std::uniform_real_distribution<double>(-1, 1)(random)));
  return values;
}

// A value computed alone, in the middle of others, at any alignment, in an array of any length: the same bits. (Of a
// NaN the sign is the compiler's to choose: x86 takes that of the operand which comes first.)
template <class T>
void check_places(const Op& op) {
  const FloatingPointMode mode;
  const auto examples = op.examples();
  const Attributes& attributes = examples.at(0).attributes;
  const std::size_t arity = static_cast<std::size_t>(op.arity()), size = 96;
  std::vector<std::vector<T>> operands;
  for (std::size_t i = 0; i < arity; ++i) operands.push_back(wild<T>(size, 11 + i));
  std::vector<T> alone(size), out(size + 1);
  const auto block = [&](std::size_t from, std::size_t count, T* to) {
    std::vector<const void*> in;
    for (const auto& operand : operands) in.push_back(operand.data() + from);
    op.block(static_cast<Index>(count), in.data(), to, dtype_of<T>, attributes);
  };
  for (std::size_t i = 0; i < size; ++i) block(i, 1, &alone[i]);
  for (std::size_t shift = 0; shift <= 17; ++shift)
    for (std::size_t count = 1; count <= 70; ++count) {
      out[count] = T(7);
      block(shift, count, out.data());
      BOOST_TEST_REQUIRE(out[count] == T(7), op.name() << " writes beyond the end");
      for (std::size_t i = 0; i < count; ++i)
        if (std::memcmp(&out[i], &alone[shift + i], sizeof(T)) != 0 &&
            !(std::isnan(out[i]) && std::isnan(alone[shift + i]))) {
          BOOST_ERROR(op.name() << " " << name_of(dtype_of<T>) << " of " << operands[0][shift + i] << ": " << out[i]
                                << " at " << i << " of " << count << " from " << shift << ", " << alone[shift + i]
                                << " alone");
          return;
        }
    }
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_elementwise_value_depends_on_its_operands_alone) {
  int met = 0;
  for (const Op* op : registry()) {
    if (!op->fusable()) continue;
    ++met;
    check_places<float>(*op);
    check_places<double>(*op);
  }
  BOOST_TEST(met >= 30);
}

BOOST_AUTO_TEST_CASE(nor_does_it_on_a_tape) {
  // Around the lengths of blocks and pieces, direct, broadcast from a row, from a column, from a number.
  Tape tape;
  const std::vector<float> values = wild<float>(9000, 3);
  const Var x = tape.input(Array::of<float>({9000}, std::span<const float>(values)));
  const Var whole = sin(x) * 0.3;
  for (Index length : {1, 15, 16, 17, 511, 512, 513, 1000, 8191, 8192, 8193})
    for (Index start : {0, 1, 500}) {
      const Index n = std::min<Index>(length, 9000 - start);
      const Array part = (sin(slice(x, 0, start, start + n)) * 0.3).value();
      BOOST_TEST(same_bits(part, slice(whole, 0, start, start + n).value()));
    }
  const Var row = slice(x, 0, 0, 700), column = reshape(slice(x, 0, 700, 705), {5, 1});
  const Var stretched = maximum(row, column) - row / column;
  for (Index i = 0; i < 5; ++i) {
    const Var number = reshape(slice(column, 0, i, i + 1), {});
    const Array one = (maximum(row, number) - row / number).value();
    BOOST_TEST(same_bits(one, reshape(slice(stretched, 0, i, i + 1), {700}).value()));
  }
}

BOOST_AUTO_TEST_CASE(nor_does_it_where_results_go_past_the_caches) {
  Tape tape;
  const Index n = 4'300'003;  // more than 16 MiB, and no whole registers
  const Var x = random_on(tape, {n}, 4), y = random_on(tape, {n, 1}, 5);
  const Var whole = sin(x) * 0.3, row = tape.input(Array::of<float>({1}, {0.7F}));
  const Var stretched = y - reshape(row, {1, 1});
  for (const auto& [start, end] :
       {std::pair<Index, Index>{0, 5}, {65'530, 65'541}, {1'000'000, 1'001'000}, {n - 20, n}}) {
    BOOST_TEST(same_bits((sin(slice(x, 0, start, end)) * 0.3).value(), slice(whole, 0, start, end).value()));
    BOOST_TEST(same_bits((slice(y, 0, start, end) - 0.7F).value(), slice(stretched, 0, start, end).value()));
  }
}

BOOST_AUTO_TEST_CASE(a_sum_of_neighbours_is_that_of_its_groups) {
  for (const Shape& shape : {Shape{1000}, Shape{100'003}, Shape{1'000'003}, Shape{300'000, 3}, Shape{5'000, 700}}) {
    Tape tape;
    const Var x = random_on(tape, shape, 6);
    const Index rows = shape[0], unit = shape.size() / rows;
    const Grouping grouping = group_rows(rows, sizeof(float));
    std::vector<float> partials(static_cast<std::size_t>(grouping.slots()));
    for (Index share = 0; share < grouping.shares; ++share)
      sum_share(grouping, share, 1, partials.data(), [&](Index g, float* to) {
        const Index begin = grouping.begin(g, rows), end = grouping.begin(g + 1, rows);
        sum_rows(x.data<float>().data() + begin * unit, (end - begin) * unit, 1, to);
      });
    combine(partials.data(), grouping.shares, 1);
    BOOST_TEST(same_bits(sum(x).value(), Array::of<float>(Shape{}, {partials[0]})));
  }
}

BOOST_AUTO_TEST_CASE(ops_say_how_many_partial_sums_they_add) {
  const auto partial_sums = [](Var y, const Op& op) {
    const Call call(y.tape(), y.tape().index_of(y, {}));
    BOOST_TEST(&call.op() == &op);
    std::vector<const Type*> types;
    for (int i = 0; i < call.arity(); ++i) types.push_back(&y.tape().node(y.tape().index_of(call.in(i), {})).type);
    return op.partial_sums({types, call.attributes()}, y.type()).groups;
  };
  Tape tape;
  const Var x = tape.zeros({400, 3}), w = tape.zeros({400, 5});
  BOOST_TEST(partial_sums(matmul(x, w, {.transpose_a = true}), matmul_op()) == 4);
  BOOST_TEST(partial_sums(matmul(transpose(x), w), matmul_op()) == 1);
  BOOST_TEST(partial_sums(sum(x, 0), sum_op()) == 4);
  BOOST_TEST(partial_sums(sum(x, 1), sum_op()) == 1);
  BOOST_TEST(partial_sums(sum(x), sum_op()) == 4);
  BOOST_TEST(partial_sums(sum(tape.zeros({200, 2, 400}), {0, 2}), sum_op()) == 4);  // the most of two sums
  BOOST_TEST(partial_sums(x + 1, add_op()) == 1);
}

// Partial sums that together would take more than a megabyte are fewer. How many is a matter of the whole sum: a range
// of its rows or columns alone would have more, since its own are smaller.
BOOST_AUTO_TEST_CASE(a_plan_adds_large_partial_sums_as_a_tape_does) {
  using Vars = std::span<const Var>;
  using Outputs = std::vector<Var>;
  const struct {
    const char* what;
    PlanFunction f;
    std::vector<Shape> inputs;
  } cases[] = {
      {"product over rows",
       [](Vars in) { return Outputs{matmul(sin(in[0]), in[0], {.transpose_a = true})}; },
       {{800, 400}}},
      {"product over what is no row",
       [](Vars in) { return Outputs{exp(matmul(transpose(in[0]), in[1], {.transpose_a = true}))}; },
       {{2100, 192}, {192, 64}}},
      {"sum over rows", [](Vars in) { return Outputs{sum(in[0] * in[1], 0)}; }, {{3072, 1}, {8200}}},
  };
  for (const auto& each : cases) BOOST_TEST_CONTEXT(each.what) {
      Tape tape;
      std::vector<Array> inputs;
      std::vector<Type> types;
      std::vector<Var> vars;
      for (const Shape& shape : each.inputs) {
        inputs.push_back(random_array(Dtype::f32, shape, inputs.size() + 1));
        types.push_back(inputs.back().type());
        vars.push_back(tape.input(inputs.back()));
      }
      const Array wanted = each.f(vars)[0].value();
      Plan plan = compile(each.f, types, {.rows = {0}});
      for (int count : {1, 3}) {
        const Threads guard(count);
        BOOST_TEST(same_bits(plan.run(std::vector<PlanInput>(inputs.begin(), inputs.end()))[0], wanted));
      }
    }
}
