// The life of tapes and of the Vars that point into them.
#define BOOST_TEST_MODULE tape
#include "autodiff/tape.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>
#include <memory>
#include <optional>

#include "autodiff/derivatives.hpp"
#include "autodiff/ops.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using wengert::testing::contains;
using wengert::testing::error_of;
using wengert::testing::numbers;
using wengert::testing::same_bits;
using Numbers = std::vector<double>;

namespace {

Array one_to_three() { return Array::of<float>({3}, {1, 2, 3}); }
std::string here(int line) { return "test_tape.cpp:" + std::to_string(line); }

}  // namespace

BOOST_AUTO_TEST_CASE(an_eager_tape_computes_what_it_records) {
  Tape tape;
  const Var x = tape.input(one_to_three(), "x");
  const Var y = x * 2 + 1;
  BOOST_TEST(numbers(y) == (Numbers{3, 5, 7}), boost::test_tools::per_element());
  BOOST_TEST((y.type() == Type{Dtype::f32, {3}}));
  BOOST_TEST(y.rank() == 1);
  BOOST_TEST(y.extent(-1) == 3);
  BOOST_TEST(sum(y).item() == 15.0);
  BOOST_TEST(!tape.symbolic());
  BOOST_TEST(tape.name_of(tape.index_of(x, {})) == "x");
}

BOOST_AUTO_TEST_CASE(a_node_needs_what_it_depends_on) {
  Tape tape;
  const Var before = tape.input(one_to_three()), x = tape.input(one_to_three()), aside = exp(x), y = x * before,
            z = y * y, after = exp(z);
  const auto at = [&](Var v) { return tape.index_of(v, {}); };
  const std::vector<bool> needed = tape.needed_by(at(z), at(x));
  BOOST_TEST(needed == (std::vector<bool>{true, false, true, true}));
  BOOST_TEST(tape.needed_by(at(aside), 0) == (std::vector<bool>{false, true, true}));
  BOOST_TEST(tape.needed_by(at(x), at(after)).empty());
}

BOOST_AUTO_TEST_CASE(constants_by_the_names_of_numpy) {
  Tape tape(Dtype::f64);
  const auto check = [](Var x, const Type& type, const Numbers& wanted) {
    BOOST_TEST((x.type() == type), to_string(x.type()));
    BOOST_TEST(numbers(x) == wanted, to_string(x));
  };
  const Dtype f64 = Dtype::f64, f32 = Dtype::f32, i32 = Dtype::i32;
  check(tape.zeros({2, 2}), {f64, {2, 2}}, {0, 0, 0, 0});
  check(tape.ones({3}, i32), {i32, {3}}, {1, 1, 1});
  check(tape.ones({}), {f64, {}}, {1});
  check(tape.arange(3), {f64, {3}}, {0, 1, 2});
  check(tape.arange(3, f32), {f32, {3}}, {0, 1, 2});
  check(tape.arange(2.5, i32), {i32, {3}}, {0, 1, 2});
  check(tape.arange(1, 2, 0.25), {f64, {4}}, {1, 1.25, 1.5, 1.75});
  check(tape.arange(1, -1, -0.5), {f64, {4}}, {1, 0.5, 0, -0.5});
  check(tape.arange(5, 2, -2, i32), {i32, {2}}, {5, 3});
  check(tape.arange(2, 2), {f64, {0}}, {});
  check(tape.arange(2, 1), {f64, {0}}, {});
  check(tape.arange(0, -3), {f64, {0}}, {});
  BOOST_TEST(tape.arange(1, 1.3, 0.1).size() == 4);  // as NumPy's: 0.3 / 0.1 is above 3
  BOOST_TEST(tape.arange(0, 0.3, 0.1).size() == 3);
  check(tape.linspace(0, 1, 5), {f64, {5}}, {0, 0.25, 0.5, 0.75, 1});
  check(tape.linspace(2, -2, 3, f32), {f32, {3}}, {2, 0, -2});
  check(tape.linspace(3, 4, 1), {f64, {1}}, {3});
  check(tape.linspace(3, 4, 0), {f64, {0}}, {});
  check(tape.linspace(3, 3, 3), {f64, {3}}, {3, 3, 3});
  BOOST_TEST(tape.linspace(0, 1).size() == 50);
  for (Index count : {2, 3, 7, 50, 1001})
    for (double stop : {0.1, 1.0 / 3, -7e9}) BOOST_TEST(tape.linspace(0.7, stop, count)[-1].item() == stop);
  check(tape.eye(2), {f64, {2, 2}}, {1, 0, 0, 1});
  check(tape.eye(2, i32), {i32, {2, 2}}, {1, 0, 0, 1});
  check(tape.eye(2, 3), {f64, {2, 3}}, {1, 0, 0, 0, 1, 0});
  check(tape.eye(2, 3, 1), {f64, {2, 3}}, {0, 1, 0, 0, 0, 1});
  check(tape.eye(3, 2, -1, f32), {f32, {3, 2}}, {0, 0, 1, 0, 0, 1});
  check(tape.eye(2, 2, 5), {f64, {2, 2}}, {0, 0, 0, 0});
  check(tape.eye(2, 2, -5), {f64, {2, 2}}, {0, 0, 0, 0});
  check(tape.eye(0), {f64, {0, 0}}, {});
}

