// Arrays that a tape borrows: leaves that read memory of others, as parameters do.
#define BOOST_TEST_MODULE borrowed
#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>

#include "autodiff/derivatives.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using wengert::testing::contains;
using wengert::testing::error_of;
using wengert::testing::numbers;

namespace {

Array one_to_three() { return Array::of<float>({3}, {1, 2, 3}); }
std::string here(int line) { return "test_borrowed.cpp:" + std::to_string(line); }

// A store of parameters: values, and a number that moves with every change of them.
struct Store {
  std::vector<float> values{1, 2, 3};
  std::uint64_t version = 0;
};

Var on(Tape& tape, const std::shared_ptr<Store>& store) {
  return tape.borrow({Dtype::f32, {3}}, store->values.data(), store, &store->version, "weights");
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_borrowed_array_is_one_leaf_without_a_copy) {
  Tape tape;
  const auto store = std::make_shared<Store>();
  const Var w = on(tape, store);
  BOOST_TEST((on(tape, store) == w));
  BOOST_TEST(tape.size() == 1U);
  BOOST_TEST(tape.bytes() == 0U);
  BOOST_TEST((w.data<float>().data() == store->values.data()));
  BOOST_TEST(tape.name_of(0) == "weights");
  // A part of the same memory is another leaf.
  const Var part = tape.borrow({Dtype::f32, {2}}, store->values.data(), store, &store->version, "part");
  BOOST_TEST((part != w));
  BOOST_TEST(sum(w).item() + sum(part).item() == 9.0);
}

BOOST_AUTO_TEST_CASE(a_changed_array_is_a_new_leaf_and_the_old_one_is_refused) {
  Tape tape;
  const auto store = std::make_shared<Store>();
  const Var x = tape.input(one_to_three()), old = on(tape, store), y = sum(old * x);
  store->values[0] = 10;
  ++store->version;
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { old + 1; });
  BOOST_TEST(text ==
             "[add] weights was changed after this tape read it: read it again with on(tape)  (" + here(line) + ")");
  // The derivative by x would read the new weights in the name of the old ones.
  BOOST_TEST(contains(error_of([&] { grad(y, x); }), "weights was changed after this tape read it"));
  const Var fresh = on(tape, store);
  BOOST_TEST((fresh != old));
  BOOST_TEST(sum(fresh * x).item() == 10.0 + 4 + 9);
  BOOST_TEST((on(tape, store) == fresh));
}

BOOST_AUTO_TEST_CASE(a_changed_array_is_not_read_through_the_old_leaf) {
  Tape tape;
  const auto store = std::make_shared<Store>();
  const Var old = on(tape, store);
  store->values[0] = 10;
  ++store->version;
  BOOST_TEST(contains(error_of([&] { old.value(); }), "was changed after this tape read it"));
  BOOST_TEST(contains(error_of([&] { old.data<float>(); }), "was changed after this tape read it"));
}

// An eager tape shares memory between a value and its views, but not that of others, which may change.
BOOST_AUTO_TEST_CASE(views_share_the_memory_of_the_tape_alone) {
  Tape tape;
  const auto store = std::make_shared<Store>();
  const Var x = tape.input(Array::of<float>({2, 2}, {1, 2, 3, 4})), w = on(tape, store);
  const std::size_t bytes = tape.bytes();
  for (const Var view : {reshape(x, {4}), flatten(x), unsqueeze(x, 0), identity(x), stop_gradient(x)})
    BOOST_TEST(view.data<float>().data() == x.data<float>().data());
  BOOST_TEST(tape.bytes() < bytes + 5 * 2 * sizeof(Attributes));
  std::vector<Var> copies{reshape(w, {3, 1}), identity(w), stop_gradient(w)};
  copies.push_back(reshape(copies[0], {3}));
  store->values[0] = 10;
  ++store->version;
  for (const Var copy : copies) BOOST_TEST(copy.value().at(0) == 1);
}

BOOST_AUTO_TEST_CASE(rewinding_forgets_a_borrowed_array_and_lets_its_owner_go) {
  Tape tape;
  const auto store = std::make_shared<Store>();
  const auto mark = tape.mark();
  const Var w = on(tape, store);
  BOOST_TEST(store.use_count() == 2);
  tape.rewind(mark);
  BOOST_TEST(store.use_count() == 1);
  BOOST_TEST(contains(error_of([&] { w.value(); }), "was rewound"));
  BOOST_TEST((on(tape, store) != w));
}

BOOST_AUTO_TEST_CASE(the_owner_of_a_borrowed_array_lives_as_long_as_the_tape) {
  std::weak_ptr<Store> watch;
  {
    Tape tape;
    auto store = std::make_shared<Store>();
    watch = store;
    const Var w = on(tape, store);
    store.reset();
    BOOST_TEST(!watch.expired());
    BOOST_TEST(sum(w).item() == 6.0);
  }
  BOOST_TEST(watch.expired());
}

BOOST_AUTO_TEST_CASE(a_symbolic_tape_borrows_the_type_alone) {
  Tape tape(Dtype::f32, Tape::Mode::symbolic);
  const auto store = std::make_shared<Store>();
  const Var w = on(tape, store);
  BOOST_TEST((on(tape, store) == w));
  BOOST_TEST((tape.node(0).data == nullptr));
  BOOST_TEST(contains(error_of([&] { w.value(); }), "symbolic"));
}
