// Arguments of ops: the types that take whole numbers alone, lists of axes, and structs that convert to attributes.
#define BOOST_TEST_MODULE attributes
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "autodiff/ops/draws.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/ops/sources.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;

namespace {

enum class Side { left, right };

struct Arguments {
  Axis axis = -1;
  AxisList axes = {};
  Index count = 0;
  int order = 0;
  bool first = false, second = false;
  Side side = Side::left;
  double low = 0, high = 0;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("axis", axis), visit("axes", axes), visit("count", count), visit("order", order), visit("first", first),
        visit("second", second), visit("side", side), visit("low", low), visit("high", high);
  }
};

struct NoArguments {
  template <class Visit>
  void fields(Visit&&) {}
};

// Calls f with `stated` changed in one number.
template <class F>
void for_each_change(const Attributes& stated, F&& f) {
  const auto each = [&](auto list) {
    for (std::size_t i = 0; i < (stated.*list).size(); ++i) {
      Attributes changed = stated;
      auto& value = (changed.*list)[i];
      value = value + 1 == value ? 0 : value == 0 ? 1 : value == 1 ? 0 : value + 1;  // of a flag, the other one
      f(changed);
    }
  };
  each(&Attributes::axes), each(&Attributes::integers), each(&Attributes::reals);
}

std::string description(const Op& op, const Attributes& attributes) {
  std::string text;
  const std::string error = testing::error_of([&] { text = op.describe(attributes); });
  return error == "nothing was thrown" ? text : error;
}

template <class F>
void says(F&& f, const std::string& text) {
  const std::string error = testing::error_of(f);
  BOOST_TEST(error.find(text) != std::string::npos, error);
}

}  // namespace

BOOST_AUTO_TEST_CASE(arguments_become_attributes_and_come_back) {
  const Arguments stated{.axis = -2,
                         .axes = {-3, -1},
                         .count = Index{1} << 40,
                         .order = 7,
                         .second = true,
                         .side = Side::right,
                         .low = -0.5,
                         .high = 1e300};
  const Attributes attributes = to_attributes(stated);
  BOOST_TEST((attributes ==
              Attributes{.axes = {-2, -3, -1}, .integers = {Index{1} << 40, 7, 0, 1, 1}, .reals = {-0.5, 1e300}}));
  const auto read = arguments_of<Arguments>(attributes);
  BOOST_TEST((read.axis == -2 && read.axes == stated.axes && read.count == stated.count && read.order == 7));
  BOOST_TEST((!read.first && read.second && read.side == Side::right && read.low == -0.5 && read.high == 1e300));
  BOOST_TEST((to_attributes(read) == attributes));
  BOOST_TEST(describe<Arguments>(attributes) ==
             "axis=-2 axes=[-3,-1] count=1099511627776 order=7 second side=1 low=-0.5 high=1e+300");
}

BOOST_AUTO_TEST_CASE(every_op_prints_its_arguments_by_name) {
  const auto named = [](const std::string& text) {  // "axis=-1 k=3 largest"
    const std::string letters = "abcdefghijklmnopqrstuvwxyz_";
    for (std::size_t at = 0, space; at <= text.size(); at = space + 1) {
      space = std::min(text.find(' ', at), text.size());
      const std::size_t name = std::min(text.find_first_not_of(letters, at), space);
      if (name == at || (name < space && (text[name] != '=' || name + 1 == space))) return false;
    }
    return true;
  };
  int ops = 0;
  for (const Op* op : registry()) {
    bool printed = false, stated = false;
    for (const Example& example : op->examples()) {
      if (example.attributes.empty()) continue;
      stated = true;
      const std::string text = op->describe(example.attributes);
      BOOST_TEST((text.empty() || named(text)), op->name() << ": " << text);
      printed |= !text.empty();
      for_each_change(example.attributes, [&](const Attributes& changed) {  // nothing is left out
        BOOST_TEST(description(*op, changed) != text, op->name() << ": " << text << " after a change");
      });
    }
    BOOST_TEST(printed == stated, op->name());
    ops += stated;
  }
  BOOST_TEST(ops > 30);
}