BOOST_AUTO_TEST_CASE(constants_that_cannot_be_are_refused_at_the_users_line) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Tape tape;
  const auto refused = [](int line, const std::string& said, const std::string& text) {
    BOOST_TEST(contains(said, text), said);
    BOOST_TEST(contains(said, "(" + here(line)), said);
  };
  refused(__LINE__, error_of([&] { tape.arange(0, 1, 0); }), "[arange] needs finite numbers and a step other than 0");
  refused(__LINE__, error_of([&] { tape.arange(infinity); }), "got start 0, stop inf, step 1");
  refused(__LINE__, error_of([&] { tape.arange(0, 1, 1e-300); }), "[arange] no machine holds so many numbers");
  refused(__LINE__, error_of([&] { tape.arange(0, 2, 0.5, Dtype::i32); }), "[arange] an i32 holds whole numbers");
  refused(__LINE__, error_of([&] { tape.arange(3e9, 3e9 + 2, 1, Dtype::i32); }), "[arange] an i32 holds whole numbers");
  refused(__LINE__, error_of([&] { tape.linspace(0, 1, -1); }), "[linspace] needs a count of 0 at least, got -1");
  refused(__LINE__, error_of([&] { tape.linspace(0, 1, 3, Dtype::i32); }), "[linspace] needs f32 or f64, got i32");
  refused(__LINE__, error_of([&] { tape.eye(-1); }), "[eye] needs extents of 0 at least, got -1 and -1");
}

BOOST_AUTO_TEST_CASE(an_input_is_a_copy) {
  Tape tape;
  Array values = one_to_three();
  const Var x = tape.input(values);
  values.set(0, 100);
  BOOST_TEST(sum(x).item() == 6.0);
}

BOOST_AUTO_TEST_CASE(a_symbolic_tape_knows_types_and_refuses_to_be_read) {
  Tape tape(Dtype::f64, Tape::Mode::symbolic);
  const Var x = tape.input(Type{Dtype::f64, {32, 68}});
  const Var y = mean(square(matmul(x, tape.full({68, 5}, 0.5))), 1);
  BOOST_TEST((y.type() == Type{Dtype::f64, {32}}));
  BOOST_TEST((grad(sum(y), x).type() == x.type()));
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { y.value(); });
  BOOST_TEST(contains(text, "a value was read while the tape is symbolic"));
  BOOST_TEST(contains(text, here(line)));
  const int second = __LINE__ + 1;
  BOOST_TEST(contains(error_of([&] { sum(y).item(); }), here(second)));
  const int third = __LINE__ + 1;
  BOOST_TEST(contains(error_of([&] { y.data<double>(); }), here(third)));
}

BOOST_AUTO_TEST_CASE(a_symbolic_tape_keeps_an_array_as_a_constant_and_computes_nothing) {
  Tape tape(Dtype::f32, Tape::Mode::symbolic);
  const Var x = tape.input(one_to_three());
  const std::size_t before = tape.bytes();
  const Var y = broadcast_to(exp(x), {1000, 3});
  BOOST_TEST(tape.bytes() - before < 1000U);  // no values
  BOOST_TEST((y.shape() == Shape{1000, 3}));
  BOOST_TEST(testing::same_bits(tape.constant(tape.index_of(x, Where::current())), one_to_three()));
  BOOST_TEST(contains(error_of([&] { x.value(); }), "symbolic"));
}

