// Rewinding a tape: what is forgotten, what is kept, and loops that do not grow.
#define BOOST_TEST_MODULE rewind
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "autodiff/derivatives.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using wengert::testing::contains;
using wengert::testing::error_of;
using wengert::testing::numbers;
using wengert::testing::same_bits;
using Numbers = std::vector<double>;

namespace {

Array one_to_three() { return Array::of<float>({3}, {1, 2, 3}); }
std::string here(int line) { return "test_rewind.cpp:" + std::to_string(line); }

}  // namespace

BOOST_AUTO_TEST_CASE(rewinding_forgets_later_nodes_and_keeps_earlier_ones) {
  Tape tape;
  const Var x = tape.input(one_to_three());
  const auto mark = tape.mark();
  const Var y = exp(x);
  tape.rewind(mark);
  BOOST_TEST(numbers(x) == (Numbers{1, 2, 3}), boost::test_tools::per_element());
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { y.value(); });
  BOOST_TEST(text == "this Var was rewound: its node is no longer on the tape  (" + here(line) + ")");
  const Var z = square(x);  // takes the place of y on the list and in memory
  BOOST_TEST(contains(error_of([&] { y.value(); }), "was rewound"));
  BOOST_TEST(contains(error_of([&] { z + y; }), "was rewound"));
  BOOST_TEST(contains(error_of([&] { grad(sum(z), y); }), "was rewound"));
  BOOST_TEST(numbers(z) == (Numbers{1, 4, 9}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_loop_of_record_and_rewind_comes_back_to_its_mark) {
  Tape tape;
  const Var x = tape.input(one_to_three(), "x");
  const auto mark = tape.mark();
  const std::uint32_t size = tape.size();
  const std::size_t bytes = tape.bytes();
  std::optional<std::size_t> peak;
  double total = 0;
  for (int i = 0; i < 1000; ++i) {
    const Var scale = tape.full(Shape{3}, i);
    const Var loss = mean(square(tanh(x * scale)));
    total += sum(grad(loss, x)).item();
    if (!peak) peak = tape.bytes();
    if (tape.bytes() != *peak) BOOST_ERROR("iteration " << i << " holds " << tape.bytes() << ", not " << *peak);
    tape.rewind(mark);
    if (tape.size() != size || tape.bytes() != bytes) BOOST_ERROR("iteration " << i << " left something behind");
  }
  BOOST_TEST(total > 0);
  BOOST_TEST(tape.name_of(0) == "x");
}

BOOST_AUTO_TEST_CASE(a_loop_of_double_backward_passes_comes_back_to_its_mark) {
  Tape tape;
  const Var x = tape.input(testing::random_array(Dtype::f32, {4, 3}, 1)),
            w = tape.input(testing::random_array(Dtype::f32, {3, 3}, 2));
  const auto mark = tape.mark();
  const std::uint32_t size = tape.size();
  const std::size_t bytes = tape.bytes();
  std::optional<std::pair<std::uint32_t, std::size_t>> peak;
  for (int i = 0; i < 1000; ++i) {
    const Var trace = divergence([&](Var y) { return tanh(matmul(y, w)); }, x);
    const Var slope = grad(mean(trace), w);
    grad(sum(square(slope)), {x, w});
    const std::pair held(tape.size(), tape.bytes());
    if (!peak) peak = held;
    if (held != *peak) BOOST_ERROR("pass " << i << " holds " << held.first << " nodes, " << held.second << " bytes");
    tape.rewind(mark);
    if (tape.size() != size || tape.bytes() != bytes) BOOST_ERROR("pass " << i << " left something behind");
  }
  BOOST_TEST(peak->first > size + 50);
}

BOOST_AUTO_TEST_CASE(marks_nest) {
  Tape tape;
  const Var x = tape.input(one_to_three());
  const auto outer = tape.mark();
  const Var y = exp(x);
  const auto inner = tape.mark();
  const Var z = exp(y);
  tape.rewind(inner);
  BOOST_TEST((y.shape() == Shape{3}));
  BOOST_TEST(contains(error_of([&] { z.shape(); }), "was rewound"));
  tape.rewind(outer);
  BOOST_TEST(contains(error_of([&] { y.shape(); }), "was rewound"));
  BOOST_TEST(contains(error_of([&] { tape.rewind(inner); }), "mark"));  // it lies ahead
}

BOOST_AUTO_TEST_CASE(rewinding_keeps_what_it_is_told_to) {
  Tape tape(Dtype::f64);
  const Var before = tape.input(one_to_three(), "before");
  const Tape::Mark mark = tape.mark();
  const Var dropped = tape.full({1000}, 7), a = exp(before), b = tape.input(one_to_three(), "b");
  const Var large = broadcast_to(sum(a), {5000}), c = a * 2;
  const Array a_was = a.value(), c_was = c.value(), large_was = large.value();
  const std::vector<Var> kept = tape.rewind(mark, {c, before, large, b, c, a});  // in any order, twice too
  BOOST_TEST(kept.size() == 6U);
  BOOST_TEST(same_bits(kept[0].value(), c_was));
  BOOST_TEST((kept[1] == before));
  BOOST_TEST(same_bits(kept[2].value(), large_was));
  BOOST_TEST(same_bits(kept[3].value(), one_to_three()));
  BOOST_TEST(tape.name_of(tape.index_of(kept[3], {})) == "b");
  BOOST_TEST((kept[4] == kept[0]));
  BOOST_TEST(same_bits(kept[5].value(), a_was));
  BOOST_TEST(tape.size() == mark.nodes + 4);
  for (Var gone : {dropped, a, b, c, large}) BOOST_TEST(contains(error_of([&] { gone.value(); }), "was rewound"));
  BOOST_TEST(sum(grad(sum(kept[0]), before)).item() == 0);  // its history is gone
  BOOST_TEST(sum(grad(sum(square(kept[0])), kept[0])).item() == 2 * sum(kept[0]).item());
}

BOOST_AUTO_TEST_CASE(nested_loops_that_keep_their_values_do_not_grow) {
  Tape tape(Dtype::f64);
  const Var w = tape.input(Array::of<double>({3}, {1, 2, 3}));
  const Tape::Mark outer = tape.mark();
  Var x = tape.full({3}, 0.5);
  double plain = 0.5;  // the first entry
  std::size_t bytes = 0;
  std::uint32_t nodes = 0;
  for (int i = 0; i < 20; ++i) {
    const Tape::Mark inner = tape.mark();
    Var y = x, velocity = 0 * x;
    double y0 = plain, v0 = 0;
    for (int k = 0; k < 10; ++k) {  // steps with momentum down a quartic
      const Var z = identity(y);
      velocity = 0.5 * velocity - 0.1 * grad(sum(square(square(z) - w)), z);
      y = y + velocity;
      const std::vector<Var> kept = tape.rewind(inner, {y, velocity});
      y = kept[0], velocity = kept[1];
      v0 = 0.5 * v0 - 0.1 * (4 * y0 * (y0 * y0 - 1));
      y0 += v0;
    }
    x = tape.rewind(outer, 0.5 * (x + y));
    plain = 0.5 * (plain + y0);
    if (i == 0) bytes = tape.bytes(), nodes = tape.size();
    BOOST_TEST(tape.bytes() == bytes);
    BOOST_TEST(tape.size() == nodes);
  }
  BOOST_TEST(std::abs(x.value().at(0) - plain) < 1e-12);
}

// A view shares the memory of what it is made of, which lies in the way of what is moved before it.
BOOST_AUTO_TEST_CASE(views_that_are_kept_keep_their_values) {
  Tape tape;
  const Var before = tape.arange(100);
  const Var early = reshape(before, {10, 10});
  const auto mark = tape.mark();
  const Var a = before + 10, b = before + 20, c = before + 30;
  const Var view_of_a = reshape(a, {10, 10}), view_of_early = reshape(early, {100});
  const auto kept = tape.rewind(mark, {c, b, view_of_a, view_of_early, early, view_of_a});
  const double firsts[] = {30, 20, 10, 0, 0, 10};
  for (std::size_t i = 0; i < kept.size(); ++i)
    for (Index j = 0; j < 100; ++j) BOOST_TEST(kept[i].value().at(j) == firsts[i] + static_cast<double>(j));
}

// A view that is kept takes memory, and so moves what follows it behind where that was.
BOOST_AUTO_TEST_CASE(what_follows_a_view_that_is_kept_keeps_its_values) {
  for (const Index n : {10, 100, 1000, 5000}) {
    Tape tape;
    const Var before = tape.arange(static_cast<double>(n));
    const auto mark = tape.mark();
    const Var a = before + 10, v = reshape(a, {10, n / 10}), w = identity(v), b = before + 20, c = before + 30;
    const auto kept = tape.rewind(mark, {a, v, w, b, c});
    for (std::size_t i = 0; i < kept.size(); ++i)
      for (const Index at : {Index{0}, n / 2, n - 1})
        BOOST_TEST(kept[i].value().at(at) == (i < 3 ? 10 : i == 3 ? 20 : 30) + static_cast<double>(at));
  }
}

BOOST_AUTO_TEST_CASE(a_parameter_that_is_kept_stays_one) {
  Tape tape;
  const auto owner = std::make_shared<const Array>(one_to_three());
  std::uint64_t version = 1;
  const Tape::Mark mark = tape.mark();
  const Var w = tape.borrow(owner->type(), owner->raw(), owner, &version, "w");
  const Var kept = tape.rewind(mark, exp(w) * 0 + 1), again = tape.rewind(mark, {kept})[0];
  BOOST_TEST(again.value().at(0) == 1);
  const Var w2 = tape.borrow(owner->type(), owner->raw(), owner, &version, "w");
  const Var w3 = tape.rewind(mark, w2);
  BOOST_TEST((tape.node(tape.index_of(w3, {})).data == owner->raw()));
  BOOST_TEST((tape.borrow(owner->type(), owner->raw(), owner, &version, "w") == w3));
  ++version;
  BOOST_TEST(contains(error_of([&] { tape.rewind(mark, w3); }), "w was changed after this tape read it"));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_kept_is_refused_and_nothing_rewound) {
  Tape tape, other, symbolic(Dtype::f32, Tape::Mode::symbolic);
  const Var x = tape.input(one_to_three());
  const Tape::Mark mark = tape.mark();
  const Var y = exp(x), foreign = other.full({2}, 1);
  const auto refused = [&](int line, const std::string& said, const std::string& text) {
    BOOST_TEST(contains(said, text), said);
    BOOST_TEST(contains(said, here(line)), said);
    BOOST_TEST(tape.holds(y));
  };
  refused(__LINE__, error_of([&] { tape.rewind(mark, foreign); }), "[rewind] this Var belongs to another tape");
  refused(__LINE__, error_of([&] { tape.rewind(mark, {y, Var{}}); }), "[rewind] this Var belongs to no tape");
  BOOST_TEST(contains(error_of([&] { other.rewind(mark, foreign); }), "a mark of another tape"));
  const Tape::Mark none = symbolic.mark();
  const Var z = symbolic.full({2}, 1);
  refused(__LINE__, error_of([&] { symbolic.rewind(none, z); }), "[rewind] a symbolic tape has no values to keep");
  BOOST_TEST(symbolic.holds(z));
  tape.rewind(mark, y);
  BOOST_TEST(contains(error_of([&] { tape.rewind(mark, y); }), "[rewind] this Var was rewound"));
}

BOOST_AUTO_TEST_CASE(a_mark_that_was_rewound_past_is_refused_for_ever) {
  Tape tape;
  const auto start = tape.mark();
  tape.input(one_to_three());
  const auto stale = tape.mark();
  tape.rewind(start);
  const Var large = tape.full(Shape{1000}, 4);  // longer than what lay before the stale mark
  tape.full(Shape{1000}, 5);
  BOOST_TEST(contains(error_of([&] { tape.rewind(stale); }), "mark"));
  tape.full(Shape{1000}, 6);
  BOOST_TEST(large.value().at(999) == 4.0);
}

BOOST_AUTO_TEST_CASE(a_mark_of_another_tape_is_refused) {
  Tape one, two;
  const auto mark = one.mark();
  BOOST_TEST(contains(error_of([&] { two.rewind(mark); }), "a mark of another tape"));
}