BOOST_AUTO_TEST_CASE(known_ops_state_their_arguments) {
  const auto check = []<class Arguments>(const Op& op, const char* name, Arguments) {
    BOOST_TEST(op.name() == name);
    BOOST_TEST(&op == &op_named(name));
    for (const Example& example : op.examples())
      BOOST_TEST((to_attributes(arguments_of<Arguments>(example.attributes)) == example.attributes), name);
  };
  check(matmul_op(), "matmul", MatmulOptions{});
  check(sum_op(), "sum", ReductionArguments{});
  check(max_op(), "max", ReductionArguments{});
  check(logsumexp_op(), "logsumexp", ReductionArguments{});
  check(softmax_op(), "softmax", AxisArgument{});
  check(log_softmax_op(), "log_softmax", AxisArgument{});
  check(cumsum_op(), "cumsum", CumsumArguments{});
  check(cast_op(), "cast", CastArguments{});
  check(reshape_op(), "reshape", ReshapeArguments{});
  check(broadcast_to_op(), "broadcast_to", BroadcastToArguments{});
  check(transpose_op(), "transpose", TransposeArguments{});
  check(concat_op(), "concat", ConcatArguments{});
  check(slice_op(), "slice", SliceArguments{});
  check(slice_backward_op(), "slice_backward", SliceBackwardArguments{});
  check(full_op(), "full", FullArguments{});
  check(draw_uniform_op(), "draw_uniform", DrawArguments<UniformSettings>{});
  check(draw_normal_op(), "draw_normal", DrawArguments<NormalSettings>{});
  check(draw_gamma_op(), "draw_gamma", DrawArguments<GammaSettings>{});
  check(draw_index_op(), "draw_index", DrawArguments<IndexSettings>{});
  check(add_op(), "add", NoArguments{});
  check(mul_op(), "mul", NoArguments{});
  for (const auto& [op, name] :
       {std::pair(&exp_op(), "exp"), std::pair(&log_op(), "log"), std::pair(&sign_op(), "sign")})
    check(*op, name, NoArguments{});
  check(sigmoid_op(), "sigmoid", NoArguments{});
  check(silu_op(), "silu", NoArguments{});
  check(identity_op(), "identity", NoArguments{});
  check(stop_gradient_op(), "stop_gradient", NoArguments{});
}

BOOST_AUTO_TEST_CASE(draws_alone_bring_rows) {
  for (const Op* op : registry()) BOOST_TEST(op->brings_rows() == op->name().starts_with("draw_"), op->name());
}

BOOST_AUTO_TEST_CASE(axes_are_taken_however_they_are_held) {
  Tape tape(Dtype::f64);
  Array whole(Dtype::f64, {2, 3, 4});  // so that sums are exact in any order
  for (Index i = 0; i < whole.size(); ++i) whole.set(i, static_cast<double>(i * i));
  const Var x = tape.input(whole);
  const std::vector<double> wanted = testing::numbers(sum(x, {0, 2}));
  const std::vector<int> ints{0, 2};
  const std::vector<Index> indices{-3, -1};
  const std::array<short, 2> shorts{2, 0};
  for (const Var& y : {sum(x, ints), sum(x, indices), sum(x, shorts), sum(x, std::span<const int>(ints)),
                       sum(x, AxisList{-1, 0}), sum(sum(x, 2), 0), sum(sum(x, Index{0}), {std::size_t{1}})})
    BOOST_TEST(testing::numbers(y) == wanted);
  BOOST_TEST((sum(x, {}).shape() == x.shape()));
  BOOST_TEST((sum(x, Axes::all(), {.keepdims = true}).shape() == Shape{1, 1, 1}));
  BOOST_TEST(testing::numbers(flip(x)) == testing::numbers(flip(x, {0, 1, 2})));
  BOOST_TEST(testing::numbers(transpose(x, ints.empty() ? Axes(0) : Axes({2, 1, 0}))) ==
             testing::numbers(transpose(x)));
}

BOOST_AUTO_TEST_CASE(axes_that_do_not_exist_are_refused_however_large) {
  Tape tape;
  const Var x = tape.full({2, 3}, 1);
  says([&] { sum(x, Index{1} << 40); }, "axis 2147483647 is out of range for 2 axes of shape [2, 3]");
  says([&] { sum(x, std::numeric_limits<Index>::min()); }, "axis -2147483648 is out of range");
  says([&] { sum(x, std::numeric_limits<std::size_t>::max()); }, "axis 2147483647 is out of range");
  says([&] { sum(x, std::vector<int>(1000, 1)); }, "axis -1 of shape [2, 3] is named twice");
  says([&] { transpose(x, std::vector<int>(1000, 1)); }, "needs 2 axes, got 1000");
}