BOOST_AUTO_TEST_CASE(wrong_reads) {
  Tape tape;
  const Var x = tape.input(one_to_three());
  const int line = __LINE__ + 1;
  BOOST_TEST(error_of([&] { x.data<double>(); }) == "[input] a value of f32 was read as f64  (" + here(line) + ")");
  BOOST_TEST(contains(error_of([&] { x.item(); }), "item() reads an array of one element, this one has shape [3]"));
  BOOST_TEST(contains(error_of([&] { x.extent(1); }), "axis 1 is out of range for 1 axis of shape [3]"));
  const int type_line = __LINE__ + 1;
  const std::string text = error_of([&] { tape.input(Type{Dtype::f32, {2}}); });
  BOOST_TEST(text == "[input] an eager tape needs the values, got only the type f32 [2]  (" + here(type_line) + ")");
  BOOST_TEST(contains(error_of([] { Tape integers(Dtype::i32); }), "default dtype is f32 or f64, got i32"));
}

BOOST_AUTO_TEST_CASE(a_var_outlives_its_tape_and_is_told_so) {
  Var x;
  {
    Tape tape;
    x = tape.input(one_to_three());
  }
  const int line = __LINE__ + 1;
  BOOST_TEST(error_of([&] { x.value(); }) == "the tape of this Var is gone  (" + here(line) + ")");
  BOOST_TEST(contains(error_of([&] { x + 1; }), "[add] the tape of this Var is gone"));
  BOOST_TEST(contains(error_of([&] { grad(x, x); }), "the tape of this Var is gone"));
  // The next tape takes the same slot: the old Var is not one of its nodes.
  Tape tape;
  const Var y = tape.input(one_to_three());
  BOOST_TEST(contains(error_of([&] { x.shape(); }), "the tape of this Var is gone"));
  BOOST_TEST(contains(error_of([&] { y + x; }), "[add] the tape of this Var is gone"));
}

BOOST_AUTO_TEST_CASE(a_var_of_another_tape_is_refused) {
  Tape one, two;
  const Var x = one.input(one_to_three()), y = two.input(one_to_three());
  const int line = __LINE__ + 1;
  BOOST_TEST(error_of([&] { x* y; }) == "[mul] this Var belongs to another tape  (" + here(line) + ")");
  BOOST_TEST(contains(error_of([&] { concat({x, x, y}, 0); }), "[concat] this Var belongs to another tape"));
  BOOST_TEST(contains(error_of([&] { grad(sum(x), y); }), "[grad] this Var belongs to another tape"));
  BOOST_TEST(contains(error_of([&] { vjp(x, y, std::vector<Var>{x}); }), "[vjp] this Var belongs to another tape"));
}

BOOST_AUTO_TEST_CASE(a_default_var_is_refused_wherever_it_comes) {
  Tape tape;
  const Var x = tape.input(one_to_three()), never;
  BOOST_TEST(never.is_null());
  const std::string wanted = "this Var belongs to no tape";
  BOOST_TEST(contains(error_of([&] { never.shape(); }), wanted));
  BOOST_TEST(contains(error_of([&] { exp(never); }), wanted));
  BOOST_TEST(contains(error_of([&] { x + never; }), wanted));  // and is not a zero
  BOOST_TEST(contains(error_of([&] { never + x; }), wanted));
  BOOST_TEST(contains(error_of([&] { where(never, x, x); }), wanted));
  BOOST_TEST(contains(error_of([&] { concat({x, never}, 0); }), wanted));
  BOOST_TEST(contains(error_of([&] { grad(never, x); }), wanted));
  BOOST_TEST(contains(error_of([&] { grad(sum(x), never); }), wanted));
  BOOST_TEST(contains(error_of([&] { vjp(x, never, std::vector<Var>{x}); }), wanted));
}

BOOST_AUTO_TEST_CASE(numbers_alone_have_no_tape) {
  const int line = __LINE__ + 1;
  const std::string text = error_of([] { add(1, 2.5); });
  BOOST_TEST(text == "[add] needs at least one Var among its operands, got numbers alone  (" + here(line) + ")");
}

BOOST_AUTO_TEST_CASE(numbers_take_the_dtype_of_the_var) {
  Tape tape(Dtype::f32);
  const Var x = tape.input(Array::of<double>({2}, {1, 2}));
  const Var y = 0.1 * x;
  BOOST_TEST((y.dtype() == Dtype::f64));
  BOOST_TEST(y.value().at(0) == 0.1);  // not rounded to f32 on the way
  BOOST_TEST((where(greater(x, 1), 1, 0).dtype() == Dtype::f64));
  BOOST_TEST((tape.full(Shape{2}, 1).dtype() == Dtype::f32));
  BOOST_TEST((maximum(2, x).dtype() == Dtype::f64));
  const Var i = tape.input(Array::of<std::int32_t>({2}, {1, 2}));
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { i + 0.5; });
  BOOST_TEST(text == "[add] 0.5 is no integer, and the other operand is i32  (" + here(line) + ")");
}

BOOST_AUTO_TEST_CASE(mixed_dtypes_are_refused_naming_both) {
  Tape tape;
  const Var x = tape.input(one_to_three()), y = tape.input(Array(Dtype::f64, {3}));
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { x + y; });
  BOOST_TEST(text == "[add] operands differ in dtype: f32 and f64 (use cast)  (" + here(line) + ")");
  BOOST_TEST(contains(error_of([&] { where(x, x, y); }), "f32 and f64"));
  BOOST_TEST(contains(error_of([&] { concat({y, x}, 0); }), "f64 and f32"));
  BOOST_TEST(contains(error_of([&] { matmul(reshape(x, {1, 3}), reshape(y, {3, 1})); }), "f32 and f64"));
  BOOST_TEST(sum(x + cast(y, Dtype::f32)).item() == 6.0);
}

BOOST_AUTO_TEST_CASE(a_failed_call_leaves_the_tape_usable) {
  Tape tape;
  const Var x = tape.input(one_to_three());
  const std::uint32_t size = tape.size();
  for (int i = 0; i < 3; ++i) error_of([&] { x + tape.full(Shape{4}, 1); });
  error_of([&] { matmul(x, tape.full(Shape{4}, 1)); });
  BOOST_TEST(tape.size() == size + 4);  // the constants, and no half of a call
  const Var gone = std::make_unique<Tape>()->full(Shape{3}, 1);
  error_of([&] { lerp(x, 0.5, gone); });
  error_of([&] { lerp(0.5, x, gone); });
  error_of([&] { lerp(0.5, gone, x); });
  BOOST_TEST(tape.size() == size + 4);  // nor the numbers beside an operand that is refused
  BOOST_TEST(sum(x * x).item() == 14.0);
}

BOOST_AUTO_TEST_CASE(many_operands) {
  Tape tape;
  std::vector<Operand> parts;
  std::vector<Var> vars;
  for (int i = 0; i < 300; ++i) {
    vars.push_back(tape.full(Shape{2}, i));
    parts.emplace_back(vars.back());
  }
  const Var all = concat(parts, 0);
  BOOST_TEST((all.shape() == Shape{600}));
  BOOST_TEST(all.value().at(599) == 299.0);
  const std::vector<Var> gradients = grad(sum(square(all)), vars);
  for (int i = 0; i < 300; ++i) BOOST_TEST(gradients[static_cast<std::size_t>(i)].value().at(1) == 2.0 * i);
}

BOOST_AUTO_TEST_CASE(many_tapes_live_side_by_side) {
  std::vector<std::unique_ptr<Tape>> tapes;
  std::vector<Var> vars;
  for (int i = 0; i < 200; ++i) {
    tapes.push_back(std::make_unique<Tape>());
    vars.push_back(tapes.back()->full(Shape{}, i));
  }
  for (std::size_t i = 0; i < 200; i += 2) tapes[i].reset();
  Tape late;
  for (std::size_t i = 0; i < 200; ++i) {
    if (i % 2 == 0)
      BOOST_TEST(contains(error_of([&] { vars[i].item(); }), "the tape of this Var is gone"));
    else
      BOOST_TEST(vars[i].item() == static_cast<double>(i));
  }
}
